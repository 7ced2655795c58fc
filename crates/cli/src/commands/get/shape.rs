//! How the objects of a kind are shown in columns: by columns made here ([`Typed`]) or by
//! the platform's own table ([`Tabled`]; Kubernetes API concepts, "Receiving resources as
//! Tables").

use std::marker::PhantomData;

use jiff::Timestamp;
use serde_json::Value;

use super::listed::{Listed, is_state, read};
use crate::discovery::Kind;
use crate::failure::Outcome;

/// A kind in columns. An item is an object, or a row of the platform's table.
pub(super) trait Shape {
    /// The kind's name in paths.
    fn plural(&self) -> &str;
    /// Its name in `-o name`.
    fn singular(&self) -> &str;
    /// Whether it lives in a namespace.
    fn is_namespaced(&self) -> bool;
    /// Whether the platform makes the rows.
    fn is_tabled(&self) -> bool {
        false
    }
    /// The items of a table of the platform; learns its columns.
    fn rows(&mut self, _table: &Value) -> Vec<Value> {
        Vec::new()
    }
    /// Headers of the columns.
    fn header(&self, is_wide: bool) -> Vec<String>;
    /// A cell for each.
    fn cells(&self, item: &Value, is_wide: bool, now: Timestamp) -> Outcome<Vec<String>>;
    /// The column that tells whether an object works, or that it is no more.
    fn state(&self, is_wide: bool) -> Option<usize>;
    /// Namespace and name.
    fn key(&self, item: &Value) -> (String, String);
}

fn key_of(object: &Value) -> (String, String) {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}

/// A kind whose columns are made here.
#[derive(Debug)]
pub(super) struct Typed<T>(PhantomData<T>);

impl<T: Listed> Typed<T> {
    pub(super) fn new() -> Self {
        Typed(PhantomData)
    }

    fn shown(is_wide: bool) -> usize {
        if is_wide { T::COLUMNS.len() } else { T::NARROW }
    }
}

impl<T: Listed> Shape for Typed<T> {
    fn plural(&self) -> &str {
        T::PLURAL
    }

    fn singular(&self) -> &str {
        T::SINGULAR
    }

    fn is_namespaced(&self) -> bool {
        T::IS_NAMESPACED
    }

    fn header(&self, is_wide: bool) -> Vec<String> {
        T::COLUMNS[..Self::shown(is_wide)].iter().map(|&column| column.to_owned()).collect()
    }

    fn cells(&self, item: &Value, is_wide: bool, now: Timestamp) -> Outcome<Vec<String>> {
        let mut cells = read::<T>(item)?.cells(now);
        cells.truncate(Self::shown(is_wide));
        Ok(cells)
    }

    fn state(&self, _is_wide: bool) -> Option<usize> {
        T::COLUMNS.iter().position(is_state)
    }

    fn key(&self, item: &Value) -> (String, String) {
        key_of(item)
    }
}

/// A kind as the platform shows it.
#[derive(Debug)]
pub(super) struct Tabled<'a> {
    kind: &'a Kind,
    /// Header, and whether it is only in `wide`.
    columns: Vec<(String, bool)>,
}

impl<'a> Tabled<'a> {
    pub(super) fn new(kind: &'a Kind) -> Self {
        Tabled { kind, columns: Vec::new() }
    }

    fn shown(&self, is_wide: bool) -> impl Iterator<Item = usize> {
        let columns = self.columns.iter().enumerate();
        columns.filter(move |(_, (_, only_wide))| is_wide || !only_wide).map(|(index, _)| index)
    }
}

impl Shape for Tabled<'_> {
    fn plural(&self) -> &str {
        &self.kind.plural
    }

    fn singular(&self) -> &str {
        &self.kind.singular
    }

    fn is_namespaced(&self) -> bool {
        self.kind.is_namespaced
    }

    fn is_tabled(&self) -> bool {
        true
    }

    fn rows(&mut self, table: &Value) -> Vec<Value> {
        let all = |field: &str| table[field].as_array().cloned().unwrap_or_default();
        let column = |column: &Value| {
            let name = column["name"].as_str().unwrap_or_default().to_uppercase();
            (name, column["priority"].as_i64().unwrap_or_default() > 0)
        };
        // Of a watch's tables only the first says what the columns are.
        let columns: Vec<_> = all("columnDefinitions").iter().map(column).collect();
        if !columns.is_empty() {
            self.columns = columns;
        }
        all("rows")
    }

    fn header(&self, is_wide: bool) -> Vec<String> {
        self.shown(is_wide).map(|index| self.columns[index].0.clone()).collect()
    }

    fn cells(&self, item: &Value, is_wide: bool, _now: Timestamp) -> Outcome<Vec<String>> {
        let cell = |index: usize| match &item["cells"][index] {
            Value::Null => "-".to_owned(),
            Value::String(text) if text.is_empty() => "-".to_owned(),
            // A message is one line of a table.
            Value::String(text) => text.replace('\n', " "),
            other => other.to_string(),
        };
        Ok(self.shown(is_wide).map(cell).collect())
    }

    fn state(&self, is_wide: bool) -> Option<usize> {
        let states = ["READY", "STATE", "STATUS", "PHASE", "AGE"];
        let headers = self.header(is_wide);
        states.iter().find_map(|state| headers.iter().position(|header| header == state))
    }

    fn key(&self, item: &Value) -> (String, String) {
        match item.get("cells") {
            Some(_) => key_of(&item["object"]),
            None => key_of(item),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_platforms_columns_are_shown() {
        let kind = Kind::fake("Secret", "secrets");
        let mut shape = Tabled::new(&kind);
        let table = json!({
            "columnDefinitions": [
                {"name": "Name", "priority": 0}, {"name": "Data", "priority": 0},
                {"name": "Why", "priority": 1},
            ],
            "rows": [{"cells": ["x", 2, null], "object": {"metadata": {"name": "x", "namespace": "a"}}}],
        });
        let rows = shape.rows(&table);
        assert_eq!(shape.header(false), ["NAME", "DATA"]);
        assert_eq!(shape.header(true), ["NAME", "DATA", "WHY"]);
        let cells = shape.cells(&rows[0], true, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(cells, ["x", "2", "-"]);
        assert_eq!(shape.key(&rows[0]), ("a".to_owned(), "x".to_owned()));
        // The next table of a watch says nothing of columns.
        shape.rows(&json!({"columnDefinitions": [], "rows": []}));
        assert_eq!(shape.header(false).len(), 2);
    }
}
