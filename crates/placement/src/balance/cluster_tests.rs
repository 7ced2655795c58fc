//! The table in a cluster: whatever is played, what is placed is possible and accounted for.

use std::sync::Arc;

use gapless_types::{InstanceId, Time};

use super::*;
use crate::context::Context as PolicyContext;
use crate::fixture::Lab;
use crate::plain;
use crate::policy::{Scope, Score};
use crate::profile::{Profile, Weighted};
use crate::state::NodeIndex;
use crate::{Outcome, Request, ShapeId};

/// A score that is broken: no number, or out of every bound.
#[derive(Debug)]
struct Broken(f32);

impl Score for Broken {
    fn scope(&self) -> Scope {
        Scope::Usage
    }

    fn score(&self, _: &PolicyContext<'_>, node: NodeIndex) -> f32 {
        if node.0.is_multiple_of(2) { self.0 } else { 0.5 }
    }
}

fn with_broken(score: f32) -> Arc<Profile> {
    let mut profile = Profile::balanced().weighted("broken", &Weights::default_profile());
    profile.scores.push(Weighted {
        name: "broken",
        weight: 100.0,
        policy: Arc::new(Broken(score)),
    });
    Arc::new(profile)
}

fn lab() -> (Lab, ShapeId) {
    let mut lab = Lab::new();
    for number in 0..12 {
        lab.node(&format!("n{number}"), |_| {});
    }
    lab.cordon("n3");
    let shape = lab.shape("a/f", |_| {});
    lab.cluster.set_profile(shape, Arc::new(Profile::balanced()));
    (lab, shape)
}

fn table(class: Class, arms: &[(u32, Arc<Profile>, f32)]) -> Arc<Table> {
    let mut table = Table::new(Regime::Normal);
    let share = |(arm, profile, share): &(u32, Arc<Profile>, f32)| Share {
        arm: ArmId(*arm),
        profile: Arc::clone(profile),
        share: *share,
    };
    table.set(class, &arms.iter().map(share).collect::<Vec<_>>());
    Arc::new(table)
}

fn place(lab: &mut Lab, shape: ShapeId, first: u64, count: u64) -> Vec<Outcome> {
    let request = |n: u64| Request { instance: InstanceId(10_000 + n), shape, group: None };
    let one = |n| lab.cluster.place(&[request(n)], Time::ZERO).outcomes.remove(0);
    (first..first + count).map(one).collect()
}

#[test]
fn a_score_that_is_no_number_places_nothing_impossible() {
    for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, -1e30] {
        let (mut lab, shape) = lab();
        let class = lab.cluster.class(shape).unwrap();
        lab.cluster.set_table(Some(table(class, &[(1, with_broken(broken), 1.0)])));
        // 4 cores hold 40 instances of 100m; one node is cordoned.
        let outcomes = place(&mut lab, shape, 0, 450);
        let placed: Vec<(NodeIndex, f32)> = outcomes
            .iter()
            .filter_map(|outcome| match outcome {
                Outcome::Placed { node, score } => Some((*node, *score)),
                Outcome::Unplaced(_) => None,
            })
            .collect();
        assert_eq!(placed.len(), 11 * 40, "{broken}");
        assert!(placed.iter().all(|(_, score)| (0.0..=1.0).contains(score)), "{broken}");
        assert!(placed.iter().all(|(node, _)| node.0 != 3), "{broken}: it is cordoned");
        assert_eq!(plain::audit(&lab.cluster), Vec::<String>::new());
    }
}

#[test]
fn arms_are_played_by_their_shares_and_told_with_the_instance() {
    let (mut lab, shape) = lab();
    let class = lab.cluster.class(shape).unwrap();
    let pack = Arc::new(Profile::balanced().weighted("pack", &Weights::single("most-allocated")));
    lab.cluster.set_table(Some(table(class, &[(7, Arc::clone(&pack), 0.75)])));
    let outcomes = place(&mut lab, shape, 0, 400);
    assert!(outcomes.iter().all(|outcome| outcome.node().is_some()));
    let played = |n: u64| lab.cluster.instance(InstanceId(10_000 + n)).unwrap().played.unwrap();
    let by_pack = (0..400).filter(|n| played(*n).arm == ArmId(7)).count();
    assert!((260..340).contains(&by_pack), "{by_pack}");
    assert!((0..400).all(|n| played(n).class == class && played(n).regime == Regime::Normal));
    assert_eq!(plain::audit(&lab.cluster), Vec::<String>::new());
    let led = lab.cluster.shape_as_led(shape).unwrap();
    assert_eq!(led.profile.name(), "pack");
    let shown = lab.cluster.shape_as_played(shape, Some(played(0)));
    let name = shown.unwrap().profile.name();
    assert_eq!(name == "pack", played(0).arm == ArmId(7));
    // Without the table everything is as before.
    lab.cluster.set_table(None);
    place(&mut lab, shape, 400, 10);
    assert!(lab.cluster.instance(InstanceId(10_405)).unwrap().played.is_none());
}

#[test]
fn a_declared_profile_is_played_as_declared() {
    let (mut lab, shape) = lab();
    let class = lab.cluster.class(shape).unwrap();
    lab.cluster.set_profile(shape, Arc::new(Profile::default_profile()));
    let pack = Arc::new(Profile::balanced().weighted("pack", &Weights::single("most-allocated")));
    lab.cluster.set_table(Some(table(class, &[(7, pack, 1.0)])));
    place(&mut lab, shape, 0, 20);
    assert!(lab.cluster.instance(InstanceId(10_005)).unwrap().played.is_none());
}

#[test]
fn a_large_lot_is_no_place_to_try_things() {
    let (mut lab, shape) = lab();
    let class = lab.cluster.class(shape).unwrap();
    let arm = |name: &str| {
        Arc::new(Profile::balanced().weighted(name, &Weights::single("most-allocated")))
    };
    lab.cluster.set_table(Some(table(class, &[(1, arm("tried"), 0.4), (2, arm("leads"), 0.6)])));
    for batch in 0..8 {
        let request =
            |n: u64| Request { instance: InstanceId(batch * 100 + n), shape, group: None };
        let requests: Vec<Request> = (0..50).map(request).collect();
        lab.cluster.place(&requests, Time::ZERO);
        let first = lab.cluster.instance(InstanceId(batch * 100)).unwrap();
        assert_eq!(first.played.unwrap().arm, ArmId(2));
    }
}
