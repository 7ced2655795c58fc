//! `gapless top`: a live view of functions: load, queues, instances, starts.
//!
//! What it shows are differences of counters between two readings of the
//! platform's `/metrics`, beside the list of functions. Without a terminal, and
//! with `--once`, it reads twice, prints one table, and ends.

mod model;
mod screen;

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use gapless_api::{List, PlatformInfo, ROOT};
use gapless_types::Function;

use crate::args::{ApiArgs, span};
use crate::client::Client;
use crate::failure::Outcome;
use crate::output::{self, Format, Table};
use model::{Reading, View};

const EXAMPLES: &str = "\
Examples:
  gapless top
  gapless top --interval 5s
  gapless top --once
  gapless top -o json | jq '.functions[] | select(.queued > 0)'

In the live view: q or Ctrl-C ends it.";

/// Watch the platform work: requests, queues, instances and starts by function.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Print one table and end; so does an output that is no terminal
    #[arg(long)]
    once: bool,
    /// Over how long rates are taken
    #[arg(long, value_name = "SPAN", value_parser = span, default_value = "1s")]
    interval: Duration,
    /// How to print; anything but table prints once
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

/// Shortest interval: reading ten thousand functions takes its time.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

pub(crate) async fn run(args: Args) -> Outcome {
    let client = args.api.client()?;
    let interval = args.interval.max(INTERVAL_MIN);
    let is_live = !args.once
        && args.output == Format::Table
        && std::io::stdout().is_terminal()
        && std::io::stdin().is_terminal();
    let first = read(&client).await?;
    if is_live {
        return screen::show(&client, first, interval).await;
    }
    tokio::time::sleep(interval).await;
    let second = read(&client).await?;
    print(&View::between(&first, &second), args.output)
}

/// Reads what the platform counts and knows.
async fn read(client: &Client) -> Outcome<Reading> {
    let what = "cannot read the platform's state";
    let info: PlatformInfo = client.get(what, &format!("{ROOT}/info")).await?;
    let functions: List<Function> = client.get(what, &format!("{ROOT}/functions")).await?;
    let metrics = client.text(what, "/metrics").await?;
    Ok(Reading::new(Instant::now(), info, functions.items, &metrics))
}

fn print(view: &View, format: Format) -> Outcome {
    match format {
        Format::Json | Format::Yaml => {
            output::emit_value(format, &serde_json::to_value(view).unwrap_or_default())
        }
        Format::Name => view
            .functions
            .iter()
            .try_for_each(|row| output::emit(&format!("function/{}\n", row.function))),
        Format::Table | Format::Wide => {
            let rows: Vec<Vec<String>> = view.functions.iter().map(model::Row::cells).collect();
            let table = Table::render(&model::COLUMNS, &rows);
            output::emit(&format!("{}\n{table}", view.headline()))
        }
    }
}
