//! A small cluster for the tests of policies.

use std::sync::Arc;

use gapless_types::{Bytes, CpuMillis, InstanceId, NodeId};

use crate::cluster::{Cluster, ShapeId};
use crate::context::{Context, GroupRef, Sets};
use crate::node::{Held, Load, NodeSpec};
use crate::policy::{DomainScore, Filter, Policy, Score};
use crate::profile::{Params, Profile, Value};
use crate::shape::ShapeSpec;
use crate::state::{Domain, Level, NodeIndex};

pub(crate) struct Lab {
    pub(crate) cluster: Cluster,
    nodes: Vec<NodeIndex>,
    next: u64,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Lab { cluster: Cluster::default(), nodes: Vec::new(), next: 1 }
    }

    /// 4 cores, 8 GiB, `wasm`.
    pub(crate) fn node(&mut self, name: &str, change: impl FnOnce(&mut NodeSpec)) {
        let mut spec = NodeSpec::new(NodeId::new(name), CpuMillis(4000), Bytes(8 << 30));
        spec.sandboxes = vec!["wasm".into()];
        change(&mut spec);
        let node = self.cluster.add_node(spec).unwrap();
        if !self.nodes.contains(&node) {
            self.nodes.push(node);
        }
    }

    /// 100m, 64 MiB, `wasm`.
    pub(crate) fn shape(&mut self, function: &str, change: impl FnOnce(&mut ShapeSpec)) -> ShapeId {
        let mut spec = ShapeSpec::new(function, "wasm", CpuMillis(100), Bytes(64 << 20));
        change(&mut spec);
        self.cluster.add_shape(spec, Arc::new(Profile::default_profile())).unwrap()
    }

    fn at(&self, node: &str) -> NodeIndex {
        self.cluster.node(&NodeId::new(node)).unwrap()
    }

    fn put(
        &mut self,
        shape: ShapeId,
        node: &str,
        count: u32,
        group: Option<u64>,
    ) -> Vec<InstanceId> {
        let node = self.at(node);
        let put = |_| {
            let instance = InstanceId(self.next);
            self.next += 1;
            self.cluster.put(instance, shape, node, group);
            instance
        };
        (0..count).map(put).collect()
    }

    pub(crate) fn start(&mut self, shape: ShapeId, node: &str, count: u32) -> Vec<InstanceId> {
        self.put(shape, node, count, None)
    }

    pub(crate) fn run(&mut self, shape: ShapeId, node: &str, count: u32) -> Vec<InstanceId> {
        self.run_group_of(shape, node, count, None)
    }

    pub(crate) fn run_group(&mut self, shape: ShapeId, node: &str, count: u32, group: u64) {
        self.run_group_of(shape, node, count, Some(group));
    }

    fn run_group_of(
        &mut self,
        shape: ShapeId,
        node: &str,
        count: u32,
        group: Option<u64>,
    ) -> Vec<InstanceId> {
        let instances = self.put(shape, node, count, group);
        for instance in &instances {
            assert!(self.cluster.confirm(*instance));
        }
        instances
    }

    pub(crate) fn idle(&mut self, shape: ShapeId, node: &str, count: u32) {
        for instance in self.run(shape, node, count) {
            self.cluster.set_idle(instance, true);
        }
    }

    pub(crate) fn hold(&mut self, node: &str, kind: Held, name: &str) {
        self.cluster.set_held(self.at(node), kind, name, true).unwrap();
    }

    pub(crate) fn load(&mut self, node: &str, load: Load) {
        self.cluster.set_load(self.at(node), load);
    }

    pub(crate) fn fail(&mut self, node: &str) {
        self.cluster.note_failure(self.at(node));
    }

    pub(crate) fn cordon(&mut self, node: &str) {
        self.cluster.set_cordoned(self.at(node), true);
    }

    pub(crate) fn unhealthy(&mut self, node: &str) {
        self.cluster.set_healthy(self.at(node), false);
    }

    pub(crate) fn slowdown(&mut self, class: &str, neighbour: &str, slowdown: f32) {
        self.cluster.set_slowdown(class, neighbour, slowdown);
    }

    pub(crate) fn policy<P: Policy>(&self, params: &[(&str, f64)]) -> P {
        let params: Vec<_> = params.iter().map(|(name, n)| (*name, Value::Number(*n))).collect();
        self.policy_with(&params)
    }

    pub(crate) fn policy_with<P: Policy>(&self, params: &[(&str, Value)]) -> P {
        let given =
            params.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let mut params = Params::new(Some(&given));
        let policy = P::read(&mut params).unwrap();
        assert_eq!(params.unread(), []);
        policy
    }

    pub(crate) fn with<T>(
        &self,
        shape: ShapeId,
        group: Option<u64>,
        ask: impl FnOnce(&Context<'_>) -> T,
    ) -> T {
        let shape = self.cluster.shape(shape).unwrap();
        let sets = Sets::new(self.cluster.state(), shape);
        let group = group.and_then(|group| self.cluster.group_mark(group));
        let group = group.map(|mark| GroupRef { mark });
        ask(&Context::new(self.cluster.state(), shape, group, &sets))
    }

    pub(crate) fn passes(&self, filter: &impl Filter, shape: ShapeId) -> Vec<bool> {
        self.with(shape, None, |cx| {
            let mut kept = self.nodes.clone();
            if filter.applies(cx) {
                filter.retain(cx, &mut kept);
            }
            assert!(!filter.lacking(cx).is_empty());
            self.nodes.iter().map(|node| kept.contains(node)).collect()
        })
    }

    pub(crate) fn filter_applies(&self, filter: &impl Filter, shape: ShapeId) -> bool {
        self.with(shape, None, |cx| filter.applies(cx))
    }

    pub(crate) fn applies(&self, score: &impl Score, shape: ShapeId) -> bool {
        self.with(shape, None, |cx| score.applies(cx))
    }

    pub(crate) fn scores(&self, score: &impl Score, shape: ShapeId) -> Vec<f32> {
        self.with(shape, None, |cx| {
            let mut sums = vec![0.0; self.nodes.len()];
            if score.applies(cx) {
                score.add(cx, 1.0, &self.nodes, &mut sums);
            }
            assert!(sums.iter().all(|score| (0.0..=1.0).contains(score)), "{sums:?}");
            sums
        })
    }

    pub(crate) fn domain_scores(&self, score: &impl DomainScore, shape: ShapeId) -> Vec<f32> {
        self.with(shape, None, |cx| self.by_domain(score, cx))
    }

    pub(crate) fn domain_scores_in_group(
        &self,
        score: &impl DomainScore,
        shape: ShapeId,
        group: u64,
    ) -> Vec<f32> {
        self.with(shape, Some(group), |cx| self.by_domain(score, cx))
    }

    fn by_domain(&self, score: &impl DomainScore, cx: &Context<'_>) -> Vec<f32> {
        let state = cx.state;
        let of = |node: &NodeIndex| {
            let rack = (score.level() == Level::Rack).then(|| state.rack(*node));
            score.score(cx, Domain { zone: state.zone(*node), rack })
        };
        self.nodes.iter().map(of).collect()
    }
}
