//! The traffic block: `revisionName` or `latestRevision` on Knative's side, `revision` here.

use serde_json::{Map, Value, json};

use crate::fields::{Findings, Known};

const TARGET: Known = Known {
    honoured: &["revisionName", "latestRevision", "percent", "tag"],
    kept: &[("url", "is set by the platform and is ignored")],
    refused: &[(
        "configurationName",
        "is not allowed in a Service: use revisionName or latestRevision",
    )],
};

pub(crate) fn to_function(targets: &Value, findings: &mut Findings) -> Value {
    let list = findings.list(targets, "spec.traffic").iter().enumerate();
    let made: Vec<Value> = list
        .map(|(index, target)| {
            let at = format!("spec.traffic[{index}]");
            let fields = findings.map(target, &at);
            findings.known(fields, &at, &TARGET);
            let name = findings.text(&target["revisionName"], &format!("{at}.revisionName"));
            let name = name.filter(|name| !name.is_empty());
            let is_latest =
                findings.truth(&target["latestRevision"], &format!("{at}.latestRevision"));
            if is_latest && name.is_some() {
                let message = "is true, but a revisionName is there too; leave one of the two";
                findings.error(format!("{at}.latestRevision"), message);
            }
            if target["latestRevision"] == false && name.is_none() {
                let message = "is false, and no revisionName is there; name one";
                findings.error(format!("{at}.latestRevision"), message);
            }
            let mut made = json!({"revision": name.unwrap_or("latest")});
            if let Some(percent) =
                findings.number(&target["percent"], &format!("{at}.percent"), 100)
            {
                made["percent"] = percent.into();
            }
            if let Some(tag) = findings.text(&target["tag"], &format!("{at}.tag")) {
                made["tag"] = tag.into();
            }
            made
        })
        .collect();
    made.into()
}

/// A target as Knative shows it, from `spec.traffic` or `status.traffic` of a function.
pub(crate) fn to_service(target: &Value) -> Value {
    let mut shown = Map::new();
    let revision = target["revision"].as_str().unwrap_or("latest");
    let is_latest = revision == "latest" || target["latest"] == true;
    shown.insert("latestRevision".to_owned(), is_latest.into());
    if revision != "latest" {
        shown.insert("revisionName".to_owned(), revision.into());
    }
    for field in ["percent", "tag", "url"] {
        if !target[field].is_null() {
            shown.insert(field.to_owned(), target[field].clone());
        }
    }
    Value::Object(shown)
}
