//! The balancer against clusters that are a formula: does it learn, and do the guards hold?

use super::context::Context;
use super::*;

const CLASS: Class = Class::new(true, false, false, false);

fn prior() -> Prior {
    let arm = |name: &str, score| PriorArm { name: name.into(), weights: Weights::single(score) };
    let arms = vec![arm("good", "spot-risk"), arm("bad", "most-allocated")];
    Prior { made_by: "a test".into(), arms, ..Prior::default() }
}

/// A balancer with a world in which an arm's cost is `cost(name)`, with noise.
struct World {
    balancer: Balancer,
    noise: super::estimate::Draws,
    /// Decisions by arm since it was last asked.
    played: std::collections::BTreeMap<String, u32>,
}

impl World {
    fn new(config: Config, prior: Prior) -> Self {
        let balancer = Balancer::new(config, prior);
        World { balancer, noise: super::estimate::Draws::new(99), played: Default::default() }
    }

    /// A window of `count` decisions.
    fn window(&mut self, count: u32, regime: Regime, cost: impl Fn(&str, f32) -> (f32, bool)) {
        let table = self.balancer.table();
        for _ in 0..count {
            let random = (f64::from(self.noise.unit()) * f64::from(u32::MAX)) as u32;
            let arm = table.draw(CLASS, random).map_or(ArmId::DEFAULT, |(arm, _)| arm);
            let name = self.balancer.arm_name(arm).to_owned();
            *self.played.entry(name.clone()).or_default() += 1;
            let (cost, failed) = cost(&name, self.noise.normal());
            let played = Played { arm, class: CLASS, regime };
            self.balancer.observe(Observation { shape: 1, played, cost, failed });
        }
        self.balancer.tick(regime, None);
    }

    fn leader(&self, regime: Regime) -> String {
        self.balancer.leader(CLASS, regime).0.to_owned()
    }

    fn share(&mut self, name: &str) -> f32 {
        let all: u32 = self.played.values().sum();
        let share = self.played.get(name).copied().unwrap_or(0) as f32 / all as f32;
        self.played.clear();
        share
    }
}

/// `good` costs a fifth less than the default, `bad` a third more.
fn fair(name: &str, noise: f32) -> (f32, bool) {
    let mean = match name {
        "bad" => 4.0,
        name if name.starts_with("good") => 2.4,
        _ => 3.0,
    };
    ((mean + 0.8 * noise).max(0.1), false)
}

/// Tries more than the default does, so that tests are short; makes nothing up.
fn calm() -> Config {
    Config {
        explore_max: 0.1,
        explore_sure: 0.1,
        default_min: 0.02,
        refines: false,
        ..Config::default()
    }
}

#[test]
fn the_better_arm_comes_to_lead_and_the_default_is_always_played() {
    let mut world = World::new(calm(), prior());
    (0..60).for_each(|_| world.window(100, Regime::Normal, fair));
    assert_eq!(world.leader(Regime::Normal), "good");
    let bad = world.share("bad");
    assert!(bad < 0.1, "{bad}");
    (0..40).for_each(|_| world.window(100, Regime::Normal, fair));
    let explored = 1.0 - world.share("good");
    assert!(explored < 0.1 && explored > 0.01, "{explored}");
    let report = world.balancer.report();
    let context = report.contexts.iter().find(|c| c.class == Some(CLASS)).unwrap();
    assert!((context.gain - 0.2).abs() < 0.08, "{}", context.gain);
    assert!(context.arms.iter().any(|arm| arm.name == "default" && arm.share >= 0.01));
    assert!(context.arms.iter().find(|arm| arm.name == "default").unwrap().plays > 50);
}

#[test]
fn exploration_is_bounded_from_the_first_decision_on() {
    let mut world = World::new(calm(), prior());
    let mut others = 0.0;
    for _ in 0..20 {
        let leader = world.leader(Regime::Normal);
        world.window(200, Regime::Normal, |_, noise| (3.0 + noise.abs(), false));
        others += 1.0 - world.share(&leader);
    }
    assert!(others / 20.0 < 0.12, "{others}");
}

#[test]
fn a_leader_that_turns_bad_is_rolled_back_within_the_windows() {
    let mut world = World::new(calm(), prior());
    (0..60).for_each(|_| world.window(100, Regime::Normal, fair));
    assert_eq!(world.leader(Regime::Normal), "good");
    let turned =
        |name: &str, noise| if name == "good" { fair("bad", noise) } else { fair(name, noise) };
    let windows = world.balancer.config().windows;
    // Windows of several hundred: the default has its few in each.
    (0..windows).for_each(|_| world.window(400, Regime::Normal, turned));
    assert_eq!(world.leader(Regime::Normal), "default");
}

