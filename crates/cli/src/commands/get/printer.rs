//! Prints objects in the format asked for, all at once or one change after the other.

use jiff::Timestamp;
use serde_json::Value;

use super::shape::Shape;
use crate::failure::Outcome;
use crate::output::{self, Format, Table};

/// What the state column says of an object that is no more.
const DELETED: &str = "Deleted";
/// The longest text of a state column: a watch leaves room for it.
const LONGEST_STATE: &str = "Retiring";

/// Prints objects in the format asked for.
#[derive(Debug)]
pub(super) struct Printer {
    format: Format,
    with_namespace: bool,
    is_watch: bool,
    table: Option<Table>,
}

impl Printer {
    pub(super) fn new(format: Format, with_namespace: bool, is_watch: bool) -> Self {
        Printer { format, with_namespace, is_watch, table: None }
    }

    fn is_wide(&self) -> bool {
        self.format == Format::Wide
    }

    fn header(&self, shape: &dyn Shape) -> Vec<String> {
        let namespace = self.with_namespace.then(|| "NAMESPACE".to_owned());
        namespace.into_iter().chain(shape.header(self.is_wide())).collect()
    }

    fn cells(&self, shape: &dyn Shape, item: &Value) -> Outcome<Vec<String>> {
        let mut cells = shape.cells(item, self.is_wide(), Timestamp::now())?;
        if self.with_namespace {
            cells.insert(0, shape.key(item).0);
        }
        Ok(cells)
    }

    /// Columns for `rows` and, in a watch, for what may still come.
    fn table(&self, shape: &dyn Shape, rows: &[Vec<String>]) -> Table {
        let header = self.header(shape);
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        let mut table = Table::new(&header, rows);
        if let (true, Some(column)) = (self.is_watch, self.state_column(shape)) {
            table.widen(column, LONGEST_STATE);
        }
        table
    }

    fn state_column(&self, shape: &dyn Shape) -> Option<usize> {
        shape.state(self.is_wide()).map(|column| column + usize::from(self.with_namespace))
    }

    /// Prints a whole list; the object alone when one was asked for by name.
    pub(super) fn list(
        &mut self,
        shape: &dyn Shape,
        list: &Value,
        items: &[Value],
        is_single: bool,
    ) -> Outcome {
        match (self.format, items) {
            (Format::Json | Format::Yaml, [object]) if is_single => {
                output::emit_value(self.format, object)
            }
            (Format::Json | Format::Yaml, _) => output::emit_value(self.format, list),
            (_, []) => {
                eprintln!("no {}", shape.plural());
                Ok(())
            }
            _ => self.begin(shape, items),
        }
    }

    /// Prints several objects.
    pub(super) fn begin(&mut self, shape: &dyn Shape, items: &[Value]) -> Outcome {
        if !matches!(self.format, Format::Table | Format::Wide) {
            return items.iter().try_for_each(|item| self.change(shape, "ADDED", item));
        }
        let rows: Vec<Vec<String>> =
            items.iter().map(|item| self.cells(shape, item)).collect::<Outcome<_>>()?;
        let table = self.table(shape, &rows);
        let mut text = table.header();
        text.extend(rows.iter().map(|row| table.row(row)));
        self.table = Some(table);
        output::emit(&text)
    }

    /// Prints one change.
    pub(super) fn change(&mut self, shape: &dyn Shape, change: &str, item: &Value) -> Outcome {
        match self.format {
            Format::Json | Format::Yaml => output::emit_value(self.format, item),
            Format::Name => {
                let (namespace, name) = shape.key(item);
                let singular = shape.singular();
                match self.with_namespace {
                    true => output::emit(&format!("{singular}/{namespace}/{name}\n")),
                    false => output::emit(&format!("{singular}/{name}\n")),
                }
            }
            Format::Table | Format::Wide => {
                let mut cells = self.cells(shape, item)?;
                if let (Some(column), "DELETED") = (self.state_column(shape), change)
                    && let Some(cell) = cells.get_mut(column)
                {
                    *cell = DELETED.to_owned();
                }
                let mut text = String::new();
                if self.table.is_none() {
                    let table = self.table(shape, std::slice::from_ref(&cells));
                    text.push_str(&table.header());
                    self.table = Some(table);
                }
                let row = self.table.as_ref().map(|table| table.row(&cells));
                text.push_str(&row.unwrap_or_default());
                output::emit(&text)
            }
        }
    }
}
