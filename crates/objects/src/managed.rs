//! Who owns which fields of an object: `metadata.managedFields`, and keeping it on
//! writes that are not server-side apply.
//!
//! A manager owns a field that it set last (operation Update) or that its applied
//! configuration names (operation Apply). A write by update takes the fields it
//! changes from everybody else.
//!
//! Source: Kubernetes, "Server-Side Apply", section "Field management".

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::fieldset::{FieldSet, Node, Step};
use crate::granular::{Comparison, compare};
use crate::meta;

/// Most managers by update; the oldest beyond that become one, as in Kubernetes.
pub const UPDATERS_MAX: usize = 10;
/// What the managers beyond [`UPDATERS_MAX`] are called together.
const ANCIENT: &str = "ancient-changes";
/// Most managers altogether.
pub const MANAGERS_MAX: usize = 200;
/// Most bytes of one object's `managedFields`.
pub const MANAGED_BYTES_MAX: usize = 512 * 1024;
/// Longest name of a manager, as in Kubernetes.
pub const MANAGER_LEN_MAX: usize = 128;

/// How a manager came to own fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// By server-side apply.
    Apply,
    /// By any other write.
    Update,
}

impl Operation {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Apply => "Apply",
            Operation::Update => "Update",
        }
    }
}

/// Who writes.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// The manager's name: the query parameter `fieldManager`, or [`default_manager`].
    pub manager: &'a str,
    /// The API version of what it sent.
    pub api_version: &'a str,
    /// `status` or `scale`; empty for the object itself.
    pub subresource: &'a str,
}

/// The manager's name when the request gives none: what the `User-Agent` begins with.
pub fn default_manager(user_agent: &str) -> String {
    let name = user_agent.split('/').next().unwrap_or_default().trim();
    let printable = name.chars().filter(|char| !char.is_control()).take(MANAGER_LEN_MAX);
    let name: String = printable.collect();
    if name.is_empty() { "unknown".to_owned() } else { name }
}

/// Why ownership cannot be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManagedError {
    /// An object with too many managers.
    #[error("metadata.managedFields: has {found} managers, allowed are {MANAGERS_MAX}")]
    TooMany {
        /// How many there are.
        found: usize,
    },
    /// The record itself is too large.
    #[error("metadata.managedFields: has more than {MANAGED_BYTES_MAX} bytes")]
    TooLarge,
    /// The manager's name cannot be used.
    #[error(
        "fieldManager: found {0:?}; must be 1 to {MANAGER_LEN_MAX} printable characters, such as \
         kubectl"
    )]
    Manager(String),
}

/// Records what the writer changed from `live` (null when it is created) to `new`,
/// in `new`'s `managedFields`. Nothing changes there when nothing else did.
///
/// `schema` is the kind's. Call it when `new` is complete (defaults set, status kept
/// or replaced), before the server sets the resource version.
pub fn track(
    schema: &Value,
    live: &Value,
    new: &mut Value,
    by: Writer<'_>,
    now: Timestamp,
) -> Result<(), ManagedError> {
    check_manager(by.manager)?;
    let before = Managed::of(live);
    let mut managed = match requested(new) {
        Request::Keep => before.clone(),
        Request::Forget => Managed::default(),
        Request::Set(managed) => managed,
    };
    let changes = changes(schema, live, new);
    let id = Id::of(by, Operation::Update);
    let mine = managed.sets.remove(&id).unwrap_or_default();
    managed.take_from_others(&changes);
    let fields = mine.fields.clone().difference(&changes.removed).union(&changes.written());
    let is_changed = fields != mine.fields;
    if !fields.is_empty() {
        let time = if is_changed { shown(now) } else { mine.time };
        managed.sets.insert(id, Owned { fields, time });
    }
    managed.cap();
    if managed == before {
        copy_record(live, new);
        return Ok(());
    }
    managed.write(new)
}

/// The record as it was, to the letter.
fn copy_record(from: &Value, to: &mut Value) {
    let record = from.get("metadata").and_then(|meta| meta.get("managedFields")).cloned();
    match record {
        Some(record) => meta::metadata_mut(to).insert("managedFields".to_owned(), record),
        None => meta::metadata_mut(to).remove("managedFields"),
    };
}

