//! [`Situation`]: what of a cluster and its workload says which weights will do well
//! there, as a few numbers that a live platform sees as well as the simulator.
//!
//! Regimes say when what was learned holds; situations say what the present resembles.
//! Each number is brought to about 0 to 1, so that a distance between two situations
//! means something. Instances are counted by the processor they reserve. None of them
//! depends much on where instances were put: a situation must not change because the
//! weights did.
//!
//! One is of the past ([`Past`]): how much more was reserved lately. Where a cluster was
//! full, code lies on every node, and weights that follow code keep all of them open when
//! there is little left to do; where it was never full the same weights are good.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::cluster::Cluster;
use crate::state::CLASSES;

/// Instances that are looked at: which ones follows from a hash of their numbers.
const SAMPLE: usize = 4096;
/// With fewer instances there is nothing to be seen yet.
const SAMPLE_MIN: usize = 8;
/// What a new observation counts for in a moving mean.
const NEW_SHARE: f32 = 0.15;
/// Above this share of the processor on nodes that may be taken away, losses matter.
const SPOT_SHARE: f32 = 0.2;

/// What of the most that was reserved is forgotten from one look to the next, of which there
/// is one every 5 seconds: half of it in 20 minutes. Code stays on nodes for as long.
const FORGOTTEN: f32 = 0.0029;

/// Numbers a situation has.
pub const FEATURES: usize = 9;

/// What each number is, in the order of [`Situation`].
pub const FEATURE_NAMES: [&str; FEATURES] =
    ["reserved", "width", "start-bound", "bursty", "spot", "used", "functions", "kinds", "fell"];

/// What each counts for in a distance. How full a cluster is decides most. Chosen on the
/// cases of the prior, each judged by those of other mixes; memory, nearness, tenants and
/// how unequal nodes are were tried, told nothing more, and are not looked at. Nodes that
/// may be taken away are no matter of distance: they have cases of their own.
pub(crate) const FEATURE_COUNTS: [f32; FEATURES] = [8.0, 1.0, 2.0, 0.5, 0.0, 2.0, 1.0, 0.5, 1.0];

/// Where how full it is stands, and by how much less than lately.
const RESERVED: usize = 0;
const FELL: usize = FEATURES - 1;

/// A cluster and its workload, in [`FEATURES`] numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Situation(pub [f32; FEATURES]);

/// What a cluster was like until now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Past {
    /// The most that was reserved lately.
    most: f32,
}

impl Past {
    /// A look at the cluster: tells it what was before.
    pub fn tell(&mut self, seen: &mut Situation) {
        let now = seen.0[RESERVED];
        self.most = now.max(self.most - FORGOTTEN * (self.most - now));
        seen.0[FELL] = self.most - now;
    }
}

/// Sums over instances, each by the processor it reserves.
#[derive(Debug, Default)]
struct Sums {
    all: f32,
    width: f32,
    start_bound: f32,
    bursty: f32,
    functions: BTreeMap<u32, f32>,
    kinds: [f32; CLASSES],
}

impl Situation {
    /// That of a cluster, of whose past nothing is known; none while there is little on it.
    pub fn of_cluster(cluster: &Cluster) -> Option<Situation> {
        let state = cluster.state();
        let (mut cpu, mut free, mut memory) = (0.0, 0.0, 0.0);
        let (mut used, mut spot, mut count) = (0.0, 0.0, 0.0_f64);
        for node in state.healthy().iter() {
            let has = f64::from(state.cpu(node));
            cpu += has;
            free += state.cpu_free(node) as f64;
            memory += state.memory(node) as f64;
            used += has * f64::from(state.load(node).cpu);
            spot += if state.spot_risk(node) > 0.0 { has } else { 0.0 };
            count += 1.0;
        }
        let sums = Sums::of(cluster, cpu / count.max(1.0), memory / count.max(1.0))?;
        let share = |part: f32| part / sums.all;
        // How many functions there would be of the same variety, if all were alike.
        let squares: f32 = sums.functions.values().map(|part| share(*part).powi(2)).sum();
        let functions = 1.0 / squares.max(1e-6);
        let told = |one: usize, other: usize| {
            share(sums.kinds[one]) * share(sums.kinds[other]) * state.slowdowns(one)[other]
        };
        let pairs = (0..CLASSES).flat_map(|one| (0..CLASSES).map(move |other| (one, other)));
        let kinds: f32 = pairs.map(|(one, other)| told(one, other)).sum();
        Some(Situation([
            ((cpu - free) / cpu) as f32,
            share(sums.width).sqrt(),
            share(sums.start_bound),
            share(sums.bursty),
            (spot / cpu) as f32,
            ((used / (cpu - free).max(1.0)) as f32 / 1.2).clamp(0.0, 1.0),
            (functions.ln() / 5.0).clamp(0.0, 1.0),
            (kinds / 0.15).clamp(0.0, 1.0),
            0.0,
        ]))
    }

