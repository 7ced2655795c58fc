//! `gapless apply -f FILE`: declares what a file declares: functions whose code is on
//! the platform already (or that need none), and placement profiles. One file may hold
//! several documents; each is declared, and one failure fails the command.

use std::io::Read;
use std::path::PathBuf;

use gapless_api::{function_path, profile_path};
use serde_json::Value;

use crate::args::{ApiArgs, check_name};
use crate::client::Client;
use crate::failure::{Failure, Outcome};
use crate::output;

const EXAMPLES: &str = "\
Examples:
  gapless apply -f packed.yaml
  gapless get functions hello -o yaml | sed s/100m/200m/ | gapless apply -f -

A placement profile:
  apiVersion: gapless.dev/v1
  kind: PlacementProfile
  metadata: {name: packed}
  spec:
    appliesTo: {namespaces: [batch]}
    policies:
      - {policy: most-allocated, weight: 3}
      - {policy: image-locality, weight: 1}

A function with code of its own is deployed by `gapless deploy DIR`.";

/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Documents in one file.
const DOCUMENTS_MAX: usize = 1_000;

/// Declare what a file declares: placement profiles, functions.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The file, YAML or JSON; - is standard input
    #[arg(short, long, value_name = "FILE", required = true)]
    filename: PathBuf,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

pub(crate) async fn run(args: Args) -> Outcome {
    let client = args.api.client()?;
    let name = args.filename.display().to_string();
    let text = read(&args.filename)?;
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).map_err(|error| {
        Failure::new(format!("{name} is not valid YAML"), error.without_snippet())
    })?;
    let documents: Vec<&Value> = documents.iter().filter(|value| !value.is_null()).collect();
    if documents.is_empty() || documents.len() > DOCUMENTS_MAX {
        let why = format!("it holds {} documents; 1 to {DOCUMENTS_MAX} are read", documents.len());
        return Err(Failure::new(format!("cannot apply {name}"), why));
    }
    let mut failures = Vec::new();
    for document in documents {
        if let Err(failure) = apply(&client, document).await {
            failures.push(failure);
        }
    }
    let last = failures.pop();
    for failure in failures {
        eprintln!("{failure}");
    }
    last.map_or(Ok(()), Err)
}

fn read(path: &PathBuf) -> Outcome<String> {
    let failed =
        |error: std::io::Error| Failure::new(format!("cannot read {}", path.display()), error);
    let mut text = String::new();
    let reader: Box<dyn Read> = match path.as_os_str() == "-" {
        true => Box::new(std::io::stdin()),
        false => Box::new(std::fs::File::open(path).map_err(failed)?),
    };
    reader.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        let why = "it has more than 1 MiB";
        return Err(Failure::new(format!("cannot read {}", path.display()), why));
    }
    Ok(text)
}

async fn apply(client: &Client, document: &Value) -> Outcome {
    let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str);
    let kind = text("/kind").unwrap_or_default();
    let name = text("/metadata/name").unwrap_or_default();
    let namespace = text("/metadata/namespace").unwrap_or("default");
    let (path, shown) = match kind {
        "Function" => {
            check_name(namespace)?;
            (function_path(namespace, name), format!("function {namespace}/{name}"))
        }
        "PlacementProfile" => (profile_path(name), format!("placement profile {name}")),
        other => {
            let why = format!("kind is {other:?}; Function and PlacementProfile can be applied");
            return Err(Failure::new("cannot apply a document", why));
        }
    };
    check_name(name)?;
    let what = format!("cannot apply {shown}");
    let declared: Value = client.put(&what, &path, document).await?;
    let mut told = format!("{shown} applied\n");
    for conflict in
        declared.pointer("/status/conflicts").and_then(Value::as_array).into_iter().flatten()
    {
        let correlation = conflict["correlation"].as_f64();
        let measured = correlation.map_or_else(String::new, |c| format!(", correlation {c:.2}"));
        let (one, other) = (conflict["policy"].as_str(), conflict["against"].as_str());
        let (one, other) = (one.unwrap_or_default(), other.unwrap_or_default());
        told += &format!("  note: {one} and {other} want opposite things{measured}\n");
    }
    output::emit(&told)
}
