//! Secrets: from written to stored, from stored to revealed.

use std::collections::BTreeMap;

use base64::Engine as _;
use gapless_proto::Entries;
use gapless_types::{FieldError, Sensitive, nearest};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::admit::{self, BASE64, identity};
use crate::seal::{is_sealed, is_sealed_with};
use crate::{Place, Sealer, UnsealError, kubectl, redact};

const KNOWN: &[&str] =
    &["apiVersion", "kind", "metadata", "data", "stringData", "type", "immutable"];
/// The type of a secret that says nothing.
const OPAQUE: &str = "Opaque";
/// Bytes that sealing adds: nonce and tag.
const SEALED_EXTRA_BYTES: usize = 28;

/// Keys that a type asks for: all of them, or one of them.
const TYPES: &[(&str, &[&str], bool)] = &[
    ("kubernetes.io/tls", &["tls.crt", "tls.key"], true),
    ("kubernetes.io/basic-auth", &["username", "password"], false),
    ("kubernetes.io/ssh-auth", &["ssh-privatekey"], true),
    ("kubernetes.io/dockerconfigjson", &[".dockerconfigjson"], true),
    ("kubernetes.io/dockercfg", &[".dockercfg"], true),
];

/// What a value becomes in the stored form.
enum Admitted {
    /// It has not changed: the stored value stays.
    Kept(String),
    /// It is new, and will be sealed.
    New(Sensitive),
}

impl Admitted {
    fn len(&self) -> usize {
        match self {
            Admitted::Kept(sealed) => {
                let text = sealed.rsplit(':').next().unwrap_or_default();
                BASE64.decode(text).map_or(0, |all| all.len().saturating_sub(SEALED_EXTRA_BYTES))
            }
            Admitted::New(value) => value.len(),
        }
    }
}

/// Admits a Secret as it was written and makes it the one to be stored: checks it, folds
/// `stringData` into `data`, keeps what has not changed, seals the rest.
///
/// `old` is the stored object that this one replaces. `new` may come from a client, or
/// from a patch applied to `old` in its stored or its redacted form. On an error `new` must
/// not be stored; no error shows a value.
pub fn admit_secret(
    new: &mut Value,
    old: Option<&Value>,
    sealer: &Sealer,
) -> Result<(), Vec<FieldError>> {
    let mut errors = admit::envelope(new, "Secret", KNOWN);
    if !new.is_object() {
        return Err(errors);
    }
    let written = folded(new, &mut errors);
    let (namespace, name) = identity(new);
    let (namespace, name) = (namespace.to_owned(), name.to_owned());
    let mut admitted = BTreeMap::new();
    for (key, text) in written {
        let place = Place { namespace: &namespace, name: &name, key: &key };
        let stored = old.and_then(|old| old["data"][&key].as_str());
        match admit_value(place, &text, stored, sealer) {
            Ok(value) => drop(admitted.insert(key, value)),
            Err(error) => errors.push(error),
        }
    }
    admit::check_size(admitted.values().map(Admitted::len).sum(), &mut errors);
    check_type(new, old, &admitted, &mut errors);
    check_immutable(new, old, &admitted, &mut errors);
    if !errors.is_empty() {
        return Err(errors);
    }
    let sealed = admitted.into_iter().map(|(key, value)| {
        let place = Place { namespace: &namespace, name: &name, key: &key };
        let stored = match value {
            Admitted::Kept(stored) => stored,
            Admitted::New(value) => sealer.seal(place, &value),
        };
        (key, Value::String(stored))
    });
    new["data"] = Value::Object(sealed.collect());
    kubectl::scrub(new);
    Ok(())
}

/// `data` with `stringData` over it, all as base64 or as stored.
fn folded(new: &mut Value, errors: &mut Vec<FieldError>) -> BTreeMap<String, Zeroizing<String>> {
    let mut written = BTreeMap::new();
    for field in ["data", "stringData"] {
        for (key, value) in admit::take_map(new, field, errors) {
            match admit::text(&format!("{field}.{key}"), value) {
                Ok(text) if field == "data" => drop(written.insert(key, text)),
                Ok(text) => {
                    drop(written.insert(key, Zeroizing::new(BASE64.encode(text.as_bytes()))));
                }
                Err(error) => errors.push(error),
            }
        }
    }
    written
}