    /// Follows what is seen, slowly enough that chance does not move it.
    pub(crate) fn follow(&mut self, seen: &Situation) {
        for (own, new) in self.0.iter_mut().zip(seen.0) {
            *own += NEW_SHARE * (new - *own);
        }
    }

    /// Whether a good part of the nodes may be taken away.
    pub fn has_spot(&self) -> bool {
        self.of("spot") > SPOT_SHARE
    }

    /// One of its numbers by name; 0 for what is none.
    pub fn of(&self, name: &str) -> f32 {
        let at = FEATURE_NAMES.iter().position(|known| *known == name);
        at.map_or(0.0, |at| self.0[at])
    }

    /// In words.
    pub fn words(&self) -> String {
        let mut text = String::new();
        for (name, value) in FEATURE_NAMES.iter().zip(self.0) {
            let _ = write!(text, "{}{name} {value:.2}", if text.is_empty() { "" } else { ", " });
        }
        text
    }
}

impl Sums {
    /// Over some instances, where a usual node has so much.
    fn of(cluster: &Cluster, node_cpu: f64, node_memory: f64) -> Option<Sums> {
        let mut sums = Sums::default();
        let mut seen = 0;
        for (_, placed) in cluster.instances().take(SAMPLE) {
            let (Some(shape), Some(class)) =
                (cluster.shape(placed.shape), cluster.class(placed.shape))
            else {
                continue;
            };
            let cpu = shape.spec.cpu.0 as f32;
            let width = (f64::from(shape.spec.cpu.0) / node_cpu)
                .max(shape.spec.memory.0 as f64 / node_memory) as f32;
            let if_so = |is_so: bool| if is_so { cpu } else { 0.0 };
            sums.all += cpu;
            sums.width += cpu * width.min(1.0);
            sums.start_bound += if_so(class.is_start_bound());
            sums.bursty += if_so(class.is_bursty());
            *sums.functions.entry(placed.shape.0).or_default() += cpu;
            sums.kinds[shape.class % CLASSES] += cpu;
            seen += 1;
        }
        (seen >= SAMPLE_MIN && sums.all > 0.0).then_some(sums)
    }
}

#[cfg(test)]
mod tests {
    use gapless_types::{Bytes, CpuMillis, InstanceId, Time};

    use super::*;
    use crate::Request;
    use crate::balance::Class;
    use crate::fixture::Lab;

    #[test]
    fn a_situation_is_what_is_there() {
        let mut lab = Lab::new();
        for number in 0..4 {
            lab.node(&format!("n{number}"), |node| {
                (node.cpu, node.memory) = (CpuMillis(8000), Bytes(32 << 30));
                node.spot_risk = if number == 0 { 0.2 } else { 0.0 };
            });
        }
        assert_eq!(Situation::of_cluster(&lab.cluster), None, "nothing is there to be seen");
        let small = lab.shape("a/f", |shape| {
            (shape.cpu, shape.memory) = (CpuMillis(1000), Bytes(1 << 30));
        });
        let wide = lab.shape("b/g", |shape| {
            (shape.cpu, shape.memory) = (CpuMillis(4000), Bytes(4 << 30));
        });
        lab.cluster.set_class(small, Class::new(true, false, false, true));
        lab.cluster.set_class(wide, Class::new(false, true, false, false));
        let place = |number: u64| {
            let shape = if number < 8 { small } else { wide };
            Request { instance: InstanceId(number), shape, group: None }
        };
        let requests: Vec<Request> = (0..10).map(place).collect();
        assert!(
            lab.cluster.place(&requests, Time::ZERO).outcomes.iter().all(|o| o.node().is_some())
        );
        let seen = Situation::of_cluster(&lab.cluster).unwrap();
        let is = |name: &str, value: f32| {
            assert!((seen.of(name) - value).abs() < 1e-3, "{name}: {}", seen.of(name));
        };
        is("reserved", 0.5);
        is("start-bound", 0.5);
        is("bursty", 0.5);
        is("spot", 0.25);
        is("width", ((0.125_f32 + 0.5) / 2.0).sqrt());
        assert!(seen.has_spot() && seen.words().contains("reserved 0.50"));
    }

    #[test]
    fn what_was_reserved_lately_is_told_and_slowly_forgotten() {
        let mut past = Past::default();
        let mut look = |reserved: f32| {
            let mut seen = Situation::default();
            seen.0[RESERVED] = reserved;
            past.tell(&mut seen);
            seen.of("fell")
        };
        assert_eq!(look(0.2), 0.0, "it was never fuller");
        assert_eq!(look(0.8), 0.0);
        assert!((look(0.2) - 0.6).abs() < 0.01);
        let later = (0..240).map(|_| look(0.2)).last().unwrap();
        assert!((later - 0.3).abs() < 0.01, "half in 20 minutes: {later}");
        assert_eq!(look(0.9), 0.0);
    }
}
