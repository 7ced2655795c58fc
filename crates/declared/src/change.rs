//! What a request makes of an object: before its kind is asked, and before anything is
//! written. The time is an argument.
//!
//! Rules are those of the Kubernetes API conventions: what the server sets stays as it
//! was, `status` is not written together with the rest, a version that is named must
//! be the one that is there.

use gapless_api::Status;
use gapless_objects::fields::{FieldValidation, judge, prune, unknown};
use gapless_objects::managed::{self, Writer};
use gapless_objects::meta::{self, NameRule};
use gapless_objects::patch::Patch;
use gapless_objects::{Descriptor, Refusal as Refused, apply};
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::key::ObjectKey;
use crate::refusal::{MODIFIED, Outcome, Refusal, bad_request, conflict, exists, not_found};

/// What is asked for.
pub enum Change {
    /// That this object comes to be.
    Create(Document),
    /// That the object is this.
    Replace(Document),
    /// That the object is changed so.
    Patch(Patch),
    /// That what this names is so, and belongs to who says it (server-side apply).
    Apply(Document),
    /// That the object becomes what this makes of it.
    Make(Box<Make>),
}

/// What makes an object of another.
pub type Make = dyn Fn(&Value) -> Outcome<Value> + Send + Sync;

/// An object as somebody sent it.
#[derive(Clone, Debug, Default)]
pub struct Document {
    /// The object.
    pub value: Value,
    /// Paths of keys that were there twice.
    pub duplicates: Vec<String>,
}

impl std::fmt::Debug for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Change::Create(_) => "create",
            Change::Replace(_) => "replace",
            Change::Patch(_) => "patch",
            Change::Apply(_) => "apply",
            Change::Make(_) => "make",
        })
    }
}

/// How it is asked for.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    /// Who asks, as field owners are named.
    pub manager: String,
    /// Whether fields that others own are taken from them.
    pub is_forced: bool,
    /// Whether nothing is to be written.
    pub is_dry_run: bool,
    /// What to do about unknown fields; `None` leaves it to the kind's own reader.
    pub validation: Option<FieldValidation>,
    /// Through which subresource; empty for the object itself.
    pub subresource: &'static str,
    /// Whether what is shown only to who asks for it is shown.
    pub is_revealed: bool,
}

/// What would be written.
pub(crate) struct Proposal {
    pub(crate) new: Value,
    pub(crate) warnings: Vec<String>,
    /// Whether the writer's fields are still to be recorded.
    pub(crate) is_tracked: bool,
}

/// What a change makes of `old`, if that is there.
pub(crate) fn propose(
    descriptor: &'static Descriptor,
    schema: &Value,
    key: &ObjectKey,
    change: &Change,
    options: &WriteOptions,
    old: Option<&Value>,
    now: Timestamp,
) -> Outcome<Proposal> {
    let missing = || not_found(descriptor, &key.name);
    let (mut new, duplicates): (Value, &[String]) = match (change, old) {
        (Change::Create(_), Some(_)) => return Err(exists(descriptor, &key.name)),
        (Change::Create(document), None) | (Change::Replace(document), Some(_)) => {
            (document.value.clone(), &document.duplicates)
        }
        // Kinds of ours may be made by stating them, unless one that is there is meant.
        (Change::Replace(document), None)
            if is_made_by_update(descriptor)
                && meta::resource_version(&document.value).is_empty() =>
        {
            (document.value.clone(), &document.duplicates)
        }
        (Change::Patch(patch), Some(old)) => {
            let patched = patch.apply(descriptor, schema, old).map_err(refused)?;
            (patched, patch.duplicates())
        }
        (Change::Make(make), Some(old)) => (make(old)?, &[]),
        (Change::Apply(document), _) => {
            (applied(descriptor, schema, document, options, old, now)?, &document.duplicates)
        }
        (_, None) => return Err(missing()),
    };
    if !new.is_object() {
        return Err(bad_request("the body is not an object: it needs apiVersion, kind, metadata"));
    }
    check_type(descriptor, &mut new)?;
    let mut warnings = Vec::new();
    if let Some(validation) = options.validation {
        let unknown = unknown(&new, schema);
        warnings = judge(validation, descriptor, &unknown, duplicates).map_err(refused)?;
        prune(&mut new, schema);
    } else if let [first, ..] = duplicates {
        return Err(bad_request(format!("{first} is there twice; which one is meant?")));
    }
    check_key(key, &new)?;
    check_version(descriptor, key, &new, old)?;
    keep_what_the_server_sets(descriptor, key, &mut new, old, now);
    let rule = if descriptor.group.is_empty() { NameRule::Subdomain } else { NameRule::Label };
    let errors = meta::check(&new, rule, descriptor.is_namespaced);
    if !errors.is_empty() {
        return Err(refused(errors).about(descriptor, &key.name));
    }
    let is_tracked = !matches!(change, Change::Apply(_));
    Ok(Proposal { new, warnings, is_tracked })
}

/// Whether `PUT` also creates (as it does for some kinds of Kubernetes, such as leases).
fn is_made_by_update(descriptor: &Descriptor) -> bool {
    descriptor.group == "gapless.dev" && descriptor.allows("create")
}

fn applied(
    descriptor: &Descriptor,
    schema: &Value,
    document: &Document,
    options: &WriteOptions,
    old: Option<&Value>,
    now: Timestamp,
) -> Outcome<Value> {
    let mut config = document.value.clone();
    apply::restrict(&mut config, options.subresource, descriptor.has_status);
    let api_version = descriptor.api_version();
    let by = Writer {
        manager: &options.manager,
        api_version: &api_version,
        subresource: options.subresource,
    };
    let live = old.unwrap_or(&Value::Null);
    apply::apply(schema, live, &config, by, options.is_forced, now).map_err(refused)
}

