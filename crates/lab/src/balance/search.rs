//! Searching weights: a separable CMA-ES.
//!
//! The covariance matrix adaptation evolution strategy with a diagonal matrix (Ros and
//! Hansen, PPSN 2008; constants from Hansen, arXiv 1604.00772). With two dozen weights
//! and a few hundred runs there is not enough to learn a full matrix from, and the
//! diagonal one learns several times faster. A crate was looked at: the one for this
//! brings a linear algebra library and second versions of the random number crates,
//! for what is a page here.
//!
//! Weights are searched by their logarithms, because what matters is how many times
//! heavier one is than another.

use gapless_placement::balance::{SCORES, Weights, scores};

/// Scores that nothing in the simulator can reward: `gapless_sim::placing::model` says why.
pub(crate) const NEVER_REWARDED: [&str; 3] = ["group-pack", "group-spread", "power-of-two-choices"];
/// The least and the greatest logarithm (of ten) of a weight; below the cut it is 0.
const LOG_MIN: f64 = -1.6;
const LOG_MAX: f64 = 1.2;
const LOG_CUT: f64 = -1.2;
/// Where a weight of 0 begins: at a tenth, so that it can wake up or fall asleep.
const LOG_ZERO: f64 = -1.0;

/// Numbers that follow from a seed (SplitMix64), normal by Box and Muller.
#[derive(Clone, Debug)]
pub(crate) struct Normals(u64);

impl Normals {
    pub(crate) fn new(seed: u64) -> Self {
        Normals(seed)
    }

    pub(crate) fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn normal(&mut self) -> f64 {
        let (radius, angle) = (self.unit().max(1e-12), self.unit());
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }
}

fn is_searched(name: &str) -> bool {
    !NEVER_REWARDED.contains(&name)
}

/// The point of some weights.
fn point(weights: &Weights) -> Vec<f64> {
    let searched = scores().zip(weights.values()).filter(|(entry, _)| is_searched(entry.name));
    let log = |weight: f32| if weight > 0.0 { f64::from(weight).log10() } else { LOG_ZERO };
    searched.map(|(_, weight)| log(*weight).clamp(LOG_MIN, LOG_MAX)).collect()
}

/// The weights of a point.
fn weights(point: &[f64]) -> Weights {
    let mut values = [0.0; SCORES];
    let mut at = point.iter();
    for (value, entry) in values.iter_mut().zip(scores()) {
        if is_searched(entry.name)
            && let Some(log) = at.next().filter(|log| **log > LOG_CUT)
        {
            *value = 10_f64.powf(log.min(LOG_MAX)) as f32;
        }
    }
    Weights::bounded(values)
}

/// Random weights: every logarithm alike.
pub(crate) fn random(seed: u64) -> Weights {
    let mut draws = Normals::new(seed);
    let count = scores().filter(|entry| is_searched(entry.name)).count();
    let point: Vec<f64> =
        (0..count).map(|_| LOG_MIN + (LOG_MAX - LOG_MIN) * draws.unit()).collect();
    weights(&point)
}

/// What a search ended with.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// The vector that had the least cost, with whatever luck it had.
    pub(crate) luckiest: Weights,
    /// The middle of what the search had come to: where costs differ by chance, the
    /// better of the two as a rule (Hansen, arXiv 1604.00772, section B.3).
    pub(crate) middle: Weights,
}

/// Searches for so many generations. `cost` is asked of one generation at a time, by its
/// number: what it asks the generation's vectors to do may differ from the next one's.
pub(crate) fn search(
    start: &Weights,
    generations: usize,
    seed: u64,
    mut cost: impl FnMut(usize, &[Weights]) -> Vec<f64>,
) -> Found {
    let mut strategy = Strategy::new(point(start), seed);
    let (mut luckiest, mut least) = (start.clone(), f64::INFINITY);
    for generation in 0..generations {
        let points = strategy.ask();
        let asked: Vec<Weights> = points.iter().map(|point| weights(point)).collect();
        let costs = cost(generation, &asked);
        if costs.len() < asked.len() {
            break;
        }
        for (one, found) in asked.iter().zip(&costs) {
            if *found < least {
                (luckiest, least) = (one.clone(), *found);
            }
        }
        strategy.tell(points, &costs);
    }
    Found { luckiest, middle: weights(&strategy.mean) }
}

/// The strategy's state.
#[derive(Debug)]
struct Strategy {
    mean: Vec<f64>,
    sigma: f64,
    /// Variance of each coordinate.
    variances: Vec<f64>,
    path: Vec<f64>,
    sigma_path: Vec<f64>,
    shares: Vec<f64>,
    population: usize,
    generation: i32,
    draws: Normals,
}

impl Strategy {
    fn new(mean: Vec<f64>, seed: u64) -> Self {
        let n = mean.len();
        let population = 4 + (3.0 * (n as f64).ln()) as usize;
        let parents = population / 2;
        let share = |rank: usize| (parents as f64 + 0.5).ln() - (rank as f64 + 1.0).ln();
        let sum: f64 = (0..parents).map(share).sum();
        Strategy {
            sigma: 0.35,
            variances: vec![1.0; n],
            path: vec![0.0; n],
            sigma_path: vec![0.0; n],
            shares: (0..parents).map(|rank| share(rank) / sum).collect(),
            population,
            generation: 0,
            draws: Normals::new(seed),
            mean,
        }
    }

