//! What an instance is given besides its code: the environment and files that its
//! function declares, with the values of secrets and configs in place.
//!
//! Resolved when an instance is asked for, carried by
//! [`StartInstance`](crate::StartInstance), and nowhere else: a revision holds
//! references, never values. An instance keeps what it started with; a change of a
//! secret or config reaches those that start after it.
//!
//! The kept values come from a [`ConfigSource`], which control implements over the
//! declared state. It is asked in the start path, so it answers from memory.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use gapless_types::{
    EnvValue, Fault, FunctionKey, FunctionSpec, Kept, Reference, Sensitive, is_platform_variable,
};

use crate::StartFailure;

/// Most bytes the files of one instance may have together.
const FILES_BYTES_MAX: usize = 8 << 20;
/// Most variables an instance may get, those of whole objects included.
const VARIABLES_MAX: usize = 5_000;

/// The keys and values of one secret or config.
pub type Entries = BTreeMap<String, Sensitive>;

/// Where kept values come from.
pub trait ConfigSource: Send + Sync {
    /// Every key of an object; `None` when there is no such object. The error is a
    /// sentence for people: why it is there and cannot be read.
    fn entries(
        &self,
        kept: Kept,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Arc<Entries>>, String>;
}

/// A source without any object.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoConfigs;

impl ConfigSource for NoConfigs {
    fn entries(&self, _: Kept, _: &str, _: &str) -> Result<Option<Arc<Entries>>, String> {
        Ok(None)
    }
}

/// What one instance is given. Values are hidden from `Debug` and overwritten in
/// memory when the last owner drops it.
#[derive(Default)]
pub struct ResolvedConfig {
    /// Variables by name: names without `=` and NUL, values without NUL.
    pub env: BTreeMap<String, Sensitive>,
    /// Files by relative name, `/` between its parts; no name is inside another.
    pub files: BTreeMap<String, Sensitive>,
}

impl fmt::Debug for ResolvedConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let env: Vec<&str> = self.env.keys().map(String::as_str).collect();
        let files: Vec<&str> = self.files.keys().map(String::as_str).collect();
        f.debug_struct("ResolvedConfig").field("env", &env).field("files", &files).finish()
    }
}

impl ResolvedConfig {
    /// Puts the values of `source` in the places that `spec` names. The failure names
    /// the field, the object and the key, and is the caller's to mend.
    ///
    /// ```
    /// use gapless_proto::{NoConfigs, ResolvedConfig};
    /// use gapless_types::{FunctionKey, FunctionSpec};
    ///
    /// let function = FunctionKey::new("default", "hello").unwrap();
    /// let mut spec = FunctionSpec::with_defaults();
    /// spec.env.insert("MODE".to_owned(), "fast".into());
    /// let config = ResolvedConfig::resolve(&function, &spec, &NoConfigs).unwrap();
    /// assert_eq!(config.env["MODE"].expose(), b"fast");
    /// ```
    pub fn resolve(
        function: &FunctionKey,
        spec: &FunctionSpec,
        source: &dyn ConfigSource,
    ) -> Result<ResolvedConfig, StartFailure> {
        let resolver = Resolver { function, source };
        let mut config = ResolvedConfig::default();
        for (index, entry) in spec.env_from.iter().enumerate() {
            let field = format!("spec.envFrom[{index}]");
            let Some(entries) = resolver.object(&field, &entry.from)? else { continue };
            for (key, value) in &*entries {
                let name = format!("{}{key}", entry.prefix);
                // Whoever filled the object need not know which names are taken.
                if !is_platform_variable(&name) {
                    has_no_nul(value, &field, &entry.from)?;
                    config.env.insert(name, value.duplicate());
                }
            }
        }
        for (name, value) in &spec.env {
            let field = format!("spec.env.{name}");
            if let Some(value) = resolver.variable(&field, value)? {
                config.env.insert(name.clone(), value);
            } else {
                config.env.remove(name);
            }
        }
        for (name, value) in &spec.files {
            resolver.file(name, value, &mut config.files)?;
        }
        config.check_bounds()?;
        Ok(config)
    }

    /// Whether nothing is given.
    pub fn is_empty(&self) -> bool {
        self.env.is_empty() && self.files.is_empty()
    }

