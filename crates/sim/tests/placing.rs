//! Placement episodes: the same each time, and each model rewards the policy it is for.

use std::sync::Arc;

use gapless_placement::Profile;
use gapless_placement::balance::{Balancer, Config, Prior, Weights};
use gapless_sim::placing::world::{Function, Kind, Machine, Mix, World};
use gapless_sim::placing::{Costs, Episode, Outcome, Playing};
use gapless_types::{Bytes, CpuMillis};

const SECONDS: f64 = 900.0;

fn function(name: &str) -> Function {
    Function {
        name: name.to_owned(),
        tenant: "a".to_owned(),
        cpu: CpuMillis(1000),
        memory: Bytes(1 << 30),
        kind: Kind::Cpu,
        usage: 1.0,
        variation: 0.3,
        life_s: 20.0,
        life_sigma: 0.5,
        share: 1.0,
        crowd: 1.0,
        image: Bytes(1 << 30),
        boot_s: 2.0,
        runtime: None,
        calls: None,
        data: None,
        wants_new: false,
        is_sensitive: false,
        needs_device: false,
        tolerates_spot: true,
    }
}

fn mix(functions: Vec<Function>, load: f64) -> Mix {
    Mix {
        name: "test",
        about: "",
        functions,
        load: (load, load),
        first_half_only: Vec::new(),
        second_half_only: Vec::new(),
    }
}

fn machine(number: usize) -> Machine {
    Machine {
        cores: 16,
        memory: Bytes(64 << 30),
        zone: number as u32 % 2,
        rack: 0,
        price: 1.0,
        spot_risk: 0.0,
        speed: 1.0,
        devices: 0,
        power_cap: None,
    }
}

fn world(change: impl Fn(usize, &mut Machine)) -> World {
    let make = |number| {
        let mut machine = machine(number);
        change(number, &mut machine);
        machine
    };
    World { name: "test", machines: (0..12).map(make).collect(), illness: 0.0, loses_zone: false }
}

fn play(world: &World, mix: &Mix, weights: &[(&str, f32)], seed: u64) -> Outcome {
    let weight = |name: &str| weights.iter().find(|(of, _)| *of == name).map_or(0.0, |(_, w)| *w);
    let weights = Weights::from_fn(|entry| weight(entry.name));
    let profile = Arc::new(Profile::balanced().weighted("test", &weights));
    Episode::new(world, mix, seed, SECONDS, Playing::Fixed(profile)).run(None).0
}

fn cost(world: &World, mix: &Mix, weights: &[(&str, f32)]) -> Costs {
    play(world, mix, weights, 3).over(0.0, 1.0)
}

/// Numbered copies.
fn many(of: &Function, count: usize) -> Vec<Function> {
    let one = |n| Function { name: format!("{}{n}", of.name), ..of.clone() };
    (0..count).map(one).collect()
}

#[test]
fn the_workload_is_the_same_whatever_is_played_and_nothing_is_impossible() {
    let world = world(|number, machine| machine.spot_risk = if number < 3 { 0.5 } else { 0.0 });
    let mix = mix(many(&function("f"), 6), 0.5);
    let one = play(&world, &mix, &[("least-allocated", 1.0)], 7);
    let again = play(&world, &mix, &[("least-allocated", 1.0)], 7);
    let other = play(&world, &mix, &[("most-allocated", 1.0)], 7);
    assert_eq!(one.stretches, again.stretches);
    let count = |outcome: &Outcome| outcome.over(0.0, 1.0).instances;
    assert_eq!(count(&one), count(&other));
    assert_ne!(one.stretches, other.stretches);
    let by_context: f64 = one.contexts.values().map(|(count, _)| count).sum();
    assert_eq!(by_context, count(&one), "each is counted once");
    assert_eq!((one.infeasible, other.infeasible), (0, 0));
}

#[test]
fn packing_saves_nodes_and_costs_time() {
    let (world, mix) = (world(|_, _| {}), mix(many(&function("f"), 4), 0.4));
    let packed = cost(&world, &mix, &[("most-allocated", 1.0)]);
    let spread = cost(&world, &mix, &[("least-allocated", 1.0)]);
    assert!(packed.node_hours < 0.7 * spread.node_hours, "{packed:?} {spread:?}");
    assert!(packed.interference > spread.interference, "{packed:?} {spread:?}");
}

#[test]
fn being_near_code_saves_starts() {
    let rare = Function { life_s: 3.0, ..function("rare") };
    let (world, mix) = (world(|_, _| {}), mix(many(&rare, 60), 0.2));
    let plain = cost(&world, &mix, &[("least-allocated", 1.0)]);
    for near in ["image-locality", "snapshot-locality", "bounded-consistent-hash", "warm-first"] {
        let with = cost(&world, &mix, &[("least-allocated", 1.0), (near, 3.0)]);
        assert!(with.slowdown < plain.slowdown, "{near}: {} {}", with.slowdown, plain.slowdown);
    }
}

#[test]
fn who_minds_strangers_spot_and_old_nodes_is_placed_for_it() {
    let tenant = |name: &str| Function {
        tenant: name.to_owned(),
        is_sensitive: true,
        wants_new: true,
        ..function(name)
    };
    let mix = mix(vec![tenant("a"), tenant("b"), tenant("c")], 0.3);
    let world = world(|number, machine| {
        machine.spot_risk = if number % 2 == 0 { 3.0_f64.min(1.0) } else { 0.0 };
        machine.speed = if number % 3 == 0 { 0.7 } else { 1.0 };
    });
    let plain = cost(&world, &mix, &[("least-allocated", 1.0)]);
    let with = |name| cost(&world, &mix, &[("least-allocated", 0.2), (name, 5.0)]);
    assert!(with("tenant-anti-affinity").exposure < 0.7 * plain.exposure);
    assert!(with("spot-risk").failures < plain.failures);
    assert!(with("preferred-labels").interference < plain.interference);
}

#[test]
fn a_balancer_learns_in_an_episode_and_the_same_each_time() {
    let (world, mix) = (world(|_, _| {}), mix(many(&function("f"), 4), 0.3));
    let run = || {
        let config = Config { seed: 5, ..Config::default() };
        let balancer = Balancer::new(config, Prior::shipped());
        let playing = Playing::Balanced(Box::new(balancer));
        Episode::new(&world, &mix, 5, SECONDS, playing).run(None)
    };
    let ((one, playing), (other, _)) = (run(), run());
    assert_eq!(one.stretches, other.stretches);
    assert_eq!(one.infeasible, 0);
    let Playing::Balanced(balancer) = playing else { panic!("it was given a balancer") };
    let report = balancer.report();
    assert!(report.observed as f64 > 0.95 * one.placed as f64);
    assert!(report.contexts.iter().any(|context| context.windows > 3));
    let explored = one.explored as f64 / one.placed as f64;
    assert!(explored < 0.06, "{explored}");
}
