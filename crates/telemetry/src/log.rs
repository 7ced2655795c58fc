//! The process's own log, on standard error.

use tracing_subscriber::EnvFilter;

/// Sends the log to standard error, at `level` (`error`, `warn`, `info`, `debug`
/// or a filter such as `gapless_gateway=debug`). Does nothing when called again.
pub fn init(level: &str) {
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("warn"));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .compact()
        .try_init();
}
