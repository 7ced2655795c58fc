//! `gapless diff -f FILE`: what `apply` would change, asked of the platform by a dry run,
//! so that defaults and what others own are as they would be.

use std::collections::BTreeSet;
use std::process::ExitCode;

use serde_json::Value;

use super::apply::{self, prune};
use crate::args::{ApiArgs, NamespaceArgs};
use crate::discovery::Kinds;
use crate::documents::{self, FileArgs, comparable};
use crate::failure::{Failure, Outcome};
use crate::{output, unified};

/// The same owner as `apply`: what it would change is asked for.
const MANAGER: &str = "gapless-apply";

const EXAMPLES: &str = "\
Examples:
  gapless diff -f functions/
  gapless diff -f hello.yaml && echo nothing to do

Exit codes: 0 no difference, 1 a difference, 2 it could not be told.";

/// Show what applying files would change.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    files: FileArgs,
    #[command(flatten)]
    namespace: NamespaceArgs,
    /// As if fields were taken over from others who own them
    #[arg(long)]
    force_conflicts: bool,
    /// Show what `apply --prune NAME` would label and delete, too
    #[arg(long, value_name = "NAME", value_parser = prune::set_name)]
    prune: Option<String>,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

pub(crate) async fn run(args: Args) -> Outcome<ExitCode> {
    let text = differences(&args).await.map_err(Failure::untold)?;
    output::emit(&text)?;
    Ok(ExitCode::from(u8::from(!text.is_empty())))
}

async fn differences(args: &Args) -> Outcome<String> {
    let client = args.api.client()?;
    let documents = documents::read(&args.files)?;
    let kinds = Kinds::of(&client).await?;
    let default = args.namespace.of(&args.api)?;
    let wanted = apply::wanted(&kinds, &documents, args.namespace.namespace.as_deref(), &default)?;
    let mut text = String::new();
    let mut kept = BTreeSet::new();
    for mut one in wanted.iter().cloned() {
        if let Some(set) = args.prune.as_deref().filter(|_| one.kind.is_namespaced) {
            prune::label(&mut one.value, set);
        }
        let applied = apply::apply(&client, &one, MANAGER, args.force_conflicts, true).await?;
        kept.extend(applied.uid());
        let mut before = applied.before.map(|before| comparable(&before));
        let mut after = comparable(&applied.after);
        if one.kind.kind == "Secret" {
            hide(before.as_mut(), &mut after);
        }
        let name = format!("{}/{}", one.namespace, one.kind.shown(&one.name));
        text.push_str(&difference(&name, before.as_ref(), Some(&after))?);
    }
    if let Some(set) = &args.prune {
        let namespaces = apply::namespaces(&wanted);
        for gone in prune::find(&client, &kinds, set, &namespaces, &kept).await? {
            let name = format!("{}/{}", gone.namespace, gone.kind.shown(&gone.name));
            text.push_str(&difference(&name, Some(&comparable(&gone.object)), None)?);
        }
    }
    Ok(text)
}

fn difference(name: &str, before: Option<&Value>, after: Option<&Value>) -> Outcome<String> {
    let yaml = |value: Option<&Value>| match value {
        Some(value) => {
            serde_saphyr::to_string(value).map_err(|error| Failure::new("cannot print", error))
        }
        None => Ok(String::new()),
    };
    let (live, new) = (format!("live/{name}"), format!("applied/{name}"));
    Ok(unified::diff(&yaml(before)?, &yaml(after)?, &live, &new))
}

/// Puts in place of a secret's values whether they change.
fn hide(before: Option<&mut Value>, after: &mut Value) {
    let mut none = Value::Null;
    let before = before.unwrap_or(&mut none);
    let old = before["data"].as_object().cloned().unwrap_or_default();
    if let Some(data) = after.get_mut("data").and_then(Value::as_object_mut) {
        for (key, value) in data {
            let is_same = old.get(key) == Some(value);
            *value = if is_same { "(hidden)" } else { "(hidden, new)" }.into();
        }
    }
    if let Some(data) = before.get_mut("data").and_then(Value::as_object_mut) {
        data.values_mut().for_each(|value| *value = "(hidden)".into());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secrets_values_are_never_shown() {
        let mut before = json!({"data": {"same": "YQ==", "old": "Yg=="}});
        let mut after = json!({"data": {"same": "YQ==", "old": "Yw==", "new": "ZA=="}});
        hide(Some(&mut before), &mut after);
        assert_eq!(before["data"], json!({"same": "(hidden)", "old": "(hidden)"}));
        let new = "(hidden, new)";
        assert_eq!(after["data"], json!({"same": "(hidden)", "old": new, "new": new}));
        let mut only = json!({"data": {"a": "YQ=="}});
        hide(None, &mut only);
        assert_eq!(only["data"]["a"], new);
    }
}
