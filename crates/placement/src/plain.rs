//! Placement as the Kubernetes scheduler does it, written plainly: for every
//! instance, walk every node through every filter and every score, one by one, take
//! the best, reserve, and begin anew. The same policies on the same state. It is the
//! baseline that `gapless bench placement` prints beside ours, and the oracle the
//! tests hold ours to.

use gapless_types::Time;

use crate::cluster::{Cluster, Request};
use crate::context::{Context, GroupRef, Sets, Shape};
use crate::policy::bounded;
use crate::state::{Domain, Level, NodeIndex, State};

/// A shape's total score on a node, 0 to 1; `None` where a filter says no. What is
/// drawn per decision is not in it.
pub fn evaluate(cx: &Context<'_>, node: NodeIndex) -> Option<f32> {
    let profile = &cx.shape.profile;
    for filter in &profile.filters {
        if filter.policy.applies(cx) && !filter.policy.passes(cx, node) {
            return None;
        }
    }
    let (mut sum, mut weights) = (0.0_f32, 0.0_f32);
    for score in profile.scores.iter().filter(|score| score.weight > 0.0) {
        if score.policy.applies(cx) {
            sum += score.weight * score.policy.one(cx, node);
            weights += score.weight;
        }
    }
    for score in profile.domains.iter().filter(|score| score.weight > 0.0) {
        if score.policy.applies(cx) {
            let domain = domain_of(cx.state, node, score.policy.level());
            sum += score.weight * bounded(score.policy.score(cx, domain));
            weights += score.weight;
        }
    }
    weights += profile.choices.iter().map(|choice| choice.weight).sum::<f32>();
    Some(if weights > 0.0 { sum / weights } else { 0.0 })
}

/// The zone or rack of a node.
pub(crate) fn domain_of(state: &State, node: NodeIndex, level: Level) -> Domain {
    Domain { zone: state.zone(node), rack: (level == Level::Rack).then(|| state.rack(node)) }
}

/// The best node of all and its score, by looking at all.
pub fn best(state: &State, shape: &Shape) -> Option<(NodeIndex, f32)> {
    best_in_group(state, shape, None)
}

/// A shape's score on one node; `None` where a filter says no.
pub fn score_on(state: &State, shape: &Shape, node: NodeIndex) -> Option<f32> {
    let sets = Sets::new(state, shape);
    evaluate(&Context::new(state, shape, None, &sets), node)
}

fn best_in_group(
    state: &State,
    shape: &Shape,
    group: Option<GroupRef>,
) -> Option<(NodeIndex, f32)> {
    let sets = Sets::new(state, shape);
    let cx = Context::new(state, shape, group, &sets);
    let scored = state.nodes().filter_map(|node| Some((node, evaluate(&cx, node)?)));
    scored.max_by(|(a, one), (b, other)| {
        let age = |node: &NodeIndex| std::cmp::Reverse(state.chosen_at(*node));
        one.total_cmp(other).then(age(a).cmp(&age(b)))
    })
}

/// Places each request by itself, in the order they are in. Groups, permits and
/// displacing are left out: they are not what it is compared for.
pub fn place(cluster: &mut Cluster, requests: &[Request], now: Time) -> Vec<Option<NodeIndex>> {
    let place = |request: &Request| {
        let shape = cluster.shape(request.shape).cloned()?;
        let (node, _) = best(cluster.state(), &shape)?;
        cluster.put_reserved(request.instance, request.shape, node, now);
        Some(node)
    };
    requests.iter().map(place).collect()
}

/// How two scores go together over the nodes that are possible for a shape: the
/// Pearson correlation of what they give, -1 (opposite) to 1 (the same). `None` when
/// either gives all nodes the same, or is not a score of nodes.
pub fn correlation(state: &State, shape: &Shape, one: &str, other: &str) -> Option<f32> {
    let sets = Sets::new(state, shape);
    let cx = Context::new(state, shape, None, &sets);
    let nodes: Vec<NodeIndex> =
        state.nodes().filter(|node| evaluate(&cx, *node).is_some()).collect();
    let of = |name: &str| -> Option<Vec<f64>> {
        let profile = &shape.profile;
        if let Some(score) = profile.scores.iter().find(|score| score.name == name) {
            return Some(nodes.iter().map(|n| f64::from(score.policy.one(&cx, *n))).collect());
        }
        let score = profile.domains.iter().find(|score| score.name == name)?;
        let domain = |node: &NodeIndex| domain_of(state, *node, score.policy.level());
        let scores = nodes.iter().map(|node| score.policy.score(&cx, domain(node)));
        Some(scores.map(f64::from).collect())
    };
    pearson(&of(one)?, &of(other)?)
}

fn pearson(xs: &[f64], ys: &[f64]) -> Option<f32> {
    let count = xs.len() as f64;
    let (mean_x, mean_y) = (xs.iter().sum::<f64>() / count, ys.iter().sum::<f64>() / count);
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in xs.iter().zip(ys) {
        let (x, y) = (x - mean_x, y - mean_y);
        (xy, xx, yy) = (xy + x * y, xx + x * x, yy + y * y);
    }
    (xx > 1e-12 && yy > 1e-12).then(|| (xy / (xx * yy).sqrt()) as f32)
}

/// What of a cluster's state does not follow from its instances, or breaks a rule:
/// empty if all is well. Recomputes everything from nothing; for tests and benches.
pub fn audit(cluster: &Cluster) -> Vec<String> {
    cluster.audit()
}
