//! Server-side apply: the client sends the fields it cares about, the server merges
//! them, remembers whose they are, and says so when two want different things.
//!
//! - What the configuration names is set, and the applier owns it.
//! - What its last configuration named and this one does not is removed, unless
//!   somebody else owns it.
//! - A field that somebody else owns and has another value is a conflict; with
//!   `force` the applier takes it.
//!
//! Source: Kubernetes, "Server-Side Apply".

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::fieldset::{FieldSet, Node, Step};
use crate::granular::{Parts, compare, named, parts};
use crate::managed::{
    Id, Managed, ManagedError, Operation, Owned, Writer, changes, check_manager, shown,
    strip_unowned,
};
use crate::meta;

/// The `Content-Type` of a configuration to apply: YAML, of which JSON is a part.
pub const CONTENT_TYPE: &str = "application/apply-patch+yaml";

/// The annotation in which `kubectl apply` without `--server-side` keeps what it sent.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The manager that may take over what that annotation says.
const KUBECTL: &str = "kubectl";

/// Why a configuration cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// Somebody else owns fields and wants other values.
    #[error("{}", conflict_message(.0))]
    Conflict(Vec<Conflict>),
    /// The request names no manager.
    #[error(
        "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch"
    )]
    NoManager,
    /// The configuration brings the server's record.
    #[error("metadata.managedFields must be nil")]
    ManagedFields,
    /// The configuration is not an object.
    #[error("the configuration to apply must be an object")]
    NotAnObject,
    /// Ownership cannot be kept.
    #[error(transparent)]
    Managed(#[from] ManagedError),
}

/// A field that somebody else owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Who, in the words of a message: `"NAME" using VERSION`.
    pub manager: String,
    /// The field, such as `.spec.scale.max`.
    pub path: String,
}

fn conflict_message(conflicts: &[Conflict]) -> String {
    if let [only] = conflicts {
        let Conflict { manager, path } = only;
        return format!("Apply failed with 1 conflict: conflict with {manager}: {path}");
    }
    let mut text = format!("Apply failed with {} conflicts: ", conflicts.len());
    let mut last = "";
    let mut lines = Vec::new();
    for conflict in conflicts {
        if conflict.manager != last {
            lines.push(format!("conflicts with {}:", conflict.manager));
            last = &conflict.manager;
        }
        lines.push(format!("- {}", conflict.path));
    }
    text.push_str(&lines.join("\n"));
    text
}

/// What `live` (null when there is no such object yet) is after `config` was applied
/// to it, with the record of owners in it. It equals `live` when nothing changed.
///
/// `config` must name the fields the writer may set and no others: a server takes
/// `status` out of what is applied to the object itself, and everything but `status`
/// (and the name) out of what is applied to the subresource; [`restrict`] does both.
pub fn apply(
    schema: &Value,
    live: &Value,
    config: &Value,
    by: Writer<'_>,
    force: bool,
    now: Timestamp,
) -> Result<Value, ApplyError> {
    if by.manager.is_empty() {
        return Err(ApplyError::NoManager);
    }
    check_manager(by.manager)?;
    let mut config = config.clone();
    if !config.is_object() {
        return Err(ApplyError::NotAnObject);
    }
    if config.get("metadata").and_then(|meta| meta.get("managedFields")).is_some_and(is_something) {
        return Err(ApplyError::ManagedFields);
    }
    drop_nulls(&mut config);
    match apply_once(schema, live, &config, by, force, now) {
        Err(ApplyError::Conflict(_)) if was_sent_by_kubectl(schema, live, &config, by) => {
            apply_once(schema, live, &config, by, true, now)
        }
        done => done,
    }
}

/// Leaves in a configuration what may be applied to the object (`subresource` empty)
/// or to its subresource `status`.
pub fn restrict(config: &mut Value, subresource: &str, has_status: bool) {
    let Some(fields) = config.as_object_mut() else { return };
    if subresource == "status" {
        fields
            .retain(|key, _| matches!(key.as_str(), "apiVersion" | "kind" | "metadata" | "status"));
        if let Some(meta) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
            meta.retain(|key, _| {
                matches!(
                    key.as_str(),
                    "name" | "namespace" | "uid" | "resourceVersion" | "managedFields"
                )
            });
        }
    } else if has_status {
        fields.remove("status");
    }
}

