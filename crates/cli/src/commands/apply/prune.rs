//! What was applied before under a name and is in the files no more.
//!
//! Nothing is deleted that does not carry the label of the set, that is in a namespace
//! which the files do not name, or that has no namespace at all.

use std::collections::BTreeSet;

use gapless_api::List;
use serde_json::Value;

use super::all_told;
use crate::client::{Client, encoded};
use crate::discovery::{Kind, Kinds};
use crate::failure::Outcome;
use crate::output;

/// The label of what was applied under a name.
const LABEL: &str = "gapless.dev/applied-by";
/// Longest value of a label (Kubernetes, "Labels and Selectors").
const LEN_MAX: usize = 63;

/// Checks the name of a set: it is a label's value.
pub(crate) fn set_name(text: &str) -> Result<String, String> {
    let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let is_middle = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let bytes = text.as_bytes();
    let is_value = is_end(bytes.first()) && is_end(bytes.last()) && bytes.iter().all(is_middle);
    match is_value && bytes.len() <= LEN_MAX {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "use letters, digits, '-', '_' and '.', beginning and ending with a letter or digit, at \
             most {LEN_MAX}"
        )),
    }
}

/// Labels an object as one of the set.
pub(crate) fn label(object: &mut Value, set: &str) {
    object["metadata"]["labels"][LABEL] = set.into();
}

/// An object of the set that is in the files no more.
#[derive(Debug)]
pub(crate) struct Gone<'a> {
    pub(crate) kind: &'a Kind,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) object: Value,
}

/// What is labelled, in one of the namespaces, and not `kept` (uids).
pub(crate) async fn find<'a>(
    client: &Client,
    kinds: &'a Kinds,
    set: &str,
    namespaces: &BTreeSet<&str>,
    kept: &BTreeSet<String>,
) -> Outcome<Vec<Gone<'a>>> {
    let mut seen = kept.clone();
    let mut gone = Vec::new();
    let can_be = kinds.all().iter().filter(|kind| {
        kind.is_namespaced && ["list", "patch", "delete"].iter().all(|verb| kind.allows(verb))
    });
    for kind in can_be {
        for namespace in namespaces {
            let selector = encoded(&format!("{LABEL}={set}"));
            let path = format!("{}?labelSelector={selector}", kind.list_path(Some(namespace)));
            let what = format!("cannot list {}", kind.plural);
            let list: List<Value> = client.get(&what, &path).await?;
            for object in list.items {
                let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
                let name = text("/metadata/name").unwrap_or_default().to_owned();
                // A Knative service is a function, and must go only once.
                if seen.insert(text("/metadata/uid").unwrap_or_default().to_owned()) {
                    gone.push(Gone { kind, namespace: (*namespace).to_owned(), name, object });
                }
            }
        }
    }
    Ok(gone)
}

/// Deletes what is gone from the files.
pub(super) async fn delete(
    client: &Client,
    set: &str,
    gone: &[Gone<'_>],
    is_dry_run: bool,
) -> Outcome {
    if !gone.is_empty() {
        let would = if is_dry_run { "would be" } else { "are" };
        eprintln!(
            "{} of the set {set} {would} deleted, as the files have them no more:",
            gone.len()
        );
        for Gone { kind, namespace, name, .. } in gone {
            eprintln!("  {} in namespace {namespace}", kind.shown(name));
        }
    }
    let note = if is_dry_run { " (dry run)" } else { "" };
    let query = if is_dry_run { "?dryRun=All" } else { "" };
    let mut failures = Vec::new();
    for Gone { kind, namespace, name, .. } in gone {
        let shown = kind.shown(name);
        let path = format!("{}{query}", kind.path(namespace, name));
        match client.delete(&format!("cannot prune {shown}"), &path).await {
            Ok(()) => output::emit(&format!("{shown} pruned{note}\n"))?,
            Err(failure) => failures.push(failure),
        }
    }
    all_told(failures)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_sets_name_is_a_labels_value() {
        for good in ["web", "a.b_c-d", "7"] {
            assert!(set_name(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a,b", "a=b", "a b", "a!", &"a".repeat(64)] {
            assert!(set_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_label_joins_others() {
        let mut object = json!({"metadata": {"labels": {"a": "b"}}});
        label(&mut object, "web");
        assert_eq!(object["metadata"]["labels"], json!({"a": "b", LABEL: "web"}));
        let mut bare = json!({"metadata": {}});
        label(&mut bare, "web");
        assert_eq!(bare["metadata"]["labels"], json!({LABEL: "web"}));
    }
}
