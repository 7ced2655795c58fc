//! `gapless wait KIND/NAME --for=...`: until something holds of an object, by a watch.

use std::time::Duration;

use serde_json::Value;

use super::get::follow::{Change, Follow};
use crate::args::{ApiArgs, NamespaceArgs, check_name, place, span};
use crate::client;
use crate::discovery::{Kind, Kinds};
use crate::failure::{Failure, Outcome};
use crate::output;

const EXAMPLES: &str = "\
Examples:
  gapless wait function/hello --for=condition=Ready
  gapless wait function/hello --for=condition=Degraded=False --timeout 5m
  gapless wait function/hello --for=delete

Exit codes: 0 it holds, 1 it does not within the time, 2 used wrongly.";

/// Wait until a condition holds, or until an object is gone.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Which object, such as function/hello
    #[arg(value_name = "KIND/NAME")]
    object: String,
    /// What for: condition=TYPE, condition=TYPE=STATUS, or delete
    #[arg(long = "for", value_name = "WHAT", value_parser = goal)]
    goal: Goal,
    /// How long to wait, such as 90s
    #[arg(long, value_name = "SPAN", value_parser = span, default_value = "30s")]
    timeout: Duration,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Goal {
    Condition { kind: String, status: String },
    Delete,
}

fn goal(text: &str) -> Result<Goal, String> {
    if text == "delete" {
        return Ok(Goal::Delete);
    }
    let example = "give it as condition=Ready, condition=Degraded=False or delete";
    let rest = text.strip_prefix("condition=").filter(|rest| !rest.is_empty()).ok_or(example)?;
    let (kind, status) = rest.split_once('=').unwrap_or((rest, "True"));
    Ok(Goal::Condition { kind: kind.to_owned(), status: status.to_owned() })
}

pub(crate) async fn run(args: Args) -> Outcome {
    let Some((word, name)) = args.object.split_once('/') else {
        return Err(Failure::usage(format!("wrong object {:?}", args.object), "it names no kind")
            .help("give it as KIND/NAME, such as function/hello"));
    };
    check_name(name)?;
    let client = args.api.client()?;
    let namespace = args.namespace.of(&args.api)?;
    let kinds = Kinds::of(&client).await?;
    let kind = kinds.called(word)?;
    let shown = kind.shown(name);
    let mut last = None;
    let list = kind.list_path(Some(&namespace));
    let follow = Follow::new(client, &list, &format!("fieldSelector=metadata.name%3D{name}"));
    let wait = until(follow, kind, name, &args.goal, &mut last);
    match client::within(Some(args.timeout), wait).await {
        Some(Ok(told)) => output::emit(&format!("{shown} {told}\n")),
        Some(Err(failure)) => Err(failure),
        None => {
            let last = last.unwrap_or_else(|| "nothing was heard of it".to_owned());
            let why = format!("not within {} s; last known: {last}", args.timeout.as_secs_f64());
            Err(Failure::new(format!("{shown}: {}", args.goal.words()), why)
                .help(format!("see `gapless describe {word} {name}{}`", place(&namespace))))
        }
    }
}

/// Follows the object until the goal is reached; returns what is said of it then.
async fn until(
    mut follow: Follow,
    kind: &Kind,
    name: &str,
    goal: &Goal,
    last: &mut Option<String>,
) -> Outcome<String> {
    let shown = kind.shown(name);
    let mut is_there = false;
    loop {
        match follow.next().await? {
            Change::Object { change, .. } if change == "DELETED" => match goal {
                Goal::Delete => return Ok("deleted".to_owned()),
                Goal::Condition { .. } => {
                    return Err(Failure::new(shown, "somebody deleted it meanwhile"));
                }
            },
            Change::Object { object, .. } => {
                is_there = true;
                if let Goal::Condition { kind, status } = goal {
                    let (is_met, told) = judge(&object, kind, status);
                    if is_met {
                        return Ok("condition met".to_owned());
                    }
                    *last = Some(told);
                } else {
                    *last = Some("it is still there".to_owned());
                }
            }
            // What exists was told: it is none of it.
            Change::Begun if !is_there => match goal {
                Goal::Delete => return Ok("deleted".to_owned()),
                Goal::Condition { .. } => *last = Some("there is none yet".to_owned()),
            },
            Change::Begun => {}
        }
    }
}

/// Whether the condition is as wanted, in the generation that is declared, and what it says.
fn judge(object: &Value, kind: &str, status: &str) -> (bool, String) {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let mut conditions = conditions.into_iter().flatten();
    let Some(found) = conditions.find(|one| one["type"] == kind) else {
        return (false, format!("it has no condition {kind}"));
    };
    let generation = &object["metadata"]["generation"];
    let observed = &object["status"]["observedGeneration"];
    if observed.is_u64() && observed.as_u64() < generation.as_u64() {
        return (false, "the former generation is still served".to_owned());
    }
    let text = |field: &str| found[field].as_str().unwrap_or_default();
    let told = format!("{kind} is {} ({}): {}", text("status"), text("reason"), text("message"));
    (text("status").eq_ignore_ascii_case(status), told)
}

impl Goal {
    fn words(&self) -> String {
        match self {
            Goal::Condition { kind, status } => format!("{kind} is not {status}"),
            Goal::Delete => "it is not deleted".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn goals_are_read() {
        let condition = |kind: &str, status: &str| Goal::Condition {
            kind: kind.to_owned(),
            status: status.to_owned(),
        };
        assert_eq!(goal("condition=Ready"), Ok(condition("Ready", "True")));
        assert_eq!(goal("condition=Degraded=False"), Ok(condition("Degraded", "False")));
        assert_eq!(goal("delete"), Ok(Goal::Delete));
        assert!(goal("condition=").is_err() && goal("ready").is_err());
    }

    #[test]
    fn only_the_declared_generation_counts() {
        let object = |observed: u64| {
            json!({
                "metadata": {"generation": 2},
                "status": {
                    "observedGeneration": observed,
                    "conditions": [{"type": "Ready", "status": "True", "reason": "R", "message": "m"}],
                },
            })
        };
        assert!(judge(&object(2), "Ready", "true").0);
        assert!(!judge(&object(1), "Ready", "True").0);
        assert_eq!(judge(&object(2), "Ready", "False"), (false, "Ready is True (R): m".to_owned()));
        assert!(judge(&object(2), "Other", "True").1.contains("no condition Other"));
    }
}
