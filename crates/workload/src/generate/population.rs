//! The functions of a generated workload: how often, by what, how long, how large.
//!
//! Values are stratified: each of `n` functions takes a value from its own `n`-th of
//! a distribution, so that the few functions that make most invocations are as
//! published and not a matter of luck. What is random is which value goes with which.
//! Two couplings are published and kept: triggers and short durations are spread over
//! popular functions so that their shares of *invocations* come out as well as their
//! shares of functions. Two more follow from how the figures were measured: gaps cannot
//! vary more than a function's invocations can show ([`assign_cvs`]), and the mean of
//! few durations is mostly below the function's own ([`unlogged`]).

use rand_distr::{Distribution, StandardUniform};

use super::DURATION_SIGMA;
use super::published::{
    CV_OTHER, CV_TIMER, DURATION_S, INVOCATIONS_UP_TO_1_S, MEMORY_MB, RATE, TIMERS, TRIGGERS,
};
use crate::curve::{Curve, Scale};
use crate::function::Trigger;
use crate::rng::{Purpose, Stream, stream};

/// From this share on, a stratum takes its mean instead of a draw: it is the mean that
/// makes the share of invocations.
const TAIL_SHARE: f64 = 0.9;
/// The functions that make this share of the invocations decide the couplings.
const POPULAR_SHARE: f64 = 0.99;
/// How long the published figures' trace is.
const TRACE_DAYS: f64 = 14.0;
/// Of the largest coefficient of variation that gaps can have, what they are given: more
/// needs a single gap that is nearly as long as the trace.
const CV_SHARE_MAX: f64 = 0.5;
/// The most cores that one function keeps busy on average. No figure is published; a
/// popular function with a rare long duration would otherwise outweigh all others.
const CONCURRENCY_MAX: f64 = 500.0;
/// How often a duration too long for its function is exchanged before it is cut.
const EXCHANGES_MAX: u32 = 64;
const DAY_S: f64 = 86_400.0;

/// A function, before it has a name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub(super) per_day: f64,
    pub(super) trigger: Trigger,
    pub(super) cv: f64,
    pub(super) service_s: f64,
    pub(super) memory_mb: f64,
}

/// `count` functions, the most invoked first.
pub(super) fn population(count: usize, seed: u64) -> Vec<Member> {
    let mut stream = stream(seed, Purpose::Properties, 0, 0);
    let mut members = rates(count, &mut stream);
    members.sort_by(|a, b| b.per_day.total_cmp(&a.per_day));
    assign_triggers(&mut members, &mut stream);
    assign_durations(&mut members, &mut stream);
    let memory = strata(Curve::new(MEMORY_MB, Scale::Log), count, &mut stream);
    for (member, memory_mb) in members.iter_mut().zip(memory) {
        member.memory_mb = memory_mb;
    }
    assign_cvs(&mut members, &mut stream);
    members
}

/// Timers with their periods, and others by what figure 5a leaves for them.
fn rates(count: usize, stream: &mut Stream) -> Vec<Member> {
    let member =
        |per_day, trigger| Member { per_day, trigger, cv: 0.0, service_s: 0.0, memory_mb: 0.0 };
    let shares: Vec<f64> = TIMERS.iter().map(|timer| timer.1).collect();
    let timer_share: f64 = shares.iter().sum();
    let timers = (timer_share * count as f64).round() as usize;
    let mut members = Vec::with_capacity(count);
    for (&(per_day, _), part) in TIMERS.iter().zip(apportion(timers, &shares)) {
        members.extend(std::iter::repeat_n(member(per_day, Trigger::Timer), part));
    }
    let points = others(timer_share);
    let curve = Curve::new(&points, Scale::Log);
    let others = count - timers;
    for index in 0..others {
        let (low, high) = (index as f64 / others as f64, (index + 1) as f64 / others as f64);
        let draw: f64 = StandardUniform.sample(stream);
        let per_day = match low < TAIL_SHARE {
            true => curve.quantile(low + (high - low) * draw),
            false => curve.mean_between(low, high),
        };
        members.push(member(per_day, Trigger::Unknown));
    }
    members
}

/// The distribution of rates without the timers.
fn others(timer_share: f64) -> Vec<(f64, f64)> {
    let mut points = Vec::with_capacity(RATE.len());
    let mut last = 0.0f64;
    for (index, &(share, per_day)) in RATE.iter().enumerate() {
        // Of a step's two points the first is before the timers of that period.
        let is_before = RATE.get(index + 1).is_some_and(|next| next.1 == per_day);
        let is_in = |timer: f64| timer < per_day || (timer == per_day && !is_before);
        let timers: f64 = TIMERS.iter().filter(|timer| is_in(timer.0)).map(|timer| timer.1).sum();
        last = last.max(((share - timers) / (1.0 - timer_share)).clamp(0.0, 1.0));
        points.push((last, per_day));
    }
    points
}

