//! JSON patch (RFC 6902), by the `json-patch` crate, with bounds on what a patch can
//! make and cost: a few operations `copy` suffice to double a document many times
//! over, a few `move` to nest it until the stack ends, and each `add` at the front of
//! a long list shifts all of it.

use json_patch::PatchOperation;
use serde_json::Value;

use super::{OPERATIONS_MAX, PatchError, size};
use crate::decode::{BODY_BYTES_MAX, DEPTH_MAX};

/// Most values that the operations of one patch may look at and shift, together.
const WORK_MAX: usize = 20_000_000;

pub(super) fn parse(body: Value) -> Result<Vec<PatchOperation>, PatchError> {
    let Value::Array(items) = body else {
        let message = "a JSON patch is a list of operations, such as \
                       [{\"op\": \"replace\", \"path\": \"/spec/x\", \"value\": 1}]";
        return Err(PatchError::Malformed(message.to_owned()));
    };
    if items.len() > OPERATIONS_MAX {
        let (found, allowed) = (items.len(), OPERATIONS_MAX);
        return Err(PatchError::TooManyOperations { found, allowed });
    }
    let read = |(index, item): (usize, Value)| {
        serde_json::from_value(item)
            .map_err(|error| PatchError::Malformed(format!("operation {index}: {error}")))
    };
    items.into_iter().enumerate().map(read).collect()
}

pub(super) fn apply(operations: &[PatchOperation], current: &Value) -> Result<Value, PatchError> {
    let mut document = current.clone();
    let mut budget = Budget { bytes: BODY_BYTES_MAX, work: WORK_MAX };
    for (index, operation) in operations.iter().enumerate() {
        budget.pay(operation, &document)?;
        let one = std::slice::from_ref(operation);
        json_patch::patch_unsafe(&mut document, one).map_err(|error| PatchError::Operation {
            index,
            operation: word(operation),
            path: operation.path().to_string(),
            reason: error.kind.to_string(),
        })?;
    }
    Ok(document)
}

/// What is left of what a patch may cost.
struct Budget {
    /// Bytes that `copy` may make; everything else came with the patch.
    bytes: usize,
    /// Values that may be looked at or shifted.
    work: usize,
}

impl Budget {
    fn pay(&mut self, operation: &PatchOperation, document: &Value) -> Result<(), PatchError> {
        let (added, from) = match operation {
            PatchOperation::Add(add) => (Some(&add.value), None),
            PatchOperation::Replace(replace) => (Some(&replace.value), None),
            PatchOperation::Move(moved) => (moved.from.resolve(document).ok(), Some(&moved.from)),
            PatchOperation::Copy(copied) => (copied.from.resolve(document).ok(), None),
            PatchOperation::Remove(_) | PatchOperation::Test(_) => (None, None),
        };
        for pointer in [Some(operation.path()), from.map(|from| &**from)].into_iter().flatten() {
            let list = pointer.parent().and_then(|parent| parent.resolve(document).ok());
            self.work(list.and_then(Value::as_array).map_or(1, Vec::len))?;
        }
        let Some(added) = added else { return Ok(()) };
        if operation.path().count() + self.depth(added)? > DEPTH_MAX {
            return Err(PatchError::TooDeep { allowed: DEPTH_MAX });
        }
        if matches!(operation, PatchOperation::Copy(_)) {
            let too_large =
                PatchError::TooLarge { what: "the result of the patch", allowed: BODY_BYTES_MAX };
            let bytes = size(added, self.bytes);
            self.bytes = self.bytes.checked_sub(bytes).ok_or(too_large)?;
        }
        Ok(())
    }

    fn work(&mut self, values: usize) -> Result<(), PatchError> {
        self.work = self.work.checked_sub(values).ok_or(PatchError::TooCostly)?;
        Ok(())
    }

    /// How deep `value` is nested; a scalar is 0.
    fn depth(&mut self, value: &Value) -> Result<usize, PatchError> {
        let mut deepest = 0;
        match value {
            Value::Array(items) => {
                self.work(items.len())?;
                for item in items {
                    deepest = deepest.max(1 + self.depth(item)?);
                }
                Ok(deepest.max(1))
            }
            Value::Object(fields) => {
                self.work(fields.len())?;
                for item in fields.values() {
                    deepest = deepest.max(1 + self.depth(item)?);
                }
                Ok(deepest.max(1))
            }
            _ => Ok(0),
        }
    }
}

