//! How good placements are: the mean score of a lot's placements, over the mean score of
//! the same lot placed by looking at every node for each of them.

use std::sync::Arc;

use gapless_placement::{Batch, Cluster, Config, Outcome, Profile};
use gapless_types::Time;

use super::{Args, requests, world};

/// Lots that are compared.
const COMPARED: usize = 200;

pub(super) struct Quality {
    pub(super) mean: f64,
    pub(super) worst: f64,
}

/// Places the batch lot by lot, as the batch itself would; before some lots a copy of
/// the cluster places the same lot by a search of all nodes.
pub(super) fn of(args: &Args, cluster: &Cluster, profile: &Arc<Profile>) -> Quality {
    let mut cluster = cluster.clone();
    let shapes = world::shapes(&mut cluster, args.shapes, profile);
    let all = requests(&shapes, args.instances, 1);
    let every = (shapes.len() / COMPARED).max(1);
    let mut shares = Vec::new();
    for (index, shape) in shapes.iter().enumerate() {
        let lot: Vec<_> = all.iter().filter(|r| r.shape == *shape).copied().collect();
        let searched = (index % every == 0).then(|| {
            let mut copy = cluster.clone();
            copy.set_config(Config { sample: u32::MAX / 4, ..args.config() });
            mean(&copy.place(&lot, Time::ZERO))
        });
        let ours = mean(&cluster.place(&lot, Time::ZERO));
        if let Some((best, ours)) = searched.flatten().zip(ours) {
            shares.push(ours / best.max(1e-9));
        }
    }
    let mean = shares.iter().sum::<f64>() / shares.len() as f64;
    Quality { mean, worst: shares.iter().copied().fold(f64::NAN, f64::min) }
}

/// The mean score of what was placed.
fn mean(batch: &Batch) -> Option<f64> {
    let scores: Vec<f64> = batch
        .outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            Outcome::Placed { score, .. } => Some(f64::from(*score)),
            Outcome::Unplaced(_) => None,
        })
        .collect();
    (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
}
