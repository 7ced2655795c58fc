//! `gapless policies`: the placement policies, which of them pull against which, and what
//! the balancer learned about weighing them.

use std::collections::BTreeMap;
use std::fmt::Write;

use clap::Subcommand;
use gapless_api::{
    BalanceReport, ClassConflicts, PolicyConflicts, balance_freeze_path, balance_path,
    conflicts_path,
};
use gapless_placement::Profile;
use gapless_placement::balance::{Class, ContextReport, Regime, Report, SituationReport};
use gapless_placement::conflicts::Conflicts;
use gapless_placement::registry::{self, POLICIES, Phase};
use serde_json::{Value, json};
use std::sync::Arc;

use crate::args::{ApiArgs, OutputArgs};
use crate::failure::{Failure, Outcome};
use crate::output::{self, Format, Table};

const EXAMPLES: &str = "\
Examples:
  gapless policies list
  gapless policies conflicts                  over the nodes and functions there are
  gapless policies conflicts --modelled       over a modelled cluster; needs no platform
  gapless policies explain                    what was learned, by class of workload and regime
  gapless policies explain spot-risk          one policy: what it does, and what it weighs where
  gapless policies explain --class start-bound/steady/light/anywhere
  gapless policies freeze                     keep the weights as they are; thaw goes on

docs/policies.md lists every policy with its source, docs/balance.md says how weights
are learned. `gapless up --no-balance` uses the default weights only.";

/// Pairs that are shown of a class unless all are asked for.
const SHOWN: usize = 10;

