//! Sets of fields, and their form on the wire (`FieldsV1`): who owns what.
//!
//! A set is a tree. Each step of a path is a field's name, an item of a list by its
//! keys, by its value or by its place; a node says whether its own path is in the
//! set and which paths below it are. On the wire a step is a key with a prefix
//! (`f:`, `k:`, `v:`, `i:`), a node is an object, and `.` says that the node itself
//! is in the set although something is below it.
//!
//! Source: the FieldsV1 format of Kubernetes' `meta.k8s.io/v1` and of
//! structured-merge-diff (version 4).

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A field of an object, or an entry of a map.
    Field(String),
    /// The item of a list that has these keys: an object as canonical JSON.
    Keys(String),
    /// The item of a list that is this value, as canonical JSON.
    Item(String),
    /// The item of a list at this place.
    Index(i64),
}

impl Step {
    /// The field called `name`.
    pub fn field(name: &str) -> Step {
        Step::Field(name.to_owned())
    }

    fn encode(&self) -> String {
        match self {
            Step::Field(name) => format!("f:{name}"),
            Step::Keys(keys) => format!("k:{keys}"),
            Step::Item(value) => format!("v:{value}"),
            Step::Index(index) => format!("i:{index}"),
        }
    }

    fn decode(text: &str) -> Option<Step> {
        let (prefix, rest) = text.split_at_checked(2)?;
        let canonical = || serde_json::from_str::<Value>(rest).ok();
        match prefix {
            "f:" => Some(Step::Field(rest.to_owned())),
            "k:" => canonical().filter(Value::is_object).map(|keys| Step::Keys(keys.to_string())),
            "v:" => canonical().map(|value| Step::Item(value.to_string())),
            "i:" => rest.parse().ok().map(Step::Index),
            _ => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Field(name) => write!(f, ".{name}"),
            Step::Item(value) => write!(f, "[={value}]"),
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Keys(keys) => {
                let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
                let pairs: Vec<String> =
                    keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
                write!(f, "[{}]", pairs.join(","))
            }
        }
    }
}

/// A set of fields.
///
/// No node without anything in it or below it is kept, so equal sets are equal
/// values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    nodes: BTreeMap<Step, Node>,
}

/// What a set has at one step and below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Whether the path that ends here is in the set.
    pub is_in: bool,
    /// The paths that go on from here.
    pub below: FieldSet,
}

impl Node {
    fn is_empty(&self) -> bool {
        !self.is_in && self.below.is_empty()
    }
}

/// Why a set cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldSetError {
    /// Not an object where one must be.
    #[error("{0}: must be an object")]
    NotAnObject(String),
    /// A key that is no step.
    #[error("{0:?} is no field: it must begin with f:, k:, v: or i:")]
    Step(String),
}

impl FieldSet {
    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// What it has at `step` and below.
    pub fn get(&self, step: &Step) -> Option<&Node> {
        self.nodes.get(step)
    }

    /// Each step and what is there.
    pub fn nodes(&self) -> impl Iterator<Item = (&Step, &Node)> {
        self.nodes.iter()
    }

    /// Puts `node` in at `step`, in place of what was there.
    pub fn insert(&mut self, step: Step, node: Node) {
        if node.is_empty() {
            self.nodes.remove(&step);
        } else {
            self.nodes.insert(step, node);
        }
    }

    /// Takes `step` and all below it out.
    pub fn remove(&mut self, step: &Step) -> Option<Node> {
        self.nodes.remove(step)
    }

    /// What is in this set or in `other`.
    #[must_use]
    pub fn union(mut self, other: &FieldSet) -> FieldSet {
        for (step, theirs) in &other.nodes {
            let mine = self.nodes.entry(step.clone()).or_default();
            mine.is_in |= theirs.is_in;
            mine.below = std::mem::take(&mut mine.below).union(&theirs.below);
        }
        self
    }

    /// What is in this set and not in `other`.
    #[must_use]
    pub fn difference(mut self, other: &FieldSet) -> FieldSet {
        for (step, theirs) in &other.nodes {
            if let Some(mine) = self.nodes.get_mut(step) {
                mine.is_in &= !theirs.is_in;
                mine.below = std::mem::take(&mut mine.below).difference(&theirs.below);
            }
        }
        self.nodes.retain(|_, node| !node.is_empty());
        self
    }

