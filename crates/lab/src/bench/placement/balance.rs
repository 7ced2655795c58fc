//! What balancing costs: a decision with a weight table against one without, and what
//! learning takes of a core at 10,000 starts a second.

use std::sync::Arc;
use std::time::Instant;

use gapless_placement::balance::{
    ArmId, Balancer, Config, Observation, Played, Prior, Regime, Share, Table,
};
use gapless_placement::{Cluster, Profile, Request, ShapeId};
use gapless_types::{InstanceId, Time};

use super::Args;
use super::world::{self, Draw};
use crate::bench::table::{Findings, Goal};

/// Decisions timed together, so that the clock does not count.
const DECISIONS: u64 = 200;
/// Such measurements of each, taken in turns.
const TURNS: usize = 200;
/// Outcomes learned from.
const OUTCOMES: u64 = 200_000;
/// Starts a second that a core must be able to learn from.
const STARTS_PER_S: f64 = 10_000.0;
/// Outcomes between two tables: five seconds of them.
const PER_TICK: u64 = 50_000;
/// Shapes they are of.
const SHAPES: u64 = 1_000;

/// How often the other arm is played, where what a tried decision takes is measured.
const HALF: f32 = 0.49;

/// Measures both.
///
/// What is tried is 1% of decisions and each takes several times as long as others: in
/// short turns that is chance. So it is measured where half of the decisions are tried, and
/// counted for the share that is.
pub(super) fn measure(args: &Args, cluster: &Cluster, findings: &mut Findings) {
    let plain = decisions(args, cluster, None);
    let leader = decisions(args, cluster, Some(&[1.0]));
    let half = decisions(args, cluster, Some(&[1.0 - HALF, HALF]));
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    let mut sides = [plain, leader, half];
    for _ in 0..TURNS {
        for (side, times) in sides.iter_mut().zip(&mut times) {
            times.push(side.turn());
        }
    }
    let [plain, leader, half] = times.map(undisturbed);
    findings.row("decision without a weight table", "us", plain);
    let added = |time: f64| (time / plain - 1.0) * 100.0;
    findings.goal("added by the look-up in a weight table", "%", added(leader), Goal::AtMost(5.0));
    let tried = leader + (half - leader) / f64::from(HALF);
    findings.row("decision by an arm that is tried", "us", tried);
    let share = f64::from(Config::default().explore_max);
    let mixed = leader + share * (tried - leader);
    findings.goal("added with as much tried as ever is", "%", added(mixed), Goal::AtMost(5.0));
    let each_ns = learning_ns(args);
    findings.row("learning from one outcome", "ns", each_ns);
    let share = each_ns * 1e-9 * STARTS_PER_S * 100.0;
    findings.goal("of a core at 10,000 starts/s", "%", share, Goal::AtMost(1.0));
}

/// The lower quartile: what turns take in which nothing else ran.
fn undisturbed(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 4]
}

/// One cluster that decides.
struct Side {
    cluster: Cluster,
    shape: ShapeId,
    next: u64,
    nodes: u64,
    draw: Draw,
}

/// A copy of the cluster that plays arms by these shares, with the default's own weights.
fn decisions(args: &Args, cluster: &Cluster, shares: Option<&[f32]>) -> Side {
    let mut cluster = cluster.clone();
    let profile = Arc::new(Profile::balanced());
    let shape = world::shapes(&mut cluster, 1, &profile)[0];
    if let (Some(shares), Some(class)) = (shares, cluster.class(shape)) {
        let mut table = Table::new(Regime::Normal);
        let arms = shares.iter().zip(1_u32..).map(|(share, arm)| Share {
            arm: ArmId(arm),
            // The same weights: what is compared is the way there, not where it leads.
            profile: Arc::new(
                profile.weighted("arm", &gapless_placement::balance::Weights::default_profile()),
            ),
            share: *share,
        });
        table.set(class, &arms.collect::<Vec<_>>());
        cluster.set_table(Some(Arc::new(table)));
    }
    let mut side = Side { cluster, shape, next: 1, nodes: args.nodes, draw: Draw::new(args.seed) };
    // Until the shape has earned its index.
    for _ in 0..4 {
        side.turn();
    }
    side
}

impl Side {
    /// Microseconds of one decision.
    fn turn(&mut self) -> f64 {
        let begun = Instant::now();
        for _ in 0..DECISIONS {
            let instance = InstanceId(self.next);
            self.next += 1;
            let request = Request { instance, shape: self.shape, group: None };
            std::hint::black_box(self.cluster.place(&[request], Time::ZERO));
            super::change(&mut self.cluster, self.nodes, &mut self.draw);
        }
        let took = begun.elapsed().as_secs_f64() * 1e6 / DECISIONS as f64;
        for number in self.next - DECISIONS..self.next {
            self.cluster.release(InstanceId(number));
        }
        took
    }
}

/// Nanoseconds to learn from one outcome, tables included.
fn learning_ns(args: &Args) -> f64 {
    let mut balancer = Balancer::new(Config::default(), Prior::shipped());
    let mut draw = Draw::new(args.seed);
    let mut table = balancer.table();
    let classes: Vec<_> = gapless_placement::balance::Class::all().collect();
    let begun = Instant::now();
    for number in 0..OUTCOMES {
        let class = classes[draw.below(classes.len() as u64) as usize];
        let random = draw.below(u64::from(u32::MAX)) as u32;
        let arm = table.draw(class, random).map_or(ArmId::DEFAULT, |(arm, _)| arm);
        let cost = 1.0 + draw.below(1000) as f32 / 500.0;
        let played = Played { arm, class, regime: Regime::Normal };
        let shape = draw.below(SHAPES);
        balancer.observe(Observation { shape, played, cost, failed: false });
        if number % PER_TICK == 0
            && let Some(new) = balancer.tick(Regime::Normal, None)
        {
            table = new;
        }
    }
    begun.elapsed().as_secs_f64() * 1e9 / OUTCOMES as f64
}
