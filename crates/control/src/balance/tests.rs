//! The balancer live, with a cluster and without nodes.

use std::sync::Arc;

use super::*;

use gapless_placement::balance::Features;
use gapless_placement::{NodeSpec, Request, ShapeSpec};
use gapless_proto::Served;
use gapless_store_embedded::EmbeddedStore;
use gapless_types::{Bytes, CpuMillis, NodeId};

fn at(seconds: u64) -> Time {
    Time::from_millis(seconds * 1000)
}

struct World {
    store: Arc<EmbeddedStore>,
    cluster: Mutex<Cluster>,
    shape: ShapeId,
    _folder: tempfile::TempDir,
}

fn world() -> (World, Balance) {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(folder.path()).unwrap();
    let balance = Balance::restore(&*store, true).unwrap();
    let mut cluster = Cluster::default();
    for number in 0..8 {
        let id = NodeId::new(&format!("n{number}"));
        let mut spec = NodeSpec::new(id, CpuMillis(16_000), Bytes(64 << 30));
        spec.sandboxes = vec!["wasm".into()];
        cluster.add_node(spec).unwrap();
    }
    let spec = ShapeSpec::new("a/f", "wasm", CpuMillis(500), Bytes(512 << 20));
    let shape = cluster.add_shape(spec, Arc::new(balance.profile())).unwrap();
    balance.begin(&mut cluster);
    (World { store, cluster: Mutex::new(cluster), shape, _folder: folder }, balance)
}

/// Starts and ends `count` instances, one after the other.
fn live(world: &World, balance: &Balance, first: u64, count: u64, served: impl Fn(u64) -> Served) {
    for number in first..first + count {
        let instance = InstanceId(number);
        let now = at(number);
        let seen = {
            let mut cluster = world.cluster.lock();
            cluster.place(&[Request { instance, shape: world.shape, group: None }], now);
            balance.see(&cluster, &[instance])
        };
        assert_eq!(seen.len(), 1);
        let features = || world.cluster.lock().shape(world.shape).map(|s| Features::new(&s.spec));
        balance.placed(world.shape, features, 1, seen, now);
        world.cluster.lock().confirm(instance);
        balance.ready(instance, Duration::from_millis(100 + number % 7), now);
        balance.served(instance, served(number));
        let later = at(number + 3);
        let seen = balance.see(&world.cluster.lock(), &[instance]);
        world.cluster.lock().release(instance);
        balance.gone(instance, seen.first(), End::Done, later);
    }
}

fn tick(world: &World, balance: &Balance) {
    balance.tick(|with| with(&mut world.cluster.lock()), &Metrics::new());
}

#[test]
fn what_comes_of_instances_is_learned_and_survives_a_restart() {
    let (world, balance) = world();
    live(&world, &balance, 1, 400, |_| Served::default());
    tick(&world, &balance);
    let report = balance.report().unwrap();
    assert_eq!(report.observed, 400);
    let classes = report.contexts.iter().filter(|c| c.class.is_some());
    let played: u64 = classes.flat_map(|c| &c.arms).map(|arm| arm.plays).sum();
    assert_eq!(played, 400, "each is counted for the arm that placed it");
    assert!(report.contexts.iter().any(|context| context.windows > 0 && context.cost > 1.0));
    balance.save(&*world.store, at(500), true);
    let back = Balance::restore(&*world.store, true).unwrap();
    assert_eq!(back.report().unwrap(), report);
    assert!(balance.inner.as_ref().unwrap().lock().open.is_empty());
}

#[test]
fn frozen_is_frozen_also_after_a_restart() {
    let (world, balance) = world();
    assert!(balance.set_frozen(true));
    live(&world, &balance, 1, 100, |_| Served::default());
    assert_eq!(balance.report().unwrap().observed, 0);
    balance.save(&*world.store, at(500), true);
    assert!(Balance::restore(&*world.store, true).unwrap().report().unwrap().is_frozen);
}

#[test]
fn switched_off_it_does_nothing_and_the_default_profile_decides() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(folder.path()).unwrap();
    let balance = Balance::restore(&*store, false).unwrap();
    assert!(balance.report().is_none() && !balance.set_frozen(true));
    assert!(!balance.profile().is_balanced());
    let mut cluster = Cluster::default();
    balance.begin(&mut cluster);
    assert!(cluster.table().is_none());
}

#[test]
fn what_is_stored_and_unreadable_is_learned_anew() {
    let (world, _) = world();
    world.store.put(KEY, b"{\"version\": 99}", Expect::Any).unwrap();
    assert_eq!(Balance::restore(&*world.store, true).unwrap().report().unwrap().observed, 0);
}

#[test]
fn slow_requests_are_a_cost_and_few_say_nothing() {
    let cost = |served: fn(u64) -> Served| {
        let (world, balance) = world();
        live(&world, &balance, 1, 64, |_| of(100, 5));
        tick(&world, &balance);
        // What is usual follows, slowly.
        live(&world, &balance, 65, 10, served);
        live(&world, &balance, 75, 54, |_| of(100, 5));
        tick(&world, &balance);
        let report = balance.report().unwrap();
        let all = report.contexts.iter().find(|context| context.class.is_none());
        f64::from(all.unwrap().cost)
    };
    let usual = cost(|_| of(100, 5));
    assert!(cost(|_| of(100, 15)) > usual + 0.01, "three times slower costs");
    assert!(cost(|_| of(100, 4)) < usual, "faster is cheaper");
    assert!((cost(|_| of(3, 500)) - usual).abs() < 0.01, "three requests say nothing");
}

/// So many requests of so many milliseconds.
fn of(requests: u64, ms: u64) -> Served {
    Served { requests, took: Duration::from_millis(requests * ms) }
}
