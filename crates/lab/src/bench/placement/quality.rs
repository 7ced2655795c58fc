//! How good placements are: the score of the node that was chosen, over the best score
//! any node had at that moment, by looking at all of them with every policy.

use std::sync::Arc;

use gapless_placement::{Cluster, Outcome, Profile, plain};
use gapless_types::Time;

use super::{Args, requests, world};

/// Decisions that are compared.
const COMPARED: usize = 200;

pub(super) struct Quality {
    pub(super) mean: f64,
    pub(super) worst: f64,
}

/// Places the batch lot by lot, as the batch itself would, and compares the first
/// placement of some lots with a full search just before it.
pub(super) fn of(args: &Args, cluster: &Cluster, profile: &Arc<Profile>) -> Quality {
    let mut cluster = cluster.clone();
    let shapes = world::shapes(&mut cluster, args.shapes, profile);
    let all = requests(&shapes, args.instances, 1);
    let every = (shapes.len() / COMPARED).max(1);
    let mut shares = Vec::new();
    for (index, shape) in shapes.iter().enumerate() {
        let lot: Vec<_> = all.iter().filter(|r| r.shape == *shape).copied().collect();
        let is_compared = index % every == 0;
        let known = cluster.shape(*shape).cloned();
        let best = known.filter(|_| is_compared).and_then(|s| plain::best(cluster.state(), &s));
        let before = is_compared.then(|| cluster.view());
        let batch = cluster.place(&lot, Time::ZERO);
        if let (Some((_, best)), Some(Outcome::Placed { node, .. })) =
            (best, batch.outcomes.first())
            && let Some(view) = before
            && let Some(shape) = cluster.shape(*shape)
        {
            let chosen = plain::score_on(&view, shape, *node).unwrap_or(0.0);
            shares.push(f64::from(chosen) / f64::from(best).max(1e-9));
        }
    }
    let mean = shares.iter().sum::<f64>() / shares.len() as f64;
    Quality { mean, worst: shares.iter().copied().fold(f64::NAN, f64::min) }
}
