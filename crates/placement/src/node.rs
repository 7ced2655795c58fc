//! [`NodeSpec`]: what a node says of itself, and the checks that keep a wrong
//! statement from becoming a wrong placement. Units are in the types; a number
//! that cannot be a node's is refused with the field's name.

use std::collections::BTreeMap;
use std::sync::Arc;

use gapless_types::{Bytes, CpuMillis, NodeId};

/// Labels one node may carry. Kubernetes bounds them by the size of the object
/// (256 KiB, about 1,000 labels); a bound keeps a node's update cheap.
pub const LABELS_MAX: usize = 1_000;
/// Taints one node may carry.
pub const TAINTS_MAX: usize = 64;
/// Devices of one node.
pub const DEVICES_MAX: usize = 64;
/// NUMA nodes of one node.
pub const NUMA_NODES_MAX: usize = 16;
/// Images, snapshots, pools and data a node may say it holds.
pub const HELD_MAX: usize = 100_000;
/// Most memory or disk one node may have: 1 PiB. More is a wrong unit.
const BYTES_MAX: u64 = 1 << 50;
/// Most processor share one node may have: 100,000 cores. More is a wrong unit.
const CPU_MILLIS_MAX: u32 = 100_000_000;
/// Least memory of a node: 1 MiB. Less is a wrong unit (MiB given as bytes).
const MEMORY_MIN: u64 = 1 << 20;

/// What a node offers and what it is.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeSpec {
    /// Its name.
    pub id: NodeId,
    /// Processor share.
    pub cpu: CpuMillis,
    /// Memory.
    pub memory: Bytes,
    /// Disk for instances' files.
    pub disk: Bytes,
    /// Kinds of sandboxes it has, such as `wasm`.
    pub sandboxes: Vec<Arc<str>>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Taints: an instance must tolerate each to be placed here.
    pub taints: Vec<Taint>,
    /// The zone it is in: what fails together.
    pub zone: Arc<str>,
    /// The rack within the zone: what is near.
    pub rack: Arc<str>,
    /// Accelerators, one entry per device.
    pub devices: Vec<Arc<str>>,
    /// NUMA nodes; empty when it has one, or does not say.
    pub numa: Vec<NumaSpec>,
    /// What may run here.
    pub trust: NodeTrust,
    /// The only tenant that may use it.
    pub tenant: Option<Arc<str>>,
    /// Power draw, when known.
    pub power: Option<Power>,
    /// Chance that it is taken away within an hour, 0 to 1 (spot instances).
    pub spot_risk: f32,
}

impl NodeSpec {
    /// A node with these resources and nothing special about it.
    pub fn new(id: NodeId, cpu: CpuMillis, memory: Bytes) -> Self {
        NodeSpec {
            id,
            cpu,
            memory,
            disk: Bytes(1 << 40),
            sandboxes: Vec::new(),
            labels: BTreeMap::new(),
            taints: Vec::new(),
            zone: "".into(),
            rack: "".into(),
            devices: Vec::new(),
            numa: Vec::new(),
            trust: NodeTrust::Any,
            tenant: None,
            power: None,
            spot_risk: 0.0,
        }
    }

    /// What is wrong with it, if anything.
    pub fn check(&self) -> Result<(), NodeError> {
        let wrong =
            |field, message: String| Err(NodeError { node: self.id.clone(), field, message });
        let bounds = [
            ("labels", self.labels.len(), LABELS_MAX),
            ("taints", self.taints.len(), TAINTS_MAX),
            ("devices", self.devices.len(), DEVICES_MAX),
            ("numa", self.numa.len(), NUMA_NODES_MAX),
        ];
        for (field, found, most) in bounds {
            if found > most {
                return wrong(field, format!("has {found}, allowed are {most}"));
            }
        }
        if !(1..=CPU_MILLIS_MAX).contains(&self.cpu.0) {
            return wrong("cpu", format!("{} is not between 1m and 100000 cores", self.cpu));
        }
        if !(MEMORY_MIN..=BYTES_MAX).contains(&self.memory.0) {
            let message = format!("{} is not between 1Mi and 1024Ti; it is in bytes", self.memory);
            return wrong("memory", message);
        }
        if self.disk.0 > BYTES_MAX {
            return wrong("disk", format!("{} is more than 1024Ti; it is in bytes", self.disk));
        }
        if !(0.0..=1.0).contains(&self.spot_risk) {
            return wrong("spotRisk", format!("{} is not between 0 and 1", self.spot_risk));
        }
        if let Some(power) = self.power
            && !(power.idle_watts >= 0.0
                && power.idle_watts <= power.max_watts
                && power.max_watts.is_finite()
                && power.cap_watts > 0.0)
        {
            let message = "needs 0 <= idle <= max watts, and a cap above 0".to_owned();
            return wrong("power", message);
        }
        let (cpu, memory) = self.numa.iter().fold((0u64, 0u64), |(cpu, memory), numa| {
            (cpu + u64::from(numa.cpu.0), memory.saturating_add(numa.memory.0))
        });
        if cpu > u64::from(self.cpu.0) || memory > self.memory.0 {
            return wrong("numa", "its NUMA nodes have more than the node itself".to_owned());
        }
        Ok(())
    }
}

