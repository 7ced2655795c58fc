//! What holds for all clusters, of whatever nodes, shapes and calls:
//!
//! - nothing is overcommitted or leaked, and kept scores equal computed ones, after any
//!   interleaving of placing, confirming, stopping and nodes that change and go;
//! - what a search of all nodes finds possible is placed, and nothing else is;
//! - a small cluster gets the best node there is, to a rounding;
//! - the same calls give the same placements.

use std::sync::Arc;

use gapless_placement::node::{NumaSpec, Taint, TaintEffect};
use gapless_placement::profile::PolicySpec;
use gapless_placement::registry::{POLICIES, Phase};
use gapless_placement::shape::{DeviceNeed, Requirement, Toleration};
use gapless_placement::{
    Cluster, Config, Held, Load, NodeSpec, Outcome, Profile, ProfileSpec, Request, ShapeId,
    ShapeSpec, plain,
};
use gapless_types::{Bytes, CpuMillis, InstanceId, NodeId, Time};
use proptest::prelude::*;

/// A score's rounding: keys have 2^-30 steps per score, and a sum has up to 40.
const ROUNDING: f32 = 1e-4;

/// Every score but those drawn at random, so that a best node exists.
fn profile() -> Arc<Profile> {
    let scores = POLICIES.iter().filter(|policy| policy.phase == Phase::Score);
    let scores = scores.filter(|policy| policy.name != "power-of-two-choices");
    let policies = scores.map(|policy| PolicySpec::new(policy.name, 1.0)).collect();
    Arc::new(Profile::new("all", &ProfileSpec { policies, ..ProfileSpec::default() }).unwrap())
}

#[derive(Clone, Debug)]
struct Node {
    zone: u8,
    rack: u8,
    cores: u8,
    has_ssd: bool,
    is_tainted: bool,
    devices: u8,
    is_numa: bool,
    tenant: Option<u8>,
    held: u8,
}

fn node() -> impl Strategy<Value = Node> {
    (
        (0..3_u8, 0..4_u8, 1..5_u8, any::<bool>(), prop::bool::weighted(0.2)),
        (0..3_u8, any::<bool>(), prop::option::weighted(0.15, 0..2_u8), 0..4_u8),
    )
        .prop_map(
            |((zone, rack, cores, has_ssd, is_tainted), (devices, is_numa, tenant, held))| Node {
                zone,
                rack,
                cores,
                has_ssd,
                is_tainted,
                devices,
                is_numa,
                tenant,
                held,
            },
        )
}

fn spec(index: usize, node: &Node) -> NodeSpec {
    let (cpu, memory) = (u32::from(node.cores) * 1000, u64::from(node.cores) << 30);
    let mut spec = NodeSpec::new(NodeId::new(&format!("n{index}")), CpuMillis(cpu), Bytes(memory));
    spec.sandboxes = vec!["wasm".into()];
    spec.zone = format!("z{}", node.zone).into();
    spec.rack = format!("r{}", node.rack).into();
    spec.devices = vec!["gpu".into(); node.devices as usize];
    if node.has_ssd {
        spec.labels.insert("disk".into(), "ssd".into());
    }
    if node.is_tainted {
        let effect = TaintEffect::NoSchedule;
        spec.taints = vec![Taint { key: "spot".into(), value: String::new(), effect }];
    }
    if node.is_numa {
        let half = NumaSpec { cpu: CpuMillis(cpu / 2), memory: Bytes(memory / 2) };
        spec.numa = vec![half; 2];
    }
    spec.tenant = node.tenant.map(|tenant| format!("t{tenant}").into());
    spec
}

#[derive(Clone, Debug)]
struct Wish {
    function: u8,
    tenant: u8,
    cpu: u16,
    mib: u16,
    needs_ssd: bool,
    tolerates: bool,
    gpu_millis: u16,
    one_numa_node: bool,
    avoids_itself: bool,
    is_monopoly: bool,
    is_dedicated: bool,
}

