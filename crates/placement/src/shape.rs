//! [`ShapeSpec`]: what an instance needs and would like of a node. Instances of one
//! shape are alike to every policy, so one evaluation of a node serves all of them:
//! that is what makes a burst of ten thousand instances one decision. A revision is
//! one shape; revisions that need the same are still told apart by their function,
//! because spreading and affinity look at it.

use std::collections::BTreeMap;
use std::sync::Arc;

use gapless_types::{Bytes, CpuMillis};

use crate::node::{Taint, TaintEffect};

/// Requirements, preferences or tolerations one shape may have.
pub const TERMS_MAX: usize = 64;
/// Labels an instance may carry for affinity.
pub const MARKS_MAX: usize = 32;

/// What instances of one kind need.
#[derive(Clone, Debug, PartialEq)]
pub struct ShapeSpec {
    /// The function, `NAMESPACE/NAME`.
    pub function: Arc<str>,
    /// Whose it is: the namespace.
    pub tenant: Arc<str>,
    /// Class of workload, for interference; empty is unknown.
    pub class: Arc<str>,
    /// Processor share.
    pub cpu: CpuMillis,
    /// Memory.
    pub memory: Bytes,
    /// Disk.
    pub disk: Bytes,
    /// The kind of sandbox.
    pub sandbox: Arc<str>,
    /// Devices.
    pub devices: Option<DeviceNeed>,
    /// Whether its cpu and memory must come from one NUMA node.
    pub one_numa_node: bool,
    /// Whether it wants a node for itself.
    pub monopoly: bool,
    /// Whether its code was built by the platform or by a user.
    pub is_untrusted: bool,
    /// Whether only nodes dedicated to its tenant will do.
    pub dedicated: bool,
    /// What a node's labels must satisfy.
    pub require: Vec<Requirement>,
    /// What a node's labels had better satisfy, with weights.
    pub prefer: Vec<(Requirement, f32)>,
    /// Labels of the instance itself, `key=value`, that others may avoid.
    pub marks: Vec<Arc<str>>,
    /// Marks, or functions as `NAMESPACE/NAME`, that must not be on the same node.
    pub avoid: Vec<Arc<str>>,
    /// Taints it tolerates.
    pub tolerate: Vec<Toleration>,
    /// Its image or compiled code.
    pub image: Option<Arc<str>>,
    /// Snapshots or zygotes it can start from: its own first, then each's parent.
    pub snapshots: Vec<Arc<str>>,
    /// The environment whose prewarmed sandboxes it can use.
    pub pool: Option<Arc<str>>,
    /// Data it reads, with sizes.
    pub data: Vec<(Arc<str>, Bytes)>,
    /// Functions it calls, `NAMESPACE/NAME`.
    pub calls: Vec<Arc<str>>,
    /// Higher may displace lower.
    pub priority: i32,
}

impl ShapeSpec {
    /// A shape of `function` (`NAMESPACE/NAME`) with these needs.
    pub fn new(function: &str, sandbox: &str, cpu: CpuMillis, memory: Bytes) -> Self {
        let tenant = function.split_once('/').map_or("", |(tenant, _)| tenant);
        ShapeSpec {
            function: function.into(),
            tenant: tenant.into(),
            class: "".into(),
            cpu,
            memory,
            disk: Bytes(0),
            sandbox: sandbox.into(),
            devices: None,
            one_numa_node: false,
            monopoly: false,
            is_untrusted: false,
            dedicated: false,
            require: Vec::new(),
            prefer: Vec::new(),
            marks: Vec::new(),
            avoid: Vec::new(),
            tolerate: Vec::new(),
            image: None,
            snapshots: Vec::new(),
            pool: None,
            data: Vec::new(),
            calls: Vec::new(),
            priority: 0,
        }
    }

    /// What is wrong with it, if anything.
    pub fn check(&self) -> Result<(), ShapeError> {
        let wrong = |field, message: String| Err(ShapeError { field, message });
        let bounds = [
            ("require", self.require.len(), TERMS_MAX),
            ("prefer", self.prefer.len(), TERMS_MAX),
            ("tolerate", self.tolerate.len(), TERMS_MAX),
            ("avoid", self.avoid.len(), TERMS_MAX),
            ("snapshots", self.snapshots.len(), TERMS_MAX),
            ("data", self.data.len(), TERMS_MAX),
            ("calls", self.calls.len(), TERMS_MAX),
            ("labels", self.marks.len(), MARKS_MAX),
        ];
        for (field, found, most) in bounds {
            if found > most {
                return wrong(field, format!("has {found} entries, allowed are {most}"));
            }
        }
        for (requirement, weight) in &self.prefer {
            if !(weight.is_finite() && (0.0..=100.0).contains(weight)) {
                let message = format!("weight {weight} of {requirement} is not between 0 and 100");
                return wrong("prefer", message);
            }
        }
        if let Some(need) = &self.devices
            && (need.count == 0 || !(1..=1000).contains(&need.share_millis))
        {
            return wrong("devices", "needs a count of at least 1 and a share of 1m to 1".into());
        }
        if let Some(need) = &self.devices
            && need.share_millis < 1000
            && need.count > 1
        {
            return wrong("devices", "a share of a device can be asked for once, not more".into());
        }
        Ok(())
    }
}

