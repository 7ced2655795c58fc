//! `gapless apply -f FILE`: has the platform be as files say, by server-side apply.
//!
//! What a file says is owned by `gapless-apply`: a field that a later file no longer
//! names goes, one that somebody else owns is a conflict. Every document is tried; one
//! failure fails the command, and nothing is pruned then.

pub(crate) mod prune;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::args::{ApiArgs, NamespaceArgs, check_name};
use crate::client::{Apply, Client};
use crate::discovery::{Kind, Kinds};
use crate::documents::{self, Document, FileArgs, comparable};
use crate::failure::{Failure, Outcome};
use crate::output;

/// Who owns the fields that an applied file declares.
const MANAGER: &str = "gapless-apply";

const EXAMPLES: &str = "\
Examples:
  gapless apply -f packed.yaml
  gapless apply -f functions/ -n staging
  gapless get functions hello -o yaml | sed s/100m/200m/ | gapless apply -f -
  gapless apply -f functions/ --dry-run           ask, and change nothing
  gapless apply -f functions/ --prune web         and delete what this set no longer has

--prune NAME labels what it applies with gapless.dev/applied-by=NAME, and deletes what
has that label, is in a namespace of these files, and is not in them any more.
Placement profiles, nodes and namespaces are never pruned.

A function with code of its own is deployed by `gapless deploy DIR`.";

/// Declare what files declare: functions, profiles, secrets, config maps, ...
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    files: FileArgs,
    #[command(flatten)]
    namespace: NamespaceArgs,
    /// Have the platform check it and say what would become of it, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Take fields over from others who own them
    #[arg(long)]
    force_conflicts: bool,
    /// Delete what was applied under this name before and is not in the files any more
    #[arg(long, value_name = "NAME", value_parser = prune::set_name)]
    prune: Option<String>,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

/// An object that is to be applied, and where it is.
#[derive(Clone, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) kind: &'a Kind,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) value: Value,
}

/// What became of an object.
#[derive(Debug)]
pub(crate) struct Applied {
    /// As it was; `None` when it is new.
    pub(crate) before: Option<Value>,
    pub(crate) after: Value,
}

pub(crate) async fn run(args: Args) -> Outcome {
    let client = args.api.client()?;
    let documents = documents::read(&args.files)?;
    let kinds = Kinds::of(&client).await?;
    let default = args.namespace.of(&args.api)?;
    let wanted = wanted(&kinds, &documents, args.namespace.namespace.as_deref(), &default)?;
    let note = if args.dry_run { " (dry run)" } else { "" };
    let mut failures = Vec::new();
    let mut kept = BTreeSet::new();
    for mut wanted in wanted.iter().cloned() {
        if let Some(set) = args.prune.as_deref().filter(|_| wanted.kind.is_namespaced) {
            prune::label(&mut wanted.value, set);
        }
        match apply(&client, &wanted, MANAGER, args.force_conflicts, args.dry_run).await {
            Ok(applied) => {
                let told = wanted.kind.shown(&wanted.name);
                output::emit(&format!("{told} {}{note}\n{}", applied.word(), applied.notes()))?;
                kept.extend(applied.uid());
            }
            Err(failure) => failures.push(failure),
        }
    }
    if let (Some(set), true) = (&args.prune, failures.is_empty()) {
        let gone = prune::find(&client, &kinds, set, &namespaces(&wanted), &kept).await?;
        return prune::delete(&client, set, &gone, args.dry_run).await;
    }
    if args.prune.is_some() {
        eprintln!("nothing is pruned, because not everything was applied");
    }
    all_told(failures)
}

/// Tells every failure; the last one is the command's.
pub(crate) fn all_told(mut failures: Vec<Failure>) -> Outcome {
    let last = failures.pop();
    failures.iter().for_each(|failure| eprintln!("{failure}"));
    last.map_or(Ok(()), Err)
}

