//! Under load, from many threads, what the gateway is told of an instance only
//! moves forward, and nothing is left in the end.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use gapless_control::{Control, NodeSpec};
use gapless_proto::{
    Body, ControlLink as _, Demand, Endpoint, LocalCall, LocalService, NodeFact, NodeLink,
    NodeListener as _, Request, StartFailure, StartInstance, StartKind, StartReport,
};
use gapless_types::{Bytes, CpuMillis, InstanceId, NodeId, Revision, RevisionName};
use parking_lot::Mutex;

use crate::support::{fake, open_without_nodes, revision};

/// Starts at once on another thread; ends when told to, or every seventh by itself.
struct EagerNode {
    id: NodeId,
    control: OnceLock<Weak<Control>>,
    alive: Arc<Mutex<HashMap<InstanceId, RevisionName>>>,
}

impl EagerNode {
    fn fact(&self, revision: &RevisionName, instance: InstanceId, fact: NodeFact) {
        if let Some(control) = self.control.get().and_then(Weak::upgrade) {
            control.fact(&self.id, revision, instance, fact);
        }
    }

    fn end(&self, instance: InstanceId) {
        // Said twice if both it and control want it: the second is old news.
        let revision = self.alive.lock().get(&instance).cloned();
        if let Some(revision) = revision {
            self.fact(&revision, instance, NodeFact::Gone(None));
            self.alive.lock().remove(&instance);
        }
    }
}

/// A node behind the handle that its tasks share.
struct Eager(Arc<EagerNode>);

struct Nobody;

impl LocalService for Nobody {
    fn call(&self, _: Request) -> LocalCall {
        std::future::ready(Ok(http::Response::new(Body::Empty))).boxed()
    }
}

impl NodeLink for Eager {
    fn id(&self) -> &NodeId {
        &self.0.id
    }

    fn prepare(&self, _: Arc<Revision>) -> BoxFuture<'static, Result<(), StartFailure>> {
        std::future::ready(Ok(())).boxed()
    }

    fn start(&self, start: StartInstance) {
        let (node, instance) = (Arc::clone(&self.0), start.instance);
        node.alive.lock().insert(instance, start.revision.name.clone());
        tokio::spawn(async move {
            let revision = &start.revision.name;
            node.fact(revision, instance, NodeFact::Starting);
            tokio::task::yield_now().await;
            let report = Arc::new(StartReport::new(StartKind::Cold));
            let endpoint = Endpoint::Local(Arc::new(Nobody));
            node.fact(revision, instance, NodeFact::Ready { endpoint, report });
            if instance.0.is_multiple_of(7) {
                node.end(instance);
            }
        });
    }

    fn stop(&self, instance: InstanceId, _: Duration) {
        let node = Arc::clone(&self.0);
        tokio::spawn(async move { node.end(instance) });
    }

    fn forget(&self, _: &RevisionName) {}
}

fn rank(fact: &str) -> u32 {
    match fact.split([' ', ':']).next().unwrap_or_default() {
        "starting" => 0,
        "ready" => 1,
        "retiring" => 2,
        "gone" => 3,
        other => panic!("{other} is no fact"),
    }
}

/// Every fact so far, checked to move forward. Returns how far each instance is.
fn check(told: &[String], ranks: &mut HashMap<u64, u32>) {
    for told in told {
        let Some((instance, fact)) = told.split_once(' ') else { continue };
        let Ok(instance) = instance.parse::<u64>() else { continue };
        let rank = rank(fact);
        match ranks.insert(instance, rank) {
            None => assert_eq!(rank, 0, "{instance} begins with {fact}"),
            Some(before) => assert!(rank > before, "{instance} went back to {fact}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn facts_only_move_forward() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = open_without_nodes(folder.path()).await;
    let node = Arc::new(EagerNode {
        id: NodeId::new("eager"),
        control: OnceLock::new(),
        alive: Arc::default(),
    });
    node.control.set(Arc::downgrade(&bench.control)).unwrap();
    // Room for a part of what is wanted, so that want of room takes part.
    let memory = Bytes(20 * (128 << 20));
    let mut spec = NodeSpec::new(NodeId::new("eager"), CpuMillis(64_000), memory);
    spec.sandboxes = vec!["fake".into()];
    bench.control.add_node(Arc::new(Eager(Arc::clone(&node))), spec).unwrap();
    bench.control.begin();
    for name in ["one", "two"] {
        bench.put(name, fake()).await;
        while bench.condition(name).await.0 != "True" {
            tokio::task::yield_now().await;
        }
    }
    let workers = (0..4u64).map(|worker| {
        let control = Arc::clone(&bench.control);
        tokio::spawn(async move {
            let name = revision(if worker % 2 == 0 { "one" } else { "two" }, 1);
            for round in 0..500u64 {
                let instances = u32::try_from((round * 13 + worker) % 17).unwrap();
                control.demand(&name, Demand { seq: round * 4 + worker + 1, instances });
                // Reports of whichever instances there may be, right and wrong.
                control.idle(&name, InstanceId(round * 2 + worker));
                control.released(&name, InstanceId((round * 3).saturating_sub(worker)));
                tokio::task::yield_now().await;
            }
        })
    });
    futures::future::join_all(workers).await.into_iter().for_each(Result::unwrap);

    let mut ranks = HashMap::new();
    for name in ["one", "two"] {
        let path = format!("/apis/gapless.dev/v1/namespaces/default/functions/{name}");
        assert_eq!(bench.call("DELETE", &path, None).await.code, 200);
    }
    // What the deleted functions' instances are asked for is given back at once.
    loop {
        let told = bench.so_far();
        check(&told, &mut ranks);
        for told in told.iter().filter(|told| told.ends_with(" retiring")) {
            let instance = told.split(' ').next().and_then(|id| id.parse().ok()).unwrap();
            for name in ["one", "two"] {
                bench.control.released(&revision(name, 1), InstanceId(instance));
            }
        }
        // Some were asked back in the storm before, and never answered.
        for (instance, _) in ranks.iter().filter(|(_, rank)| **rank == 2) {
            for name in ["one", "two"] {
                bench.control.released(&revision(name, 1), InstanceId(*instance));
            }
        }
        if ranks.values().all(|rank| *rank == 3) && node.alive.lock().is_empty() {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert!(ranks.len() > 10, "only {} instances took part", ranks.len());
    let nodes = bench.call("GET", "/apis/gapless.dev/v1/nodes", None).await.json();
    let status = &nodes["items"][0]["status"];
    assert_eq!((&status["instances"], &status["memoryBytesReserved"]), (&0.into(), &0.into()));
    let left = bench.call("GET", "/apis/gapless.dev/v1/instances", None).await.json();
    assert_eq!(left["items"], serde_json::json!([]));
}
