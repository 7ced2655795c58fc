//! [`Params`]: a policy's parameters while the policy reads them. Each is asked for
//! by name with a default and what is allowed; what nobody asked for is an error.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// Yes or no.
    Flag(bool),
    /// A number.
    Number(f64),
    /// A word.
    Word(String),
}

impl JsonSchema for Value {
    fn schema_name() -> Cow<'static, str> {
        "Value".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "What the policy's parameter takes: see the policy.",
            "x-kubernetes-preserve-unknown-fields": true,
        })
    }
}

/// What is wrong with a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamError {
    /// Its name.
    pub name: String,
    /// What was found and what is allowed.
    pub message: String,
}

/// Parameters being read.
#[derive(Debug)]
pub struct Params {
    given: BTreeMap<String, Value>,
    known: BTreeSet<&'static str>,
}

impl Params {
    pub(crate) fn new(given: Option<&BTreeMap<String, Value>>) -> Self {
        Params { given: given.cloned().unwrap_or_default(), known: BTreeSet::new() }
    }

    /// A number between `low` and `high`.
    pub fn number(
        &mut self,
        name: &'static str,
        default: f32,
        low: f32,
        high: f32,
    ) -> Result<f32, ParamError> {
        match self.take(name) {
            None => Ok(default),
            Some(Value::Number(n)) if (f64::from(low)..=f64::from(high)).contains(&n) => {
                Ok(n as f32)
            }
            Some(found) => Err(wrong(name, &found, &format!("a number from {low} to {high}"))),
        }
    }

    /// One of `allowed`.
    pub fn word(
        &mut self,
        name: &'static str,
        default: &'static str,
        allowed: &[&'static str],
    ) -> Result<&'static str, ParamError> {
        let Some(found) = self.take(name) else { return Ok(default) };
        let known = match &found {
            Value::Word(word) => allowed.iter().find(|allowed| *allowed == word),
            _ => None,
        };
        known.copied().ok_or_else(|| wrong(name, &found, &allowed.join(" or ")))
    }

    /// Yes or no.
    pub fn flag(&mut self, name: &'static str, default: bool) -> Result<bool, ParamError> {
        match self.take(name) {
            None => Ok(default),
            Some(Value::Flag(flag)) => Ok(flag),
            Some(found) => Err(wrong(name, &found, "true or false")),
        }
    }

    /// An error for each parameter that nobody asked for.
    pub(crate) fn unread(&self) -> Vec<ParamError> {
        let message = match self.known.len() {
            0 => "this policy has no parameters".to_owned(),
            _ => {
                let known: Vec<&str> = self.known.iter().copied().collect();
                format!("there is no such parameter; known are {}", known.join(", "))
            }
        };
        let unread = self.given.keys();
        unread.map(|name| ParamError { name: name.clone(), message: message.clone() }).collect()
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.insert(name);
        self.given.remove(name)
    }
}

fn wrong(name: &str, found: &Value, allowed: &str) -> ParamError {
    let found = match found {
        Value::Flag(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Word(word) => format!("{word:?}"),
    };
    ParamError { name: name.to_owned(), message: format!("found {found}, allowed is {allowed}") }
}
