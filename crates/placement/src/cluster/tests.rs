//! Placing, as callers see it, on small clusters of known nodes. What holds for all
//! clusters is in `tests/model.rs`.

use std::sync::Arc;
use std::time::Duration;

use gapless_types::{Bytes, CpuMillis, InstanceId, NodeId, Time};

use super::*;
use crate::fixture::Lab;
use crate::node::NodeSpec;
use crate::profile::{PolicySpec, Profile, ProfileSpec};
use crate::shape::{Requirement, ShapeSpec};
use crate::shortage::Unplaced;

fn spec(name: &str, cores: u32) -> NodeSpec {
    let mut spec = NodeSpec::new(NodeId::new(name), CpuMillis(cores * 1000), Bytes(8 << 30));
    spec.sandboxes = vec!["wasm".into()];
    spec
}

fn cluster(nodes: usize) -> Cluster {
    let mut cluster = Cluster::default();
    for index in 0..nodes {
        let mut node = spec(&format!("n{index}"), 4);
        node.zone = format!("z{}", index % 3).into();
        cluster.add_node(node).unwrap();
    }
    cluster
}

fn shape(cluster: &mut Cluster, change: impl FnOnce(&mut ShapeSpec)) -> ShapeId {
    let mut spec = ShapeSpec::new("a/f", "wasm", CpuMillis(1000), Bytes(64 << 20));
    change(&mut spec);
    cluster.add_shape(spec, Arc::new(Profile::default_profile())).unwrap()
}

fn requests(shape: ShapeId, instances: std::ops::Range<u64>) -> Vec<Request> {
    let request = |id| Request { instance: InstanceId(id), shape, group: None };
    instances.map(request).collect()
}

fn placed(batch: &Batch) -> usize {
    batch.outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Placed { .. })).count()
}

fn why(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Unplaced(why) => why.to_string(),
        Outcome::Placed { .. } => panic!("it was placed"),
    }
}

#[test]
fn a_batch_fills_the_cluster_and_says_what_was_lacking() {
    let mut cluster = cluster(3);
    let f = shape(&mut cluster, |_| {});
    let batch = cluster.place(&requests(f, 1..15), Time::ZERO);
    assert_eq!(placed(&batch), 12);
    let why = why(&batch.outcomes[13]);
    assert!(why.starts_with("of 3 nodes: 3 without 1 of processor"), "{why}");
    for index in 0..3 {
        assert_eq!(cluster.instances_on(&NodeId::new(&format!("n{index}"))).len(), 4);
    }
    assert_eq!(cluster.audit(), Vec::<String>::new());
    for id in 1..13 {
        assert!(cluster.release(InstanceId(id)));
    }
    assert!(!cluster.release(InstanceId(1)));
    assert_eq!(cluster.state().instances(), 0);
    cluster.forget_shape(f);
    assert_eq!(cluster.names(), 0);
}

#[test]
fn no_nodes_is_an_answer() {
    let mut cluster = Cluster::default();
    let f = shape(&mut cluster, |_| {});
    let batch = cluster.place(&requests(f, 1..2), Time::ZERO);
    assert_eq!(why(&batch.outcomes[0]), "of 0 nodes");
    let unknown = cluster.place(&requests(ShapeId(9), 1..2), Time::ZERO);
    assert_eq!(*unknown.outcomes[0].reason().unwrap(), Unplaced::UnknownShape);
}

#[test]
fn an_instance_is_placed_once() {
    let mut cluster = cluster(1);
    let f = shape(&mut cluster, |_| {});
    let mut twice = requests(f, 1..2);
    twice.push(twice[0]);
    let batch = cluster.place(&twice, Time::ZERO);
    assert_eq!(placed(&batch), 1);
    assert_eq!(*batch.outcomes[1].reason().unwrap(), Unplaced::Duplicate);
    let again = cluster.place(&requests(f, 1..2), Time::ZERO);
    assert_eq!(*again.outcomes[0].reason().unwrap(), Unplaced::Duplicate);
}

#[test]
fn equal_nodes_take_turns() {
    let mut lab = Cluster::default();
    for index in 0..4 {
        lab.add_node(spec(&format!("n{index}"), 64)).unwrap();
    }
    let policies = vec![PolicySpec::new("spot-risk", 1.0)];
    let indifferent = ProfileSpec { policies, ..ProfileSpec::default() };
    let profile = Arc::new(Profile::new("p", &indifferent).unwrap());
    let spec = ShapeSpec::new("a/f", "wasm", CpuMillis(100), Bytes(1 << 20));
    let f = lab.add_shape(spec, profile).unwrap();
    for id in 0..40 {
        lab.place(&requests(f, id..id + 1), Time::ZERO);
    }
    for index in 0..4 {
        assert_eq!(lab.instances_on(&NodeId::new(&format!("n{index}"))).len(), 10);
    }
}

#[test]
fn a_reservation_that_is_not_confirmed_runs_out() {
    let mut cluster = cluster(1);
    let f = shape(&mut cluster, |_| {});
    cluster.place(&requests(f, 1..3), Time::ZERO);
    assert!(cluster.confirm(InstanceId(1)));
    let until = cluster.next_expiry().unwrap();
    assert_eq!(until, Time::ZERO + Duration::from_secs(60));
    assert_eq!(cluster.expire(Time::from_millis(59_999)), []);
    assert_eq!(cluster.expire(until), [InstanceId(2)]);
    assert!(!cluster.confirm(InstanceId(2)), "too late: it must be stopped");
    assert_eq!(cluster.state().instances(), 1);
    assert_eq!(cluster.audit(), Vec::<String>::new());
}