/// `count` in parts as near to `shares` as whole numbers are (largest remainders).
fn apportion(count: usize, shares: &[f64]) -> Vec<usize> {
    let total: f64 = shares.iter().sum();
    let exact: Vec<f64> = shares.iter().map(|share| share / total * count as f64).collect();
    let mut parts: Vec<usize> = exact.iter().map(|part| *part as usize).collect();
    let mut order: Vec<usize> = (0..shares.len()).collect();
    order.sort_by(|&a, &b| exact[b].fract().total_cmp(&exact[a].fract()));
    let missing = count - parts.iter().sum::<usize>();
    order.iter().take(missing).for_each(|&index| parts[index] += 1);
    parts
}

/// One value from each of `count` equal parts of a distribution, in random order.
fn strata(curve: Curve<'_>, count: usize, stream: &mut Stream) -> Vec<f64> {
    let value = |index: usize, draw: f64| curve.quantile((index as f64 + draw) / count as f64);
    let mut values: Vec<f64> =
        (0..count).map(|index| value(index, StandardUniform.sample(stream))).collect();
    shuffle(&mut values, stream);
    values
}

fn shuffle<T>(values: &mut [T], stream: &mut Stream) {
    for end in (1..values.len()).rev() {
        values.swap(end, below(end + 1, stream));
    }
}

fn below(count: usize, stream: &mut Stream) -> usize {
    let draw: f64 = StandardUniform.sample(stream);
    (draw * count as f64) as usize
}

/// Shares things out to functions, the most invoked first, so that each kind has its
/// share of the invocations, until its share of functions is used up.
struct Sharing {
    /// How many functions of each kind are left.
    left: Vec<usize>,
    /// The share of invocations each kind should have.
    wanted: Vec<f64>,
    given: Vec<f64>,
    total: f64,
}

impl Sharing {
    fn new(left: Vec<usize>, wanted: Vec<f64>) -> Self {
        let given = vec![0.0; wanted.len()];
        Sharing { left, wanted, given, total: 0.0 }
    }

    /// The kind that is furthest behind, with a function of `weight` to give.
    fn by_invocations(&mut self, weight: f64) -> Option<usize> {
        self.total += weight;
        let behind = |kind: &usize| self.wanted[*kind] * self.total - self.given[*kind];
        let kind = (0..self.left.len())
            .filter(|kind| self.left[*kind] > 0)
            .max_by(|a, b| behind(a).total_cmp(&behind(b)))?;
        self.left[kind] -= 1;
        self.given[kind] += weight;
        Some(kind)
    }

    /// What is left, in random order.
    fn rest(self, stream: &mut Stream) -> Vec<usize> {
        let kinds = self.left.iter().enumerate();
        let mut rest: Vec<usize> =
            kinds.flat_map(|(kind, left)| std::iter::repeat_n(kind, *left)).collect();
        shuffle(&mut rest, stream);
        rest
    }
}

/// A kind for each of `weights`, which fall.
fn share_out(weights: &[f64], mut sharing: Sharing, stream: &mut Stream) -> Vec<usize> {
    let total: f64 = weights.iter().sum();
    let (mut sum, mut kinds) = (0.0, Vec::with_capacity(weights.len()));
    for weight in weights {
        if sum >= POPULAR_SHARE * total {
            break;
        }
        sum += weight;
        kinds.extend(sharing.by_invocations(*weight));
    }
    kinds.extend(sharing.rest(stream));
    kinds
}

fn assign_triggers(members: &mut [Member], stream: &mut Stream) {
    let kinds: Vec<_> = TRIGGERS.iter().filter(|kind| kind.0 != Trigger::Timer).collect();
    let mut others: Vec<_> = members.iter_mut().filter(|m| m.trigger != Trigger::Timer).collect();
    let weights: Vec<f64> = others.iter().map(|member| member.per_day).collect();
    let functions: Vec<f64> = kinds.iter().map(|kind| kind.1).collect();
    let total: f64 = kinds.iter().map(|kind| kind.2).sum();
    let wanted = kinds.iter().map(|kind| kind.2 / total).collect();
    let sharing = Sharing::new(apportion(others.len(), &functions), wanted);
    for (member, kind) in others.iter_mut().zip(share_out(&weights, sharing, stream)) {
        member.trigger = kinds[kind].0;
    }
}