    /// What is in this set and in `other`.
    #[must_use]
    pub fn intersection(&self, other: &FieldSet) -> FieldSet {
        let mut both = FieldSet::default();
        for (step, mine) in &self.nodes {
            if let Some(theirs) = other.nodes.get(step) {
                let is_in = mine.is_in && theirs.is_in;
                let below = mine.below.intersection(&theirs.below);
                both.insert(step.clone(), Node { is_in, below });
            }
        }
        both
    }

    /// Every path in the set, such as `.spec.scale.max`.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.add_paths(&mut String::new(), &mut paths);
        paths
    }

    fn add_paths(&self, path: &mut String, paths: &mut Vec<String>) {
        for (step, node) in &self.nodes {
            let outer = path.len();
            path.push_str(&step.to_string());
            if node.is_in {
                paths.push(path.clone());
            }
            node.below.add_paths(path, paths);
            path.truncate(outer);
        }
    }

    /// The set as `fieldsV1`.
    pub fn encode(&self) -> Value {
        let node = |node: &Node| {
            let mut below = node.below.encode();
            if let Some(fields) = below.as_object_mut()
                && node.is_in
                && !fields.is_empty()
            {
                fields.insert(".".to_owned(), Value::Object(Map::new()));
            }
            below
        };
        self.nodes.iter().map(|(step, found)| (step.encode(), node(found))).collect()
    }

    /// Reads `fieldsV1`.
    pub fn decode(value: &Value) -> Result<FieldSet, FieldSetError> {
        let Some(fields) = value.as_object() else {
            return Err(FieldSetError::NotAnObject("fieldsV1".to_owned()));
        };
        let mut set = FieldSet::default();
        for (key, value) in fields.iter().filter(|(key, _)| *key != ".") {
            let step = Step::decode(key).ok_or_else(|| FieldSetError::Step(key.clone()))?;
            let Some(below) = value.as_object() else {
                return Err(FieldSetError::NotAnObject(key.clone()));
            };
            let is_in = below.is_empty() || below.contains_key(".");
            let node = Node { is_in, below: FieldSet::decode(value)? };
            let before = set.nodes.remove(&step).unwrap_or_default();
            let is_in = node.is_in || before.is_in;
            set.insert(step, Node { is_in, below: node.below.union(&before.below) });
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_wire_form_is_read_and_written() {
        let wire = json!({
            "f:metadata": {"f:labels": {".": {}, "f:app": {}}, "f:finalizers": {"v:\"x\"": {}}},
            "f:spec": {"f:list": {"k:{\"name\":\"a\"}": {".": {}, "f:name": {}}, "i:3": {}}},
        });
        let set = FieldSet::decode(&wire).unwrap();
        assert_eq!(set.encode(), wire);
        assert_eq!(
            set.paths(),
            [
                ".metadata.finalizers[=\"x\"]",
                ".metadata.labels",
                ".metadata.labels.app",
                ".spec.list[name=\"a\"]",
                ".spec.list[name=\"a\"].name",
                ".spec.list[3]",
            ]
        );
        for bad in
            [json!([]), json!({"x": {}}), json!({"f:a": 1}), json!({"k:[]": {}}), json!({"é": {}})]
        {
            assert!(FieldSet::decode(&bad).is_err(), "{bad}");
        }
        assert_eq!(
            FieldSet::decode(&json!({"f:a": {"f:b": {}, ".": {}}})).unwrap().paths(),
            [".a", ".a.b"]
        );
    }

    #[test]
    fn sets_are_sets() {
        let set = |wire: Value| FieldSet::decode(&wire).unwrap();
        let a = set(json!({"f:a": {".": {}, "f:b": {}}, "f:c": {}}));
        let b = set(json!({"f:a": {"f:b": {}, "f:d": {}}}));
        assert_eq!(a.clone().union(&b).paths(), [".a", ".a.b", ".a.d", ".c"]);
        assert_eq!(a.clone().difference(&b).paths(), [".a", ".c"]);
        assert_eq!(a.intersection(&b).paths(), [".a.b"]);
        assert!(a.clone().difference(&a).is_empty());
    }
}