#[test]
fn a_node_that_vanishes_takes_its_instances_along() {
    let mut cluster = cluster(2);
    let f = shape(&mut cluster, |_| {});
    cluster.place(&requests(f, 1..9), Time::ZERO);
    let gone = cluster.remove_node(&NodeId::new("n0"));
    assert_eq!(gone.len(), 4);
    assert!(!cluster.confirm(gone[0]), "between reserve and bind");
    assert_eq!(cluster.len(), 1);
    assert_eq!(cluster.audit(), Vec::<String>::new());
    // Its number is used again, with nothing of it left.
    cluster.add_node(spec("n2", 2)).unwrap();
    let batch = cluster.place(&requests(f, 20..30), Time::ZERO);
    assert_eq!(placed(&batch), 2);
    assert_eq!(cluster.audit(), Vec::<String>::new());
}

#[test]
fn a_group_is_placed_whole_or_not_at_all() {
    let mut cluster = cluster(2);
    let f = shape(&mut cluster, |_| {});
    let group = |range| -> Vec<Request> {
        let members = requests(f, range).into_iter();
        members.map(|request| Request { group: Some(7), ..request }).collect()
    };
    let too_many = cluster.place(&group(1..10), Time::ZERO);
    assert_eq!(placed(&too_many), 0);
    assert_eq!(cluster.state().instances(), 0);
    let fits = cluster.place(&group(1..9), Time::ZERO);
    assert_eq!(placed(&fits), 8);
    assert_eq!(cluster.audit(), Vec::<String>::new());
}

#[test]
fn a_more_important_instance_displaces_idle_ones_first() {
    let mut lab = Lab::new();
    lab.cluster.config.preempts = true;
    lab.node("n1", |n| n.cpu = CpuMillis(300));
    lab.node("n2", |n| n.cpu = CpuMillis(300));
    let low = lab.shape("a/low", |_| {});
    let busy = lab.run(low, "n1", 3);
    lab.run(low, "n2", 2);
    lab.idle(low, "n2", 1);
    let high = lab.shape("a/high", |s| s.priority = 10);
    let batch = lab.cluster.place(&requests(high, 100..102), Time::ZERO);
    assert_eq!(placed(&batch), 2);
    let (by, first) = batch.displaced[0];
    assert_eq!(by, InstanceId(100));
    assert!(!busy.contains(&first), "the idle one goes first");
    assert_eq!(batch.displaced.len(), 2);
    assert_eq!(lab.cluster.audit(), Vec::<String>::new());
    let equal = lab.shape("a/equal", |_| {});
    let refused = lab.cluster.place(&requests(equal, 200..201), Time::ZERO);
    assert_eq!(placed(&refused), 0, "an equal displaces nobody at work");
}

#[test]
fn a_view_stays_as_it_was() {
    let mut cluster = cluster(600);
    let f = shape(&mut cluster, |_| {});
    let view = cluster.view();
    cluster.place(&requests(f, 1..1000), Time::ZERO);
    assert_eq!(view.instances(), 0);
    assert!(view.nodes().all(|node| view.instances_on(node) == 0));
    assert_eq!(cluster.state().instances(), 999);
}

#[test]
fn workers_together_overcommit_nothing() {
    let mut cluster = cluster(2000);
    let mut batch = Vec::new();
    for index in 0..400_u64 {
        let f = shape(&mut cluster, |s| {
            s.function = format!("a/f{index}").into();
            s.cpu = CpuMillis(900 + index as u32);
            // All want the same few nodes, so that workers collide.
            if index % 2 == 0 {
                s.require = vec![Requirement::is("few", "yes")];
            }
        });
        batch.extend(requests(f, index * 10..index * 10 + 10));
    }
    for index in 0..40 {
        let mut node = spec(&format!("n{index}"), 8);
        node.zone = format!("z{}", index % 3).into();
        node.labels.insert("few".into(), "yes".into());
        cluster.add_node(node).unwrap();
    }
    let prepared = cluster.prepare(&batch);
    let proposals: Vec<Proposal> = (0..4).map(|worker| prepared.propose(worker, 4)).collect();
    let (batch, conflicts) = cluster.commit(prepared, &proposals, Time::ZERO);
    assert!(conflicts > 0);
    assert!(placed(&batch) >= 2000, "all without the label, and some with");
    assert_eq!(cluster.audit(), Vec::<String>::new());
}

#[test]
fn a_node_that_says_something_new_is_seen_by_kept_scores() {
    let mut cluster = cluster(4);
    let f = shape(&mut cluster, |s| s.require = vec![Requirement::is("disk", "ssd")]);
    let none = cluster.place(&requests(f, 1..2), Time::ZERO);
    assert!(why(&none.outcomes[0]).contains("4 nodes: 4 "));
    let mut node = spec("n2", 4);
    node.zone = "z2".into();
    node.labels.insert("disk".into(), "ssd".into());
    let n2 = cluster.add_node(node).unwrap();
    let one = cluster.place(&requests(f, 1..2), Time::ZERO);
    assert!(matches!(one.outcomes[0], Outcome::Placed { node, .. } if node == n2));
    cluster.set_cordoned(n2, true);
    assert_eq!(placed(&cluster.place(&requests(f, 2..3), Time::ZERO)), 0);
    assert_eq!(cluster.audit(), Vec::<String>::new());
}
