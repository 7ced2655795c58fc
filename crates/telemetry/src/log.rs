//! The process's own log, on standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// Sends the log to standard error, as text (coloured on a terminal) or as one
/// JSON object per line. `filter` is a level (`error`, `warn`, `info`, `debug`)
/// or says more, such as `warn,gapless_gateway=debug`. Does nothing when called
/// again.
pub fn init(filter: &str, is_json: bool) -> Result<(), ParseError> {
    let filter = EnvFilter::try_new(filter)?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    let _ = if is_json { log.json().try_init() } else { log.compact().try_init() };
    Ok(())
}
