//! [`Plan`]: which of a profile's policies have something to say of a shape, by what
//! their answers depend on, with weights as shares of one. Made once per lot; asking
//! a policy whether it applies once per node would cost more than its answer.

use smallvec::SmallVec;

use crate::context::Context;
use crate::policy::Scope;
use crate::state::{Level, NodeIndex};

use super::ranking::{NOT_POSSIBLE, key};

/// Policies that apply, as indexes into the profile's lists.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    filters: SmallVec<[u8; 16]>,
    /// Of which those that depend on usage.
    usage_filters: SmallVec<[u8; 8]>,
    fixed: SmallVec<[(u8, f32); 16]>,
    usage: SmallVec<[(u8, f32); 16]>,
    pub(crate) domains: SmallVec<[(u8, f32); 4]>,
    pub(crate) choices: SmallVec<[(u8, f32); 2]>,
    /// The finest level that a domain score looks at.
    pub(crate) level: Option<Level>,
    pub(crate) has_relative_domains: bool,
    pub(crate) reads_mean: bool,
    /// Tells plans apart that give a node different scores.
    pub(crate) fingerprint: u64,
}

impl Plan {
    pub(crate) fn new(cx: &Context<'_>) -> Self {
        let profile = &*cx.shape.profile;
        let mut plan = Plan::default();
        let mut total = 0.0;
        let mut bit = 0_u32;
        let mut note = |plan: &mut Plan, applies: bool| {
            plan.fingerprint |= u64::from(applies) << (bit % 64);
            bit += 1;
            applies
        };
        for (index, filter) in profile.filters.iter().enumerate() {
            if note(&mut plan, filter.policy.applies(cx)) {
                plan.filters.push(index as u8);
                if filter.policy.scope() == Scope::Usage {
                    plan.usage_filters.push(index as u8);
                }
            }
        }
        for (index, score) in profile.scores.iter().enumerate() {
            if note(&mut plan, score.weight > 0.0 && score.policy.applies(cx)) {
                total += score.weight;
                plan.reads_mean |= score.policy.reads_mean();
                let list = match score.policy.scope() {
                    Scope::Fixed => &mut plan.fixed,
                    Scope::Usage => &mut plan.usage,
                };
                list.push((index as u8, score.weight));
            }
        }
        for (index, domain) in profile.domains.iter().enumerate() {
            if note(&mut plan, domain.weight > 0.0 && domain.policy.applies(cx)) {
                total += domain.weight;
                plan.level = plan.level.max(Some(domain.policy.level()));
                plan.has_relative_domains |= domain.policy.is_relative();
                plan.domains.push((index as u8, domain.weight));
            }
        }
        for (index, choice) in profile.choices.iter().enumerate() {
            if choice.weight > 0.0 {
                total += choice.weight;
                plan.choices.push((index as u8, choice.weight));
            }
        }
        // Nothing applies: every node scores 0 and the rotation decides.
        let share = if total > 0.0 { 1.0 / total } else { 0.0 };
        let lists = [&mut plan.fixed[..], &mut plan.usage, &mut plan.domains, &mut plan.choices];
        for (_, weight) in lists.into_iter().flatten() {
            *weight *= share;
        }
        plan
    }

    /// Keeps the nodes that pass every filter.
    pub(crate) fn retain(&self, cx: &Context<'_>, nodes: &mut Vec<NodeIndex>) {
        for index in &self.filters {
            if nodes.is_empty() {
                return;
            }
            cx.shape.profile.filters[*index as usize].policy.retain(cx, nodes);
        }
    }

    /// Whether a node passes every filter.
    pub(crate) fn passes(&self, cx: &Context<'_>, node: NodeIndex) -> bool {
        let filters = &cx.shape.profile.filters;
        self.filters.iter().all(|index| filters[*index as usize].policy.passes(cx, node))
    }

    /// Adds every score of these nodes that placements do not change.
    pub(crate) fn add_fixed(&self, cx: &Context<'_>, nodes: &[NodeIndex], sums: &mut [f32]) {
        for (index, weight) in &self.fixed {
            cx.shape.profile.scores[*index as usize].policy.add(cx, *weight, nodes, sums);
        }
    }

    /// Adds every score of these nodes that placements change.
    pub(crate) fn add_usage(&self, cx: &Context<'_>, nodes: &[NodeIndex], sums: &mut [f32]) {
        for (index, weight) in &self.usage {
            cx.shape.profile.scores[*index as usize].policy.add(cx, *weight, nodes, sums);
        }
    }

    /// A node's fixed sum and its key, from nothing.
    pub(crate) fn evaluate(&self, cx: &Context<'_>, node: NodeIndex) -> (f32, u64) {
        if !self.passes(cx, node) {
            return (0.0, NOT_POSSIBLE);
        }
        let mut sum = [0.0];
        self.add_fixed(cx, &[node], &mut sum);
        let fixed = sum[0];
        self.add_usage(cx, &[node], &mut sum);
        (fixed, key(sum[0], cx.state.chosen_at(node)))
    }

    /// A node's key after something was placed on it. It was possible before.
    pub(crate) fn reevaluate(&self, cx: &Context<'_>, node: NodeIndex, fixed: f32) -> u64 {
        let filters = &cx.shape.profile.filters;
        let is_possible =
            self.usage_filters.iter().all(|i| filters[*i as usize].policy.passes(cx, node));
        if !is_possible {
            return NOT_POSSIBLE;
        }
        let mut sum = [fixed];
        self.add_usage(cx, &[node], &mut sum);
        key(sum[0], cx.state.chosen_at(node))
    }
}