/// Removes the record, for clients and stores that do not want it.
pub fn strip(object: &mut Value) {
    if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.remove("managedFields");
    }
}

pub(crate) fn check_manager(name: &str) -> Result<(), ManagedError> {
    let is_ok = (1..=MANAGER_LEN_MAX).contains(&name.len()) && !name.chars().any(char::is_control);
    if is_ok { Ok(()) } else { Err(ManagedError::Manager(name.to_owned())) }
}

pub(crate) fn shown(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// What changed, without what nobody owns.
pub(crate) fn changes(schema: &Value, live: &Value, new: &Value) -> Comparison {
    let mut found = compare(live, new, Some(schema));
    for set in [&mut found.added, &mut found.modified, &mut found.removed] {
        strip_unowned(set);
    }
    found
}

/// Fields of the metadata that nobody owns: names and what the server sets.
const UNOWNED: &[&str] = &[
    "name",
    "namespace",
    "creationTimestamp",
    "selfLink",
    "uid",
    "generation",
    "managedFields",
    "resourceVersion",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generateName",
];

/// Takes out what nobody owns.
pub(crate) fn strip_unowned(set: &mut FieldSet) {
    set.remove(&Step::field("apiVersion"));
    set.remove(&Step::field("kind"));
    let step = Step::field("metadata");
    let Some(mut metadata) = set.remove(&step) else { return };
    for field in UNOWNED {
        metadata.below.remove(&Step::field(field));
    }
    set.insert(step, Node { is_in: false, below: metadata.below });
}

/// What tells one entry from the others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    pub(crate) operation: Operation,
    pub(crate) manager: String,
    /// Empty for appliers: another version is still the same applier.
    pub(crate) api_version: String,
    pub(crate) subresource: String,
}

impl Id {
    pub(crate) fn of(by: Writer<'_>, operation: Operation) -> Id {
        let api_version = match operation {
            Operation::Apply => String::new(),
            Operation::Update => by.api_version.to_owned(),
        };
        let (manager, subresource) = (by.manager.to_owned(), by.subresource.to_owned());
        Id { operation, manager, api_version, subresource }
    }

    /// As errors name it.
    pub(crate) fn shown(&self) -> String {
        let mut text = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            text.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if self.operation == Operation::Update {
            text.push_str(&format!(" using {}", self.api_version));
        }
        text
    }
}

/// What one manager owns, and since when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owned {
    pub(crate) fields: FieldSet,
    pub(crate) time: String,
}

/// Who owns what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Managed {
    pub(crate) sets: BTreeMap<Id, Owned>,
    /// The API version in which each applier last wrote.
    versions: BTreeMap<Id, String>,
}

/// What a written object asks of the record.
enum Request {
    /// It says nothing, or nothing that can be read.
    Keep,
    /// It asks to forget it: one empty entry.
    Forget,
    /// It brings its own.
    Set(Managed),
}

fn requested(new: &Value) -> Request {
    let list = new.get("metadata").and_then(|meta| meta.get("managedFields"));
    let Some(list) = list.and_then(Value::as_array) else { return Request::Keep };
    if let [Value::Object(only)] = list.as_slice()
        && only.is_empty()
    {
        return Request::Forget;
    }
    match Managed::read(list) {
        Some(managed) if !managed.sets.is_empty() => Request::Set(managed),
        _ => Request::Keep,
    }
}

impl Managed {
    /// The record of an object; empty if it has none that can be read.
    pub(crate) fn of(object: &Value) -> Managed {
        let list = object.get("metadata").and_then(|meta| meta.get("managedFields"));
        list.and_then(Value::as_array).and_then(|list| Managed::read(list)).unwrap_or_default()
    }

