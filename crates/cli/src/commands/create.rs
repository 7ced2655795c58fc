//! `gapless create secret|configmap NAME`: from what is typed and from files.
//!
//! Everything else is declared by a file (`apply`) or a folder (`deploy`).

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::apply::check_path;
use crate::args::{ApiArgs, NamespaceArgs};
use crate::failure::{Failure, Outcome};
use crate::output;

const EXAMPLES: &str = "\
Examples:
  gapless create secret key --from-literal token=s3cret
  gapless create secret tls --from-file tls.crt --from-file key=private.pem
  gapless create configmap words --from-literal language=en --from-file words.txt

What is typed is in the shell's history: secrets are better in files.";

/// Largest file.
const BYTES_MAX: u64 = 1 << 20;

/// Create a secret or a config map.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What to create
    #[arg(value_enum)]
    kind: Kind,
    /// Its name
    name: String,
    /// A value
    #[arg(long = "from-literal", value_name = "KEY=VALUE", value_parser = literal)]
    literals: Vec<(String, String)>,
    /// A file; its key is its name unless KEY= is before it
    #[arg(long = "from-file", value_name = "[KEY=]FILE")]
    files: Vec<String>,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// Values that are encrypted at rest and never printed without asking
    Secret,
    /// Values that are no secret
    #[value(alias = "cm")]
    Configmap,
}

fn literal(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("give it as KEY=VALUE".to_owned()),
    }
}

pub(crate) async fn run(args: Args) -> Outcome {
    check_path(&args.name)?;
    let namespace = args.namespace.of(&args.api)?;
    let (kind, plural) = match args.kind {
        Kind::Secret => ("Secret", "secrets"),
        Kind::Configmap => ("ConfigMap", "configmaps"),
    };
    let mut object = json!({
        "apiVersion": "v1", "kind": kind,
        "metadata": { "name": args.name, "namespace": namespace },
    });
    fill(&mut object, &args)?;
    let shown = format!("{}/{}", kind.to_lowercase(), args.name);
    let path = format!("/api/v1/namespaces/{namespace}/{plural}?fieldManager=gapless-create");
    let what = format!("cannot create {shown}");
    let created = args.api.client()?.post::<Value>(&what, &path, &object).await;
    created.map_err(|failure| match failure.is_conflict() {
        true => failure.help("change it by `gapless apply -f`, or delete it first"),
        false => failure,
    })?;
    output::emit(&format!("{shown} created\n"))
}

/// Puts the values in: text as text, other bytes in base64 (RFC 4648, section 4).
fn fill(object: &mut Value, args: &Args) -> Outcome {
    let (mut texts, mut bytes) = (Map::new(), Map::new());
    for (key, value) in &args.literals {
        let former = texts.insert(key.clone(), value.as_str().into());
        check_once(key, former.is_some())?;
    }
    for file in &args.files {
        let (key, path) = key_and_path(file)?;
        let content = read(&path)?;
        check_once(&key, texts.contains_key(&key) || bytes.contains_key(&key))?;
        match String::from_utf8(content) {
            Ok(text) => drop(texts.insert(key, text.into())),
            Err(error) => drop(bytes.insert(key, STANDARD.encode(error.as_bytes()).into())),
        }
    }
    if texts.is_empty() && bytes.is_empty() {
        return Err(Failure::usage(format!("nothing is in {}", args.name), "no value is given")
            .help("give some by --from-literal KEY=VALUE or --from-file FILE"));
    }
    let fields = match args.kind {
        Kind::Secret => ["stringData", "data"],
        Kind::Configmap => ["data", "binaryData"],
    };
    for (field, values) in fields.into_iter().zip([texts, bytes]) {
        if !values.is_empty() {
            object[field] = Value::Object(values);
        }
    }
    Ok(())
}

fn check_once(key: &str, is_there: bool) -> Outcome {
    match is_there {
        true => Err(Failure::usage(format!("{key:?} is given twice"), "a key has one value")),
        false => Ok(()),
    }
}

fn key_and_path(text: &str) -> Outcome<(String, PathBuf)> {
    if let Some((key, path)) = text.split_once('=') {
        return Ok((key.to_owned(), PathBuf::from(path)));
    }
    let path = PathBuf::from(text);
    let name = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let name = name.ok_or_else(|| {
        Failure::usage(format!("{text:?} has no name to be a key"), "give it as KEY=FILE")
    })?;
    Ok((name, path))
}

fn read(path: &Path) -> Outcome<Vec<u8>> {
    let failed =
        |why: &dyn std::fmt::Display| Failure::new(format!("cannot read {}", path.display()), why);
    let size = std::fs::metadata(path).map_err(|error| failed(&error))?.len();
    if size > BYTES_MAX {
        return Err(failed(&format!("it has {size} bytes, allowed are {BYTES_MAX}")));
    }
    std::fs::read(path).map_err(|error| failed(&error))
}
