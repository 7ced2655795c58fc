//! What it all comes to: the figures that the goals are about.

use gapless_placement::balance::UNAVOIDABLE;
use serde::Serialize;

use super::compare::{Compared, DEFAULT, FROM_NOTHING, KUBERNETES, ORACLE, OURS, Row};
use crate::bench::{Findings, Goal};
use crate::start::lab::{Mean, mean};

/// Within so much of the oracle, a balancer has learned.
const NEAR: f64 = 0.10;
/// Stretches in a row that must be.
const STEADY: usize = 3;

/// The figures, as ratios.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Summary {
    /// Cells: mixes times clusters.
    pub(crate) cells: usize,
    /// Better than Kubernetes' default weights: mean over cells, seed by seed.
    pub(crate) gain_vs_default_mean: Mean,
    /// The same on mixes that the prior was not made with.
    pub(crate) gain_vs_default_held_out: Mean,
    /// Of the cost that a placement could save, the share that is saved against Kubernetes'
    /// default weights, and that the oracle would save: the same figures with
    /// [`UNAVOIDABLE`] taken off both sides.
    pub(crate) avoidable_saved_mean: Mean,
    pub(crate) avoidable_saved_held_out: Mean,
    pub(crate) avoidable_saved_by_oracle: Mean,
    /// The oracle against Kubernetes' default weights: what any fixed weights could gain.
    pub(crate) oracle_gain_mean: Mean,
    /// Worse than the hindsight oracle, mean over cells; below 0 is better.
    pub(crate) gap_to_oracle_mean: Mean,
    pub(crate) gap_to_oracle_held_out: Mean,
    /// Against Kubernetes' default weights, the worst cell; negative when worse.
    pub(crate) worst_vs_default: f64,
    /// Against gapless' own default profile, which the balancer falls back to.
    pub(crate) gain_vs_own_default_mean: Mean,
    pub(crate) worst_vs_own_default: f64,
    /// The cell that is furthest from the oracle, and how far.
    pub(crate) worst_gap_to_oracle: f64,
    /// The share of placements that did not play the leader.
    pub(crate) explored: f64,
    pub(crate) rollbacks: u64,
    pub(crate) infeasible: u64,
    /// Of mixes that change halfway: the share of the run it takes to come within 10% of
    /// the oracle, knowing nothing at first, and after the change.
    pub(crate) learned_in: f64,
    pub(crate) relearned_in: f64,
}

/// Seed by seed, the mean over cells of a gain of one contender over another, with so much
/// taken off both costs.
fn over_cells<'a>(
    cells: impl Iterator<Item = &'a Compared> + Clone,
    of: &str,
    against: &str,
    less: f64,
) -> Mean {
    let find = |cell: &'a Compared, name: &str| -> &'a Row {
        cell.rows.iter().find(|row| row.contender == name).expect("everybody is in every cell")
    };
    let count = cells.clone().count();
    let seeds = cells.clone().next().map_or(0, |cell| find(cell, of).by_seed.len());
    let gain = |seed: usize| {
        let gains = cells
            .clone()
            .map(|cell| (find(cell, of).by_seed[seed], find(cell, against).by_seed[seed]))
            .map(|(own, other)| 1.0 - (own - less) / (other - less));
        gains.sum::<f64>() / count.max(1) as f64
    };
    mean((0..seeds).map(gain))
}

fn ours(cells: &[Compared]) -> impl Iterator<Item = &Row> {
    cells.iter().flat_map(|cell| &cell.rows).filter(|row| row.contender == OURS)
}

fn negated(of: Mean) -> Mean {
    Mean { mean: -of.mean, ci95: of.ci95 }
}