/// Why a shape was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct ShapeError {
    /// Which field.
    pub field: &'static str,
    /// What was found and what is allowed.
    pub message: String,
}

/// Devices of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceNeed {
    /// The kind, such as `gpu`.
    pub kind: Arc<str>,
    /// How many whole devices; 1 when a share is asked for.
    pub count: u8,
    /// The share of the device, in thousandths; 1000 is all of it.
    pub share_millis: u16,
}

/// A condition on a node's labels (Kubernetes, node affinity).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Requirement {
    /// The label.
    pub key: String,
    /// What holds for its value.
    pub operator: Operator,
}

/// What must hold for a label's value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operator {
    /// It is one of these.
    In(Vec<String>),
    /// It is there and none of these, or it is absent.
    NotIn(Vec<String>),
    /// It is there.
    Exists,
    /// It is not there.
    DoesNotExist,
    /// It is a whole number above this.
    Gt(i64),
    /// It is a whole number below this.
    Lt(i64),
}

impl Requirement {
    /// `key` has this value.
    pub fn is(key: &str, value: &str) -> Self {
        Requirement { key: key.to_owned(), operator: Operator::In(vec![value.to_owned()]) }
    }

    /// Whether a node with these labels satisfies it.
    pub fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match &self.operator {
            Operator::In(values) => value.is_some_and(|value| values.contains(value)),
            Operator::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Gt(than) => number().is_some_and(|number| number > *than),
            Operator::Lt(than) => number().is_some_and(|number| number < *than),
        }
    }
}

impl std::fmt::Display for Requirement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = &self.key;
        match &self.operator {
            Operator::In(values) => match values.as_slice() {
                [value] => write!(f, "{key}={value}"),
                _ => write!(f, "{key} in ({})", values.join(", ")),
            },
            Operator::NotIn(values) => write!(f, "{key} not in ({})", values.join(", ")),
            Operator::Exists => write!(f, "{key}"),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::Gt(than) => write!(f, "{key} > {than}"),
            Operator::Lt(than) => write!(f, "{key} < {than}"),
        }
    }
}

/// A taint an instance does not mind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toleration {
    /// The taint's key; every taint's when `None`.
    pub key: Option<String>,
    /// The taint's value; every value when `None`.
    pub value: Option<String>,
    /// The taint's effect; every effect when `None`.
    pub effect: Option<TaintEffect>,
}

impl Toleration {
    /// Whether it covers a taint.
    pub fn covers(&self, taint: &Taint) -> bool {
        self.key.as_ref().is_none_or(|key| *key == taint.key)
            && self.value.as_ref().is_none_or(|value| *value == taint.value)
            && self.effect.is_none_or(|effect| effect == taint.effect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_read_like_kubernetes() {
        let labels = BTreeMap::from([("zone".into(), "a".into()), ("cores".into(), "16".into())]);
        let holds = |key: &str, operator| Requirement { key: key.into(), operator }.holds(&labels);
        assert!(Requirement::is("zone", "a").holds(&labels));
        assert!(!Requirement::is("zone", "b").holds(&labels));
        assert!(holds("zone", Operator::NotIn(vec!["b".into()])));
        assert!(holds("gpu", Operator::NotIn(vec!["b".into()])), "absent is not in");
        assert!(holds("gpu", Operator::DoesNotExist) && !holds("gpu", Operator::Exists));
        assert!(holds("cores", Operator::Gt(15)) && !holds("cores", Operator::Gt(16)));
        assert!(holds("cores", Operator::Lt(17)) && !holds("zone", Operator::Lt(17)));
    }

    #[test]
    fn a_toleration_covers_by_what_it_names() {
        let taint =
            Taint { key: "gpu".into(), value: "yes".into(), effect: TaintEffect::NoSchedule };
        let any = Toleration { key: None, value: None, effect: None };
        assert!(any.covers(&taint));
        assert!(Toleration { key: Some("gpu".into()), ..any.clone() }.covers(&taint));
        assert!(!Toleration { value: Some("no".into()), ..any }.covers(&taint));
    }

    #[test]
    fn impossible_needs_are_refused_by_name() {
        let spec = || ShapeSpec::new("a/f", "wasm", CpuMillis(100), Bytes(1 << 20));
        assert_eq!(spec().tenant.as_ref(), "a");
        let mut nan = spec();
        nan.prefer.push((Requirement::is("zone", "a"), f32::NAN));
        assert!(nan.check().unwrap_err().to_string().starts_with("prefer: weight NaN"));
        let mut halves = spec();
        halves.devices = Some(DeviceNeed { kind: "gpu".into(), count: 2, share_millis: 500 });
        assert!(halves.check().unwrap_err().to_string().starts_with("devices: "));
    }
}
