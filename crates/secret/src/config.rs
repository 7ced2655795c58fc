//! Configs: `ConfigMap` objects, with text in `data` and bytes in `binaryData`.

use gapless_proto::Entries;
use gapless_types::{FieldError, Sensitive};
use serde_json::{Map, Value};

use crate::admit::{self, BASE64};
use base64::Engine as _;

const KNOWN: &[&str] = &["apiVersion", "kind", "metadata", "data", "binaryData", "immutable"];

/// Admits a ConfigMap as it was written; it is stored as it is then. `old` is the stored
/// one that it replaces.
pub fn admit_config_map(new: &mut Value, old: Option<&Value>) -> Result<(), Vec<FieldError>> {
    let mut errors = admit::envelope(new, "ConfigMap", KNOWN);
    if !new.is_object() {
        return Err(errors);
    }
    let texts = admit::take_map(new, "data", &mut errors);
    let binaries = admit::take_map(new, "binaryData", &mut errors);
    for key in texts.keys().filter(|key| binaries.contains_key(*key)) {
        let path = format!("binaryData.{key}");
        errors.push(FieldError::new(path, "is in data too; a key is in one of them"));
    }
    let mut total = 0;
    let mut admitted = [Map::new(), Map::new()];
    for (index, (field, values)) in
        [("data", texts), ("binaryData", binaries)].into_iter().enumerate()
    {
        for (key, value) in values {
            let path = format!("{field}.{key}");
            let read = admit::text(&path, value).and_then(|text| {
                let bytes = match field {
                    "data" => text.len(),
                    _ => admit::bytes(&path, &text, "data")?.len(),
                };
                Ok((text, bytes))
            });
            match read {
                Ok((text, bytes)) => {
                    total += bytes;
                    admitted[index].insert(key, Value::String(text.to_string()));
                }
                Err(error) => errors.push(error),
            }
        }
    }
    admit::check_size(total, &mut errors);
    let changed = admit::is_immutable(old).then(|| {
        let same = |field: &str, now: &Map<String, Value>| {
            old.and_then(|old| old[field].as_object()).unwrap_or(&Map::new()) == now
        };
        same("data", &admitted[0]) && same("binaryData", &admitted[1])
    });
    if changed == Some(false) {
        errors.push(admit::immutable_error("data"));
    }
    if changed.is_some() && !admit::is_immutable(Some(new)) {
        errors.push(admit::immutable_error("immutable"));
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    for (field, values) in ["data", "binaryData"].into_iter().zip(admitted) {
        if !values.is_empty() {
            new[field] = Value::Object(values);
        }
    }
    Ok(())
}

/// The values of a stored ConfigMap.
pub fn config_entries(config: &Value) -> Entries {
    let values = |field: &str| config[field].as_object().into_iter().flatten();
    let texts = values("data")
        .map(|(key, value)| (key.clone(), Sensitive::from(value.as_str().unwrap_or_default())));
    let binaries = values("binaryData").map(|(key, value)| {
        let bytes = BASE64.decode(value.as_str().unwrap_or_default()).unwrap_or_default();
        (key.clone(), Sensitive::new(bytes))
    });
    texts.chain(binaries).collect()
}