#[test]
fn poisoned_costs_lead_back_to_the_default_within_the_windows() {
    let poisons: [fn(f32) -> f32; 4] = [
        |_| f32::NAN,
        |_| f32::NEG_INFINITY,
        |noise| -3.0 - noise.abs(),
        |noise| if noise > 0.5 { f32::INFINITY } else { 2.0 + noise },
    ];
    for (number, poison) in poisons.into_iter().enumerate() {
        let mut world = World::new(calm(), prior());
        (0..60).for_each(|_| world.window(100, Regime::Normal, fair));
        assert_eq!(world.leader(Regime::Normal), "good");
        let windows = world.balancer.config().windows;
        (0..windows).for_each(|_| world.window(100, Regime::Normal, |_, n| (poison(n), false)));
        assert_eq!(world.leader(Regime::Normal), "default", "poison {number}");
        assert!(world.balancer.rollbacks(Rollback::Nonsense) >= 1);
        let json = serde_json::to_string(&world.balancer.save()).unwrap();
        assert!(
            !json.contains("null,\"variance") && !json.contains("NaN"),
            "nothing of it is learned"
        );
    }
}

#[test]
fn a_constant_cost_leads_back_to_the_default() {
    let mut world = World::new(calm(), prior());
    (0..60).for_each(|_| world.window(100, Regime::Normal, fair));
    let windows = world.balancer.config().windows;
    (0..windows).for_each(|_| world.window(100, Regime::Normal, |_, _| (1.0, false)));
    assert_eq!(world.leader(Regime::Normal), "default");
    let only_default = world.balancer.table();
    assert!(only_default.leader(CLASS).is_none());
}

#[test]
fn praise_for_a_bad_arm_is_undone_once_the_truth_shows() {
    let mut world = World::new(calm(), prior());
    let praised = |name: &str, noise: f32| {
        if name == "bad" { (0.3 + 0.1 * noise.abs(), false) } else { fair(name, noise) }
    };
    (0..60).for_each(|_| world.window(100, Regime::Normal, praised));
    assert_eq!(world.leader(Regime::Normal), "bad", "nobody can know better");
    let windows = world.balancer.config().windows;
    (0..windows).for_each(|_| world.window(400, Regime::Normal, fair));
    assert_ne!(world.leader(Regime::Normal), "bad");
}

#[test]
fn failures_lead_back_whatever_costs_say() {
    let mut world = World::new(calm(), prior());
    (0..60).for_each(|_| world.window(100, Regime::Normal, fair));
    let failing = |name: &str, noise| (fair(name, noise).0, name == "good" && noise > 0.0);
    let windows = world.balancer.config().windows;
    (0..windows).for_each(|_| world.window(400, Regime::Normal, failing));
    assert_eq!(world.leader(Regime::Normal), "default");
    assert!(world.balancer.rollbacks(Rollback::Failing) >= 1);
    (0..5).for_each(|_| world.window(100, Regime::Normal, fair));
    assert_eq!(world.leader(Regime::Normal), "default", "it rests");
}

#[test]
fn a_class_never_seen_plays_the_default() {
    let mut world = World::new(calm(), prior());
    (0..30).for_each(|_| world.window(100, Regime::Normal, fair));
    let other = Class::new(false, true, true, true);
    let table = world.balancer.table();
    assert!(table.leader(other).is_none());
    // Expected to gain by the prior, an arm leads at once.
    let leads = |gain| Balancer::new(calm(), knowing(gain, gain)).table().leader(other).is_some();
    assert!(leads(0.2) && !leads(-0.05));
}

/// A situation with so much reserved.
fn reserved(share: f32) -> Situation {
    let mut situation = Situation::default();
    situation.0[0] = share;
    situation
}

/// A prior in which `good` gains so much where little is reserved, and so much where much is;
/// `bad` the other way round.
fn knowing(quiet: f32, busy: f32) -> Prior {
    let case = |share: f32, gains: [f32; 2]| PriorCase {
        name: "a case".into(),
        situation: reserved(share),
        gains: gains.to_vec(),
    };
    let all = || [case(0.1, [quiet, busy]), case(0.9, [busy, quiet])];
    let cases = (0..5).flat_map(|_| all()).collect();
    Prior { cases, ..prior() }
}

#[test]
fn when_the_situation_changes_what_is_known_of_the_new_one_leads() {
    let mut world = World::new(Config::default(), knowing(0.3, 0.1));
    let costs =
        |name: &str, noise: f32| ((if name == "default" { 3.0 } else { 2.6 }) + 0.3 * noise, false);
    for (share, leader) in [(0.1, "good"), (0.9, "bad"), (0.1, "good")] {
        for _ in 0..40 {
            world.window(100, Regime::Normal, costs);
            world.balancer.tick(Regime::Normal, Some(&reserved(share)));
        }
        assert_eq!(world.leader(Regime::Normal), leader, "at {share}");
        let report = world.balancer.report().situation.unwrap();
        assert_eq!(report.favourite.as_deref(), Some(leader));
        assert!((report.seen["reserved"] - share).abs() < 0.01);
    }
    let saved = world.balancer.save();
    let back = Balancer::restore(Config::default(), knowing(0.3, 0.1), saved).unwrap();
    assert_eq!(back.report(), world.balancer.report());
}

