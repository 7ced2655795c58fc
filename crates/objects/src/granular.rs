//! Which parts of a value are owned one by one: the fields of an object, the items
//! of a list whose schema says so. Everything else is owned whole.
//!
//! Source: Kubernetes, "Server-Side Apply", section "Merge strategy".

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::fieldset::{FieldSet, Node, Step};
use crate::schema::child;

/// A value's parts.
pub(crate) enum Parts<'v, 's> {
    /// It is owned whole.
    Whole,
    /// An object's fields: name, value, schema, and whether it is a map's entry. An
    /// entry is owned itself, a declared field only by what is in it.
    Fields(Vec<(&'v String, &'v Value, Option<&'s Value>, bool)>),
    /// A list's items, by what tells them apart, in the list's order.
    Items(Vec<(Step, &'v Value)>, Option<&'s Value>),
}

/// The parts of `value`, which `schema` describes if it is known.
pub(crate) fn parts<'v, 's>(value: &'v Value, schema: Option<&'s Value>) -> Parts<'v, 's> {
    match value {
        Value::Object(fields) if !is_atomic(schema) => {
            let known = schema.and_then(|schema| schema.get("properties"));
            let part = |(name, value): (&'v String, &'v Value)| {
                let is_entry = known.is_none_or(|known| known.get(name).is_none());
                (name, value, child(schema, name), is_entry)
            };
            Parts::Fields(fields.iter().map(part).collect())
        }
        Value::Array(items) => match steps(items, schema) {
            Some(steps) => {
                let below = schema.and_then(|schema| schema.get("items"));
                Parts::Items(steps.into_iter().zip(items).collect(), below)
            }
            None => Parts::Whole,
        },
        _ => Parts::Whole,
    }
}

fn is_atomic(schema: Option<&Value>) -> bool {
    let kind = schema.and_then(|schema| schema.get("x-kubernetes-map-type"));
    kind.and_then(Value::as_str) == Some("atomic")
}

/// What tells a list's items apart; `None` when the list is owned whole, also
/// because an item lacks its key or two are the same.
fn steps(items: &[Value], schema: Option<&Value>) -> Option<Vec<Step>> {
    let schema = schema?;
    let steps: Vec<Step> = match schema.get("x-kubernetes-list-type")?.as_str()? {
        "set" => items.iter().map(|item| Step::Item(item.to_string())).collect(),
        "map" => {
            let keys = schema.get("x-kubernetes-list-map-keys")?.as_array()?;
            let item_schema = schema.get("items");
            items.iter().map(|item| keys_of(item, keys, item_schema)).collect::<Option<_>>()?
        }
        _ => return None,
    };
    let mut seen: Vec<&Step> = steps.iter().collect();
    seen.sort_unstable();
    let is_distinct = seen.windows(2).all(|pair| pair[0] != pair[1]);
    is_distinct.then_some(steps)
}

/// An item's keys; a key it lacks is the schema's default.
fn keys_of(item: &Value, keys: &[Value], schema: Option<&Value>) -> Option<Step> {
    let item = item.as_object()?;
    let mut found = Map::new();
    for key in keys.iter().filter_map(Value::as_str) {
        let default = || child(schema, key).and_then(|schema| schema.get("default"));
        found.insert(key.to_owned(), item.get(key).or_else(default)?.clone());
    }
    Some(Step::Keys(Value::Object(found).to_string()))
}

/// The fields that a configuration names: what an applier owns.
pub(crate) fn named(value: &Value, schema: Option<&Value>) -> FieldSet {
    let mut set = FieldSet::default();
    match parts(value, schema) {
        Parts::Whole => {}
        Parts::Fields(fields) => {
            for (name, value, below, is_entry) in fields {
                let node = named_node(value, below, is_entry);
                set.insert(Step::field(name), node);
            }
        }
        Parts::Items(items, below) => {
            for (step, value) in items {
                set.insert(step, named_node(value, below, true));
            }
        }
    }
    set
}

fn named_node(value: &Value, schema: Option<&Value>, is_entry: bool) -> Node {
    let below = named(value, schema);
    Node { is_in: is_entry || below.is_empty(), below }
}

/// Every path of a value, containers too: what comes or goes with it.
fn all(value: &Value, schema: Option<&Value>) -> Node {
    let mut below = FieldSet::default();
    match parts(value, schema) {
        Parts::Whole => {}
        Parts::Fields(fields) => {
            for (name, value, schema, _) in fields {
                below.insert(Step::field(name), all(value, schema));
            }
        }
        Parts::Items(items, schema) => {
            for (step, value) in items {
                below.insert(step, all(value, schema));
            }
        }
    }
    Node { is_in: true, below }
}

/// What is different between two values.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// What only the new one has.
    pub(crate) added: FieldSet,
    /// What both have, with other values.
    pub(crate) modified: FieldSet,
    /// What only the old one has.
    pub(crate) removed: FieldSet,
}

impl Comparison {
    /// Whether nothing is.
    pub(crate) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }

    /// What the new one has and the old one has not, or not so.
    pub(crate) fn written(&self) -> FieldSet {
        self.added.clone().union(&self.modified)
    }

    fn insert(&mut self, step: &Step, below: Comparison) {
        let node = |below| Node { is_in: false, below };
        self.added.insert(step.clone(), node(below.added));
        self.modified.insert(step.clone(), node(below.modified));
        self.removed.insert(step.clone(), node(below.removed));
    }
}

/// Compares two objects or lists.
pub(crate) fn compare(old: &Value, new: &Value, schema: Option<&Value>) -> Comparison {
    let old = children(old, schema);
    let new = children(new, schema);
    let mut found = Comparison::default();
    for (step, (value, below)) in &new {
        match old.get(step) {
            None => found.added.insert(step.clone(), all(value, *below)),
            Some((before, _)) if is_same(before, value) => {}
            Some((before, _)) => compare_one(&mut found, step, before, value, *below),
        }
    }
    for (step, (value, below)) in old.iter().filter(|(step, _)| !new.contains_key(*step)) {
        found.removed.insert(step.clone(), all(value, *below));
    }
    found
}

/// Both values are there and not the same.
fn compare_one(
    found: &mut Comparison,
    step: &Step,
    old: &Value,
    new: &Value,
    schema: Option<&Value>,
) {
    let kinds = (parts(old, schema), parts(new, schema));
    if matches!(kinds, (Parts::Fields(_), Parts::Fields(_)) | (Parts::Items(..), Parts::Items(..)))
    {
        found.insert(step, compare(old, new, schema));
        return;
    }
    // One of them is owned whole: what was below goes, what is below comes.
    let (gone, come) = (all(old, schema), all(new, schema));
    found.removed.insert(step.clone(), Node { is_in: false, below: gone.below });
    found.added.insert(step.clone(), Node { is_in: false, below: come.below });
    found.modified.insert(step.clone(), Node { is_in: true, below: FieldSet::default() });
}

type Children<'a> = BTreeMap<Step, (&'a Value, Option<&'a Value>)>;

fn children<'a>(value: &'a Value, schema: Option<&'a Value>) -> Children<'a> {
    match parts(value, schema) {
        Parts::Whole => BTreeMap::new(),
        Parts::Fields(fields) => fields
            .into_iter()
            .map(|(name, value, below, _)| (Step::field(name), (value, below)))
            .collect(),
        Parts::Items(items, below) => {
            items.into_iter().map(|(step, value)| (step, (value, below))).collect()
        }
    }
}

/// Equality in which 1 and 1.0 are the same.
pub(crate) fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => x == y || x.as_f64() == y.as_f64(),
        (Value::Array(x), Value::Array(y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|(x, y)| is_same(x, y))
        }
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(key, x)| y.get(key).is_some_and(|y| is_same(x, y)))
        }
        _ => a == b,
    }
}
