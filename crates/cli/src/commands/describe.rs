//! `gapless describe KIND NAME`. Of a function: why it is not ready, if it is not; what is
//! declared, what is observed, its traffic, revisions and instances, what happened to it,
//! and the latest lines of its log. Of other kinds see `object`.

mod history;
mod object;

use std::fmt::Write;

use gapless_api::{Instance, List, LogLine, ROOT, Revision, function_path};
use gapless_types::{Function, KeepAlive};
use jiff::Timestamp;
use serde_json::Value;

use super::get::{self, Listed, list_path};
use super::{logs, traffic};
use crate::args::{ApiArgs, NamespaceArgs, check_name, place};
use crate::client::Client;
use crate::discovery::Kinds;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Format, Table, age};

const EXAMPLES: &str = "\
Examples:
  gapless describe function hello
  gapless describe function hello -n staging
  gapless describe node/local
  gapless describe ksvc web
  gapless describe secret db      keys only, no values";

/// Lines of the log shown.
const LOG_LINES: usize = 10;
/// Instances shown; the rest are counted.
const INSTANCES_SHOWN: usize = 20;

/// Show everything about one object: declaration, conditions, events; of a function also
/// its traffic, revisions, instances and log.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What kind of object, such as function, revision, node or secret; or KIND/NAME
    kind: String,
    /// Its name
    name: Option<String>,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

/// Words for a function, which need no question of which kinds there are.
const FUNCTION: [&str; 4] = ["function", "functions", "fn", "fns"];

/// Which object is meant, by kind and name.
fn object(args: &Args) -> Outcome<(&str, &str)> {
    match (args.kind.split_once('/'), &args.name) {
        (None, Some(name)) => Ok((&args.kind, name)),
        (Some(object), None) => Ok(object),
        _ => Err(Failure::new("cannot tell which object is meant", "it takes a kind and a name")
            .help("for a function: `gapless describe function NAME` or `gapless describe function/NAME`")),
    }
}

pub(crate) async fn run(args: Args) -> Outcome {
    let (kind, name) = object(&args)?;
    let client = args.api.client()?;
    let namespace = &args.namespace.of(&args.api)?;
    check_name(namespace)?;
    if !FUNCTION.contains(&kind.to_ascii_lowercase().as_str()) {
        let kinds = Kinds::of(&client).await?;
        let text = object::describe(&client, kinds.called(kind)?, namespace, name).await?;
        return output::emit(&text);
    }
    check_name(name)?;
    let path = function_path(namespace, name);
    let what = format!("cannot describe function {namespace}/{name}");
    let function: Function = client.get(&what, &path).await.map_err(|failure: Failure| {
        match failure.is_not_found() {
            true => failure.help("`gapless get functions -A` lists what there is"),
            false => failure,
        }
    })?;
    let mut text = trouble(&function);
    text.push_str(&summary(&function));
    text.push_str(&history::section("Traffic", &traffic::observed(&function)));
    let now = Timestamp::now();
    let path_of = format!("{ROOT}/namespaces/{namespace}/revisions");
    let path_of = format!("{path_of}?labelSelector=gapless.dev%2Ffunction%3D{name}");
    text.push_str(&history::revisions(&client.get::<List<Revision>>(&what, &path_of).await?, now));
    let list: List<Instance> = client.get(&what, &list_path::<Instance>(Some(namespace))).await?;
    let of_it = |instance: &Instance| instance.status.function == *name;
    text.push_str(&instances(&list.items.into_iter().filter(of_it).collect::<Vec<_>>()));
    let path_of = format!("/api/v1/namespaces/{namespace}/events");
    let path_of = format!("{path_of}?fieldSelector=involvedObject.name%3D{name}");
    let events: List<Value> = client.get(&what, &path_of).await?;
    text.push_str(&history::events(events.items, now));
    text.push_str(&log(&client, &what, &path).await?);
    output::emit(&text)
}

/// Why the function is not ready, and what helps; nothing when it is.
fn trouble(function: &Function) -> String {
    let status = function.status.clone().unwrap_or_default();
    let (name, place) = (&function.metadata.name, place(&function.metadata.namespace));
    let (status, reason, message) = match status.condition("Ready") {
        Some(ready) if ready.status == "True" => return String::new(),
        Some(ready) => (ready.status.as_str(), ready.reason.as_str(), ready.message.as_str()),
        None => ("Unknown", "NotObserved", "the platform has not looked at it yet"),
    };
    let help = match (status, reason) {
        ("Unknown", _) => {
            format!("wait for it: `gapless wait function/{name}{place} --for=condition=Ready`")
        }
        (_, "RolledBack") => {
            format!("correct it and deploy again, or `gapless promote {name}{place} --retry`")
        }
        (_, "NoCapacity") => format!("see `gapless explain {name}{place}` and `gapless get nodes`"),
        _ => {
            format!("see what it writes: `gapless logs {name}{place}`; correct it and deploy again")
        }
    };
    let word = if status == "Unknown" { "Not ready yet" } else { "Not ready" };
    format!("{word} ({reason}): {message}\n  {help}\n\n")
}