    fn read(list: &[Value]) -> Option<Managed> {
        let mut managed = Managed::default();
        if list.len() > MANAGERS_MAX {
            return None;
        }
        for entry in list {
            let text = |field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default();
            let operation = match text("operation") {
                "Apply" => Operation::Apply,
                "Update" => Operation::Update,
                _ => return None,
            };
            let fields = entry.get("fieldsV1").map(FieldSet::decode).transpose().ok()?;
            let (api_version, subresource) = (text("apiVersion"), text("subresource"));
            let by = Writer { manager: text("manager"), api_version, subresource };
            let id = Id::of(by, operation);
            let mine = managed.sets.entry(id.clone()).or_default();
            mine.fields = std::mem::take(&mut mine.fields).union(&fields.unwrap_or_default());
            mine.time = text("time").to_owned();
            managed.versions.insert(id, api_version.to_owned());
        }
        Some(managed)
    }

    /// The applier `id` wrote in this version.
    pub(crate) fn set_version(&mut self, id: &Id, api_version: &str) {
        self.versions.insert(id.clone(), api_version.to_owned());
    }

    /// What was written belongs to who wrote it (who is not in here), what was
    /// removed to nobody.
    pub(crate) fn take_from_others(&mut self, changes: &Comparison) {
        let written = changes.written();
        for owned in self.sets.values_mut() {
            let fields = std::mem::take(&mut owned.fields);
            owned.fields = fields.difference(&written).difference(&changes.removed);
        }
        self.sets.retain(|_, owned| !owned.fields.is_empty());
    }

    /// Makes one of the oldest updaters, when there are too many.
    pub(crate) fn cap(&mut self) {
        let updaters = self.sets.iter().filter(|(id, _)| id.operation == Operation::Update);
        let mut updaters: Vec<(String, Id)> =
            updaters.map(|(id, owned)| (owned.time.clone(), id.clone())).collect();
        if updaters.len() <= UPDATERS_MAX {
            return;
        }
        updaters.sort();
        updaters.truncate(updaters.len() - UPDATERS_MAX + 1);
        for (_, id) in updaters {
            let Some(owned) = self.sets.remove(&id) else { continue };
            let ancient = Id { manager: ANCIENT.to_owned(), subresource: String::new(), ..id };
            let all = self.sets.entry(ancient).or_default();
            all.fields = std::mem::take(&mut all.fields).union(&owned.fields);
            all.time = all.time.clone().max(owned.time);
        }
    }

    /// Writes the record into the object.
    pub(crate) fn write(&self, object: &mut Value) -> Result<(), ManagedError> {
        if self.sets.len() > MANAGERS_MAX {
            return Err(ManagedError::TooMany { found: self.sets.len() });
        }
        let mut entries: Vec<(&Id, &Owned)> = self.sets.iter().collect();
        entries.sort_by(|(a, x), (b, y)| (a.operation, &x.time, a).cmp(&(b.operation, &y.time, b)));
        let list: Vec<Value> =
            entries.into_iter().map(|(id, owned)| self.entry(id, owned)).collect();
        let list = Value::Array(list);
        if crate::patch::size(&list, MANAGED_BYTES_MAX) > MANAGED_BYTES_MAX {
            return Err(ManagedError::TooLarge);
        }
        let meta = meta::metadata_mut(object);
        match self.sets.is_empty() {
            true => meta.remove("managedFields"),
            false => meta.insert("managedFields".to_owned(), list),
        };
        Ok(())
    }

    fn entry(&self, id: &Id, owned: &Owned) -> Value {
        let version = match id.operation {
            Operation::Update => &id.api_version,
            Operation::Apply => self.versions.get(id).unwrap_or(&id.api_version),
        };
        let mut entry = Map::new();
        entry.insert("manager".to_owned(), json!(id.manager));
        entry.insert("operation".to_owned(), json!(id.operation.as_str()));
        entry.insert("apiVersion".to_owned(), json!(version));
        if !owned.time.is_empty() {
            entry.insert("time".to_owned(), json!(owned.time));
        }
        entry.insert("fieldsType".to_owned(), json!("FieldsV1"));
        entry.insert("fieldsV1".to_owned(), owned.fields.encode());
        if !id.subresource.is_empty() {
            entry.insert("subresource".to_owned(), json!(id.subresource));
        }
        Value::Object(entry)
    }
}