    fn ask(&mut self) -> Vec<Vec<f64>> {
        let mut one = |_| {
            let coordinates = self.mean.iter().zip(&self.variances);
            let drawn = coordinates
                .map(|(mean, variance)| mean + self.sigma * variance.sqrt() * self.draws.normal());
            drawn.map(|x| x.clamp(LOG_MIN, LOG_MAX)).collect()
        };
        (0..self.population).map(&mut one).collect()
    }

    fn tell(&mut self, points: Vec<Vec<f64>>, costs: &[f64]) {
        let n = self.mean.len() as f64;
        let mut ranked: Vec<(&f64, Vec<f64>)> = costs.iter().zip(points).collect();
        ranked.sort_by(|a, b| a.0.total_cmp(b.0));
        let effective = 1.0 / self.shares.iter().map(|share| share * share).sum::<f64>();
        let c_sigma = (effective + 2.0) / (n + effective + 5.0);
        let damping = 1.0 + c_sigma + 2.0 * (((effective - 1.0) / (n + 1.0)).sqrt() - 1.0).max(0.0);
        let c_path = (4.0 + effective / n) / (n + 4.0 + 2.0 * effective / n);
        // The diagonal learns (n + 2) / 3 times as fast (Ros and Hansen).
        let faster = (n + 2.0) / 3.0;
        let c_one = (faster * 2.0 / ((n + 1.3).powi(2) + effective)).min(0.5);
        let c_many = (faster * 2.0 * (effective - 2.0 + 1.0 / effective)
            / ((n + 2.0).powi(2) + effective))
            .min(1.0 - c_one);
        let expected = n.sqrt() * (1.0 - 1.0 / (4.0 * n) + 1.0 / (21.0 * n * n));
        self.generation += 1;
        let mut length = 0.0;
        let mut steps = vec![0.0; self.mean.len()];
        for (at, step) in steps.iter_mut().enumerate() {
            let of = |(share, (_, point)): (&f64, &(&f64, Vec<f64>))| {
                share * (point[at] - self.mean[at])
            };
            *step = self.shares.iter().zip(&ranked).map(of).sum::<f64>() / self.sigma;
            let scaled = *step / self.variances[at].sqrt();
            let path = &mut self.sigma_path[at];
            *path =
                (1.0 - c_sigma) * *path + (c_sigma * (2.0 - c_sigma) * effective).sqrt() * scaled;
            length += *path * *path;
        }
        let length = length.sqrt();
        let decay = (1.0 - (1.0 - c_sigma).powi(2 * self.generation)).sqrt();
        let is_steady = length / decay < (1.4 + 2.0 / (n + 1.0)) * expected;
        for at in 0..self.mean.len() {
            let push = (c_path * (2.0 - c_path) * effective).sqrt() * steps[at];
            self.path[at] = (1.0 - c_path) * self.path[at] + if is_steady { push } else { 0.0 };
            let of = |(share, (_, point)): (&f64, &(&f64, Vec<f64>))| {
                share * ((point[at] - self.mean[at]) / self.sigma).powi(2)
            };
            let many: f64 = self.shares.iter().zip(&ranked).map(of).sum();
            let variance = &mut self.variances[at];
            *variance = (1.0 - c_one - c_many) * *variance
                + c_one * self.path[at] * self.path[at]
                + c_many * many;
            *variance = variance.clamp(1e-6, 1e3);
            self.mean[at] += self.sigma * steps[at];
        }
        self.sigma *= ((c_sigma / damping) * (length / expected - 1.0)).exp();
        self.sigma = self.sigma.clamp(1e-3, 2.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_the_least_of_a_bowl_that_is_longer_one_way() {
        let mut strategy = Strategy::new(vec![1.0; 10], 3);
        let cost = |point: &Vec<f64>| -> f64 {
            let terms = point.iter().enumerate();
            terms.map(|(at, x)| 10_f64.powf(at as f64 / 4.5) * (x + 0.5).powi(2)).sum()
        };
        let mut least = f64::INFINITY;
        for _ in 0..300 {
            let points = strategy.ask();
            let costs: Vec<f64> = points.iter().map(cost).collect();
            least = costs.iter().copied().fold(least, f64::min);
            strategy.tell(points, &costs);
        }
        assert!(least < 1e-3, "{least}");
    }

    #[test]
    fn weights_and_points_are_the_same_thing() {
        let default = Weights::default_profile();
        assert_eq!(weights(&point(&default)).of("warm-first"), Some(2.0));
        let random = random(4);
        let back = weights(&point(&random));
        for (name, _) in random.shares() {
            let (was, is) = (random.of(name).unwrap(), back.of(name).unwrap());
            assert!((was / is - 1.0).abs() < 1e-4, "{name}: {was} {is}");
        }
        for name in NEVER_REWARDED {
            assert_eq!(random.of(name), Some(0.0));
        }
        let found = search(&default, 30, 1, |_, asked| {
            asked.iter().map(|one| (f64::from(one.of("spot-risk").unwrap()) - 5.0).abs()).collect()
        });
        for found in [found.luckiest, found.middle] {
            assert!((found.of("spot-risk").unwrap() - 5.0).abs() < 0.5, "{found:?}");
        }
    }
}