fn wish() -> impl Strategy<Value = Wish> {
    (
        (0..4_u8, 0..3_u8, 50..1500_u16, 16..900_u16, prop::bool::weighted(0.3)),
        (
            prop::bool::weighted(0.3),
            prop_oneof![5 => Just(0_u16), 1 => Just(300), 1 => Just(1000)],
            prop::bool::weighted(0.3),
            prop::bool::weighted(0.2),
            prop::bool::weighted(0.1),
            prop::bool::weighted(0.1),
        ),
    )
        .prop_map(|((function, tenant, cpu, mib, needs_ssd), rest)| {
            let (tolerates, gpu_millis, one_numa_node, avoids_itself, is_monopoly, is_dedicated) =
                rest;
            Wish {
                function,
                tenant,
                cpu,
                mib,
                needs_ssd,
                tolerates,
                gpu_millis,
                one_numa_node,
                avoids_itself,
                is_monopoly,
                is_dedicated,
            }
        })
}

fn shape(wish: &Wish) -> ShapeSpec {
    let name = format!("t{}/f{}", wish.tenant, wish.function);
    let (cpu, memory) = (CpuMillis(wish.cpu.into()), Bytes(u64::from(wish.mib) << 20));
    let mut shape = ShapeSpec::new(&name, "wasm", cpu, memory);
    shape.class = if wish.function.is_multiple_of(2) { "cpu" } else { "memory" }.into();
    shape.snapshots = vec![format!("s{}", wish.function).into(), "base".into()];
    shape.image = Some(format!("s{}", wish.function).into());
    shape.prefer = vec![(Requirement::is("disk", "ssd"), 1.0)];
    shape.one_numa_node = wish.one_numa_node;
    shape.monopoly = wish.is_monopoly;
    shape.dedicated = wish.is_dedicated;
    if wish.needs_ssd {
        shape.require = vec![Requirement::is("disk", "ssd")];
    }
    if wish.tolerates {
        shape.tolerate = vec![Toleration { key: None, value: None, effect: None }];
    }
    if wish.gpu_millis > 0 {
        let share_millis = wish.gpu_millis;
        shape.devices = Some(DeviceNeed { kind: "gpu".into(), count: 1, share_millis });
    }
    if wish.avoids_itself {
        shape.avoid = vec![name.as_str().into()];
    }
    shape
}

struct World {
    cluster: Cluster,
    nodes: Vec<Node>,
    shapes: Vec<ShapeId>,
    next: u64,
    alive: Vec<InstanceId>,
}

impl World {
    fn new(nodes: &[Node], wishes: &[Wish], config: Config) -> Self {
        let mut cluster = Cluster::new(config);
        cluster.set_slowdown("cpu", "cpu", 0.4);
        for (index, node) in nodes.iter().enumerate() {
            let added = cluster.add_node(spec(index, node)).unwrap();
            let name = format!("s{}", node.held);
            cluster.set_held(added, Held::Snapshot, &name, true).unwrap();
            let cpu = f32::from(node.rack) / 4.0;
            cluster.set_load(added, Load { cpu, memory: 0.1, cpu_deviation: 0.1 });
        }
        let profile = profile();
        let mut add = |wish| cluster.add_shape(shape(wish), Arc::clone(&profile)).unwrap();
        let shapes = wishes.iter().map(&mut add).collect();
        World { cluster, nodes: nodes.to_vec(), shapes, next: 1, alive: Vec::new() }
    }