    fn check_bounds(&self) -> Result<(), StartFailure> {
        let bytes: usize = self.files.values().map(Sensitive::len).sum();
        if bytes > FILES_BYTES_MAX {
            let message = format!(
                "spec.files come to {bytes} bytes, allowed are {FILES_BYTES_MAX}: put large \
                 files into the function's folder"
            );
            return Err(refused("ConfigTooLarge", message));
        }
        if self.env.len() > VARIABLES_MAX {
            let message = format!(
                "spec.env and spec.envFrom come to {} variables, allowed are {VARIABLES_MAX}",
                self.env.len()
            );
            return Err(refused("ConfigTooLarge", message));
        }
        Ok(())
    }
}

struct Resolver<'a> {
    function: &'a FunctionKey,
    source: &'a dyn ConfigSource,
}

impl Resolver<'_> {
    /// The object; `None` when it is not there and need not be.
    fn object(
        &self,
        field: &str,
        reference: &Reference,
    ) -> Result<Option<Arc<Entries>>, StartFailure> {
        let Reference { kept, name, optional, .. } = reference;
        let namespace = self.function.namespace();
        match self.source.entries(*kept, namespace, name) {
            Ok(Some(entries)) => Ok(Some(entries)),
            Ok(None) if *optional => Ok(None),
            Ok(None) => Err(refused(
                "ConfigMissing",
                format!(
                    "{field}: there is no {kept} {name:?} in namespace {namespace}; create it, \
                     or add `optional: true`"
                ),
            )),
            Err(why) => Err(StartFailure {
                fault: Fault::Platform,
                kind: "ConfigUnreadable",
                message: format!("{field}: {kept} {namespace}/{name} cannot be read: {why}"),
            }),
        }
    }

    /// One key's value; `None` when it is not there and need not be.
    fn key(
        &self,
        field: &str,
        reference: &Reference,
        key: &str,
    ) -> Result<Option<Sensitive>, StartFailure> {
        let Some(entries) = self.object(field, reference)? else { return Ok(None) };
        match entries.get(key) {
            Some(value) => Ok(Some(value.duplicate())),
            None if reference.optional => Ok(None),
            None => {
                let Reference { kept, name, .. } = reference;
                let namespace = self.function.namespace();
                let keys: Vec<&str> = entries.keys().map(String::as_str).collect();
                let near = gapless_types::nearest(key, &keys);
                let hint = match near {
                    Some(near) => format!("; did you mean {near:?}? Otherwise add"),
                    None => ": add".to_owned(),
                };
                let message = format!(
                    "{field}: {kept} {name:?} in namespace {namespace} has no key {key:?}{hint} \
                     the key, or `optional: true`"
                );
                Err(refused("ConfigMissing", message))
            }
        }
    }

    fn variable(&self, field: &str, value: &EnvValue) -> Result<Option<Sensitive>, StartFailure> {
        let reference = match value {
            EnvValue::Text(text) => return Ok(Some(Sensitive::from(text.as_str()))),
            EnvValue::Kept(reference) => reference,
        };
        let key = reference.key.as_deref().unwrap_or_default();
        let value = self.key(field, reference, key)?;
        if let Some(value) = &value {
            has_no_nul(value, field, reference)?;
        }
        Ok(value)
    }

    fn file(&self, name: &str, value: &EnvValue, files: &mut Entries) -> Result<(), StartFailure> {
        let field = format!("spec.files.{name}");
        match value {
            EnvValue::Text(text) => {
                files.insert(name.to_owned(), Sensitive::from(text.as_str()));
            }
            EnvValue::Kept(reference) => match &reference.key {
                Some(key) => {
                    if let Some(value) = self.key(&field, reference, key)? {
                        files.insert(name.to_owned(), value);
                    }
                }
                None => {
                    let entries = self.object(&field, reference)?;
                    for (key, value) in entries.iter().flat_map(|entries| entries.iter()) {
                        files.insert(format!("{name}/{key}"), value.duplicate());
                    }
                }
            },
        }
        Ok(())
    }
}

