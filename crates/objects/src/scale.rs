//! The `Scale` object of `autoscaling/v1`: what `kubectl scale` and autoscalers read
//! and write instead of the object itself.

use serde_json::{Value, json};

use crate::meta;

/// A scale of `object`: how many replicas are asked for and how many there are.
/// `selector` is the label selector of what is counted.
pub fn of(object: &Value, wanted: u64, observed: u64, selector: &str) -> Value {
    let meta = |field: &str| meta::text(object, field).to_owned();
    let mut scale = json!({
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": meta("name")},
        "spec": {"replicas": wanted},
        "status": {"replicas": observed, "selector": selector},
    });
    for field in ["namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if !meta(field).is_empty() {
            scale["metadata"][field] = Value::String(meta(field));
        }
    }
    scale
}

/// How many replicas a `Scale` object asks for; the error says what is wrong.
pub fn wanted(scale: &Value) -> Result<u64, String> {
    let found = scale.get("spec").and_then(|spec| spec.get("replicas")).unwrap_or(&Value::Null);
    match found {
        // Protocol buffers and Go leave a zero out.
        Value::Null => Ok(0),
        _ => found
            .as_u64()
            .filter(|replicas| *replicas <= i32::MAX as u64)
            .ok_or_else(|| format!("spec.replicas: found {found}, allowed is 0 to {}", i32::MAX)),
    }
}

/// The schema of `Scale` objects.
pub fn schema() -> Value {
    crate::schema::of_file(include_str!("schemas/scale.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_is_read_as_it_is_written() {
        let object = json!({"metadata": {"name": "a", "namespace": "b", "resourceVersion": "7"}});
        let scale = of(&object, 3, 2, "app=a");
        assert_eq!(scale["metadata"]["resourceVersion"], "7");
        assert_eq!(wanted(&scale), Ok(3));
        assert_eq!(wanted(&json!({"spec": {}})), Ok(0));
        assert!(wanted(&json!({"spec": {"replicas": -1}})).unwrap_err().contains("found -1"));
    }
}
