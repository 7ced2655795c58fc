//! Placement as control drives it: shapes, batches, confirmations.

use std::sync::Arc;

use gapless_placement::{
    Cluster, Config as ClusterConfig, Held, NodeIndex, NodeSpec, Profile, Request, ShapeId,
    ShapeSpec,
};
use gapless_types::{Bytes, CpuMillis, InstanceId, NodeId, Time};

use crate::config::Config;

/// The kind of sandbox that modelled nodes have.
const SANDBOX: &str = "fake";

/// The cluster of modelled nodes.
#[derive(Debug)]
pub(crate) struct Places {
    cluster: Cluster,
    profile: Arc<Profile>,
    cpu: CpuMillis,
}

impl Places {
    pub(crate) fn new(config: &Config) -> Self {
        let cluster = ClusterConfig { seed: config.seed, ..ClusterConfig::default() };
        let mut cluster = Cluster::new(cluster);
        for number in 0..config.nodes {
            let cpu = CpuMillis(config.cores.saturating_mul(1000));
            let id = NodeId::new(&format!("node-{number}"));
            let mut spec = NodeSpec::new(id, cpu, config.memory);
            spec.sandboxes = vec![SANDBOX.into()];
            cluster.add_node(spec).expect("modelled nodes are sound");
        }
        let profile = Arc::new(Profile::default_profile());
        Places { cluster, profile, cpu: config.cpu_reserved }
    }

    /// A function's instances are to be placed.
    pub(crate) fn add_function(&mut self, number: u32, memory: Bytes) -> ShapeId {
        let mut spec = ShapeSpec::new(&name(number), SANDBOX, self.cpu, memory);
        spec.image = Some(name(number).into());
        self.cluster
            .add_shape(spec, Arc::clone(&self.profile))
            .expect("modelled shapes are sound, and fewer than a cluster holds")
    }

    /// Finds nodes for instances of a function, all at once.
    pub(crate) fn place(
        &mut self,
        shape: ShapeId,
        instances: &[InstanceId],
        now: Time,
    ) -> Vec<Option<u32>> {
        let request = |instance: &InstanceId| Request { instance: *instance, shape, group: None };
        let requests: Vec<Request> = instances.iter().map(request).collect();
        let batch = self.cluster.place(&requests, now);
        batch.outcomes.iter().map(|outcome| outcome.node().map(|node| node.0)).collect()
    }

    pub(crate) fn confirm(&mut self, instance: InstanceId) {
        self.cluster.confirm(instance);
    }

    pub(crate) fn release(&mut self, instance: InstanceId) {
        self.cluster.release(instance);
    }

    pub(crate) fn set_healthy(&mut self, node: u32, is_healthy: bool) {
        self.cluster.set_healthy(NodeIndex(node), is_healthy);
    }

    /// A node holds a function's image, or no longer.
    pub(crate) fn set_image(&mut self, node: u32, function: u32, is_held: bool) {
        // A node that holds more than placement remembers is only found less often.
        let _ = self.cluster.set_held(NodeIndex(node), Held::Image, &name(function), is_held);
    }
}

fn name(function: u32) -> String {
    format!("lab/f{function}")
}
