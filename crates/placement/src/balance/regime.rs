//! The [`Regime`] that a cluster is in: how full it is, and whether a good part of it may
//! be taken away. Few, so that what was learned is a table that people can read.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::class::ContextError;
use crate::state::State;

/// Regimes there are.
pub const REGIME_COUNT: usize = 8;
/// How much above a border use must be to cross it, or below it to go back.
const MARGIN: f32 = 0.04;
/// The share of the processor on nodes that may be taken away (spot, preemptible) above
/// which it matters to everything: these are cheap, and are lost with what is on them.
const SPOT_SHARE: f32 = 0.2;

/// The state of a cluster as a whole.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Regime {
    /// Less than a third of the processor is reserved.
    Low,
    /// Between.
    #[default]
    Normal,
    /// More than two thirds are.
    High,
    /// Memory is short while the processor is not.
    MemoryBound,
    /// [`Low`](Self::Low), and a good part of the nodes may be taken away.
    LowSpot,
    /// [`Normal`](Self::Normal), the same.
    NormalSpot,
    /// [`High`](Self::High), the same.
    HighSpot,
    /// [`MemoryBound`](Self::MemoryBound), the same.
    MemoryBoundSpot,
}

impl Regime {
    /// Every regime.
    pub const ALL: [Regime; REGIME_COUNT] = [
        Regime::Low,
        Regime::Normal,
        Regime::High,
        Regime::MemoryBound,
        Regime::LowSpot,
        Regime::NormalSpot,
        Regime::HighSpot,
        Regime::MemoryBoundSpot,
    ];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Regime::Low => "low",
            Regime::Normal => "normal",
            Regime::High => "high",
            Regime::MemoryBound => "memory-bound",
            Regime::LowSpot => "low-spot",
            Regime::NormalSpot => "normal-spot",
            Regime::HighSpot => "high-spot",
            Regime::MemoryBoundSpot => "memory-bound-spot",
        }
    }

    /// As an index of tables.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Whether a good part of the nodes may be taken away.
    pub const fn has_spot(self) -> bool {
        self.index() >= REGIME_COUNT / 2
    }

    /// The same fullness, with or without nodes that may be taken away.
    pub const fn with_spot(self, has_spot: bool) -> Regime {
        let base = self.index() % (REGIME_COUNT / 2);
        Regime::ALL[base + if has_spot { REGIME_COUNT / 2 } else { 0 }]
    }

    /// The regime of these shares of what is reserved and of what may be taken away,
    /// given the one before: a border is crossed by a margin, so that use on a border
    /// does not flip it.
    pub fn of(cpu: f32, memory: f32, spot: f32, before: Regime) -> Regime {
        let has_spot = above(spot, SPOT_SHARE, before.has_spot());
        Regime::fullness(cpu, memory, before.with_spot(false)).with_spot(has_spot)
    }

    fn fullness(cpu: f32, memory: f32, before: Regime) -> Regime {
        let was = |regime| before == regime;
        if above(memory, 0.6, was(Regime::MemoryBound))
            && above(memory, cpu * 1.25, was(Regime::MemoryBound))
        {
            return Regime::MemoryBound;
        }
        let busy = cpu.max(memory);
        if above(busy, 2.0 / 3.0, was(Regime::High)) {
            return Regime::High;
        }
        if above(busy, 1.0 / 3.0, before != Regime::Low) { Regime::Normal } else { Regime::Low }
    }

    /// The regime of a cluster, by the sums over its nodes that answer.
    pub fn of_cluster(state: &State, before: Regime) -> Regime {
        let (mut cpu, mut memory, mut spot) = ((0.0_f64, 0.0_f64), (0.0_f64, 0.0_f64), 0.0_f64);
        for node in state.healthy().iter() {
            cpu.0 += f64::from(state.cpu(node)) - state.cpu_free(node) as f64;
            cpu.1 += f64::from(state.cpu(node));
            memory.0 += state.memory(node) as f64 - state.memory_free(node) as f64;
            memory.1 += state.memory(node) as f64;
            if state.spot_risk(node) > 0.0 {
                spot += f64::from(state.cpu(node));
            }
        }
        let share = |used: f64, all: f64| (used / all.max(1.0)) as f32;
        let (spot, cpu) = (share(spot, cpu.1), share(cpu.0, cpu.1));
        Regime::of(cpu, share(memory.0, memory.1), spot, before)
    }
}

fn above(share: f32, border: f32, was_above: bool) -> bool {
    share > if was_above { border - MARGIN } else { border + MARGIN }
}

impl fmt::Display for Regime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Regime {
    type Err = ContextError;

    fn from_str(text: &str) -> Result<Self, ContextError> {
        let found = Regime::ALL.into_iter().find(|regime| regime.as_str() == text);
        found.ok_or_else(|| {
            ContextError(text.to_owned(), "regime", "low, normal, high, memory-bound or low-spot")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regimes_change_by_a_margin() {
        use Regime::{High, HighSpot, Low, LowSpot, MemoryBound, Normal, NormalSpot};
        let of = |cpu, memory, before| Regime::of(cpu, memory, 0.0, before);
        assert_eq!(of(0.1, 0.1, Normal), Low);
        assert_eq!(of(0.35, 0.1, Low), Low);
        assert_eq!(of(0.35, 0.1, Normal), Normal);
        assert_eq!(of(0.8, 0.7, Normal), High);
        assert_eq!(of(0.65, 0.5, High), High);
        assert_eq!(of(0.65, 0.5, Normal), Normal);
        assert_eq!(of(0.3, 0.8, Normal), MemoryBound);
        assert_eq!(of(0.3, f32::NAN, Normal), Normal);
        assert_eq!(Regime::of(0.35, 0.1, 0.5, Low), LowSpot);
        assert_eq!(Regime::of(0.8, 0.1, 0.2, NormalSpot), HighSpot, "by a margin");
        assert_eq!(Regime::of(0.5, 0.1, 0.2, Normal), Normal);
        for regime in Regime::ALL {
            assert_eq!(regime.as_str().parse(), Ok(regime));
            assert_eq!(Regime::ALL[regime.index()], regime);
            assert_eq!(regime.with_spot(true).with_spot(regime.has_spot()), regime);
        }
    }
}
