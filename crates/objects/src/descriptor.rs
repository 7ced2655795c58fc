//! What a kind is: its names, its verbs, its columns, its schema. Discovery,
//! OpenAPI, tables and selectors are all made from it, so they cannot disagree.

use serde_json::Value;

/// One kind that the API serves. Put descriptors in statics.
#[derive(Clone, Copy, Debug)]
pub struct Descriptor {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Version within the group, such as `v1`.
    pub version: &'static str,
    /// Such as `Function`.
    pub kind: &'static str,
    /// Such as `FunctionList`.
    pub list_kind: &'static str,
    /// The word in paths, such as `functions`.
    pub plural: &'static str,
    /// Such as `function`.
    pub singular: &'static str,
    /// Such as `fn`.
    pub short_names: &'static [&'static str],
    /// Groups of kinds that are asked for by one word, such as `all`.
    pub categories: &'static [&'static str],
    /// Whether objects are in namespaces.
    pub is_namespaced: bool,
    /// What can be done: `get list watch create update patch delete deletecollection`.
    pub verbs: &'static [&'static str],
    /// Whether there is a `/status` subresource.
    pub has_status: bool,
    /// Whether there is a `/scale` subresource.
    pub has_scale: bool,
    /// Columns after the name in tables.
    pub columns: &'static [Column],
    /// Fields a field selector may name besides `metadata.name` and
    /// `metadata.namespace`, as paths, such as `status.node`.
    pub selectable: &'static [&'static str],
    /// The kind's JSON schema, structural (see [`crate::schema`]).
    pub schema: fn() -> Value,
}

impl Descriptor {
    /// `v1` or `GROUP/v1`: the objects' `apiVersion`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            return self.version.to_owned();
        }
        format!("{}/{}", self.group, self.version)
    }

    /// `/api/v1` or `/apis/GROUP/VERSION`: where its paths begin.
    pub fn root(&self) -> String {
        if self.group.is_empty() {
            return format!("/api/{}", self.version);
        }
        format!("/apis/{}/{}", self.group, self.version)
    }

    /// `functions` or `functions.GROUP`: how errors name the resource.
    pub fn resource(&self) -> String {
        if self.group.is_empty() {
            return self.plural.to_owned();
        }
        format!("{}.{}", self.plural, self.group)
    }

    /// Whether `verb` can be done.
    pub fn allows(&self, verb: &str) -> bool {
        self.verbs.contains(&verb)
    }
}

/// One column of a kind's table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its heading, such as `Ready`.
    pub name: &'static str,
    /// What is in its cells.
    pub kind: ColumnKind,
    /// OpenAPI format, mostly empty.
    pub format: &'static str,
    /// 0 is always shown, more only in wide tables.
    pub priority: i32,
    /// What it says, for people.
    pub description: &'static str,
    /// The cell of one object. A date column gives RFC 3339 text (or null).
    pub cell: fn(&Value) -> Value,
}

/// What is in a column's cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// A yes or no.
    Boolean,
    /// A time, shown as how long ago it was.
    Date,
}

impl ColumnKind {
    /// The word in a table's column definition.
    pub fn as_str(self) -> &'static str {
        match self {
            ColumnKind::String => "string",
            ColumnKind::Integer => "integer",
            ColumnKind::Number => "number",
            ColumnKind::Boolean => "boolean",
            ColumnKind::Date => "date",
        }
    }
}

/// The value at `path` (dots between the fields) in `object`, if it is there.
pub fn at<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(object, |value, field| value.get(field))
}
