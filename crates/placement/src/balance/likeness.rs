//! [`Likeness`]: what each of a prior's cases counts for in a situation, and what is expected
//! of its arms there.
//!
//! What is expected of an arm is the mean of what it gained over all cases, and of what it
//! gained more or less than that in each case as much as that case tells of the present: a
//! Gaussian process over situations, known as kriging where places are on a map (Matheron
//! 1963; Rasmussen and Williams 2006, equations 2.25 and 2.26). Where nothing is like the
//! present, the mean over all remains; how far it may be from that is told with it.
//!
//! What a case counts for is a number, of which the largest are shown to people. It may be
//! below zero: cases that say the same share what they count for, and one beyond them in the
//! same direction is taken off again. A mean over the nearest cases, each counted by
//! how near it is (Nadaraya 1964, Watson 1964), was there before: many cases that are all alike
//! then have the say over one that is nearer. Each case judged by those of other mixes, it
//! gave up 2.5% of the cost where this gives up 2.0%.
//!
//! Nodes that may be taken away make cases of their own. All is prepared once: a look is two
//! passes over a triangular matrix of a few hundred rows.

use super::prior::{Prior, PriorCase};
use super::situation::{FEATURE_COUNTS, FEATURES, Situation};

/// How far from each other situations are alike: the root of the mean square over their
/// numbers, by what each counts for, in shares of how much it differs between cases.
const BANDWIDTH: f64 = 1.4;
/// The variance of what is chance in a case, or not told by its situation, over that of
/// what is told.
const NOISE: f64 = 0.7;
/// The least by which a number differs between cases.
const SCALE_MIN: f64 = 0.05;
/// The least that an expected gain is in doubt.
const DEVIATION_MIN: f64 = 0.03;

/// Cases, prepared.
#[derive(Clone, Debug, Default)]
pub(crate) struct Likeness {
    /// By their numbers in the prior.
    cases: Vec<usize>,
    /// Each one's situation, in units in which near is 1.
    points: Vec<[f64; FEATURES]>,
    /// What brings a number to that unit.
    units: [f64; FEATURES],
    /// How like each is to each, and chance, as a triangle (Cholesky): row after row.
    triangle: Vec<Vec<f64>>,
    /// By arm: the mean gain, and the deviation of what is told by situations.
    arms: Vec<(f64, f64)>,
}

impl Likeness {
    /// The cases with or without nodes that may be taken away; all, where there are none such.
    pub(crate) fn of(prior: &Prior, has_spot: bool) -> Self {
        let is_alike = |case: &PriorCase| case.situation.has_spot() == has_spot;
        let mut cases: Vec<usize> =
            (0..prior.cases.len()).filter(|at| is_alike(&prior.cases[*at])).collect();
        if cases.is_empty() {
            cases = (0..prior.cases.len()).collect();
        }
        if cases.is_empty() {
            return Likeness::default();
        }
        let situations: Vec<Situation> =
            cases.iter().map(|at| prior.cases[*at].situation).collect();
        let units = units(&situations);
        let points: Vec<_> = situations.iter().map(|one| point(one, &units)).collect();
        let arm = |arm: usize| {
            let (mean, squares) = spread(cases.iter().map(|at| prior.cases[*at].gains[arm]));
            (mean, (squares / (1.0 + NOISE)).sqrt())
        };
        let arms = (0..prior.arms.len()).map(arm).collect();
        Likeness { triangle: triangle(&points), cases, points, units, arms }
    }

    /// What each case counts for in a situation, by its number in the prior: how much of
    /// what it gained more or less than the mean is expected here.
    pub(crate) fn counts(&self, situation: &Situation) -> Vec<(usize, f32)> {
        let (counts, _) = self.solve(situation);
        self.cases.iter().copied().zip(counts.into_iter().map(|count| count as f32)).collect()
    }

    /// What each arm is expected to gain over the default, and the standard deviation of
    /// that. Of a situation that is not known yet, what it is by the nodes alone counts.
    /// None where nothing is known.
    pub(crate) fn expected(
        &self,
        prior: &Prior,
        situation: Option<&Situation>,
    ) -> Option<Vec<(f32, f32)>> {
        if self.cases.is_empty() {
            return None;
        }
        let (counts, unknown) = situation.map_or((Vec::new(), 1.0), |of| self.solve(of));
        let of = |(arm, (mean, deviation)): (usize, &(f64, f64))| {
            let more = |(at, count): (&usize, &f64)| {
                count * (f64::from(prior.cases[*at].gains[arm]) - mean)
            };
            let gain = mean + self.cases.iter().zip(&counts).map(more).sum::<f64>();
            (gain as f32, (deviation * unknown.sqrt()).max(DEVIATION_MIN) as f32)
        };
        Some(self.arms.iter().enumerate().map(of).collect())
    }

