//! A day in the life of a cluster, in simulated time: instances start and stop at
//! 5,000 a second each, nodes come, go and change, functions are deployed and deleted.
//! What must be left at the end: nothing that is not accounted for, and kept scores
//! that equal computed ones.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gapless_placement::{Cluster, Outcome, Profile, Request, ShapeId, plain};
use gapless_types::{InstanceId, Time};

use super::super::table::{Findings, Goal};
use super::world::{self, Draw};
use super::{Args, change, rss_bytes};

/// Starts, and stops, per simulated second.
const PER_SECOND: u64 = 5_000;
/// Functions that are called in any one second.
const FUNCTIONS: u64 = 100;
/// A function is replaced every so many seconds.
const DEPLOY_EVERY: u64 = 10;
/// How long an instance lives, in simulated seconds.
const LIFE_SECONDS: usize = 20;
/// How often everything is recomputed and compared, in simulated seconds.
const AUDIT_EVERY: u64 = 600;

pub(super) fn run(
    args: &Args,
    mut cluster: Cluster,
    profile: &Arc<Profile>,
    findings: &mut Findings,
) {
    let seconds = (args.hours.clamp(0.001, 24.0 * 7.0) * 3600.0) as u64;
    let mut draw = Draw::new(args.seed);
    let mut shapes = world::shapes(&mut cluster, FUNCTIONS, profile);
    let mut deployed = FUNCTIONS;
    let mut alive: VecDeque<Vec<InstanceId>> = VecDeque::new();
    let (mut next, mut placed, mut unplaced, mut stops) = (1_u64, 0_u64, 0_u64, 0_u64);
    let mut wrong = Vec::new();
    let mut deciding = Duration::ZERO;
    let (mut rss_early, mut names_early, mut heap_early) = (0.0, 0, 0);
    let begun = Instant::now();
    for second in 0..seconds {
        let now = Time::from_millis(second * 1000);
        if second % DEPLOY_EVERY == 0 {
            redeploy(&mut cluster, &mut shapes, &mut deployed, &mut draw, profile);
        }
        for _ in 0..100.min(args.nodes) {
            change(&mut cluster, args.nodes, &mut draw);
        }
        let requests: Vec<Request> = (0..PER_SECOND)
            .map(|_| {
                next += 1;
                // A few functions have most of the calls.
                let rank =
                    draw.below(FUNCTIONS).min(draw.below(FUNCTIONS)).min(draw.below(FUNCTIONS));
                Request { instance: InstanceId(next), shape: shapes[rank as usize], group: None }
            })
            .collect();
        let at = Instant::now();
        let batch = cluster.place(&requests, now);
        deciding += at.elapsed();
        let started: Vec<InstanceId> = requests
            .iter()
            .zip(&batch.outcomes)
            .filter(|(_, outcome)| matches!(outcome, Outcome::Placed { .. }))
            .map(|(request, _)| request.instance)
            .collect();
        placed += started.len() as u64;
        unplaced += requests.len() as u64 - started.len() as u64;
        for instance in &started {
            cluster.confirm(*instance);
        }
        alive.push_back(started);
        if alive.len() > LIFE_SECONDS {
            for instance in alive.pop_front().unwrap_or_default() {
                stops += u64::from(cluster.release(instance));
            }
        }
        if second % 60 == 59 {
            cluster.decay_failures();
        }
        if second % AUDIT_EVERY == AUDIT_EVERY - 1 || second + 1 == seconds {
            wrong.extend(plain::audit(&cluster));
            // A run of hours that is cut short has said this much.
            eprintln!(
                "  {:.1} of {} simulated hours in {:.0} s: {placed} starts, {} wrong, {} names, {} MiB",
                second as f64 / 3600.0,
                args.hours,
                begun.elapsed().as_secs_f64(),
                wrong.len(),
                cluster.names(),
                cluster.heap_bytes() >> 20,
            );
            if rss_early == 0.0 {
                (rss_early, names_early, heap_early) =
                    (rss_bytes(), cluster.names(), cluster.heap_bytes());
            }
        }
        if wrong.len() > 10 {
            break;
        }
    }
    let (rss, names, heap) = (rss_bytes(), cluster.names(), cluster.heap_bytes());
    for instance in alive.into_iter().flatten() {
        stops += u64::from(cluster.release(instance));
    }
    let left = cluster.state().instances();
    let rate = placed as f64 / deciding.as_secs_f64();
    findings.row("simulated time", "h", seconds as f64 / 3600.0);
    findings.row("took", "s", begun.elapsed().as_secs_f64());
    findings.row("starts", "count", placed as f64);
    findings.row("stops", "count", stops as f64);
    findings.row("unplaced", "count", unplaced as f64);
    findings.row("placements per second", "1/s", rate);
    findings.goal("leaks, drift and violations", "count", wrong.len() as f64, Goal::AtMost(0.0));
    findings.goal("instances left over", "count", left as f64, Goal::AtMost(0.0));
    findings.row("names after the first audit", "count", names_early as f64);
    findings.row("names at the end", "count", names as f64);
    findings.row("memory after the first audit", "MiB", heap_early as f64 / f64::from(1 << 20));
    findings.row("memory at the end", "MiB", heap as f64 / f64::from(1 << 20));
    findings.row("rss growth since", "MiB", (rss - rss_early) / f64::from(1 << 20));
    findings.wrong.extend(wrong.into_iter().take(10));
}

/// One function is deleted, and a new one deployed.
fn redeploy(
    cluster: &mut Cluster,
    shapes: &mut [ShapeId],
    deployed: &mut u64,
    draw: &mut Draw,
    profile: &Arc<Profile>,
) {
    let at = draw.below(shapes.len() as u64) as usize;
    cluster.forget_shape(shapes[at]);
    *deployed += 1;
    let spec = world::shape(*deployed, draw);
    shapes[at] =
        cluster.add_shape(spec, Arc::clone(profile)).expect("the bench's shapes are sound");
}
