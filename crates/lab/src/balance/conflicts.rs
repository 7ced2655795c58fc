//! Which scores pull against which, measured over the candidates of decisions in the
//! lab's mixes, by class of workload.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gapless_placement::conflicts::{Conflicts, Pair};
use gapless_placement::{Cluster, Profile, ShapeId};
use gapless_sim::placing::{Episode, Playing};
use serde::Serialize;
use serde_json::json;

use super::play::{Cell, SECONDS};

/// Of so many decisions one is looked at.
const EVERY: u64 = 20;
/// Pairs that are printed for each class.
const PRINTED: usize = 12;

/// The pairs of one class of workload.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ClassPairs {
    pub(crate) class: String,
    pub(crate) decisions: u32,
    pub(crate) pairs: Vec<Pair>,
}

/// Runs each cell once with the default weights and looks at decisions.
pub(crate) fn measure(cells: &[Cell], stop: &AtomicBool) -> Vec<ClassPairs> {
    let base = Arc::new(Profile::balanced());
    let mut by_class: BTreeMap<String, Conflicts> = BTreeMap::new();
    for cell in cells {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let mut decisions = 0_u64;
        let mut look = |cluster: &Cluster, id: ShapeId| {
            decisions += 1;
            if !decisions.is_multiple_of(EVERY) {
                return;
            }
            let (Some(shape), Some(class)) = (cluster.shape(id), cluster.class(id)) else { return };
            let conflicts = by_class.entry(class.to_string()).or_default();
            conflicts.sample(cluster.state(), shape, &base);
        };
        let playing = Playing::Fixed(Arc::clone(&base));
        Episode::new(&cell.world, &cell.mix, 0, SECONDS, playing).run(Some(&mut look));
    }
    let pairs = |(class, conflicts): (String, Conflicts)| ClassPairs {
        class,
        decisions: conflicts.samples(),
        pairs: conflicts.pairs(),
    };
    by_class.into_iter().map(pairs).collect()
}

pub(crate) fn print(found: &[ClassPairs], is_json: bool) {
    if is_json {
        println!("{:#}", json!({ "classes": found }));
        return;
    }
    for class in found {
        println!("\n{} ({} decisions)", class.class, class.decisions);
        let strong = class.pairs.iter().filter(|pair| pair.samples * 10 >= class.decisions);
        for pair in strong.take(PRINTED) {
            println!("  {:+.2}  {} against {}", pair.correlation, pair.one, pair.other);
        }
    }
}