fn is_something(value: &Value) -> bool {
    !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty())
}

fn apply_once(
    schema: &Value,
    live: &Value,
    config: &Value,
    by: Writer<'_>,
    force: bool,
    now: Timestamp,
) -> Result<Value, ApplyError> {
    let before = Managed::of(live);
    let mut managed = before.clone();
    let id = Id::of(by, Operation::Apply);
    let last = managed.sets.remove(&id).unwrap_or_default();
    let mut wanted = named(config, Some(schema));
    // Every object has metadata, whoever owns what is in it.
    let mut metadata = FieldSet::default();
    metadata.insert(Step::field("metadata"), Node { is_in: true, below: FieldSet::default() });
    let kept = wanted.clone().union(&metadata);
    strip_unowned(&mut wanted);

    let mut result = merge(live, config, Some(schema));
    let others = managed.sets.values().fold(FieldSet::default(), |all, one| all.union(&one.fields));
    remove_abandoned(&mut result, &last.fields, &kept, &others, Some(schema));

    let changes = changes(schema, live, &result);
    let conflicts = conflicts(&managed, &changes.written());
    if !conflicts.is_empty() && !force {
        return Err(ApplyError::Conflict(conflicts));
    }
    managed.take_from_others(&changes);
    if !wanted.is_empty() {
        let time = if wanted == last.fields { last.time } else { shown(now) };
        managed.sets.insert(id.clone(), Owned { fields: wanted, time });
        managed.set_version(&id, by.api_version);
    }
    managed.cap();
    if managed == before && changes.is_empty() && !live.is_null() {
        return Ok(live.clone());
    }
    managed.write(&mut result)?;
    Ok(result)
}

fn conflicts(others: &Managed, written: &FieldSet) -> Vec<Conflict> {
    let mut found = Vec::new();
    for (id, owned) in &others.sets {
        for path in owned.fields.intersection(written).paths() {
            found.push(Conflict { manager: id.shown(), path });
        }
    }
    found.sort_by(|a, b| (&a.manager, &a.path).cmp(&(&b.manager, &b.path)));
    found
}

/// Whether the object's fields are as `kubectl apply` without `--server-side` last
/// sent them: then kubectl may take them over without a conflict, as nobody changed
/// them since.
fn was_sent_by_kubectl(schema: &Value, live: &Value, config: &Value, by: Writer<'_>) -> bool {
    if by.manager != KUBECTL {
        return false;
    }
    let annotation = live.get("metadata").and_then(|meta| meta.get("annotations"));
    let text = annotation.and_then(|all| all.get(LAST_APPLIED)).and_then(Value::as_str);
    let Some(sent) = text.and_then(|text| serde_json::from_str::<Value>(text).ok()) else {
        return false;
    };
    let mut was_changed = compare(&sent, live, Some(schema)).written();
    strip_unowned(&mut was_changed);
    let allowed = named(&sent, Some(schema)).difference(&was_changed);
    let merged = merge(live, config, Some(schema));
    let others = Managed::of(live);
    let written = changes(schema, live, &merged).written();
    others
        .sets
        .values()
        .all(|owned| owned.fields.intersection(&written).difference(&allowed).is_empty())
}

