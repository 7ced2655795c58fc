//! Random streams that depend on nothing but a seed and what they are for.
//!
//! Each function and interval has a stream of its own, so that the arrivals of one
//! function do not change when another is added or a file is read in other pieces.
//! PCG is small (16 bytes of state) and its output is fixed across versions, which
//! the standard generator's is not.

use rand_pcg::Pcg64Mcg;

/// The generator of every stream.
pub(crate) type Stream = Pcg64Mcg;

/// What a stream is for: streams of different purposes never coincide.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// Arrivals inside one interval of counts.
    Interval = 1,
    /// The arrivals of one generated function.
    Function = 2,
    /// The properties of generated functions.
    Properties = 3,
    /// A shape's arrivals.
    Shape = 4,
}

/// The stream of `seed` for a purpose and two numbers that say whose.
pub(crate) fn stream(seed: u64, purpose: Purpose, whose: u64, which: u64) -> Stream {
    let mut state = seed;
    let mut high = 0;
    for part in [purpose as u64, whose, which] {
        state = mix(state ^ part.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        high = mix(state ^ high);
    }
    Pcg64Mcg::new((u128::from(high) << 64) | u128::from(state))
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every input bit reaches
/// every output bit.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use rand_distr::{Distribution, StandardUniform};

    use super::*;

    fn first(seed: u64, purpose: Purpose, whose: u64, which: u64) -> u64 {
        StandardUniform.sample(&mut stream(seed, purpose, whose, which))
    }

    #[test]
    fn streams_are_fixed_and_differ_in_every_part() {
        let base = first(1, Purpose::Interval, 2, 3);
        assert_eq!(base, first(1, Purpose::Interval, 2, 3));
        assert_ne!(base, first(2, Purpose::Interval, 2, 3));
        assert_ne!(base, first(1, Purpose::Function, 2, 3));
        assert_ne!(base, first(1, Purpose::Interval, 3, 2));
        assert_ne!(base, first(1, Purpose::Interval, 2, 4));
    }
}
