//! Where the values of an instance's environment and files come from: written in
//! the declaration, or kept in a secret or a config of the function's namespace.
//!
//! ```yaml
//! env:
//!   MODE: fast                                  # the text itself
//!   TOKEN: {secret: api/token}                  # key `token` of secret `api`
//!   BANNER: {config: texts/banner, optional: true}
//! envFrom:
//!   - {config: defaults}                        # every key of a config
//!   - {secret: database, prefix: DB_}
//! files:
//!   app.json: {config: app/app.json}            # $GAPLESS_FILES/app.json
//!   tls: {secret: web-tls}                      # every key, as $GAPLESS_FILES/tls/KEY
//! ```
//!
//! A file's name is relative on purpose. Programs share the machine's file system, so
//! an absolute path would be one file for all instances; a name below a folder that
//! each instance is told of means the same for programs, components and whatever
//! gets a file system of its own later, which can be told where the folder appears.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// Which kind of object values are kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kept {
    /// A `Secret`.
    Secret,
    /// A `ConfigMap`.
    Config,
}

impl Kept {
    /// Its word in a specification.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kept::Secret => "secret",
            Kept::Config => "config",
        }
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Values that are kept elsewhere, in the function's namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// In what.
    pub kept: Kept,
    /// The object's name.
    pub name: String,
    /// One of its keys; every key when `None`.
    pub key: Option<String>,
    /// Whether an instance starts without it when it is not there.
    pub optional: bool,
}

impl Reference {
    /// `name/key`, or `name` for every key.
    pub fn path(&self) -> String {
        match &self.key {
            Some(key) => format!("{}/{key}", self.name),
            None => self.name.clone(),
        }
    }
}

/// A value of `spec.env` or `spec.files`: the text itself, or where it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvValue {
    /// The text.
    Text(String),
    /// Where it is kept.
    Kept(Box<Reference>),
}

impl EnvValue {
    /// The text, when it is written in the declaration.
    pub fn text(&self) -> Option<&str> {
        match self {
            EnvValue::Text(text) => Some(text),
            EnvValue::Kept(_) => None,
        }
    }
}

impl JsonSchema for EnvValue {
    fn schema_name() -> Cow<'static, str> {
        "EnvValue".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Text, or where it is kept: {secret: NAME/KEY}, {config: NAME/KEY}, with \
                            optional: true if an instance may start without it.",
            "x-kubernetes-preserve-unknown-fields": true,
        })
    }
}

impl JsonSchema for EnvFrom {
    fn schema_name() -> Cow<'static, str> {
        "EnvFrom".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An object whose every key becomes a variable: {secret: NAME} or \
                            {config: NAME}.",
            "type": "object",
            "properties": {
                "secret": { "type": "string", "description": "The secret's name." },
                "config": { "type": "string", "description": "The config map's name." },
                "prefix": {
                    "type": "string",
                    "description": "What the variables' names begin with; nothing when not given."
                },
                "optional": {
                    "type": "boolean",
                    "description": "Whether an instance may start without it. Default false."
                }
            }
        })
    }
}

impl From<&str> for EnvValue {
    fn from(text: &str) -> Self {
        EnvValue::Text(text.to_owned())
    }
}

impl From<String> for EnvValue {
    fn from(text: String) -> Self {
        EnvValue::Text(text)
    }
}

/// An entry of `spec.envFrom`: every key of an object becomes a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvFrom {
    /// The object; its `key` is `None`.
    pub from: Reference,
    /// Written before each key.
    pub prefix: String,
}

/// The mapping form, as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    config: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    prefix: String,
    #[serde(default, skip_serializing_if = "is_false")]
    optional: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

impl Written {
    fn of(reference: &Reference, prefix: &str) -> Self {
        let path = Some(reference.path());
        let (secret, config) = match reference.kept {
            Kept::Secret => (path, None),
            Kept::Config => (None, path),
        };
        Written { secret, config, prefix: prefix.to_owned(), optional: reference.optional }
    }

    fn read(self) -> Result<(Reference, String), &'static str> {
        let (kept, path) = match (self.secret, self.config) {
            (Some(path), None) => (Kept::Secret, path),
            (None, Some(path)) => (Kept::Config, path),
            (Some(_), Some(_)) => return Err("names a secret and a config; name one of them"),
            (None, None) => return Err("needs secret or config, such as {secret: name/key}"),
        };
        let (name, key) = match path.split_once('/') {
            Some((name, key)) => (name.to_owned(), Some(key.to_owned())),
            None => (path, None),
        };
        Ok((Reference { kept, name, key, optional: self.optional }, self.prefix))
    }
}

impl Serialize for EnvValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            EnvValue::Text(text) => serializer.serialize_str(text),
            EnvValue::Kept(reference) => Written::of(reference, "").serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for EnvValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

impl Serialize for EnvFrom {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Written::of(&self.from, &self.prefix).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for EnvFrom {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (from, prefix) =
            Written::deserialize(deserializer)?.read().map_err(de::Error::custom)?;
        Ok(EnvFrom { from, prefix })
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = EnvValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text (in quotes where it looks like a number), {secret: name/key} or {config: name/key}")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<EnvValue, E> {
        Ok(EnvValue::Text(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<EnvValue, A::Error> {
        let written = Written::deserialize(de::value::MapAccessDeserializer::new(map))?;
        if !written.prefix.is_empty() {
            return Err(de::Error::custom("prefix belongs to spec.envFrom; remove it"));
        }
        let (reference, _) = written.read().map_err(de::Error::custom)?;
        Ok(EnvValue::Kept(Box::new(reference)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn values_read_back_as_they_were_written() {
        for written in [
            json!("text"),
            json!({"secret": "api/token"}),
            json!({"config": "texts/banner", "optional": true}),
            json!({"secret": "web-tls"}),
        ] {
            let value: EnvValue = serde_json::from_value(written.clone()).unwrap();
            assert_eq!(serde_json::to_value(&value).unwrap(), written);
        }
        let from = json!({"secret": "database", "prefix": "DB_"});
        let read: EnvFrom = serde_json::from_value(from.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), from);
    }

    #[test]
    fn what_is_neither_text_nor_a_reference_is_refused() {
        let error =
            |value: Value| serde_json::from_value::<EnvValue>(value).unwrap_err().to_string();
        assert!(error(json!(80)).contains("expected text (in quotes"), "{}", error(json!(80)));
        assert!(error(json!({})).contains("needs secret or config"));
        assert!(error(json!({"secret": "a/b", "config": "a/b"})).contains("name one of them"));
        assert!(error(json!({"secrets": "a/b"})).contains("unknown field `secrets`"));
    }
}