    /// What each case counts for, and the share of the variance that is not told by any.
    fn solve(&self, situation: &Situation) -> (Vec<f64>, f64) {
        let here = point(situation, &self.units);
        let mut solved: Vec<f64> = self.points.iter().map(|one| alike(one, &here)).collect();
        for at in 0..solved.len() {
            let row = &self.triangle[at];
            let before: f64 = row[..at].iter().zip(&solved).map(|(a, b)| a * b).sum();
            solved[at] = (solved[at] - before) / row[at];
        }
        let told: f64 = solved.iter().map(|one| one * one).sum();
        for at in (0..solved.len()).rev() {
            solved[at] /= self.triangle[at][at];
            let (one, row) = (solved[at], &self.triangle[at]);
            solved[..at].iter_mut().zip(row).for_each(|(other, share)| *other -= share * one);
        }
        (solved, (1.0 - told).max(0.0))
    }
}

/// Mean and variance.
fn spread(values: impl Iterator<Item = f32> + Clone) -> (f64, f64) {
    let count = values.clone().count().max(1) as f64;
    let mean = values.clone().map(f64::from).sum::<f64>() / count;
    (mean, values.map(|value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count)
}

/// For each number, by what it counts and how much it differs between cases.
fn units(cases: &[Situation]) -> [f64; FEATURES] {
    let all = f64::from(FEATURE_COUNTS.iter().sum::<f32>());
    std::array::from_fn(|feature| {
        let (_, squares) = spread(cases.iter().map(|case| case.0[feature]));
        let count = f64::from(FEATURE_COUNTS[feature]) / all;
        count.sqrt() / squares.sqrt().max(SCALE_MIN) / BANDWIDTH
    })
}

fn point(situation: &Situation, units: &[f64; FEATURES]) -> [f64; FEATURES] {
    std::array::from_fn(|at| f64::from(situation.0[at]) * units[at])
}

/// How like one is to another: 1 where they are the same.
fn alike(one: &[f64; FEATURES], other: &[f64; FEATURES]) -> f64 {
    let squares: f64 = one.iter().zip(other).map(|(a, b)| (a - b).powi(2)).sum();
    (-squares / 2.0).exp()
}

/// The Cholesky factor of how like each is to each, with chance on the diagonal: which keeps
/// it far from having none, however alike two cases are.
fn triangle(points: &[[f64; FEATURES]]) -> Vec<Vec<f64>> {
    let mut rows: Vec<Vec<f64>> = Vec::with_capacity(points.len());
    for (at, one) in points.iter().enumerate() {
        let mut row: Vec<f64> = Vec::with_capacity(at + 1);
        for (column, other) in points[..=at].iter().enumerate() {
            let of = rows.get(column).unwrap_or(&row);
            let before: f64 = row[..column].iter().zip(of).map(|(a, b)| a * b).sum();
            let left = alike(one, other) - before;
            let entry = if column < at { left / of[column] } else { (left + NOISE).sqrt() };
            row.push(entry);
        }
        rows.push(row);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::super::prior::PriorArm;
    use super::super::weights::Weights;
    use super::*;

    fn at(reserved: f32) -> Situation {
        let mut situation = Situation::default();
        situation.0[0] = reserved;
        situation
    }

    fn prior(cases: &[(f32, [f32; 2])]) -> Prior {
        let arm =
            |name: &str| PriorArm { name: name.into(), weights: Weights::single("spot-risk") };
        let case = |(reserved, gains): &(f32, [f32; 2])| PriorCase {
            name: "a case".into(),
            situation: at(*reserved),
            gains: gains.to_vec(),
        };
        let cases = cases.iter().map(case).collect();
        Prior { arms: vec![arm("a"), arm("b")], cases, ..Prior::default() }
    }

    #[test]
    fn what_is_expected_follows_the_cases_that_are_alike() {
        let cases = [(0.1, [0.3, 0.1]), (0.9, [0.0, 0.2])];
        let prior = prior(&cases.repeat(5));
        let likeness = Likeness::of(&prior, false);
        let expected =
            |situation: Option<Situation>| likeness.expected(&prior, situation.as_ref()).unwrap();
        let (quiet, full) = (expected(Some(at(0.1))), expected(Some(at(0.9))));
        assert!(quiet[0].0 > 0.2 && quiet[0].0 > quiet[1].0, "{quiet:?}");
        assert!(full[1].0 > full[0].0, "{full:?}");
        let mean = expected(None);
        assert!((mean[0].0 - 0.15).abs() < 1e-5 && (mean[1].0 - 0.15).abs() < 1e-5, "{mean:?}");
        let never_seen = expected(Some(at(30.0)));
        assert!((never_seen[0].0 - mean[0].0).abs() < 1e-5, "{never_seen:?}");
        assert!(never_seen[0].1 > quiet[0].1, "and is more in doubt");
        let blank = prior.clone().without_knowledge();
        assert!(Likeness::of(&blank, false).expected(&blank, None).is_none());
    }

    #[test]
    fn what_cases_count_for_solves_what_it_is_to_solve() {
        let prior = prior(&[0.1, 0.15, 0.4, 0.41, 0.9].map(|reserved| (reserved, [0.1, 0.2])));
        let likeness = Likeness::of(&prior, true);
        let here = at(0.3);
        let counts = likeness.counts(&here);
        let here = point(&here, &likeness.units);
        for (row, one) in likeness.points.iter().enumerate() {
            let with = |(column, other): (usize, &[f64; FEATURES])| {
                let chance = if row == column { NOISE } else { 0.0 };
                (alike(one, other) + chance) * f64::from(counts[column].1)
            };
            let sum: f64 = likeness.points.iter().enumerate().map(with).sum();
            assert!((sum - alike(one, &here)).abs() < 1e-5, "{row}: {sum}");
        }
    }

    #[test]
    fn many_cases_that_say_the_same_have_not_the_say_over_one_that_is_near() {
        let mut cases = vec![(0.3, [0.3, 0.0]), (0.1, [0.3, 0.0])];
        cases.extend([(0.6, [0.0, 0.1]); 12]);
        let prior = prior(&cases);
        let expected = Likeness::of(&prior, false).expected(&prior, Some(&at(0.2))).unwrap();
        assert!(expected[0].0 > expected[1].0, "{expected:?}");
    }

    /// The mean over cases of what is lost against the best arm, where `chosen` says which
    /// arm leads (none: the default).
    fn given_up(prior: &Prior, chosen: impl Fn(&PriorCase) -> Option<usize>) -> f32 {
        let of = |case: &PriorCase| {
            let best = case.gains.iter().copied().fold(0.0, f32::max);
            let own = chosen(case).map_or(0.0, |arm| case.gains[arm]);
            (1.0 - own) / (1.0 - best) - 1.0
        };
        prior.cases.iter().map(of).sum::<f32>() / prior.cases.len() as f32
    }

    #[test]
    fn judged_by_other_mixes_what_is_chosen_by_likeness_is_better_than_any_one_arm() {
        let prior = Prior::shipped();
        let mix = |case: &PriorCase| {
            let name = case.name.split(" on ").next().unwrap_or_default();
            name.split(',').next().unwrap_or_default().to_owned()
        };
        let mut mixes: Vec<String> = prior.cases.iter().map(mix).collect();
        mixes.dedup();
        let without = |of: &String| {
            let mut others = prior.clone();
            others.cases.retain(|case| mix(case) != *of);
            [false, true].map(|has_spot| (Likeness::of(&others, has_spot), others.clone()))
        };
        let by_mix: std::collections::BTreeMap<_, _> =
            mixes.iter().map(|of| (of.clone(), without(of))).collect();
        let likely = given_up(&prior, |case| {
            let (likeness, others) = &by_mix[&mix(case)][usize::from(case.situation.has_spot())];
            let gains = likeness.expected(others, Some(&case.situation)).unwrap();
            let best = (0..gains.len()).max_by(|a, b| gains[*a].0.total_cmp(&gains[*b].0)).unwrap();
            (gains[best].0 > 0.0).then_some(best)
        });
        let one = |arm: usize| given_up(&prior, |_| Some(arm));
        let one = (0..prior.arms.len()).map(one).fold(f32::INFINITY, f32::min);
        assert!(likely < 0.022 && one > 0.05, "{likely} {one}");
    }
}