/// Why a node was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("node {node}: {field}: {message}")]
pub struct NodeError {
    /// Which node.
    pub node: NodeId,
    /// Which field of it.
    pub field: &'static str,
    /// What was found and what is allowed.
    pub message: String,
}

/// Keeps instances away that do not tolerate it (Kubernetes, taints and tolerations).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Taint {
    /// Its key.
    pub key: String,
    /// Its value; may be empty.
    pub value: String,
    /// How strongly.
    pub effect: TaintEffect,
}

/// How strongly a taint keeps instances away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaintEffect {
    /// No instance that does not tolerate it.
    NoSchedule,
    /// Others first.
    PreferNoSchedule,
}

/// One NUMA node of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumaSpec {
    /// Processor share.
    pub cpu: CpuMillis,
    /// Memory.
    pub memory: Bytes,
}

/// Whose code a node runs (OpenWhisk's managed and black-box invokers).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NodeTrust {
    /// Anybody's.
    #[default]
    Any,
    /// Only what the platform built.
    Managed,
    /// Only what users built.
    Untrusted,
}

/// A node's power draw.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Power {
    /// With nothing to do.
    pub idle_watts: f32,
    /// With every core busy.
    pub max_watts: f32,
    /// What it must not exceed.
    pub cap_watts: f32,
}

/// Measured use of a node, as shares of its capacity.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// Processor, 0 to 1.
    pub cpu: f32,
    /// Memory, 0 to 1.
    pub memory: f32,
    /// Standard deviation of the processor's.
    pub cpu_deviation: f32,
}

/// What a node can hold that a start needs: being near it makes a start faster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// An image or compiled code.
    Image,
    /// A snapshot, or a zygote to fork from.
    Snapshot,
    /// A prewarmed sandbox of an environment.
    Pool,
    /// An object or state that functions read.
    Data,
}

impl Held {
    /// The name under which it is interned.
    pub(crate) fn key(self, name: &str) -> String {
        let kind = match self {
            Held::Image => 'i',
            Held::Snapshot => 's',
            Held::Pool => 'p',
            Held::Data => 'd',
        };
        format!("{kind}:{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> NodeSpec {
        NodeSpec::new(NodeId::new("n1"), CpuMillis(4000), Bytes(8 << 30))
    }

    fn error(change: impl FnOnce(&mut NodeSpec)) -> String {
        let mut spec = node();
        change(&mut spec);
        spec.check().unwrap_err().to_string()
    }

    #[test]
    fn a_wrong_statement_names_the_field() {
        assert_eq!(node().check(), Ok(()));
        assert!(error(|n| n.memory = Bytes(8192)).starts_with("node n1: memory: "));
        assert!(error(|n| n.memory = Bytes(8 << 50)).contains("in bytes"));
        assert!(error(|n| n.cpu = CpuMillis(0)).starts_with("node n1: cpu: "));
        assert!(error(|n| n.spot_risk = f32::NAN).contains("spotRisk"));
        let labels = (0..10_000).map(|i| (format!("l{i}"), String::new()));
        let many = error(|n| n.labels = labels.collect());
        assert_eq!(many, "node n1: labels: has 10000, allowed are 1000");
        let numa = NumaSpec { cpu: CpuMillis(3000), memory: Bytes(1 << 30) };
        assert!(error(|n| n.numa = vec![numa; 2]).contains("numa"));
    }
}