/// A field set to null is a field not named.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// `live` with everything that `config` names.
fn merge(live: &Value, config: &Value, schema: Option<&Value>) -> Value {
    match (parts(live, schema), parts(config, schema)) {
        (Parts::Fields(old), Parts::Fields(new)) => {
            let mut merged: Map<String, Value> =
                old.into_iter().map(|(name, value, ..)| (name.clone(), value.clone())).collect();
            for (name, value, below, _) in new {
                let value = match merged.get(name) {
                    Some(old) => merge(old, value, below),
                    None => value.clone(),
                };
                merged.insert(name.clone(), value);
            }
            Value::Object(merged)
        }
        (Parts::Items(old, _), Parts::Items(new, below)) => {
            let mut steps: Vec<Step> = old.iter().map(|(step, _)| step.clone()).collect();
            let mut merged: Vec<Value> = old.into_iter().map(|(_, value)| value.clone()).collect();
            let places: std::collections::BTreeMap<Step, usize> =
                steps.drain(..).enumerate().map(|(place, step)| (step, place)).collect();
            for (step, value) in new {
                match places.get(&step) {
                    Some(place) => merged[*place] = merge(&merged[*place], value, below),
                    None => merged.push(value.clone()),
                }
            }
            Value::Array(merged)
        }
        _ => config.clone(),
    }
}

/// Removes what the applier's last configuration named and this one does not, where
/// nobody else owns it or a part of it: with everything below it that nobody owns,
/// such as defaults that its presence brought. Source: structured-merge-diff,
/// `merge.Updater`'s `prune`, where a declared field counts as named when something
/// below it is, and a map's entry only when it is itself.
fn remove_abandoned(
    value: &mut Value,
    last: &FieldSet,
    wanted: &FieldSet,
    others: &FieldSet,
    schema: Option<&Value>,
) {
    let fields = match parts(value, schema) {
        Parts::Whole => return,
        Parts::Fields(fields) => {
            let field = |(name, _, below, is_entry): &(&String, _, _, bool)| {
                (Step::field(name), *below, *is_entry)
            };
            fields.iter().map(field).collect::<Vec<_>>()
        }
        Parts::Items(items, below) => {
            items.into_iter().map(|(step, _)| (step, below, true)).collect()
        }
    };
    let empty = FieldSet::default();
    let under = |node: Option<&Node>| node.map_or_else(|| empty.clone(), |node| node.below.clone());
    let mut gone = Vec::new();
    for (place, (step, below, is_entry)) in fields.iter().enumerate() {
        let Some(mine) = last.get(step) else { continue };
        let (want, theirs) = (wanted.get(step), others.get(step));
        if want.is_none() && theirs.is_none() && (mine.is_in || !is_entry) {
            gone.push((place, step));
            continue;
        }
        let Some(child) = part_mut(value, step, place) else { continue };
        let kept = key_fields(step).iter().fold(under(theirs), |mut kept, key| {
            kept.insert(Step::field(key), Node { is_in: true, below: FieldSet::default() });
            kept
        });
        remove_abandoned(child, &mine.below, &under(want), &kept, *below);
    }
    remove_parts(value, &gone);
}

/// The fields that tell a list's item from the others: they go last.
fn key_fields(step: &Step) -> Vec<String> {
    let Step::Keys(keys) = step else { return Vec::new() };
    let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
    keys.into_iter().map(|(key, _)| key).collect()
}

fn part_mut<'a>(value: &'a mut Value, step: &Step, place: usize) -> Option<&'a mut Value> {
    match (value, step) {
        (Value::Object(fields), Step::Field(name)) => fields.get_mut(name),
        (Value::Array(items), _) => items.get_mut(place),
        _ => None,
    }
}

/// Removes parts, which are in the order of their places.
fn remove_parts(value: &mut Value, gone: &[(usize, &Step)]) {
    match value {
        Value::Object(fields) => {
            for (_, step) in gone {
                if let Step::Field(name) = step {
                    fields.remove(name);
                }
            }
        }
        Value::Array(items) => {
            let (mut place, mut gone) = (0, gone.iter().map(|(place, _)| *place).peekable());
            items.retain(|_| {
                let is_gone = gone.next_if_eq(&place).is_some();
                place += 1;
                !is_gone
            });
        }
        _ => {}
    }
}

/// The name in a configuration, which must be that of the request's path.
pub fn name_error(config: &Value, name: &str) -> Option<String> {
    let found = meta::name(config);
    (!found.is_empty() && found != name).then(|| {
        format!("the name of the object ({found}) does not match the name on the URL ({name})")
    })
}