    fn requests(&mut self, shape: u8, count: u8, group: Option<u64>) -> Vec<Request> {
        let shape = self.shapes[shape as usize % self.shapes.len()];
        let request = |_| {
            self.next += 1;
            Request { instance: InstanceId(self.next), shape, group }
        };
        (0..count).map(request).collect()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Place { shape: u8, count: u8, is_group: bool },
    PlaceByWorkers { shapes: Vec<u8> },
    Confirm(u8),
    Stop(u8),
    Idle(u8, bool),
    Expire(u16),
    RemoveNode(u8),
    AddNode(u8, Node),
    Cordon(u8, bool),
    Healthy(u8, bool),
    Fail(u8),
    Hold(u8, u8, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let place = (any::<u8>(), 1..12_u8, prop::bool::weighted(0.2))
        .prop_map(|(shape, count, is_group)| Step::Place { shape, count, is_group });
    let workers = prop::collection::vec(any::<u8>(), 1..20)
        .prop_map(|shapes| Step::PlaceByWorkers { shapes });
    prop_oneof![
        6 => place,
        2 => workers,
        3 => any::<u8>().prop_map(Step::Confirm),
        4 => any::<u8>().prop_map(Step::Stop),
        2 => (any::<u8>(), any::<bool>()).prop_map(|(i, idle)| Step::Idle(i, idle)),
        1 => any::<u16>().prop_map(Step::Expire),
        1 => any::<u8>().prop_map(Step::RemoveNode),
        1 => (any::<u8>(), node()).prop_map(|(index, node)| Step::AddNode(index, node)),
        1 => (any::<u8>(), any::<bool>()).prop_map(|(i, on)| Step::Cordon(i, on)),
        1 => (any::<u8>(), any::<bool>()).prop_map(|(i, on)| Step::Healthy(i, on)),
        1 => any::<u8>().prop_map(Step::Fail),
        1 => (any::<u8>(), 0..4_u8, any::<bool>()).prop_map(|(i, s, on)| Step::Hold(i, s, on)),
    ]
}

fn take(world: &mut World, step: Step, now: Time) {
    let index = |i: u8, len: usize| i as usize % len.max(1);
    let instance = |world: &World, i| world.alive.get(index(i, world.alive.len())).copied();
    let node = |world: &World, i: u8| {
        let name = format!("n{}", index(i, world.nodes.len()));
        world.cluster.node(&NodeId::new(&name))
    };
    match step {
        Step::Place { shape, count, is_group } => {
            let group = is_group.then_some(world.next);
            let requests = world.requests(shape, count, group);
            let batch = world.cluster.place(&requests, now);
            let placed = batch.outcomes.iter().filter(|outcome| outcome.node().is_some()).count();
            assert!(!is_group || placed == 0 || placed == requests.len(), "a group in part");
            keep(world, &requests, &batch.outcomes);
        }
        Step::PlaceByWorkers { shapes } => {
            let requests: Vec<Request> =
                shapes.iter().flat_map(|shape| world.requests(*shape, 2, None)).collect();
            let prepared = world.cluster.prepare(&requests);
            let proposals = [prepared.propose(0, 2), prepared.propose(1, 2)];
            let (batch, _) = world.cluster.commit(prepared, &proposals, now);
            keep(world, &requests, &batch.outcomes);
        }
        Step::Confirm(i) => {
            if let Some(instance) = instance(world, i) {
                world.cluster.confirm(instance);
            }
        }
        Step::Stop(i) => {
            if let Some(instance) = instance(world, i) {
                world.alive.retain(|other| *other != instance);
                world.cluster.release(instance);
            }
        }
        Step::Idle(i, idle) => {
            if let Some(instance) = instance(world, i) {
                world.cluster.set_idle(instance, idle);
            }
        }
        Step::Expire(ms) => {
            for expired in world.cluster.expire(Time::from_millis(u64::from(ms) * 2)) {
                assert!(world.cluster.instance(expired).is_none());
            }
        }
        Step::RemoveNode(i) => {
            let name = format!("n{}", index(i, world.nodes.len()));
            world.cluster.remove_node(&NodeId::new(&name));
        }
        Step::AddNode(i, as_if) => {
            // Said anew of a node with instances, it may be refused; then nothing changed.
            let mut said = spec(index(i, world.nodes.len()), &as_if);
            if let Some(known) = node(world, i) {
                let before = world.cluster.node_spec(known).unwrap().clone();
                // What instances stand on cannot be taken from under them.
                (said.cpu, said.memory) = (before.cpu, before.memory);
                (said.numa, said.devices) = (before.numa.clone(), before.devices.clone());
                (said.labels, said.taints) = (before.labels.clone(), before.taints.clone());
                said.tenant = before.tenant.clone();
            }
            world.cluster.add_node(said).unwrap();
        }
        Step::Cordon(i, on) => {
            node(world, i).into_iter().for_each(|n| world.cluster.set_cordoned(n, on))
        }
        Step::Healthy(i, on) => {
            node(world, i).into_iter().for_each(|n| world.cluster.set_healthy(n, on))
        }
        Step::Fail(i) => node(world, i).into_iter().for_each(|n| world.cluster.note_failure(n)),
        Step::Hold(i, s, on) => {
            if let Some(node) = node(world, i) {
                world.cluster.set_held(node, Held::Snapshot, &format!("s{s}"), on).unwrap();
            }
        }
    }
}

fn keep(world: &mut World, requests: &[Request], outcomes: &[Outcome]) {
    let placed = requests.iter().zip(outcomes).filter(|(_, outcome)| outcome.node().is_some());
    world.alive.extend(placed.map(|(request, _)| request.instance));
}

/// Small samples and few indexes, so that a small cluster takes every path.
fn config(sample: u32, indexes_max: u32, preempts: bool) -> Config {
    Config { sample, indexes_max, preempts, ..Config::default() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_overcommitted_leaked_or_stale(
        nodes in prop::collection::vec(node(), 1..24),
        wishes in prop::collection::vec(wish(), 1..6),
        steps in prop::collection::vec(step(), 1..60),
        sample in prop_oneof![Just(2_u32), Just(384)],
        indexes_max in prop_oneof![Just(0_u32), Just(2), Just(64)],
        preempts in any::<bool>(),
    ) {
        let mut world = World::new(&nodes, &wishes, config(sample, indexes_max, preempts));
        for (index, step) in steps.into_iter().enumerate() {
            let told = format!("{step:?}");
            take(&mut world, step, Time::from_millis(index as u64 * 1000));
            let wrong = plain::audit(&world.cluster);
            prop_assert!(wrong.is_empty(), "after step {index}, {told}: {wrong:?}");
        }
        for instance in std::mem::take(&mut world.alive) {
            world.cluster.release(instance);
        }
        prop_assert_eq!(world.cluster.state().instances(), 0);
        prop_assert!(plain::audit(&world.cluster).is_empty());
    }

    #[test]
    fn what_is_possible_is_placed_and_nothing_else(
        nodes in prop::collection::vec(node(), 1..40),
        wishes in prop::collection::vec(wish(), 1..8),
        order in prop::collection::vec(any::<u8>(), 1..40),
        sample in prop_oneof![Just(2_u32), Just(384)],
    ) {
        let mut world = World::new(&nodes, &wishes, config(sample, 4, false));
        for shape in order {
            let requests = world.requests(shape, 1, None);
            let known = world.cluster.shape(requests[0].shape).unwrap().clone();
            // An empty batch, so that what is derived from all nodes is up to date.
            world.cluster.place(&[], Time::ZERO);
            let best = plain::best(world.cluster.state(), &known);
            let view = world.cluster.view();
            let batch = world.cluster.place(&requests, Time::ZERO);
            match (best, &batch.outcomes[0]) {
                (None, Outcome::Unplaced(_)) => {}
                (Some((_, best)), Outcome::Placed { node, score }) => {
                    let chosen = plain::score_on(&view, &known, *node);
                    prop_assert!(chosen.is_some(), "a filter says no to the chosen node");
                    prop_assert!((chosen.unwrap() - score).abs() < ROUNDING);
                    if sample == 384 {
                        prop_assert!(best - score < ROUNDING, "best {best}, chosen {score}");
                    }
                }
                (best, outcome) => prop_assert!(false, "best {best:?}, outcome {outcome:?}"),
            }
        }
    }

    #[test]
    fn a_batch_is_as_good_as_one_by_one(
        nodes in prop::collection::vec(node(), 1..30),
        wish in wish(),
        count in 1..60_u8,
    ) {
        let mut batched = World::new(&nodes, std::slice::from_ref(&wish), config(384, 4, false));
        let mut single = World::new(&nodes, &[wish], config(384, 4, false));
        let requests = batched.requests(0, count, None);
        let batch = batched.cluster.place(&requests, Time::ZERO);
        let plain = plain::place(&mut single.cluster, &requests, Time::ZERO);
        let placed = batch.outcomes.iter().filter(|outcome| outcome.node().is_some()).count();
        prop_assert_eq!(placed, plain.iter().flatten().count(), "the same feasibility");
        prop_assert!(plain::audit(&single.cluster).is_empty());
    }

    #[test]
    fn the_same_calls_give_the_same_placements(
        nodes in prop::collection::vec(node(), 1..24),
        wishes in prop::collection::vec(wish(), 1..6),
        steps in prop::collection::vec(step(), 1..30),
    ) {
        let mut worlds =
            [(); 2].map(|()| World::new(&nodes, &wishes, config(2, 2, true)));
        for (index, step) in steps.into_iter().enumerate() {
            for world in &mut worlds {
                take(world, step.clone(), Time::from_millis(index as u64 * 1000));
            }
        }
        let places = |world: &World| {
            let on = |instance: &InstanceId| world.cluster.instance(*instance).map(|p| p.node);
            world.alive.iter().map(on).collect::<Vec<_>>()
        };
        prop_assert_eq!(places(&worlds[0]), places(&worlds[1]));
    }
}
