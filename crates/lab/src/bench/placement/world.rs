//! The cluster and the shapes that `bench placement` places: made from a seed, with
//! something for every policy to look at: zones and racks, labels, taints, devices,
//! dedicated and partitioned nodes, images, snapshots, pools and data here and there,
//! measured load, power caps, classes that slow each other down, failures.

use std::sync::Arc;

use gapless_placement::node::{NodeTrust, NumaSpec, Power, Taint, TaintEffect};
use gapless_placement::profile::PolicySpec;
use gapless_placement::registry::{POLICIES, Phase};
use gapless_placement::shape::{DeviceNeed, Requirement, Toleration};
use gapless_placement::{
    Cluster, Config, Held, Load, NodeSpec, Profile, ProfileSpec, ShapeId, ShapeSpec,
};
use gapless_types::{Bytes, CpuMillis, NodeId};

/// Racks hold this many nodes.
const PER_RACK: u64 = 40;
const ZONES: u64 = 3;
const CLASSES: [&str; 4] = ["cpu", "memory", "io", "idle"];
/// Things of each kind that nodes may hold.
const HELD_NAMES: u64 = 200;

/// Numbers that follow from a seed (SplitMix64; Steele, Lea and Flood, OOPSLA 2014).
#[derive(Clone, Debug)]
pub(crate) struct Draw(u64);

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Draw(seed)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }

    fn share(&mut self) -> f32 {
        self.below(1 << 20) as f32 / (1 << 20) as f32
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// A cluster of `nodes` nodes.
pub(crate) fn cluster(nodes: u64, config: Config) -> Cluster {
    let mut draw = Draw::new(config.seed);
    let mut cluster = Cluster::new(config);
    for (class, neighbour, slowdown) in
        [("cpu", "cpu", 0.2), ("memory", "memory", 0.3), ("cpu", "memory", 0.05), ("io", "io", 0.4)]
    {
        cluster.set_slowdown(class, neighbour, slowdown);
    }
    for number in 0..nodes {
        let spec = node(number, &mut draw);
        let node = cluster.add_node(spec).expect("the bench's nodes are sound");
        let load = Load {
            cpu: draw.share(),
            memory: draw.share() * 0.8,
            cpu_deviation: draw.share() / 4.0,
        };
        cluster.set_load(node, load);
        for kind in [Held::Image, Held::Snapshot, Held::Pool, Held::Data] {
            for _ in 0..3 {
                let name = draw.below(HELD_NAMES).to_string();
                cluster.set_held(node, kind, &name, true).expect("a few things");
            }
        }
        if draw.one_in(50) {
            cluster.note_failure(node);
        }
        if draw.one_in(100) {
            cluster.set_cordoned(node, true);
        }
        if draw.one_in(100) {
            cluster.set_healthy(node, false);
        }
    }
    cluster
}

/// A node: 32 cores and 128 GiB, twice that for every fourth.
fn node(number: u64, draw: &mut Draw) -> NodeSpec {
    let size = if number % 4 == 3 { 2 } else { 1 };
    let (cpu, memory) = (CpuMillis(32_000 * size), Bytes((128 << 30) * u64::from(size)));
    let mut node = NodeSpec::new(NodeId::new(&format!("n{number}")), cpu, memory);
    node.zone = format!("z{}", number % ZONES).into();
    node.rack = format!("r{}", number / ZONES / PER_RACK).into();
    node.sandboxes = vec!["wasm".into()];
    if !draw.one_in(4) {
        node.sandboxes.push("linux".into());
    }
    let mut label = |key: &str, value: String| drop(node.labels.insert(key.to_owned(), value));
    label("disk", if draw.one_in(3) { "hdd" } else { "ssd" }.to_owned());
    label("arch", if draw.one_in(5) { "arm64" } else { "amd64" }.to_owned());
    label("generation", draw.below(6).to_string());
    label("hostname", format!("n{number}"));
    if draw.one_in(20) {
        let effect =
            if draw.one_in(2) { TaintEffect::NoSchedule } else { TaintEffect::PreferNoSchedule };
        node.taints = vec![Taint { key: "spot".to_owned(), value: String::new(), effect }];
        node.spot_risk = 0.1;
    }
    if draw.one_in(16) {
        node.devices = vec!["gpu".into(); 4];
    }
    if draw.one_in(2) {
        let numa = NumaSpec { cpu: CpuMillis(cpu.0 / 2), memory: Bytes(memory.0 / 2) };
        node.numa = vec![numa; 2];
    }
    if draw.one_in(40) {
        node.tenant = Some(format!("tenant{}", draw.below(4)).into());
    }
    node.trust = match draw.below(10) {
        0 => NodeTrust::Untrusted,
        1 => NodeTrust::Managed,
        _ => NodeTrust::Any,
    };
    node.power = Some(Power { idle_watts: 80.0, max_watts: 400.0, cap_watts: 350.0 });
    node
}

/// A shape; the first is one that every policy has something to say of.
pub(crate) fn shape(number: u64, draw: &mut Draw) -> ShapeSpec {
    let name = format!("tenant{}/f{number}", number % 20);
    let cpu = CpuMillis(100 + 50 * draw.below(10) as u32);
    let memory = Bytes((64 << 20) * (1 + draw.below(8)));
    let mut shape = ShapeSpec::new(&name, "wasm", cpu, memory);
    let is_first = number == 0;
    shape.class = CLASSES[draw.below(4) as usize].into();
    shape.disk = Bytes(1 << 20);
    shape.image = Some(draw.below(HELD_NAMES).to_string().into());
    shape.snapshots = (0..3).map(|_| draw.below(HELD_NAMES).to_string().into()).collect();
    shape.pool = Some(draw.below(HELD_NAMES).to_string().into());
    shape.data = vec![
        (draw.below(HELD_NAMES).to_string().into(), Bytes(3 << 20)),
        (draw.below(HELD_NAMES).to_string().into(), Bytes(1 << 20)),
    ];
    shape.prefer =
        vec![(Requirement::is("disk", "ssd"), 2.0), (Requirement::is("generation", "5"), 1.0)];
    shape.tolerate = vec![Toleration { key: Some("spot".into()), value: None, effect: None }];
    shape.calls = vec![format!("tenant{}/f{}", (number + 1) % 20, number + 1).into()];
    if is_first || draw.one_in(4) {
        shape.require = vec![Requirement::is("arch", "amd64")];
    }
    if is_first || draw.one_in(10) {
        shape.avoid = vec!["noise=high".into()];
    }
    if draw.one_in(20) {
        shape.marks = vec!["noise=high".into()];
    }
    if is_first || draw.one_in(10) {
        shape.one_numa_node = true;
    }
    if draw.one_in(50) && !is_first {
        shape.devices = Some(DeviceNeed { kind: "gpu".into(), count: 1, share_millis: 100 });
    }
    shape.is_untrusted = draw.one_in(10);
    shape
}

/// The profile of `all`, `default`, or a list of policies.
pub(crate) fn profile(policies: &str) -> Result<Profile, String> {
    let mut spec = ProfileSpec::default();
    match policies {
        "default" => {}
        "all" => {
            let all = POLICIES.iter().filter(|policy| policy.phase != Phase::Filter);
            let all = all.filter(|policy| policy.name != "tenant-quota");
            spec.policies = all.map(|policy| of(policy.name)).collect();
        }
        names => spec.policies = names.split(',').map(|name| of(name.trim())).collect(),
    }
    Profile::new(policies, &spec)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

fn of(name: &str) -> PolicySpec {
    PolicySpec { policy: name.to_owned(), ..PolicySpec::default() }
}

/// Registers `count` shapes.
pub(crate) fn shapes(cluster: &mut Cluster, count: u64, profile: &Arc<Profile>) -> Vec<ShapeId> {
    let mut draw = Draw::new(cluster_seed(count));
    let mut add = |number| {
        let spec = shape(number, &mut draw);
        cluster.add_shape(spec, Arc::clone(profile)).expect("the bench's shapes are sound")
    };
    (0..count).map(&mut add).collect()
}

fn cluster_seed(count: u64) -> u64 {
    0x5eed ^ count
}
