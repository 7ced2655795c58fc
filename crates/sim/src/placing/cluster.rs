//! The real cluster, filled with a world's nodes and a mix's functions, and what nodes
//! hold kept true in it.

use std::sync::Arc;

use gapless_placement::node::{Power, Taint, TaintEffect};
use gapless_placement::shape::{DeviceNeed, Requirement, Toleration};
use gapless_placement::{Cluster, Config, Held, NodeIndex, NodeSpec, Profile, ShapeId, ShapeSpec};
use gapless_types::{Bytes, CpuMillis, NodeId};

use super::model;
use super::world::{Function, Kind, Machine, Mix, World};

const SANDBOX: &str = "fake";
const DEVICE: &str = "gpu";
/// Watts of a node per core with everything busy: for placement's own estimate.
const WATTS_PER_CORE: f32 = 10.0;
/// Nodes of which every fourth has prewarmed sandboxes of a runtime.
const POOL_EVERY: usize = 4;

/// What a node can hold, as a number for its cache.
#[derive(Clone, Debug)]
pub(crate) struct Things {
    names: Vec<(Held, String)>,
    functions: u32,
    runtimes: Vec<&'static str>,
    data: Vec<&'static str>,
}

impl Things {
    pub(crate) fn new(mix: &Mix) -> Self {
        let unique = |of: &dyn Fn(&Function) -> Option<&'static str>| {
            let mut names: Vec<&'static str> = mix.functions.iter().filter_map(of).collect();
            names.sort_unstable();
            names.dedup();
            names
        };
        let runtimes = unique(&|f| f.runtime);
        let data = unique(&|f| f.data.map(|(name, _)| name));
        let mut names: Vec<(Held, String)> = Vec::new();
        names.extend(mix.functions.iter().map(|f| (Held::Image, f.name.clone())));
        names.extend(mix.functions.iter().map(|f| (Held::Snapshot, f.name.clone())));
        names.extend(runtimes.iter().map(|name| (Held::Snapshot, format!("runtime-{name}"))));
        names.extend(data.iter().map(|name| (Held::Data, (*name).to_owned())));
        Things { names, functions: mix.functions.len() as u32, runtimes, data }
    }

    pub(crate) fn image(&self, function: u32) -> u32 {
        function
    }

    pub(crate) fn snapshot(&self, function: u32) -> u32 {
        self.functions + function
    }

    pub(crate) fn zygote(&self, runtime: &str) -> Option<u32> {
        let at = self.runtimes.iter().position(|name| *name == runtime)?;
        Some(2 * self.functions + at as u32)
    }

    pub(crate) fn data(&self, name: &str) -> Option<u32> {
        let at = self.data.iter().position(|known| *known == name)?;
        Some(2 * self.functions + (self.runtimes.len() + at) as u32)
    }

    /// Says in the cluster whether a node holds it.
    pub(crate) fn tell(&self, cluster: &mut Cluster, node: u32, key: u32, is_held: bool) {
        let (kind, name) = &self.names[key as usize];
        // The number of things is bounded by the mix.
        let _ = cluster.set_held(NodeIndex(node), *kind, name, is_held);
    }
}

/// Whether a node has prewarmed sandboxes of a runtime.
pub(crate) fn has_pool(node: usize, runtime: &str) -> bool {
    let offset = runtime.bytes().map(usize::from).sum::<usize>();
    (node + offset).is_multiple_of(POOL_EVERY)
}

/// A cluster of a world's nodes.
pub(crate) fn cluster(world: &World, mix: &Mix, seed: u64) -> Cluster {
    let mut cluster = Cluster::new(Config { seed, ..Config::default() });
    for one in Kind::ALL {
        for other in Kind::ALL {
            cluster.set_slowdown(one.as_str(), other.as_str(), model::told_slowdown(one, other));
        }
    }
    let things = Things::new(mix);
    for (number, machine) in world.machines.iter().enumerate() {
        let node = cluster.add_node(node(number, machine)).expect("modelled nodes are sound");
        for runtime in things.runtimes.iter().filter(|runtime| has_pool(number, runtime)) {
            let held = cluster.set_held(node, Held::Pool, runtime, true);
            debug_assert!(held.is_ok());
        }
    }
    cluster
}

fn node(number: usize, machine: &Machine) -> NodeSpec {
    let id = NodeId::new(&format!("node-{number:03}"));
    let mut spec = NodeSpec::new(id, CpuMillis(machine.cores * 1000), machine.memory);
    spec.sandboxes = vec![SANDBOX.into()];
    spec.zone = format!("zone-{}", machine.zone).into();
    spec.rack = format!("rack-{}", machine.rack).into();
    spec.devices = vec![DEVICE.into(); machine.devices as usize];
    spec.spot_risk = machine.spot_risk as f32;
    let generation = if machine.speed < 1.0 { "old" } else { "new" };
    spec.labels.insert("generation".to_owned(), generation.to_owned());
    if machine.spot_risk > 0.0 {
        let (key, value) = ("spot".to_owned(), String::new());
        spec.taints = vec![Taint { key, value, effect: TaintEffect::PreferNoSchedule }];
    }
    let max_watts = machine.cores as f32 * WATTS_PER_CORE;
    spec.power = Some(Power {
        idle_watts: max_watts * model::IDLE_DRAW as f32,
        max_watts,
        cap_watts: max_watts * machine.power_cap.unwrap_or(1.2) as f32,
    });
    spec
}

/// Makes a function known.
pub(crate) fn shape(cluster: &mut Cluster, function: &Function, profile: &Arc<Profile>) -> ShapeId {
    let name = format!("{}/{}", function.tenant, function.name);
    let mut shape = ShapeSpec::new(&name, SANDBOX, function.cpu, function.memory);
    shape.class = function.kind.as_str().into();
    shape.image = Some(function.name.as_str().into());
    shape.snapshots = vec![function.name.as_str().into()];
    if let Some(runtime) = function.runtime {
        shape.snapshots.push(format!("runtime-{runtime}").into());
        shape.pool = Some(runtime.into());
    }
    if let Some((called, _)) = &function.calls {
        shape.calls = vec![called.as_str().into()];
    }
    if let Some((name, bytes)) = function.data {
        shape.data = vec![(name.into(), Bytes(bytes.0))];
    }
    if function.wants_new {
        shape.prefer = vec![(Requirement::is("generation", "new"), 1.0)];
    }
    if function.needs_device {
        shape.devices = Some(DeviceNeed { kind: DEVICE.into(), count: 1, share_millis: 1000 });
    }
    if function.tolerates_spot {
        shape.tolerate = vec![Toleration { key: Some("spot".into()), value: None, effect: None }];
    }
    let profile = Arc::clone(profile);
    cluster.add_shape(shape, profile).expect("modelled shapes are sound")
}