#[test]
fn little_is_tried_where_much_is_known_and_more_once_costs_rise() {
    let mut world = World::new(Config::default(), knowing(0.3, 0.3));
    let good = |name: &str, noise| fair(if name == "default" { name } else { "good" }, noise);
    (0..40).for_each(|_| world.window(100, Regime::Normal, good));
    world.played.clear();
    (0..100).for_each(|_| world.window(100, Regime::Normal, good));
    let leader = world.leader(Regime::Normal);
    let tried = 1.0 - world.share(&leader);
    assert!(tried > 0.0 && tried < 0.004, "{tried}");
    // Whatever leads becomes twice as bad as the default.
    let turned =
        |name: &str, noise: f32| ((if name == "default" { 3.0 } else { 6.0 }) + 0.8 * noise, false);
    (0..10).for_each(|_| world.window(100, Regime::Normal, turned));
    world.played.clear();
    (0..10).for_each(|_| world.window(100, Regime::Normal, turned));
    let tried = 1.0 - world.share(&leader);
    assert!(tried > 0.004, "{tried}");
    (0..60).for_each(|_| world.window(100, Regime::Normal, turned));
    assert_eq!(world.leader(Regime::Normal), "default");
}

#[test]
fn one_misfortune_is_not_held_against_the_leader() {
    let mut world = World::new(calm(), prior());
    (0..60).for_each(|_| world.window(100, Regime::Normal, fair));
    assert_eq!(world.leader(Regime::Normal), "good");
    // A node is lost, with what was on it: the leader's, as nearly all is.
    let lost = |name: &str, noise| (fair(name, noise).0, name == "good" && noise > 0.0);
    (0..2).for_each(|_| world.window(100, Regime::Normal, lost));
    (0..20).for_each(|_| world.window(100, Regime::Normal, fair));
    assert_eq!(world.balancer.rollbacks(Rollback::Failing), 0);
    assert_eq!(world.leader(Regime::Normal), "good");
}

#[test]
fn what_was_learned_in_one_regime_helps_in_the_next() {
    let mut world = World::new(calm(), prior());
    (0..60).for_each(|_| world.window(100, Regime::Normal, fair));
    world.window(100, Regime::High, fair);
    assert_eq!(world.leader(Regime::High), "good");
    assert_eq!(world.leader(Regime::Normal), "good", "and is not forgotten");
}

#[test]
fn frozen_it_learns_nothing_and_tries_nothing() {
    let mut world = World::new(calm(), prior());
    (0..60).for_each(|_| world.window(100, Regime::Normal, fair));
    world.balancer.set_frozen(true);
    world.played.clear();
    let before = world.balancer.save();
    (0..20).for_each(|_| world.window(100, Regime::Normal, |_, noise| fair("bad", noise)));
    assert_eq!(world.share("good"), 1.0);
    assert_eq!(world.balancer.save(), before);
}

#[test]
fn the_same_seed_learns_the_same_and_goes_on_after_a_restart() {
    let run = |windows: u32| {
        let mut world = World::new(Config::default(), prior());
        (0..windows).for_each(|_| world.window(100, Regime::Normal, fair));
        world
    };
    let (one, other) = (run(40), run(40));
    assert_eq!(one.balancer.save(), other.balancer.save());
    let json = serde_json::to_string(&one.balancer.save()).unwrap();
    let saved: Saved = serde_json::from_str(&json).unwrap();
    let back = Balancer::restore(Config::default(), prior(), saved.clone()).unwrap();
    assert_eq!(back.save(), one.balancer.save());
    assert_eq!(back.leader(CLASS, Regime::Normal), one.balancer.leader(CLASS, Regime::Normal));
    let others = Prior { arms: prior().arms[..1].to_vec(), ..prior() };
    assert_eq!(
        Balancer::restore(Config::default(), others, saved).unwrap_err(),
        SavedError::OtherPrior
    );
}

#[test]
fn refinement_adopts_what_is_better_and_forgets_the_rest() {
    // The cost falls with the weight of one score that the arms do not have.
    let mut world = World::new(Config { window_min: 100, refines: true, ..calm() }, prior());
    let mut best = 3.0_f32;
    for _ in 0..600 {
        let weights: std::collections::BTreeMap<String, f32> = world
            .balancer
            .arms
            .iter()
            .map(|arm| {
                (
                    arm.name.to_string(),
                    arm.weights.values().iter().filter(|w| **w > 0.0).count() as f32,
                )
            })
            .collect();
        let cost = |name: &str, noise: f32| {
            let woken = weights.get(name).map_or(0.0, |count| count - 1.0).min(4.0);
            let base = if name == "default" { 3.0 } else { fair(name, 0.0).0 };
            ((base - 0.2 * woken + 0.3 * noise).max(0.05), false)
        };
        world.window(300, Regime::Normal, cost);
        let report = world.balancer.report();
        let context = report.contexts.iter().find(|context| context.class == Some(CLASS));
        best = best.min(context.map_or(best, |context| context.cost));
    }
    assert!(best < 2.35, "{best}");
    assert!(world.balancer.arms.len() <= 5, "{}", world.balancer.arms.len());
}

#[test]
fn contexts_are_as_small_as_they_look() {
    let context = Context::new((1..=12).map(|arm| (ArmId(arm), None)));
    assert!(size_of_val(&context) + context.arms.len() * 64 < 2048);
}