/// What the documents want, in an order in which what is named comes before who names it.
pub(crate) fn wanted<'a>(
    kinds: &'a Kinds,
    documents: &[Document],
    named: Option<&str>,
    default: &str,
) -> Outcome<Vec<Wanted<'a>>> {
    let mut wanted = Vec::new();
    for document in documents {
        let (api_version, kind) = (document.text("/apiVersion"), document.text("/kind"));
        let wrong =
            |why: String| Failure::new(format!("cannot use a document of {}", document.file), why);
        let kind = kinds.declared(api_version, kind).map_err(wrong)?;
        if !kind.allows("patch") {
            let why = format!("a {} is only observed, nobody declares it", kind.kind);
            return Err(wrong(why));
        }
        let name = document.text("/metadata/name").to_owned();
        if name.is_empty() {
            return Err(wrong(format!("metadata.name of a {} is missing", kind.kind)));
        }
        let own = document.text("/metadata/namespace");
        if let Some(named) = named.filter(|named| !own.is_empty() && own != *named) {
            let why = format!("{} is in namespace {own}, and -n names {named}", kind.shown(&name));
            return Err(wrong(why));
        }
        let namespace = if own.is_empty() { default } else { own }.to_owned();
        check_path(&name).and_then(|()| check_name(&namespace))?;
        let mut value = document.value.clone();
        if kind.is_namespaced {
            value["metadata"]["namespace"] = namespace.as_str().into();
        }
        wanted.push(Wanted { kind, namespace, name, value });
    }
    wanted.sort_by_key(|wanted| match wanted.kind.kind.as_str() {
        "Namespace" => 0,
        "Function" | "Service" => 2,
        _ => 1,
    });
    Ok(wanted)
}

/// Names of the core kinds may have dots; no name leads to another path.
pub(crate) fn check_path(name: &str) -> Outcome {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    match name.bytes().all(is_good) {
        true => Ok(()),
        false => Err(Failure::new(
            format!("wrong name {name:?}"),
            "names have lower-case letters, digits, '-' and, but for functions, '.'",
        )),
    }
}

/// Applies one object.
pub(crate) async fn apply(
    client: &Client,
    wanted: &Wanted<'_>,
    manager: &'static str,
    is_forced: bool,
    is_dry_run: bool,
) -> Outcome<Applied> {
    let path = wanted.kind.path(&wanted.namespace, &wanted.name);
    let what = format!("cannot apply {}", wanted.kind.shown(&wanted.name));
    // What is redacted always looks the same.
    let is_revealed = wanted.kind.kind == "Secret";
    let reveal = if is_revealed { "?reveal=true" } else { "" };
    let before = match client.get::<Value>(&what, &format!("{path}{reveal}")).await {
        Ok(before) => Some(before),
        Err(failure) if failure.is_not_found() => None,
        Err(failure) => return Err(failure),
    };
    let options = Apply { manager, is_forced, is_dry_run, is_revealed };
    let applied = client.apply(&what, &path, &wanted.value, options).await;
    let (after, is_new) = applied.map_err(|failure| match failure.is_conflict() {
        true => failure.help(
            "take the fields out of the file to leave them to who owns them, or take them over \
             with --force-conflicts",
        ),
        false => failure,
    })?;
    Ok(Applied { before: before.filter(|_| !is_new), after })
}

/// Namespaces that the documents name.
pub(crate) fn namespaces<'a>(wanted: &'a [Wanted<'_>]) -> BTreeSet<&'a str> {
    let namespaced = wanted.iter().filter(|one| one.kind.is_namespaced);
    namespaced.map(|one| one.namespace.as_str()).collect()
}

impl Applied {
    /// By what the object is known over time.
    pub(crate) fn uid(&self) -> Option<String> {
        self.after.pointer("/metadata/uid").and_then(Value::as_str).map(str::to_owned)
    }

    fn word(&self) -> &'static str {
        match &self.before {
            None => "created",
            Some(before) if comparable(before) == comparable(&self.after) => "unchanged",
            Some(_) => "configured",
        }
    }

    /// What the platform remarks on a placement profile.
    fn notes(&self) -> String {
        let conflicts = self.after.pointer("/status/conflicts").and_then(Value::as_array);
        let note = |conflict: &Value| {
            let correlation = conflict["correlation"].as_f64();
            let measured =
                correlation.map_or_else(String::new, |c| format!(", correlation {c:.2}"));
            let (one, other) = (conflict["policy"].as_str(), conflict["against"].as_str());
            let (one, other) = (one.unwrap_or_default(), other.unwrap_or_default());
            format!("  note: {one} and {other} pull against each other{measured}\n")
        };
        conflicts.into_iter().flatten().map(note).collect()
    }
}