/// What the pure machinery refuses, as a status.
pub(crate) fn refused(error: impl Into<Refused>) -> Refusal {
    let Refused { code, reason, message, causes } = error.into();
    let mut status = Status::failure(code, reason, message);
    status.details.causes = causes
        .into_iter()
        .map(|cause| gapless_api::StatusCause {
            reason: cause.reason.to_owned(),
            message: cause.message,
            field: cause.field,
        })
        .collect();
    status.into()
}

fn check_type(descriptor: &Descriptor, new: &mut Value) -> Outcome<()> {
    let Some(fields) = new.as_object_mut() else { return Ok(()) };
    for (field, wanted) in
        [("apiVersion", descriptor.api_version()), ("kind", descriptor.kind.to_owned())]
    {
        let found = fields.entry(field).or_insert_with(|| wanted.clone().into());
        if found.as_str() != Some(wanted.as_str()) {
            let message = format!("{field}: found {found}, but the request's path says {wanted:?}");
            return Err(bad_request(message));
        }
    }
    Ok(())
}

fn check_key(key: &ObjectKey, new: &Value) -> Outcome<()> {
    for (field, wanted) in [("name", &key.name), ("namespace", &key.namespace)] {
        let found = meta::text(new, field);
        if !found.is_empty() && found != wanted {
            let message = format!(
                "the {field} of the provided object does not match the {field} sent on the request: \
                 metadata.{field} is {found:?}, the request's path says {wanted:?}"
            );
            return Err(bad_request(message));
        }
    }
    Ok(())
}

/// A version that is named must be the one that is there.
fn check_version(
    descriptor: &Descriptor,
    key: &ObjectKey,
    new: &Value,
    old: Option<&Value>,
) -> Outcome<()> {
    let wanted = meta::resource_version(new);
    let uid = meta::text(new, "uid");
    match old {
        None if !wanted.is_empty() => {
            Err(bad_request("metadata.resourceVersion must not be set on objects to be created"))
        }
        None => Ok(()),
        Some(old) if !wanted.is_empty() && wanted != meta::resource_version(old) => {
            Err(conflict(descriptor, &key.name, MODIFIED))
        }
        Some(old) if !uid.is_empty() && uid != meta::text(old, "uid") => {
            let why = format!(
                "metadata.uid is {uid:?}, but the object has {:?}: it was deleted and made again",
                meta::text(old, "uid")
            );
            Err(conflict(descriptor, &key.name, &why))
        }
        Some(_) => Ok(()),
    }
}

/// Fields of the metadata that only the server sets.
const SERVERS: &[&str] = &[
    "uid",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "resourceVersion",
    "selfLink",
];

fn keep_what_the_server_sets(
    descriptor: &Descriptor,
    key: &ObjectKey,
    new: &mut Value,
    old: Option<&Value>,
    now: Timestamp,
) {
    let kept = match old {
        Some(old) => old["metadata"].as_object().cloned().unwrap_or_default(),
        None => fresh(descriptor, now),
    };
    let metadata = meta::metadata_mut(new);
    for field in SERVERS {
        match kept.get(*field) {
            Some(value) => metadata.insert((*field).to_owned(), value.clone()),
            None => metadata.remove(*field),
        };
    }
    metadata.insert("name".to_owned(), key.name.as_str().into());
    match descriptor.is_namespaced {
        true => metadata.insert("namespace".to_owned(), key.namespace.as_str().into()),
        false => metadata.remove("namespace"),
    };
    if descriptor.has_status
        && let Some(fields) = new.as_object_mut()
    {
        match old.and_then(|old| old.get("status")) {
            Some(status) => fields.insert("status".to_owned(), status.clone()),
            None => fields.remove("status"),
        };
    }
}

fn fresh(descriptor: &Descriptor, now: Timestamp) -> Map<String, Value> {
    let mut metadata = Map::new();
    metadata.insert("uid".to_owned(), uuid::Uuid::new_v4().to_string().into());
    metadata.insert("creationTimestamp".to_owned(), format!("{now:.0}").into());
    if !descriptor.group.is_empty() {
        metadata.insert("generation".to_owned(), 1.into());
    }
    metadata
}

/// Records whose the changed fields are. The status is the platform's own, whoever
/// declares the rest.
pub(crate) fn track(
    schema: &Value,
    old: Option<&Value>,
    new: &mut Value,
    by: Writer<'_>,
    now: Timestamp,
) -> Outcome<()> {
    let mut live = old.cloned().unwrap_or_default();
    let status = |object: &mut Value| object.as_object_mut().and_then(|all| all.remove("status"));
    status(&mut live);
    let kept = status(new);
    let tracked = managed::track(schema, &live, new, by, now).map_err(refused);
    if let (Some(kept), Some(fields)) = (kept, new.as_object_mut()) {
        fields.insert("status".to_owned(), kept);
    }
    tracked
}

/// A change of `spec` is a new generation.
pub(crate) fn count_generation(new: &mut Value, old: Option<&Value>) {
    let Some(old) = old else { return };
    if new.get("spec") == old.get("spec") || new.get("spec").is_none() {
        return;
    }
    let last = old.pointer("/metadata/generation").and_then(Value::as_u64).unwrap_or(0);
    meta::metadata_mut(new).insert("generation".to_owned(), (last + 1).into());
}