fn summary(function: &Function) -> String {
    let (spec, metadata) = (&function.spec, &function.metadata);
    let status = function.status.clone().unwrap_or_default();
    let keep_alive = match spec.scale.keep_alive {
        KeepAlive::Auto => "auto".to_owned(),
        KeepAlive::For(span) => span.to_string(),
    };
    let code = match (&spec.wasm, &spec.command) {
        (Some(file), _) => format!("wasm, {file}"),
        (_, Some(command)) => format!("command, {}", command.join(" ")),
        _ => get::code(function),
    };
    let mode = serde_json::to_value(spec.start.mode).ok();
    let mode = mode.as_ref().and_then(|mode| mode.as_str()).unwrap_or_default();
    let labels: Vec<String> =
        metadata.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let env: Vec<&str> = spec.env.keys().map(String::as_str).collect();
    let mut rows = vec![
        ("Name", metadata.name.clone()),
        ("Namespace", metadata.namespace.clone()),
        ("Labels", labels.join(", ")),
        ("Created", metadata.creation_timestamp.clone()),
        ("Revision", format!("{} (generation {})", status.revision, metadata.generation)),
        ("URL", status.url.clone()),
        ("", status.path_url.clone()),
        ("Code", code),
        ("Artifact", spec.artifact.clone().unwrap_or_default()),
        ("Environment", env.join(", ")),
        ("Resources", format!("cpu {}, memory {}", spec.resources.cpu, spec.resources.memory)),
        ("Concurrency", format!("{} per instance", spec.concurrency)),
        ("Timeout", spec.timeout.to_string()),
        ("Queue", format!("{} requests, {} at most", spec.queue.size, spec.queue.wait)),
        ("Start", format!("{mode}, {}", spec.start.kind)),
        ("Scale", format!("{} to {}, keep-alive {keep_alive}", spec.scale.min, spec.scale.max)),
        ("Access", spec.access.hosts.join(", ")),
    ];
    if let Some(route) = &spec.access.route {
        rows.push(("Route", format!("{}{}", route.host, route.path)));
    }
    let mut text = String::new();
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        let colon = if name.is_empty() { "" } else { ":" };
        let _ = writeln!(text, "{:<14}{value}", format!("{name}{colon}"));
    }
    text.push_str("\nConditions:\n");
    for condition in &status.conditions {
        let since = age(&condition.last_transition_time, Timestamp::now());
        let _ = writeln!(
            text,
            "  {} = {} ({}, for {since}): {}",
            condition.r#type, condition.status, condition.reason, condition.message
        );
    }
    if status.conditions.is_empty() {
        text.push_str("  none yet\n");
    }
    text
}

fn instances(instances: &[Instance]) -> String {
    if instances.is_empty() {
        return "\nInstances: none; the next call starts one\n".to_owned();
    }
    let now = Timestamp::now();
    let rows: Vec<Vec<String>> =
        instances.iter().take(INSTANCES_SHOWN).map(|instance| instance.cells(now)).collect();
    let table = Table::render(Instance::COLUMNS, &rows);
    let mut text = format!("\nInstances ({}):\n", instances.len());
    for line in table.lines() {
        let _ = writeln!(text, "  {line}");
    }
    if instances.len() > INSTANCES_SHOWN {
        let _ = writeln!(text, "  and {} more", instances.len() - INSTANCES_SHOWN);
    }
    text
}

async fn log(client: &Client, what: &str, path: &str) -> Outcome<String> {
    let path = format!("{path}/log?tailLines={LOG_LINES}");
    let mut lines = client.lines(what, &path).await?;
    let mut text = String::new();
    while let Some(line) = lines.next_object::<LogLine>().await? {
        let _ = write!(text, "  {}", logs::render(&line, Format::Table));
    }
    if text.is_empty() {
        return Ok("\nLog: nothing written yet\n".to_owned());
    }
    Ok(format!("\nLog (latest {LOG_LINES} lines):\n{text}"))
}
