//! `gapless traffic NAME`: which revision takes which share of a function's requests.
//!
//! What is set is `spec.traffic`, as a merge patch: a file that declares it as well will
//! set it back when it is applied.

use std::collections::BTreeMap;
use std::fmt::Write;

use gapless_api::function_path;
use gapless_types::{Function, TrafficTarget};
use serde_json::{Value, json};

use crate::args::{ApiArgs, NamespaceArgs, OutputArgs, check_name};
use crate::failure::{Failure, Outcome};
use crate::output::{self, Format, Table};

const EXAMPLES: &str = "\
Examples:
  gapless traffic hello                              show it
  gapless traffic hello hello-00001=90 latest=10     split it; the sum is 100
  gapless traffic hello --tag canary=hello-00002     http://canary---hello.default.localhost
  gapless traffic hello --untag canary
  gapless traffic hello --reset                      everything to the latest, no tags

A share keeps the tags that there are, and a tag the shares. `latest` is the newest
revision that has proven itself; during a rollout its share is divided.";

/// Show or set which revision takes which share of the requests.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Name of the function
    name: String,
    /// Shares in percent, such as hello-00001=90 latest=10
    #[arg(value_name = "REVISION=PERCENT", value_parser = share)]
    shares: Vec<(String, u32)>,
    /// Give a revision a host name and path of its own: TAG=REVISION
    #[arg(long = "tag", value_name = "TAG=REVISION", value_parser = tag)]
    tags: Vec<(String, String)>,
    /// Take a tag away
    #[arg(long = "untag", value_name = "TAG")]
    untags: Vec<String>,
    /// Everything to the latest revision, and no tags
    #[arg(long, conflicts_with_all = ["shares", "tags", "untags"])]
    reset: bool,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

fn share(text: &str) -> Result<(String, u32), String> {
    let example = "give it as REVISION=PERCENT, such as hello-00001=90 or latest=10";
    let (revision, percent) = text.split_once('=').ok_or(example)?;
    let percent = percent.trim_end_matches('%').parse().map_err(|_| example)?;
    match revision.is_empty() || percent > 100 {
        true => Err(example.to_owned()),
        false => Ok((revision.to_owned(), percent)),
    }
}

fn tag(text: &str) -> Result<(String, String), String> {
    let (tag, revision) = text.split_once('=').unwrap_or_default();
    match tag.is_empty() || revision.is_empty() {
        true => Err("give it as TAG=REVISION, such as canary=hello-00002".to_owned()),
        false => Ok((tag.to_owned(), revision.to_owned())),
    }
}

pub(crate) async fn run(args: Args) -> Outcome {
    check_name(&args.name)?;
    let client = args.api.client()?;
    let namespace = args.namespace.of(&args.api)?;
    let path = function_path(&namespace, &args.name);
    let shown = format!("function {namespace}/{}", args.name);
    let what = format!("cannot read the traffic of {shown}");
    let current: Function =
        client.get(&what, &path).await.map_err(|failure: Failure| {
            match failure.is_not_found() {
                true => failure.help("`gapless get functions -A` lists what there is"),
                false => failure,
            }
        })?;
    let is_change = !args.shares.is_empty() || !args.tags.is_empty() || !args.untags.is_empty();
    if !is_change && !args.reset {
        return show(&current, args.output.output);
    }
    let traffic = match args.reset {
        true => Value::Null,
        false => changed(&current.spec.traffic, &args)?,
    };
    let mut patch = json!({ "spec": { "traffic": traffic } });
    // Whoever changed it meanwhile is not overruled unseen.
    patch["metadata"] = json!({ "resourceVersion": current.metadata.resource_version });
    let path = format!("{path}?fieldManager=gapless-traffic");
    let what = format!("cannot set the traffic of {shown}");
    let set: Function = client.patch(&what, &path, &patch).await?;
    match args.output.output {
        Format::Table | Format::Wide => {
            output::emit(&format!("{shown}: traffic set\n{}", declared(&set.spec.traffic)))
        }
        _ => show(&set, args.output.output),
    }
}

