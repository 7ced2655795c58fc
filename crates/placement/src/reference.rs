//! A small modelled cluster to measure scores on when the real one says nothing: when
//! its nodes are all alike, every score gives all of them the same. 64 nodes of
//! different sizes, fill, load, places and history; always the same.

use std::sync::Arc;

use gapless_types::{Bytes, CpuMillis, InstanceId, NodeId};

use crate::cluster::Cluster;
use crate::context::{Shape, mix, unit};
use crate::node::{Held, Load, NodeSpec, Power};
use crate::profile::Profile;
use crate::shape::ShapeSpec;
use crate::state::State;

const NODES: u64 = 64;
const SANDBOX: &str = "wasm";

/// The cluster, and an instance of nothing special under `profile`.
pub fn reference(profile: &Arc<Profile>) -> (State, Arc<Shape>) {
    let mut cluster = Cluster::default();
    let mut draws = (1_u64..).map(|n| unit(mix(n)));
    let mut draw = move || draws.next().unwrap_or(0.5);
    let shape = |name: &str| {
        let mut shape = ShapeSpec::new(name, SANDBOX, CpuMillis(200), Bytes(256 << 20));
        shape.image = Some("image".into());
        shape.snapshots = vec!["snapshot".into()];
        shape.calls = vec!["other/filler".into()];
        shape
    };
    let own = cluster.add_shape(shape("default/example"), Arc::clone(profile));
    let filler = cluster.add_shape(shape("other/filler"), Arc::clone(profile));
    let (own, filler) = own.ok().zip(filler.ok()).expect("both shapes are sound");
    let mut next = 1;
    for number in 0..NODES {
        let cores = 8 + 8 * (number % 4) as u32;
        let id = NodeId::new(&format!("n{number}"));
        let memory = Bytes((16 + 48 * (number % 3)) << 30);
        let mut spec = NodeSpec::new(id, CpuMillis(cores * 1000), memory);
        spec.sandboxes = vec![SANDBOX.into()];
        spec.zone = format!("z{}", number % 3).into();
        spec.rack = format!("r{}", number / 8).into();
        spec.spot_risk = draw() / 4.0;
        spec.power = Some(Power { idle_watts: 80.0, max_watts: 400.0, cap_watts: 350.0 });
        if number % 8 == 0 {
            spec.devices = vec!["gpu".into()];
        }
        let node = cluster.add_node(spec).expect("the node is sound");
        let load = Load { cpu: draw(), memory: draw(), cpu_deviation: draw() / 4.0 };
        cluster.set_load(node, load);
        for (kind, name) in [(Held::Image, "image"), (Held::Snapshot, "snapshot")] {
            let held = cluster.set_held(node, kind, name, draw() < 0.3);
            debug_assert!(held.is_ok());
        }
        let mut fill = |shape, most: f32| {
            for _ in 0..(draw() * most) as u64 {
                cluster.put(InstanceId(next), shape, node, None);
                if next % 3 > 0 {
                    cluster.confirm(InstanceId(next));
                }
                next += 1;
            }
        };
        fill(filler, cores as f32 * 3.0);
        fill(own, 4.0);
        if number % 9 == 0 {
            cluster.note_failure(node);
        }
    }
    let shape = Arc::clone(cluster.shape(own).expect("registered above"));
    (cluster.state().clone(), shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plain::correlation;
    use crate::profile::{PolicySpec, ProfileSpec};
    use crate::registry::{POLICIES, Phase};

    fn all() -> Arc<Profile> {
        let scores = POLICIES.iter().filter(|policy| policy.phase == Phase::Score);
        let policies = scores.map(|policy| PolicySpec::new(policy.name, 1.0)).collect();
        Arc::new(Profile::new("all", &ProfileSpec { policies, ..ProfileSpec::default() }).unwrap())
    }

    #[test]
    fn opposed_scores_go_against_each_other_here() {
        let (state, shape) = reference(&all());
        let measure = |one, other| correlation(&state, &shape, one, other).unwrap();
        assert!(measure("least-allocated", "most-allocated") < -0.99);
        assert!(measure("least-allocated", "least-allocated") > 0.99);
        assert!(measure("least-allocated", "power-cap") > 0.3);
        assert!(correlation(&state, &shape, "least-allocated", "pool-affinity").is_none());
    }
}
