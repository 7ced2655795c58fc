//! From a declared function to what placement looks at: [`ShapeSpec`].

use std::collections::BTreeMap;
use std::sync::Arc;

use gapless_placement::shape::{DeviceNeed, Operator, Requirement, ShapeSpec, Toleration};
use gapless_types::{
    Code, FunctionKey, FunctionSpec, LabelMatch, LabelOperator, Placement, Tolerate,
};

/// The kind of sandbox a function needs.
pub(crate) fn sandbox(spec: &FunctionSpec) -> &'static str {
    match spec.code() {
        Code::Wasm => "wasm",
        Code::Command(_) => "linux",
        Code::Fake(_) => "fake",
    }
}

/// What an instance of this function needs of a node, and would like.
pub(crate) fn shape_of(function: &FunctionKey, spec: &FunctionSpec) -> ShapeSpec {
    let name = function.to_string();
    let resources = &spec.resources;
    let mut shape = ShapeSpec::new(&name, sandbox(spec), resources.cpu, resources.memory);
    shape.image = spec.artifact.as_deref().map(Into::into);
    if let Some(placement) = &spec.placement {
        add_placement(&mut shape, function.namespace(), placement);
    }
    shape
}

fn add_placement(shape: &mut ShapeSpec, namespace: &str, placement: &Placement) {
    let qualified = |name: &String| -> Arc<str> {
        match name.contains('/') || name.contains('=') {
            true => name.as_str().into(),
            false => format!("{namespace}/{name}").into(),
        }
    };
    shape.class = placement.class.as_deref().unwrap_or_default().into();
    shape.priority = placement.priority;
    shape.require = requirements(&placement.require);
    shape.prefer = Vec::new();
    for preference in &placement.prefer {
        let labels = requirements(&preference.labels);
        shape.prefer.extend(labels.into_iter().map(|label| (label, preference.weight)));
    }
    shape.tolerate = placement.tolerate.iter().map(toleration).collect();
    shape.avoid = placement.avoid.iter().map(qualified).collect();
    shape.calls = placement.calls.iter().map(qualified).collect();
    shape.data = placement.data.iter().map(|(name, size)| (name.as_str().into(), *size)).collect();
    shape.disk = placement.disk.unwrap_or_default();
    shape.devices = placement.devices.as_ref().map(|devices| DeviceNeed {
        kind: devices.kind.as_str().into(),
        count: devices.count,
        share_millis: devices.share_millis.unwrap_or(1000),
    });
    shape.one_numa_node = placement.one_numa_node;
    shape.monopoly = placement.monopoly;
    shape.dedicated = placement.dedicated;
    shape.is_untrusted = placement.untrusted;
}

fn requirements(labels: &BTreeMap<String, LabelMatch>) -> Vec<Requirement> {
    let requirement = |(key, wanted): (&String, &LabelMatch)| {
        let operator = match wanted {
            LabelMatch::Is(value) => Operator::In(vec![value.clone()]),
            LabelMatch::OneOf(values) => Operator::In(values.clone()),
            LabelMatch::Operator(LabelOperator::NotIn(values)) => Operator::NotIn(values.clone()),
            LabelMatch::Operator(LabelOperator::Exists(true)) => Operator::Exists,
            LabelMatch::Operator(LabelOperator::Exists(false)) => Operator::DoesNotExist,
            LabelMatch::Operator(LabelOperator::Gt(than)) => Operator::Gt(*than),
            LabelMatch::Operator(LabelOperator::Lt(than)) => Operator::Lt(*than),
        };
        Requirement { key: key.clone(), operator }
    };
    labels.iter().map(requirement).collect()
}

fn toleration(tolerate: &Tolerate) -> Toleration {
    match tolerate {
        Tolerate::Key(key) if key == "*" => Toleration { key: None, value: None, effect: None },
        Tolerate::Key(key) => Toleration { key: Some(key.clone()), value: None, effect: None },
        Tolerate::Exact { key, value } => {
            Toleration { key: Some(key.clone()), value: Some(value.clone()), effect: None }
        }
    }
}

#[cfg(test)]
mod tests {
    use gapless_types::Function;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_declared_is_what_placement_sees() {
        let function = Function::from_value(json!({
            "apiVersion": "gapless.dev/v1", "kind": "Function",
            "metadata": {"name": "hello", "namespace": "shop"},
            "spec": {"command": ["x"], "placement": {
                "require": {"zone": "a", "cores": {"gt": 8}},
                "prefer": [{"labels": {"disk": "ssd"}, "weight": 3}],
                "tolerate": ["*"],
                "avoid": ["db", "noise=high"],
                "priority": 5,
            }},
        }))
        .unwrap();
        let shape = shape_of(&function.metadata.key().unwrap(), &function.spec);
        assert_eq!(
            (&*shape.function, &*shape.tenant, &*shape.sandbox),
            ("shop/hello", "shop", "linux")
        );
        let require: Vec<String> = shape.require.iter().map(ToString::to_string).collect();
        assert_eq!(require, ["cores > 8", "zone=a"]);
        assert_eq!(shape.prefer[0].1, 3.0);
        assert_eq!(shape.avoid.iter().map(|a| &**a).collect::<Vec<_>>(), ["shop/db", "noise=high"]);
        assert_eq!((shape.priority, shape.tolerate[0].key.as_deref()), (5, None));
        assert_eq!(shape.check(), Ok(()));
    }
}