/// Gives each function a coefficient of variation that its invocations can show: of `n`
/// gaps it is at most the root of `n`, so what was measured above that was measured of
/// functions invoked more often.
fn assign_cvs(members: &mut [Member], stream: &mut Stream) {
    for (is_timer, points) in [(true, CV_TIMER), (false, CV_OTHER)] {
        let least_first = members.iter_mut().rev();
        let mut some: Vec<_> =
            least_first.filter(|m| (m.trigger == Trigger::Timer) == is_timer).collect();
        let mut values = strata(Curve::new(points, Scale::Linear), some.len(), stream);
        values.sort_unstable_by(f64::total_cmp);
        let (mut values, mut possible) = (values.into_iter().peekable(), Vec::new());
        for member in &mut some {
            let most = match is_timer {
                true => f64::INFINITY,
                false => (member.per_day * TRACE_DAYS).sqrt() * CV_SHARE_MAX,
            };
            possible.extend(std::iter::from_fn(|| values.next_if(|cv| *cv <= most)));
            if possible.is_empty() {
                possible.extend(values.next());
            }
            member.cv = possible.swap_remove(below(possible.len(), stream));
        }
    }
}

fn assign_durations(members: &mut [Member], stream: &mut Stream) {
    let curve = Curve::new(DURATION_S, Scale::Log);
    let mut values = strata(curve, members.len(), stream);
    let weights: Vec<f64> = members.iter().map(|member| member.per_day).collect();
    let (mut short, mut long) = (Vec::new(), Vec::new());
    for value in values.drain(..) {
        if value <= 1.0 { short.push(value) } else { long.push(value) }
    }
    let wanted = vec![INVOCATIONS_UP_TO_1_S, 1.0 - INVOCATIONS_UP_TO_1_S];
    let sharing = Sharing::new(vec![short.len(), long.len()], wanted);
    for (member, kind) in members.iter_mut().zip(share_out(&weights, sharing, stream)) {
        let pool = if kind == 0 { &mut short } else { &mut long };
        member.service_s = pool.pop().expect("kinds are as many as values");
    }
    for index in 0..members.len() {
        exchange(members, index, stream);
    }
    for member in members {
        member.service_s *= unlogged(member.per_day);
    }
}

/// By how much a function's mean is above the mean that its invocations of a day show,
/// in the median: what was published is the mean of few where few were logged, and a
/// mean of few log-normal durations is mostly too low (Fenton 1960).
fn unlogged(per_day: f64) -> f64 {
    let variance = DURATION_SIGMA.powi(2).exp_m1();
    (1.0 + variance / per_day.max(1.0)).sqrt()
}

/// Exchanges a duration that would keep too many cores busy for that of a function
/// further down, of the same kind.
fn exchange(members: &mut [Member], index: usize, stream: &mut Stream) {
    let most_s = CONCURRENCY_MAX * DAY_S / members[index].per_day;
    let is_long = members[index].service_s > 1.0;
    for _ in 0..EXCHANGES_MAX {
        if members[index].service_s <= most_s {
            return;
        }
        let other = index + below(members.len() - index, stream);
        let service_s = members[other].service_s;
        if service_s <= most_s && (service_s > 1.0) == is_long {
            (members[other].service_s, members[index].service_s) =
                (members[index].service_s, service_s);
        }
    }
    members[index].service_s = members[index].service_s.min(most_s);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up_and_every_value_is_given_once() {
        assert_eq!(apportion(10, &[0.5, 0.3, 0.2]), [5, 3, 2]);
        assert_eq!(apportion(7, &[1.0, 1.0]).iter().sum::<usize>(), 7);
        let members = population(5_000, 4);
        assert_eq!(members.len(), 5_000);
        assert!(members.is_sorted_by(|a, b| a.per_day >= b.per_day));
        assert!(members.iter().all(|m| m.trigger != Trigger::Unknown && m.service_s > 0.0));
        for (trigger, functions, _) in TRIGGERS {
            let count = members.iter().filter(|member| member.trigger == *trigger).count();
            let share = count as f64 / 50.0;
            assert!((share - functions).abs() < 0.3, "{trigger}: {share}");
        }
    }

    #[test]
    fn the_means_agree_with_the_published_shares() {
        let members = population(100_000, 4);
        let mean = members.iter().map(|member| member.per_day).sum::<f64>() / 1e5;
        assert!((7_000.0..9_500.0).contains(&mean), "{mean}");
    }
}