/// Show placement policies, which pull against which, and how they are weighed.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List every policy: phase, default weight, what it is at odds with
    List {
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show which scores pull against which, measured over candidate nodes
    Conflicts {
        /// Over a modelled cluster instead of the platform's
        #[arg(long)]
        modelled: bool,
        /// Every pair, not only the most opposed
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show what was learned: all, one class of workload, or one policy
    Explain {
        /// A policy
        policy: Option<String>,
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Keep weights as they are: nothing is learned or tried
    Freeze,
    /// Learn again
    Thaw,
}

/// Which contexts.
#[derive(clap::Args, Debug, Default)]
struct Which {
    /// Only this class of workload
    #[arg(long, value_name = "CLASS")]
    class: Option<Class>,
    /// Only this regime of the cluster: low, normal, high, memory-bound
    #[arg(long, value_name = "REGIME")]
    regime: Option<Regime>,
}

pub(crate) async fn run(args: Args) -> Outcome {
    match args.what {
        What::List { output } => list(output.output),
        What::Conflicts { modelled, all, output } => {
            let found = if modelled { modelled_conflicts() } else { conflicts(&args.api).await? };
            show_conflicts(&found, all, output.output)
        }
        What::Explain { policy, which, output } => {
            explain(&args.api, policy, &which, output.output).await
        }
        What::Freeze => {
            let what = "cannot freeze the balancer";
            let path = balance_freeze_path();
            let _: BalanceReport = args.api.client()?.put(what, &path, &json!({})).await?;
            output::emit("weights stay as they are; `gapless policies thaw` goes on learning\n")
        }
        What::Thaw => {
            args.api.client()?.delete("cannot thaw the balancer", &balance_freeze_path()).await?;
            output::emit("weights are learned\n")
        }
    }
}

/// What `gapless explain --class C` shows.
pub(crate) async fn explain_class(api: &ApiArgs, class: Class, format: Format) -> Outcome {
    explain(api, None, &Which { class: Some(class), regime: None }, format).await
}

fn list(format: Format) -> Outcome {
    let phase = |phase| match phase {
        Phase::Filter => "filter",
        Phase::Score => "score",
        Phase::Permit => "permit",
    };
    if !matches!(format, Format::Table | Format::Wide) {
        let all = POLICIES.iter().map(|policy| {
            let is_score = policy.phase == Phase::Score;
            json!({
                "name": policy.name, "phase": phase(policy.phase), "summary": policy.summary,
                "weight": policy.default_weight.filter(|_| is_score),
                "isDefault": policy.default_weight.is_some(), "isEssential": policy.is_essential,
                "opposes": policy.opposes, "overrules": policy.overrules,
            })
        });
        return output::emit_value(format, &json!({ "items": all.collect::<Vec<_>>() }));
    }
    let rows: Vec<Vec<String>> = POLICIES
        .iter()
        .map(|policy| {
            let weight = match (policy.phase, policy.default_weight) {
                (Phase::Score, Some(weight)) => weight.to_string(),
                (_, None) => "-".to_owned(),
                _ => "on".to_owned(),
            };
            let opposes = policy.opposes.join(", ");
            vec![
                policy.name.to_owned(),
                phase(policy.phase).to_owned(),
                weight,
                policy.summary.to_owned(),
                opposes,
            ]
        })
        .collect();
    output::emit(&Table::render(&["POLICY", "PHASE", "DEFAULT", "WHAT", "OPPOSES"], &rows))
}

async fn conflicts(api: &ApiArgs) -> Outcome<Vec<ClassConflicts>> {
    let what = "cannot measure conflicts";
    let answer: Value = api.client()?.get(what, &conflicts_path()).await?;
    let found: PolicyConflicts =
        serde_json::from_value(answer).map_err(|error| Failure::new(what, error))?;
    if found.classes.is_empty() {
        return Err(Failure::new(what, "no function was called yet, so there are no candidates")
            .help(
                "call one first, or see a modelled cluster: gapless policies conflicts --modelled",
            ));
    }
    Ok(found.classes)
}

/// The same over the modelled cluster that profiles are checked on.
fn modelled_conflicts() -> Vec<ClassConflicts> {
    let profile = Arc::new(Profile::balanced());
    let (state, shape) = gapless_placement::reference(&profile);
    let mut conflicts = Conflicts::default();
    conflicts.sample(&state, &shape, &profile);
    vec![ClassConflicts {
        class: "any, on a modelled cluster".to_owned(),
        samples: conflicts.samples(),
        pairs: conflicts.pairs(),
    }]
}

fn show_conflicts(found: &[ClassConflicts], all: bool, format: Format) -> Outcome {
    if !matches!(format, Format::Table | Format::Wide) {
        return output::emit_value(format, &json!({ "classes": found }));
    }
    let mut text = String::new();
    for class in found {
        let _ = writeln!(text, "{} ({} candidate sets)", class.class, class.samples);
        let shown = if all { class.pairs.len() } else { SHOWN };
        let rows: Vec<Vec<String>> = class
            .pairs
            .iter()
            .take(shown)
            .map(|pair| {
                let stated = is_stated(&pair.one, &pair.other);
                let stated = if stated { "opposed by design" } else { "" };
                vec![
                    pair.one.clone(),
                    pair.other.clone(),
                    format!("{:+.2}", pair.correlation),
                    stated.to_owned(),
                ]
            })
            .collect();
        if rows.is_empty() {
            text += "  the nodes are alike to every score\n";
        } else {
            text += &Table::render(&["SCORE", "AGAINST", "RANK CORRELATION", ""], &rows);
        }
        text.push('\n');
    }
    output::emit(text.trim_end_matches('\n')).and_then(|()| output::emit("\n"))
}

fn is_stated(one: &str, other: &str) -> bool {
    let opposes =
        |a: &str, b: &str| registry::find(a).is_some_and(|entry| entry.opposes.contains(&b));
    opposes(one, other) || opposes(other, one)
}

async fn explain(api: &ApiArgs, policy: Option<String>, which: &Which, format: Format) -> Outcome {
    if let Some(policy) = &policy
        && registry::find(policy).is_none()
    {
        let why = format!("there is no policy {policy:?}; `gapless policies list` shows them");
        return Err(Failure::usage("cannot explain", why));
    }
    let what = "cannot explain what was learned";
    let answer: Value = api.client()?.get(what, &balance_path()).await?;
    let mut told: BalanceReport =
        serde_json::from_value(answer).map_err(|error| Failure::new(what, error))?;
    if let Some(report) = &mut told.report {
        let is_meant = |context: &ContextReport| {
            which.class.is_none_or(|class| context.class.is_none_or(|of| of == class))
                && which.regime.is_none_or(|regime| regime == context.regime)
        };
        report.contexts.retain(is_meant);
    }
    if !matches!(format, Format::Table | Format::Wide) {
        let told = serde_json::to_value(&told).map_err(|error| Failure::new(what, error))?;
        return output::emit_value(format, &told);
    }
    output::emit(&render(&told, policy.as_deref()))
}

fn render(told: &BalanceReport, policy: Option<&str>) -> String {
    let mut text = String::new();
    if let Some(entry) = policy.and_then(registry::find) {
        let _ = writeln!(text, "{}: {}", entry.name, entry.summary);
        if !entry.opposes.is_empty() {
            let _ = writeln!(text, "Opposed by design: {}", entry.opposes.join(", "));
        }
        text.push('\n');
    }
    let Some(report) = &told.report else {
        return text + "Weights are not balanced: the platform was started with --no-balance.\n";
    };
    let frozen = if report.is_frozen { "; frozen: nothing is learned or tried" } else { "" };
    let _ = writeln!(text, "Regime: {}; {} outcomes seen{frozen}", report.regime, report.observed);
    let rollbacks: Vec<String> =
        report.rollbacks.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    let _ = writeln!(text, "Returns to the default weights: {}\n", rollbacks.join(", "));
    if let Some(situation) = &report.situation {
        text.push_str(&resembled(situation));
        text.push('\n');
    }
    match policy {
        Some(policy) => text + &weighed(report, policy),
        None => report.contexts.iter().fold(text, |text, context| text + &one(context) + "\n"),
    }
}

/// What the present is like, and what that makes of the weights that are known.
fn resembled(situation: &SituationReport) -> String {
    let listed = |of: &BTreeMap<String, f32>, figure: fn(f32) -> String| {
        let mut all: Vec<(&String, &f32)> = of.iter().collect();
        all.sort_by(|a, b| b.1.total_cmp(a.1));
        let one = |(name, value): (&String, &f32)| format!("{name} {}", figure(*value));
        all.into_iter().map(one).collect::<Vec<_>>().join("; ")
    };
    let mut text = String::new();
    if situation.seen.is_empty() {
        text.push_str("Situation: too little runs to tell\n");
    } else {
        let _ =
            writeln!(text, "Situation: {}", listed(&situation.seen, |value| format!("{value:.2}")));
        let alike = listed(&situation.alike, |share| format!("{:.0}%", share * 100.0));
        let _ = writeln!(text, "Most like, of simulated cases, by what they count for: {alike}");
    }
    let expected = listed(&situation.expected, |gain| format!("{:+.1}%", gain * 100.0));
    let _ = writeln!(text, "Expected against the default: {expected}");
    let favourite = situation.favourite.as_deref().unwrap_or("default");
    text + &format!("Favoured for all together: {favourite}\n")
}

/// What one policy weighs in each context.
fn weighed(report: &Report, policy: &str) -> String {
    let rows: Vec<Vec<String>> = report
        .contexts
        .iter()
        .map(|context| {
            let shares = context.weights.shares();
            let share = shares.iter().find(|(name, _)| *name == policy);
            let share = share.map_or(0.0, |(_, share)| *share);
            vec![
                context.class_name(),
                context.regime.to_string(),
                context.leader.clone(),
                format!("{:.1}%", share * 100.0),
            ]
        })
        .collect();
    Table::render(&["CLASS", "REGIME", "LEADING WEIGHTS", "SHARE"], &rows)
}

/// One context, in words and numbers.
fn one(context: &ContextReport) -> String {
    let mut text = format!("{} in regime {}\n", context.class_name(), context.regime);
    let known = match context.windows {
        0 => "by the prior; nothing was seen here yet".to_owned(),
        windows => format!("after {windows} windows here"),
    };
    let _ = writeln!(
        text,
        "  Leading: {}, {:+.1}% +-{:.1} against the default weights ({known})",
        context.leader,
        context.gain * 100.0,
        context.gain_ci95 * 100.0
    );
    if let Some(reason) = context.last_rollback {
        let rests = match context.rests {
            0 => String::new(),
            windows => format!("; the default leads for {windows} more windows"),
        };
        let _ = writeln!(
            text,
            "  Went back to the default {} times, last because: {}{rests}",
            context.rollbacks,
            reason.as_str()
        );
    }
    let weights: Vec<String> = context
        .weights
        .shares()
        .iter()
        .map(|(name, share)| format!("{name} {:.1}%", share * 100.0))
        .collect();
    let _ = writeln!(text, "  Weights: {}", weights.join(", "));
    let rows: Vec<Vec<String>> = context
        .arms
        .iter()
        .map(|arm| {
            vec![
                format!("  {}", arm.name),
                format!("{:.2}%", arm.share * 100.0),
                arm.plays.to_string(),
                format!("{:+.1}% +-{:.1}", arm.advantage * 100.0, arm.deviation * 196.0),
            ]
        })
        .collect();
    text + &Table::render(&["  ARM", "PLAYED", "SEEN", "AGAINST THE LEADER"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gapless_placement::balance::{Balancer, Config, Prior};

    #[test]
    fn what_was_learned_is_said_in_words_and_numbers() {
        let mut balancer = Balancer::new(Config::default(), Prior::shipped());
        balancer.table();
        let mut report = balancer.report();
        report.contexts.truncate(1);
        let told = BalanceReport {
            api_version: String::new(),
            kind: String::new(),
            is_on: true,
            report: Some(report),
        };
        let all = render(&told, None);
        assert!(all.contains("Regime: ") && all.contains("Returns to the default"), "{all}");
        let one = render(&told, Some("spot-risk"));
        assert!(one.starts_with("spot-risk: prefers nodes that are unlikely"), "{one}");
        let off = render(&BalanceReport { is_on: false, report: None, ..told }, None);
        assert!(off.contains("--no-balance"), "{off}");
    }

    #[test]
    fn the_modelled_cluster_shows_what_fights() {
        let found = modelled_conflicts();
        let first = &found[0].pairs[0];
        assert!(is_stated(&first.one, &first.other) && first.correlation < -0.9);
    }
}