/// `spec.traffic` with what is asked for.
fn changed(current: &[TrafficTarget], args: &Args) -> Outcome<Value> {
    let mut tags: BTreeMap<String, String> = BTreeMap::new();
    let mut shares: Vec<(String, u32)> = Vec::new();
    for target in current {
        let revision = target.revision.to_string();
        if let Some(tag) = &target.tag {
            tags.insert(tag.clone(), revision.clone());
        }
        // A revision has one share, however many entries it came from.
        match shares.iter_mut().find(|(name, _)| *name == revision) {
            Some((_, percent)) => *percent += target.percent,
            None => shares.push((revision, target.percent)),
        }
    }
    for tag in &args.untags {
        if tags.remove(tag).is_none() {
            let names: Vec<&str> = tags.keys().map(String::as_str).collect();
            let why = match names.is_empty() {
                true => "the function has no tags".to_owned(),
                false => format!("there are {}", names.join(", ")),
            };
            return Err(Failure::new(format!("there is no tag {tag:?}"), why));
        }
    }
    tags.extend(args.tags.iter().cloned());
    if !args.shares.is_empty() {
        shares.clone_from(&args.shares);
    }
    let share =
        |(revision, percent): &(String, u32)| json!({"revision": revision, "percent": percent});
    let tag = |(tag, revision): (&String, &String)| json!({"revision": revision, "percent": 0, "tag": tag});
    let shares = shares.iter().filter(|(_, percent)| *percent > 0).map(share);
    Ok(shares.chain(tags.iter().map(tag)).collect())
}

/// What holds now, and what it comes from.
fn show(function: &Function, format: Format) -> Outcome {
    let status = function.status.clone().unwrap_or_default();
    if !matches!(format, Format::Table | Format::Wide) {
        let shown = json!({
            "declared": function.spec.traffic,
            "observed": status.traffic,
            "rollout": status.rollout,
        });
        return output::emit_value(format, &shown);
    }
    output::emit(&observed(function))
}

fn declared(traffic: &[TrafficTarget]) -> String {
    let rows: Vec<Vec<String>> = traffic
        .iter()
        .map(|target| {
            let tag = target.tag.clone().unwrap_or_else(|| "-".to_owned());
            vec![target.revision.to_string(), format!("{}%", target.percent), tag]
        })
        .collect();
    Table::render(&["REVISION", "SHARE", "TAG"], &rows)
}

/// Who takes which share now, for people; also a part of `describe`.
pub(crate) fn observed(function: &Function) -> String {
    let status = function.status.clone().unwrap_or_default();
    let rows: Vec<Vec<String>> = status
        .traffic
        .iter()
        .map(|target| {
            vec![
                target.revision.clone(),
                target.percent.to_string(),
                if target.latest { "latest" } else { "-" }.to_owned(),
                target.tag.clone().unwrap_or_else(|| "-".to_owned()),
                target.url.clone().unwrap_or_else(|| "-".to_owned()),
            ]
        })
        .collect();
    let mut text = match rows.is_empty() {
        true => "no revision takes requests yet\n".to_owned(),
        false => Table::render(&["REVISION", "SHARE", "AS", "TAG", "URL"], &rows),
    };
    if let Some(rollout) = &status.rollout {
        let steps = match rollout.step {
            0 => String::new(),
            step => format!(", step {step} of {} at {}%", rollout.steps, rollout.percent),
        };
        let _ =
            writeln!(text, "rollout: {} {}{steps}: {}", rollout.to, rollout.phase, rollout.reason);
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn of(current: &Value, line: &[&str]) -> Result<Value, String> {
        let spec = json!({"wasm": "a.wasm", "traffic": current});
        let function = Function::from_value(json!({
            "apiVersion": "gapless.dev/v1", "kind": "Function",
            "metadata": {"name": "hello"}, "spec": spec,
        }))
        .unwrap();
        let line = Line::try_parse_from(["traffic", "hello"].iter().chain(line));
        let args = line.map_err(|error| error.to_string())?.args;
        changed(&function.spec.traffic, &args).map_err(|failure| failure.to_string())
    }

    #[test]
    fn shares_keep_tags_and_tags_keep_shares() {
        let current = json!([
            {"revision": "hello-00001", "percent": 60, "tag": "old"},
            {"revision": "latest", "percent": 40},
        ]);
        let old = json!({"revision": "hello-00001", "percent": 0, "tag": "old"});
        let split = of(&current, &["hello-00001=90", "latest=10%"]).unwrap();
        let expected = json!([
            {"revision": "hello-00001", "percent": 90}, {"revision": "latest", "percent": 10}, old
        ]);
        assert_eq!(split, expected);
        let tagged = of(&current, &["--tag", "new=hello-00002", "--untag", "old"]).unwrap();
        let expected = json!([
            {"revision": "hello-00001", "percent": 60}, {"revision": "latest", "percent": 40},
            {"revision": "hello-00002", "percent": 0, "tag": "new"},
        ]);
        assert_eq!(tagged, expected);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let current = json!([{"revision": "latest", "percent": 100}]);
        let error = of(&current, &["--untag", "x"]).unwrap_err();
        assert!(error.contains("the function has no tags"), "{error}");
        for bad in [&["latest"][..], &["latest=x"], &["latest=101"], &["--tag", "x"]] {
            assert!(of(&current, bad).unwrap_err().contains("give it as"), "{bad:?}");
        }
        assert!(of(&current, &["--reset", "latest=100"]).unwrap_err().contains("cannot be used"));
    }
}
