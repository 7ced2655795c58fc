//! [`explain`]: a decision replayed on a view of the cluster, policy by policy. It
//! runs when somebody asks; deciding does no more work because of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::context::{Context, Sets, Shape};
use crate::plain::domain_of;
use crate::policy::bounded;
use crate::state::{NodeIndex, State};

/// Nodes named as examples of a group.
const EXAMPLES_MAX: usize = 3;
/// Groups of nodes that are told; the others are summed up.
const GROUPS_MAX: usize = 8;

/// Why an instance is where it is, or nowhere.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The function.
    pub function: String,
    /// The profile that decides.
    pub profile: String,
    /// Nodes there were.
    pub nodes: u32,
    /// Nodes that passed every filter.
    pub possible: u32,
    /// Filters that left nodes out, in order.
    pub filters: Vec<FilterStep>,
    /// The node that was chosen.
    pub winner: Option<NodeScores>,
    /// The best of the others.
    pub runner_up: Option<NodeScores>,
    /// By how much the winner was ahead. Below 0 when a node outside of the sample, or
    /// the draw of a choice, would have been better.
    pub margin: Option<f32>,
    /// Where nothing is possible: nodes by what they lack, fewest wants first.
    pub groups: Vec<Group>,
    /// What would make it fit.
    pub advice: Option<String>,
}

/// Nodes that one filter left out.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FilterStep {
    /// The filter.
    pub policy: String,
    /// How many nodes passed the filters before it, but not this one.
    pub left_out: u32,
    /// What they lacked.
    pub lacking: String,
}

/// One node's scores.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeScores {
    /// The node.
    pub node: String,
    /// The sum of all points, of 100.
    pub total: f32,
    /// By policy, most points first.
    pub scores: Vec<PolicyScore>,
}

/// What one policy gave one node.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyScore {
    /// The policy.
    pub policy: String,
    /// In its own measure.
    pub raw: f32,
    /// Brought to 0 to 1.
    pub score: f32,
    /// Its weight in the profile.
    pub weight: f32,
    /// What that adds to the total: weight x score, as a share of all weights, of 100.
    pub points: f32,
}

/// Nodes that lack the same.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// How many.
    pub nodes: u32,
    /// Some of them.
    pub examples: Vec<String>,
    /// What they lack.
    pub lacking: Vec<String>,
}

/// Explains where `shape` goes on this view: to `chosen`, if a decision was made, else
/// to the best node there is.
pub fn explain(state: &State, shape: &Shape, chosen: Option<NodeIndex>) -> Explanation {
    let sets = Sets::new(state, shape);
    let cx = Context::new(state, shape, None, &sets);
    let (possible, filters) = ask_filters(&cx);
    let mut ranked: Vec<(NodeIndex, f32)> =
        possible.iter().map(|node| (*node, total(&cx, *node))).collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let winner = chosen.or_else(|| ranked.first().map(|(node, _)| *node));
    let runner_up = ranked.iter().map(|(node, _)| *node).find(|node| Some(*node) != winner);
    let margin = winner.zip(runner_up).map(|(one, other)| total(&cx, one) - total(&cx, other));
    let groups = if possible.is_empty() { group_by_lack(&cx) } else { Vec::new() };
    Explanation {
        function: shape.spec.function.to_string(),
        profile: shape.profile.name().to_owned(),
        nodes: state.nodes().count() as u32,
        possible: possible.len() as u32,
        filters,
        winner: winner.map(|node| node_scores(&cx, node)),
        runner_up: runner_up.map(|node| node_scores(&cx, node)),
        margin: margin.map(|margin| margin * 100.0),
        advice: possible.is_empty().then(|| advice(&cx, &groups)),
        groups,
    }
}

fn ask_filters(cx: &Context<'_>) -> (Vec<NodeIndex>, Vec<FilterStep>) {
    let mut nodes: Vec<NodeIndex> = cx.state.nodes().collect();
    let mut steps = Vec::new();
    for filter in cx.shape.profile.filters.iter().filter(|f| f.policy.applies(cx)) {
        let before = nodes.len();
        filter.policy.retain(cx, &mut nodes);
        let left_out = (before - nodes.len()) as u32;
        if left_out > 0 {
            let lacking = filter.policy.lacking(cx);
            steps.push(FilterStep { policy: filter.name.to_owned(), left_out, lacking });
        }
    }
    (nodes, steps)
}

fn total(cx: &Context<'_>, node: NodeIndex) -> f32 {
    let scores = policy_scores(cx, node);
    scores.iter().map(|score| score.points).sum::<f32>() / 100.0
}

fn node_scores(cx: &Context<'_>, node: NodeIndex) -> NodeScores {
    let mut scores = policy_scores(cx, node);
    scores.sort_by(|a, b| b.points.total_cmp(&a.points));
    let total = scores.iter().map(|score| score.points).sum();
    NodeScores { node: cx.state.id(node).to_string(), total, scores }
}

