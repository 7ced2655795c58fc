//! Which target a request without a tag goes to.
//!
//! Requests are numbered, and a target's requests are spread over the numbers as
//! evenly as can be: among the first n requests, each target's count differs from its
//! share by less than one, for every n. Such an order exists for any shares (R.
//! Tijdeman, "The chairman assignment problem", Discrete Mathematics 32, 1980), and
//! giving each number to the target whose next turn is due first, among those whose
//! turn has begun, finds one (S. Baruah, N. Cohen, C. Plaxton, D. Varvel,
//! "Proportionate progress", Algorithmica 15, 1996). The order repeats, so it is laid
//! out once, when a route is stated, and a request costs one addition and one look-up:
//! no lock, no allocation, no random number. Random choice would be as cheap and
//! right only on average; at 1% it sends a new revision nothing for 460 requests one
//! time in a hundred.
//!
//! It is not meant to keep a client at its revision, and a client that sends requests
//! in a fixed rhythm may meet the rhythm of the order.

use gapless_types::Percent;

/// An order of targets by weight.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Split {
    /// Nobody has any weight.
    Nobody,
    /// All to one.
    One(u8),
    /// By number, over and over.
    Cycle(Box<[u8]>),
}

impl Split {
    /// An order for targets of these weights, at most 256 of them; further ones get nothing.
    pub(crate) fn new(weights: &[Percent]) -> Self {
        let weights: Vec<u64> =
            weights.iter().take(256).map(|weight| u64::from(weight.hundredths())).collect();
        let mut weighted = (0_u8..=255).zip(&weights).filter(|(_, weight)| **weight > 0);
        match (weighted.next(), weighted.next()) {
            (None, _) => Split::Nobody,
            (Some((only, _)), None) => Split::One(only),
            _ => Split::Cycle(cycle(&weights)),
        }
    }

    /// The target of the request with this number.
    pub(crate) fn target(&self, number: impl FnOnce() -> u64) -> Option<usize> {
        match self {
            Split::Nobody => None,
            Split::One(target) => Some(usize::from(*target)),
            Split::Cycle(cycle) => {
                let at = (number() % cycle.len() as u64) as usize;
                Some(usize::from(cycle[at]))
            }
        }
    }
}

/// One round of the order. Target `i` has its turn `j` (from 0) somewhere between
/// `j * sum / weight` and `(j + 1) * sum / weight`.
fn cycle(weights: &[u64]) -> Box<[u8]> {
    let divisor = weights.iter().copied().fold(0, gcd);
    let weights: Vec<u64> = weights.iter().map(|weight| weight / divisor).collect();
    let sum: u64 = weights.iter().sum();
    let mut turns = vec![0_u64; weights.len()];
    let next = |number: u64| {
        let begun = |target: &usize| turns[*target] * sum / weights[*target] <= number;
        let due = |target: &usize| ((turns[*target] + 1) * sum).div_ceil(weights[*target]);
        let weighted = (0..weights.len()).filter(|target| weights[*target] > 0);
        let chosen = weighted.filter(begun).min_by_key(due);
        debug_assert!(chosen.is_some(), "somebody's turn has always begun");
        let chosen = chosen.unwrap_or_default();
        turns[chosen] += 1;
        chosen as u8
    };
    (0..sum).map(next).collect()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(hundredths: &[u32]) -> Split {
        let weights: Vec<_> = hundredths.iter().copied().map(Percent::from_hundredths).collect();
        Split::new(&weights)
    }

    /// Weights that are awkward, and all sorts of others.
    fn cases() -> Vec<Vec<u32>> {
        let mut cases = vec![
            vec![9_900, 100],
            vec![5_000, 5_000],
            vec![9_999, 1],
            vec![3_333, 3_333, 3_334],
            vec![100, 0, 300],
            vec![9_000, 500, 300, 200],
            vec![7_920, 80, 2_000],
            vec![312; 32],
        ];
        let mut seed = 1_u32;
        for targets in 2..12 {
            let mut draw = || {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 16) % 1_000
            };
            cases.push((0..targets).map(|_| draw()).collect());
        }
        cases
    }

    #[test]
    fn among_the_first_n_requests_each_count_is_within_one_of_its_share() {
        for weights in cases() {
            let (split, sum) = (split(&weights), weights.iter().sum::<u32>());
            let mut counts = vec![0_u32; weights.len()];
            for n in 1..=21_000_u32 {
                counts[split.target(|| u64::from(n) - 1).unwrap()] += 1;
                for (count, weight) in counts.iter().zip(&weights) {
                    let share = f64::from(n) * f64::from(*weight) / f64::from(sum);
                    let off = (f64::from(*count) - share).abs();
                    assert!(off < 1.0, "{weights:?}: {count} of {n}, share {share}");
                }
            }
        }
    }

    #[test]
    fn any_1000_requests_are_split_exactly_by_whole_percents() {
        for percents in [vec![99, 1], vec![50, 50], vec![1, 2, 97], vec![33, 33, 34], vec![5; 20]] {
            let hundredths: Vec<u32> = percents.iter().map(|percent| percent * 100).collect();
            let split = split(&hundredths);
            for from in 0..200 {
                let mut counts = vec![0; percents.len()];
                for number in from..from + 1_000 {
                    counts[split.target(|| number).unwrap()] += 1;
                }
                let shares: Vec<u32> = percents.iter().map(|percent| percent * 10).collect();
                assert_eq!(counts, shares, "from {from}");
            }
        }
    }

    #[test]
    fn any_1000_requests_are_within_one_for_two_targets_of_any_weight() {
        for canary in [1, 7, 80, 333, 1_234, 4_999, 5_001] {
            let split = split(&[10_000 - canary, canary]);
            let is_canary = |number: u64| u32::from(split.target(|| number) == Some(1));
            let mut count: u32 = (0..1_000).map(is_canary).sum();
            for from in 0..10_000 {
                let share = f64::from(canary) / 10.0;
                assert!((f64::from(count) - share).abs() <= 1.0, "{canary} from {from}: {count}");
                count += is_canary(from + 1_000);
                count -= is_canary(from);
            }
        }
    }

    #[test]
    fn one_target_needs_no_number_and_none_has_nobody() {
        assert_eq!(split(&[0, 500]), Split::One(1));
        assert_eq!(split(&[0, 0]).target(|| 0), None);
        assert_eq!(split(&[]), Split::Nobody);
        let number = || unreachable!("one target takes all");
        assert_eq!(split(&[10_000]).target(number), Some(0));
    }
}
