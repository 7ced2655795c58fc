//! `gapless explain INSTANCE|FUNCTION`: why an instance is on its node, policy by
//! policy; or where a function's next instance would go, and if nowhere, what would
//! make it fit.

use std::fmt::Write;

use gapless_api::{Explained, ROOT};
use gapless_placement::balance::Class;
use serde_json::Value;

use crate::args::{ApiArgs, NamespaceArgs, OutputArgs};
use crate::failure::{Failure, Outcome};
use crate::output::{self, Format, Table};

const EXAMPLES: &str = "\
Examples:
  gapless explain hello-00001-i000001     why the instance is where it is
  gapless explain hello                   where its next instance would go, or why nowhere
  gapless explain hello -o json
  gapless explain --class start-bound/steady/light/anywhere   how policies are weighed for such

`gapless get instances` lists the names. Decisions are kept as they were made, the
latest 256 unless `gapless up --explain-decisions N` says otherwise; older ones are
explained as they would be made now.";

/// Show why an instance is where it is, policy by policy.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// An instance, or a function
    #[arg(required_unless_present = "class")]
    name: Option<String>,
    /// Instead: what was learned of weighing policies for a class of workload
    #[arg(long, value_name = "CLASS", conflicts_with = "name")]
    class: Option<Class>,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

pub(crate) async fn run(args: Args) -> Outcome {
    let name = match (&args.name, args.class) {
        (Some(name), _) => name,
        (None, Some(class)) => {
            return super::policies::explain_class(&args.api, class, args.output.output).await;
        }
        // The parser asks for one of them.
        (None, None) => return Err(Failure::usage("cannot explain", "nothing was named")),
    };
    let client = args.api.client()?;
    let namespace = &args.namespace.of(&args.api)?;
    crate::args::check_name(name)?;
    crate::args::check_name(namespace)?;
    let kind = if is_instance(name) { "instances" } else { "functions" };
    let path = format!("{ROOT}/namespaces/{namespace}/{kind}/{name}/explain");
    let what = format!("cannot explain {namespace}/{name}");
    let answer: Value = client.get(&what, &path).await?;
    if !matches!(args.output.output, Format::Table | Format::Wide) {
        return output::emit_value(args.output.output, &answer);
    }
    let explained: Explained =
        serde_json::from_value(answer).map_err(|error| Failure::new(&what, error))?;
    output::emit(&render(&explained))
}

/// Whether it is an instance's name: a revision's, and `-i` with a hex number.
fn is_instance(name: &str) -> bool {
    name.rsplit_once("-i").is_some_and(|(revision, number)| {
        let is_hex = number.len() >= 6 && number.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hex && revision.rsplit_once('-').is_some()
    })
}

fn render(explained: &Explained) -> String {
    let told = &explained.explanation;
    let mut text = String::new();
    let when = match explained.is_as_decided {
        true => "as it was decided",
        false => "as it would be decided now",
    };
    let _ = writeln!(text, "{}, profile {}, {when}\n", explained.metadata.name, told.profile);
    let _ = writeln!(text, "Nodes: {}, of which {} possible", told.nodes, told.possible);
    for step in &told.filters {
        let _ =
            writeln!(text, "  {:<24} left out {:>6} {}", step.policy, step.left_out, step.lacking);
    }
    if let Some(winner) = &told.winner {
        let margin = match (&told.runner_up, told.margin) {
            (Some(second), Some(margin)) => {
                format!(", {margin:.2} ahead of {} ({:.2})", second.node, second.total)
            }
            _ => ", the only one".to_owned(),
        };
        let _ =
            writeln!(text, "\nChosen: {} with {:.2} of 100{margin}\n", winner.node, winner.total);
        text.push_str(&scores(explained));
    }
    for group in &told.groups {
        let examples = group.examples.join(", ");
        let plural = if group.nodes == 1 { "node" } else { "nodes" };
        let lacking = group.lacking.join("; ");
        let _ = writeln!(text, "  {} {plural} ({examples}): {lacking}", group.nodes);
    }
    if let Some(advice) = &told.advice {
        let _ = writeln!(text, "\nNowhere: {advice}");
    }
    text
}

/// A row per policy: weight, and score and points of the chosen node and the next.
fn scores(explained: &Explained) -> String {
    let told = &explained.explanation;
    let Some(winner) = &told.winner else { return String::new() };
    let second = told.runner_up.as_ref();
    let mut header = vec!["POLICY", "WEIGHT", "SCORE", "POINTS"];
    if second.is_some() {
        header.extend(["NEXT SCORE", "NEXT POINTS"]);
    }
    let rows: Vec<Vec<String>> = winner
        .scores
        .iter()
        .map(|score| {
            let mut row = vec![
                score.policy.clone(),
                format!("{}", score.weight),
                format!("{:.3}", score.score),
                format!("{:.2}", score.points),
            ];
            if let Some(second) = second {
                let next = second.scores.iter().find(|next| next.policy == score.policy);
                let (score, points) = next.map_or((0.0, 0.0), |next| (next.score, next.points));
                row.extend([format!("{score:.3}"), format!("{points:.2}")]);
            }
            row
        })
        .collect();
    Table::render(&header, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_are_told_from_functions_by_name() {
        assert!(is_instance("hello-00001-i00002a"));
        assert!(!is_instance("hello") && !is_instance("my-images") && !is_instance("a-i12"));
    }
}