fn policy_scores(cx: &Context<'_>, node: NodeIndex) -> Vec<PolicyScore> {
    let profile = &cx.shape.profile;
    let mut scores = Vec::new();
    for score in profile.scores.iter().filter(|s| s.weight > 0.0 && s.policy.applies(cx)) {
        let raw = score.policy.score(cx, node);
        scores.push(policy_score(score.name, raw, score.policy.one(cx, node), score.weight));
    }
    for score in profile.domains.iter().filter(|s| s.weight > 0.0 && s.policy.applies(cx)) {
        let raw = score.policy.score(cx, domain_of(cx.state, node, score.policy.level()));
        scores.push(policy_score(score.name, raw, bounded(raw), score.weight));
    }
    let drawn: f32 = profile.choices.iter().map(|choice| choice.weight).sum();
    let weights: f32 = scores.iter().map(|score| score.weight).sum::<f32>() + drawn;
    for score in &mut scores {
        score.points = 100.0 * score.weight * score.score / weights.max(f32::MIN_POSITIVE);
    }
    scores
}

fn policy_score(policy: &str, raw: f32, score: f32, weight: f32) -> PolicyScore {
    PolicyScore { policy: policy.to_owned(), raw, score, weight, points: 0.0 }
}

/// Nodes by the set of filters they fail, fewest first.
fn group_by_lack(cx: &Context<'_>) -> Vec<Group> {
    let filters: Vec<_> =
        cx.shape.profile.filters.iter().filter(|filter| filter.policy.applies(cx)).collect();
    let mut groups: BTreeMap<u64, Vec<NodeIndex>> = BTreeMap::new();
    for node in cx.state.nodes() {
        let failed = filters.iter().enumerate().filter(|(_, f)| !f.policy.passes(cx, node));
        let failed = failed.fold(0_u64, |set, (index, _)| set | 1 << (index % 64));
        groups.entry(failed).or_default().push(node);
    }
    let mut groups: Vec<(u64, Vec<NodeIndex>)> = groups.into_iter().collect();
    groups.sort_by_key(|(failed, nodes)| (failed.count_ones(), std::cmp::Reverse(nodes.len())));
    groups.truncate(GROUPS_MAX);
    let lacking = |failed: u64| {
        let failed = filters.iter().enumerate().filter(|(index, _)| failed >> index & 1 == 1);
        failed.map(|(_, filter)| filter.policy.lacking(cx)).collect()
    };
    let told = groups.iter().map(|(failed, nodes)| Group {
        nodes: nodes.len() as u32,
        examples: nodes.iter().take(EXAMPLES_MAX).map(|n| cx.state.id(*n).to_string()).collect(),
        lacking: lacking(*failed),
    });
    told.collect()
}

/// What would make it fit, from the nodes that lack least.
fn advice(cx: &Context<'_>, groups: &[Group]) -> String {
    let Some(nearest) = groups.first() else {
        return "there are no nodes: start one".to_owned();
    };
    let plural = if nearest.nodes == 1 { "node" } else { "nodes" };
    let lacking = nearest.lacking.join(" and ");
    let mut text = format!("nearest to fitting: {} {plural} {lacking}", nearest.nodes);
    if !cx.state.nodes().any(|node| fits_when_empty(cx, node)) {
        let spec = &cx.shape.spec;
        text += &format!(
            "; no node is large enough, even empty: lower resources ({} of processor, {} of \
             memory) or add a larger node",
            spec.cpu, spec.memory
        );
    } else {
        text += "; make room there, change what is asked for, or add a node";
    }
    text
}

fn fits_when_empty(cx: &Context<'_>, node: NodeIndex) -> bool {
    let spec = &cx.shape.spec;
    cx.state.cpu(node) >= spec.cpu.0 && cx.state.memory(node) >= spec.memory.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;
    use gapless_types::{Bytes, CpuMillis};

    #[test]
    fn the_winner_is_ahead_by_what_the_policies_say() {
        let mut lab = Lab::new();
        lab.node("empty", |_| {});
        lab.node("full", |_| {});
        lab.node("closed", |_| {});
        lab.cordon("closed");
        let shape = lab.shape("a/f", |_| {});
        lab.run(shape, "full", 20);
        let shape = lab.cluster.shape(shape).unwrap();
        let told = explain(lab.cluster.state(), shape, None);
        assert_eq!((told.nodes, told.possible), (3, 2));
        assert_eq!(told.filters.len(), 1);
        assert_eq!(
            (told.filters[0].policy.as_str(), told.filters[0].left_out),
            ("unschedulable", 1)
        );
        let (winner, second) = (told.winner.unwrap(), told.runner_up.unwrap());
        assert_eq!((winner.node.as_str(), second.node.as_str()), ("empty", "full"));
        let margin = told.margin.unwrap();
        assert!(margin > 0.0 && (winner.total - second.total - margin).abs() < 1e-3);
        let plain = crate::plain::best(lab.cluster.state(), shape).unwrap();
        assert!((plain.1 * 100.0 - winner.total).abs() < 1e-3);
    }

    #[test]
    fn what_fits_nowhere_says_what_would_help() {
        let mut lab = Lab::new();
        lab.node("small", |n| n.memory = Bytes(1 << 30));
        lab.node("other-kind", |n| n.sandboxes.clear());
        let shape = lab.shape("a/f", |s| s.cpu = CpuMillis(64_000));
        let shape = lab.cluster.shape(shape).unwrap();
        let told = explain(lab.cluster.state(), shape, None);
        assert!(told.winner.is_none() && told.groups.len() == 2);
        assert_eq!(told.groups[0].examples, ["small"], "it lacks least");
        let advice = told.advice.unwrap();
        assert!(advice.contains("no node is large enough, even empty"), "{advice}");
    }
}
