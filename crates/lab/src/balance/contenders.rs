//! Who is compared: weights that are the same for everybody and for ever.

use gapless_placement::balance::{Weights, scores};

use super::search::{NEVER_REWARDED, random};

/// Kubernetes' scheduler with its default plugins and weights, by the scores here that
/// do the same (kube-scheduler, `apis/config/v1/default_plugins.go`): TaintToleration 3,
/// NodeAffinity 2, PodTopologySpread 2, InterPodAffinity 2, NodeResourcesFit with
/// LeastAllocated 1, BalancedAllocation 1, ImageLocality 1. What pods there say of
/// affinity between them is, for functions, what they call: `network-cost`.
pub(crate) fn kubernetes() -> Weights {
    Weights::from_fn(|entry| match entry.name {
        "taint-preference" => 3.0,
        "preferred-labels" | "topology-spread" | "network-cost" => 2.0,
        "least-allocated" | "balanced-allocation" | "image-locality" => 1.0,
        _ => 0.0,
    })
}

/// Every score the same, but for those that nothing can reward.
pub(crate) fn equal() -> Weights {
    Weights::from_fn(|entry| f32::from(u8::from(!NEVER_REWARDED.contains(&entry.name))))
}

/// Weights that differ by seed, drawn alike from all.
pub(crate) fn by_chance(seed: u64) -> Weights {
    random(0xc4a2 ^ seed)
}

/// Each score alone, with its name.
pub(crate) fn singles() -> Vec<(&'static str, Weights)> {
    scores().map(|entry| (entry.name, Weights::single(entry.name))).collect()
}

/// Weights written down by hand from what the policies say of themselves: where a search
/// begins.
pub(crate) fn by_hand() -> Vec<(&'static str, Weights)> {
    let of = |weights: &'static [(&'static str, f32)]| {
        Weights::from_fn(|entry| {
            weights.iter().find(|(name, _)| *name == entry.name).map_or(0.0, |(_, weight)| *weight)
        })
    };
    vec![
        (
            "pack",
            of(&[
                ("most-allocated", 3.0),
                ("image-locality", 1.0),
                ("snapshot-locality", 2.0),
                ("warm-first", 2.0),
                ("failure-history", 2.0),
                ("start-storm-avoidance", 1.0),
                ("interference-aware", 1.0),
            ]),
        ),
        (
            "pack-and-mind",
            of(&[
                ("most-allocated", 5.0),
                ("failure-history", 5.0),
                ("interference-aware", 1.0),
                ("load-aware", 1.0),
                ("balanced-allocation", 1.0),
                ("image-locality", 0.5),
                ("snapshot-locality", 0.5),
                ("spot-risk", 0.5),
                ("start-storm-avoidance", 0.5),
            ]),
        ),
        (
            "quiet",
            of(&[
                ("interference-aware", 4.0),
                ("load-aware", 2.0),
                ("least-allocated", 1.0),
                ("snapshot-locality", 1.0),
                ("failure-history", 2.0),
            ]),
        ),
        (
            "safe",
            of(&[
                ("spot-risk", 5.0),
                ("most-allocated", 2.0),
                ("topology-spread", 1.0),
                ("failure-history", 2.0),
                ("snapshot-locality", 2.0),
                ("image-locality", 1.0),
                ("warm-first", 1.0),
            ]),
        ),
    ]
}