fn word(operation: &PatchOperation) -> &'static str {
    match operation {
        PatchOperation::Add(_) => "add",
        PatchOperation::Remove(_) => "remove",
        PatchOperation::Replace(_) => "replace",
        PatchOperation::Move(_) => "move",
        PatchOperation::Copy(_) => "copy",
        PatchOperation::Test(_) => "test",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(current: Value, operations: Value) -> Result<Value, PatchError> {
        apply(&parse(operations)?, &current)
    }

    #[test]
    fn operations_do_what_the_rfc_says() {
        let current = json!({"a": {"b": 1}, "l": [1, 2], "x/y": 0});
        let operations = json!([
            {"op": "test", "path": "/a/b", "value": 1},
            {"op": "replace", "path": "/a/b", "value": 2},
            {"op": "add", "path": "/l/-", "value": 3},
            {"op": "add", "path": "/l/0", "value": 0},
            {"op": "copy", "from": "/a", "path": "/c"},
            {"op": "move", "from": "/x~1y", "path": "/z"},
            {"op": "remove", "path": "/a"},
        ]);
        let expected = json!({"c": {"b": 2}, "l": [0, 1, 2, 3], "z": 0});
        assert_eq!(patched(current, operations), Ok(expected));
    }

    #[test]
    fn a_failing_operation_is_named() {
        let error = |operation: Value| patched(json!({"a": 1}), json!([operation])).unwrap_err();
        let test = error(json!({"op": "test", "path": "/a", "value": 2}));
        assert_eq!(test.to_string(), "operation 0 (test \"/a\"): value did not match");
        let remove = error(json!({"op": "remove", "path": "/b"}));
        assert!(remove.to_string().contains("remove \"/b\""), "{remove}");
        let word = error(json!({"op": "swap", "path": "/b"})).to_string();
        assert!(word.contains("operation 0") && word.contains("swap"), "{word}");
        assert!(patched(json!({}), json!({})).is_err());
    }

    #[test]
    fn growth_is_bounded() {
        let double = vec![json!({"op": "copy", "from": "/a", "path": "/a/-"}); 60];
        let error = patched(json!({"a": ["x"]}), json!(double)).unwrap_err();
        assert!(matches!(error, PatchError::TooLarge { .. }), "{error}");
        let nest: Vec<Value> = (1..=DEPTH_MAX + 1)
            .map(|n| json!({"op": "add", "path": "/a".repeat(n), "value": {}}))
            .collect();
        let error = patched(json!({}), json!(nest)).unwrap_err();
        assert!(matches!(error, PatchError::TooDeep { .. }), "{error}");
        let wide: Vec<Value> = (0..60)
            .flat_map(|n| {
                [
                    json!({"op": "copy", "from": "/a", "path": format!("/b/{n}")}),
                    json!({"op": "copy", "from": "/b", "path": "/c"}),
                ]
            })
            .collect();
        let error = patched(json!({"a": "x".repeat(40_000), "b": {}}), json!(wide)).unwrap_err();
        assert!(matches!(error, PatchError::TooLarge { .. }), "{error}");
        let front = vec![json!({"op": "add", "path": "/a/0", "value": 0}); 300];
        let error = patched(json!({"a": vec![0; 100_000]}), json!(front)).unwrap_err();
        assert_eq!(error, PatchError::TooCostly);
        let around: Vec<Value> = (0..300)
            .map(|n| if n % 2 == 0 { ("/a", "/b") } else { ("/b", "/a") })
            .map(|(from, path)| json!({"op": "move", "from": from, "path": path}))
            .collect();
        let error = patched(json!({"a": vec![0; 100_000]}), json!(around)).unwrap_err();
        assert_eq!(error, PatchError::TooCostly);
        let many = vec![json!({"op": "remove", "path": "/a"}); OPERATIONS_MAX + 1];
        assert!(matches!(parse(json!(many)), Err(PatchError::TooManyOperations { .. })));
    }
}