fn has_no_nul(value: &Sensitive, field: &str, reference: &Reference) -> Result<(), StartFailure> {
    if !value.expose().contains(&0) {
        return Ok(());
    }
    let message = format!(
        "{field}: a value of {} {:?} holds a NUL byte, which a variable cannot; use spec.files \
         for binary values",
        reference.kept, reference.name
    );
    Err(refused("ConfigNotText", message))
}

fn refused(kind: &'static str, message: String) -> StartFailure {
    StartFailure { fault: Fault::Caller, kind, message }
}

#[cfg(test)]
mod tests {
    use gapless_types::Function;
    use serde_json::json;

    use super::*;

    struct Two;

    impl ConfigSource for Two {
        fn entries(
            &self,
            kept: Kept,
            namespace: &str,
            name: &str,
        ) -> Result<Option<Arc<Entries>>, String> {
            assert_eq!(namespace, "shop");
            let entry = |key: &str, value: &str| (key.to_owned(), Sensitive::from(value));
            Ok(match (kept, name) {
                (Kept::Secret, "api") => Some(Arc::new(Entries::from([
                    entry("token", "hunter2"),
                    entry("PORT", "1"),
                    entry("binary", "a\0b"),
                ]))),
                (Kept::Config, "app") => Some(Arc::new(Entries::from([entry("MODE", "slow")]))),
                (Kept::Secret, "broken") => return Err("its key is not here".to_owned()),
                _ => None,
            })
        }
    }

    fn resolve(spec: serde_json::Value) -> Result<ResolvedConfig, StartFailure> {
        let function = Function::from_value(json!({
            "apiVersion": "gapless.dev/v1", "kind": "Function",
            "metadata": {"name": "cart", "namespace": "shop"}, "spec": spec,
        }));
        let function = function.unwrap_or_else(|errors| panic!("{errors:?}"));
        ResolvedConfig::resolve(&function.metadata.key().unwrap(), &function.spec, &Two)
    }

    #[test]
    fn every_form_reaches_its_place() {
        let config = resolve(json!({"wasm": "a.wasm",
            "env": {"PLAIN": "x", "TOKEN": {"secret": "api/token"}, "MODE": "fast",
                    "GONE": {"secret": "no/key", "optional": true}},
            "envFrom": [{"config": "app"}, {"config": "app", "prefix": "APP_"}],
            "files": {"motd": "hello", "t/token": {"secret": "api/token"}, "all": {"secret": "api"}},
        }))
        .unwrap();
        let env: Vec<_> =
            config.env.iter().map(|(name, value)| (&**name, value.expose())).collect();
        let expected: [(&str, &[u8]); 4] =
            [("APP_MODE", b"slow"), ("MODE", b"fast"), ("PLAIN", b"x"), ("TOKEN", b"hunter2")];
        assert_eq!(env, expected);
        let files: Vec<&str> = config.files.keys().map(String::as_str).collect();
        assert_eq!(files, ["all/PORT", "all/binary", "all/token", "motd", "t/token"]);
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn what_is_missing_names_field_object_and_key() {
        let failure = |spec| resolve(spec).unwrap_err();
        let none = failure(json!({"wasm": "a.wasm", "env": {"T": {"secret": "nope/token"}}}));
        assert_eq!(none.fault, Fault::Caller);
        assert_eq!(
            none.message,
            "spec.env.T: there is no secret \"nope\" in namespace shop; create it, or add \
             `optional: true`"
        );
        let key = failure(json!({"wasm": "a.wasm", "files": {"t": {"secret": "api/tokn"}}}));
        assert_eq!(
            key.message,
            "spec.files.t: secret \"api\" in namespace shop has no key \"tokn\"; did you mean \
             \"token\"? Otherwise add the key, or `optional: true`"
        );
        let far = failure(json!({"wasm": "a.wasm", "env": {"T": {"config": "app/banana"}}}));
        assert!(
            far.message.ends_with("no key \"banana\": add the key, or `optional: true`"),
            "{far}"
        );
        let nul = failure(json!({"wasm": "a.wasm", "env": {"T": {"secret": "api/binary"}}}));
        assert!(nul.message.contains("NUL"), "{nul}");
        let broken =
            failure(json!({"wasm": "a.wasm", "envFrom": [{"secret": "broken", "optional": true}]}));
        assert_eq!((broken.fault, broken.kind), (Fault::Platform, "ConfigUnreadable"));
    }
}