fn admit_value(
    place: Place<'_>,
    text: &str,
    stored: Option<&str>,
    sealer: &Sealer,
) -> Result<Admitted, FieldError> {
    let path = format!("data.{}", place.key);
    if let Some(stored) = stored.filter(|stored| is_sealed(stored) && *stored == text) {
        return Ok(Admitted::Kept(stored.to_owned()));
    }
    let value = admit::bytes(&path, text, "stringData")?;
    if let Some(tag) = redact::tag_of(&value) {
        let meant = stored.filter(|stored| sealer.is_tag(place, stored, tag));
        return meant.map(|stored| Admitted::Kept(stored.to_owned())).ok_or_else(|| {
            let message = "stands for a hidden value that is not the one stored here: it was \
                           changed since, or is of another secret. Read the secret again, or \
                           with ?reveal=true (`gapless get secret NAME --show-secrets`)";
            FieldError::new(path, message)
        });
    }
    let value = Sensitive::new(value.to_vec());
    let is_same = |stored: &&str| sealer.open(place, stored).is_ok_and(|before| before == value);
    Ok(match stored.filter(is_same) {
        Some(stored) => Admitted::Kept(stored.to_owned()),
        None => Admitted::New(value),
    })
}

fn check_type(
    new: &mut Value,
    old: Option<&Value>,
    admitted: &BTreeMap<String, Admitted>,
    errors: &mut Vec<FieldError>,
) {
    if new["type"].is_null() || new["type"] == "" {
        let before = old.map(|old| old["type"].clone()).filter(Value::is_string);
        new["type"] = before.unwrap_or_else(|| OPAQUE.into());
    }
    let Some(found) = new["type"].as_str() else {
        return errors.push(FieldError::new("type", "expected text, such as Opaque"));
    };
    if let Some(before) = old.and_then(|old| old["type"].as_str())
        && before != found
    {
        let message = format!(
            "found {found:?}, but a secret's type cannot be changed from {before:?}; delete it \
             and create it anew"
        );
        errors.push(FieldError::new("type", message));
    }
    let Some((_, keys, needs_all)) = TYPES.iter().find(|(name, ..)| *name == found) else {
        let known: Vec<&str> = TYPES.iter().map(|(name, ..)| *name).chain([OPAQUE]).collect();
        let is_own = !found.starts_with("kubernetes.io/") && found != OPAQUE;
        if let Some(near) = nearest(found, &known).filter(|near| is_own && near != &found) {
            let message = format!("found {found:?}; did you mean {near}?");
            errors.push(FieldError::new("type", message));
        }
        return;
    };
    let missing: Vec<&str> =
        keys.iter().copied().filter(|key| !admitted.contains_key(*key)).collect();
    let is_short = if *needs_all { !missing.is_empty() } else { missing.len() == keys.len() };
    if is_short {
        let joint = if *needs_all { " and " } else { " or " };
        let message = format!("a secret of type {found} needs {}", missing.join(joint));
        errors.push(FieldError::new("data", message));
    }
}

fn check_immutable(
    new: &Value,
    old: Option<&Value>,
    admitted: &BTreeMap<String, Admitted>,
    errors: &mut Vec<FieldError>,
) {
    if !admit::is_immutable(old) {
        return;
    }
    if !admit::is_immutable(Some(new)) {
        errors.push(admit::immutable_error("immutable"));
    }
    let stored = old.and_then(|old| old["data"].as_object()).map_or(0, Map::len);
    let is_kept = |value: &Admitted| matches!(value, Admitted::Kept(_));
    if admitted.len() != stored || !admitted.values().all(is_kept) {
        errors.push(admit::immutable_error("data"));
    }
}

/// The values of a stored Secret.
pub fn secret_entries(secret: &Value, sealer: &Sealer) -> Result<Entries, UnsealError> {
    let (namespace, name) = identity(secret);
    let data = secret["data"].as_object();
    let values = data.into_iter().flatten().map(|(key, value)| {
        let place = Place { namespace, name, key };
        Ok((key.clone(), sealer.open(place, value.as_str().unwrap_or_default())?))
    });
    values.collect()
}

/// Reveals a stored Secret: its values become base64 again, as they were written.
pub fn unseal(secret: &mut Value, sealer: &Sealer) -> Result<(), UnsealError> {
    let entries = secret_entries(secret, sealer)?;
    let revealed = entries
        .iter()
        .map(|(key, value)| (key.clone(), Value::String(BASE64.encode(value.expose()))));
    let revealed: Map<String, Value> = revealed.collect();
    secret["data"] = Value::Object(revealed);
    Ok(())
}

/// Whether every value is sealed with the newest key.
pub fn is_sealed_with_newest(secret: &Value, sealer: &Sealer) -> bool {
    let data = secret["data"].as_object();
    let mut values = data.into_iter().flatten();
    values.all(|(_, value)| value.as_str().is_some_and(|v| is_sealed_with(v, sealer.newest())))
}

/// Seals a stored Secret again with the newest key, after a rotation.
pub fn reseal(secret: &mut Value, sealer: &Sealer) -> Result<(), UnsealError> {
    let entries = secret_entries(secret, sealer)?;
    let (namespace, name) = identity(secret);
    let sealed = entries.iter().map(|(key, value)| {
        let place = Place { namespace, name, key };
        (key.clone(), Value::String(sealer.seal(place, value)))
    });
    let sealed: Map<String, Value> = sealed.collect();
    secret["data"] = Value::Object(sealed);
    Ok(())
}