impl Summary {
    pub(crate) fn of(cells: &[Compared]) -> Self {
        let held_out = cells.iter().filter(|cell| cell.rows[0].is_held_out);
        let least = |of: fn(&Row) -> f64| ours(cells).map(of).fold(f64::INFINITY, f64::min);
        let learned: Vec<_> = cells.iter().map(|cell| &cell.learned).collect();
        let (mut learned_in, mut relearned_in, mut counted) = (0.0, 0.0, 0.0);
        for (first, again) in cells.iter().filter_map(times) {
            learned_in += first;
            relearned_in += again;
            counted += 1.0;
        }
        let half = 0.5 / f64::max(counted, 1.0);
        Summary {
            cells: cells.len(),
            gain_vs_default_mean: over_cells(cells.iter(), OURS, KUBERNETES, 0.0),
            gain_vs_default_held_out: over_cells(held_out.clone(), OURS, KUBERNETES, 0.0),
            avoidable_saved_mean: over_cells(cells.iter(), OURS, KUBERNETES, UNAVOIDABLE),
            avoidable_saved_held_out: over_cells(held_out.clone(), OURS, KUBERNETES, UNAVOIDABLE),
            avoidable_saved_by_oracle: over_cells(cells.iter(), ORACLE, KUBERNETES, UNAVOIDABLE),
            oracle_gain_mean: over_cells(cells.iter(), ORACLE, KUBERNETES, 0.0),
            gap_to_oracle_mean: negated(over_cells(cells.iter(), OURS, ORACLE, 0.0)),
            gap_to_oracle_held_out: negated(over_cells(held_out, OURS, ORACLE, 0.0)),
            worst_vs_default: least(|row| row.gain_vs_kubernetes.mean),
            gain_vs_own_default_mean: over_cells(cells.iter(), OURS, DEFAULT, 0.0),
            worst_vs_own_default: least(|row| row.gain_vs_default.mean),
            worst_gap_to_oracle: -least(|row| -row.gap_to_oracle.mean),
            explored: learned.iter().map(|of| of.explored).sum::<f64>() / cells.len().max(1) as f64,
            rollbacks: learned.iter().map(|of| of.rollbacks).sum(),
            infeasible: learned.iter().map(|of| of.infeasible).sum(),
            learned_in: learned_in * half,
            relearned_in: relearned_in * half,
        }
    }

    /// The goals, held against what was found.
    pub(crate) fn goals(&self) -> Findings {
        let mut findings = Findings::of("balancer");
        let percent = |ratio: f64| (ratio * 1e4).round() / 1e2;
        let mut goal = |name: &str, value, goal| findings.goal(name, "%", percent(value), goal);
        goal(
            "better than Kubernetes' weights, mean",
            self.gain_vs_default_mean.mean,
            Goal::AtLeast(20.0),
        );
        goal("the same, held-out mixes", self.gain_vs_default_held_out.mean, Goal::AtLeast(20.0));
        goal(
            "worse than the hindsight oracle, mean",
            self.gap_to_oracle_mean.mean,
            Goal::AtMost(5.0),
        );
        goal("the same, held-out mixes", self.gap_to_oracle_held_out.mean, Goal::AtMost(5.0));
        goal("worst cell against Kubernetes' weights", self.worst_vs_default, Goal::AtLeast(-2.0));
        goal(
            "worst cell against the default profile",
            self.worst_vs_own_default,
            Goal::AtLeast(-2.0),
        );
        let ratio = self.relearned_in / self.learned_in.max(1e-9);
        findings.goal("time to learn after a change / at first", "x", ratio, Goal::AtMost(0.1));
        findings.row(
            "oracle better than Kubernetes' weights",
            "%",
            percent(self.oracle_gain_mean.mean),
        );
        findings.row("of avoidable cost, saved", "%", percent(self.avoidable_saved_mean.mean));
        findings.row("the same, by the oracle", "%", percent(self.avoidable_saved_by_oracle.mean));
        findings.row("share of decisions that do not play the leader", "%", percent(self.explored));
        findings.row("worst gap to the oracle in a cell", "%", percent(self.worst_gap_to_oracle));
        findings.row("rollbacks", "", self.rollbacks as f64);
        findings.goal("infeasible placements", "", self.infeasible as f64, Goal::AtMost(0.0));
        findings
    }
}

/// Where something changes halfway: the share of a half it takes to be near the oracle, at
/// first knowing nothing, and after the change.
pub(crate) fn times(cell: &Compared) -> Option<(f64, f64)> {
    let of = |name: &str| cell.rows.iter().find(|row| row.contender == name);
    let oracle = of(ORACLE).filter(|row| row.changes)?;
    let (nothing, ours) = (of(FROM_NOTHING)?, of(OURS)?);
    let half = oracle.over_time.len() / 2;
    let first = near_after(&nothing.over_time[..half], &oracle.over_time[..half]);
    Some((first, near_after(&ours.over_time[half..], &oracle.over_time[half..])))
}

/// The share of these stretches until a cost is within a tenth of the oracle's and stays
/// so for a while; all of them if it never is.
fn near_after(own: &[f64], oracle: &[f64]) -> f64 {
    let near: Vec<bool> =
        own.iter().zip(oracle).map(|(own, oracle)| *own <= oracle * (1.0 + NEAR)).collect();
    let first = near.windows(STEADY).position(|window| window.iter().all(|is_near| *is_near));
    first.map_or(1.0, |at| at as f64 / own.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn having_learned_is_staying_near() {
        let oracle = [1.0; 8];
        assert_eq!(near_after(&[1.0; 8], &oracle), 0.0);
        let blip = [2.0, 1.0, 2.0, 1.05, 1.05, 1.05, 2.0, 2.0];
        assert_eq!(near_after(&blip, &oracle), 3.0 / 8.0);
        assert_eq!(near_after(&[2.0; 8], &oracle), 1.0);
    }
}
