//! What a weight vector depends on: the [`Class`] of a workload, by what was seen of
//! it. They are few, so that what was learned is a table that people can read.
//!
//! A class is four answers. *Start-bound*: its instances live little longer than they
//! take to start, so that where code and snapshots are decides. *Bursty*: starts come
//! in crowds. *Heavy*: it wants more memory per core than a common machine has. *Near*:
//! it calls other functions or reads data that are somewhere. None of them is a user's
//! statement: `placement.class` says who slows whom down, this says what matters.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use gapless_types::Time;
use serde::{Deserialize, Serialize};

use crate::shape::ShapeSpec;

/// Classes there are.
pub const CLASS_COUNT: usize = 16;

/// A start is worth thinking of where it takes this share of an instance's time. Going
/// back to run-bound takes half of it.
const START_BOUND_SHARE: f32 = 0.1;
/// Starts that come within a second of each other, per such second with any, above
/// which they are a crowd; going back takes half of it.
const CROWD: f32 = 4.0;
/// More memory per core than this is heavy: 4 GiB is what general-purpose machines have
/// (AWS m, Google n, Azure D families).
const HEAVY_BYTES_PER_CORE: f64 = (4_u64 << 30) as f64;
/// What a new figure counts for in a moving mean.
const NEW_SHARE: f32 = 0.05;
/// Figures before a class is believed.
const SEEN_MIN: u32 = 8;

/// A class of workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Class(u8);

impl Class {
    /// The class with these answers.
    pub const fn new(is_start_bound: bool, is_bursty: bool, is_heavy: bool, is_near: bool) -> Self {
        Class(
            is_start_bound as u8
                | (is_bursty as u8) << 1
                | (is_heavy as u8) << 2
                | (is_near as u8) << 3,
        )
    }

    /// What can be said of a shape that was never run.
    pub fn declared(spec: &ShapeSpec) -> Self {
        let cores = f64::from(spec.cpu.0.max(1)) / 1000.0;
        let is_heavy = spec.memory.0 as f64 / cores > HEAVY_BYTES_PER_CORE;
        let is_near = !spec.calls.is_empty() || !spec.data.is_empty();
        Class::new(true, false, is_heavy, is_near)
    }

    /// Every class.
    pub fn all() -> impl Iterator<Item = Class> {
        (0..CLASS_COUNT as u8).map(Class)
    }

    /// As an index of tables.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Whether starts take a good part of its instances' lives.
    pub const fn is_start_bound(self) -> bool {
        self.has(0)
    }

    /// Whether starts come in crowds.
    pub const fn is_bursty(self) -> bool {
        self.has(1)
    }

    const fn has(self, bit: u8) -> bool {
        self.0 >> bit & 1 == 1
    }

    fn with(self, bit: u8, is_set: bool) -> Self {
        Class(self.0 & !(1 << bit) | u8::from(is_set) << bit)
    }
}

/// The words of a class, by answer: when yes, when no.
const WORDS: [(&str, &str); 4] =
    [("start-bound", "run-bound"), ("bursty", "steady"), ("heavy", "light"), ("near", "anywhere")];

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (bit, (yes, no)) in WORDS.iter().enumerate() {
            let word = if self.has(bit as u8) { yes } else { no };
            write!(f, "{}{word}", if bit > 0 { "/" } else { "" })?;
        }
        Ok(())
    }
}

/// Why a class or regime was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no {1}; such as {2}")]
pub struct ContextError(pub(super) String, pub(super) &'static str, pub(super) &'static str);

impl FromStr for Class {
    type Err = ContextError;

    fn from_str(text: &str) -> Result<Self, ContextError> {
        let found = Class::all().find(|class| class.to_string() == text);
        found.ok_or_else(|| {
            ContextError(text.to_owned(), "class", "start-bound/bursty/light/anywhere")
        })
    }
}

impl TryFrom<String> for Class {
    type Error = ContextError;

    fn try_from(text: String) -> Result<Self, ContextError> {
        text.parse()
    }
}

impl From<Class> for String {
    fn from(class: Class) -> Self {
        class.to_string()
    }
}

/// What was seen of one shape's instances, as moving means.
#[derive(Clone, Copy, Debug)]
pub struct Features {
    class: Class,
    /// Seconds a start takes.
    start_s: f32,
    /// Seconds an instance lives after its start.
    life_s: f32,
    starts: u32,
    lives: u32,
    /// Starts within the second that is being counted.
    crowd: f32,
    crowd_since: Time,
    /// Mean of that, over seconds that had any.
    crowd_mean: f32,
}

impl Features {
    /// Of a shape that was never run.
    pub fn new(spec: &ShapeSpec) -> Self {
        Features {
            class: Class::declared(spec),
            start_s: 0.0,
            life_s: 0.0,
            starts: 0,
            lives: 0,
            crowd: 0.0,
            crowd_since: Time::ZERO,
            crowd_mean: 1.0,
        }
    }

    /// So many instances were asked for.
    pub fn asked(&mut self, count: u32, now: Time) {
        if now.since(self.crowd_since) >= Duration::from_secs(1) {
            if self.crowd > 0.0 {
                self.crowd_mean += 4.0 * NEW_SHARE * (self.crowd - self.crowd_mean);
            }
            (self.crowd, self.crowd_since) = (0.0, now);
        }
        self.crowd += count as f32;
    }

    /// A start took so long.
    pub fn started(&mut self, took: Duration) {
        moving(&mut self.start_s, &mut self.starts, took.as_secs_f32());
    }

    /// An instance ended this long after its start.
    pub fn ended(&mut self, lived: Duration) {
        moving(&mut self.life_s, &mut self.lives, lived.as_secs_f32());
    }

    /// Its class now. An answer changes only once enough was seen, and changes back
    /// only by a margin.
    pub fn class(&mut self) -> Class {
        if self.starts >= SEEN_MIN && self.lives >= SEEN_MIN {
            let share = self.start_s / (self.start_s + self.life_s).max(f32::MIN_POSITIVE);
            let border = START_BOUND_SHARE * if self.class.has(0) { 0.5 } else { 1.0 };
            self.class = self.class.with(0, share > border);
        }
        let border = CROWD * if self.class.has(1) { 0.5 } else { 1.0 };
        self.class = self.class.with(1, self.crowd_mean.max(self.crowd / 4.0) > border);
        self.class
    }

    /// Seconds a start takes, once any was seen.
    pub fn start_s(&self) -> Option<f32> {
        (self.starts > 0).then_some(self.start_s)
    }
}

fn moving(mean: &mut f32, count: &mut u32, new: f32) {
    *count = count.saturating_add(1);
    *mean += (new - *mean) * NEW_SHARE.max(1.0 / *count as f32);
}

#[cfg(test)]
mod tests {
    use super::*;
    use gapless_types::{Bytes, CpuMillis};

    fn spec() -> ShapeSpec {
        ShapeSpec::new("a/f", "wasm", CpuMillis(1000), Bytes(1 << 30))
    }

    #[test]
    fn classes_have_names_that_read_back() {
        assert_eq!(Class::declared(&spec()).to_string(), "start-bound/steady/light/anywhere");
        for class in Class::all() {
            assert_eq!(class.to_string().parse::<Class>(), Ok(class));
        }
        assert!("fast".parse::<Class>().unwrap_err().to_string().contains("is no class; such as"));
        let heavy = ShapeSpec { memory: Bytes(8 << 30), calls: vec!["a/db".into()], ..spec() };
        assert_eq!(Class::declared(&heavy).to_string(), "start-bound/steady/heavy/near");
    }

    #[test]
    fn a_class_follows_what_is_seen_and_does_not_flip() {
        let mut features = Features::new(&spec());
        for _ in 0..SEEN_MIN {
            features.started(Duration::from_millis(100));
            features.ended(Duration::from_secs(60));
        }
        assert_eq!(features.class().to_string(), "run-bound/steady/light/anywhere");
        for second in 1..40 {
            features.asked(50, Time::from_millis(second * 10_000));
        }
        assert_eq!(features.class().to_string(), "run-bound/bursty/light/anywhere");
        for second in 40..80 {
            features.asked(3, Time::from_millis(second * 10_000));
        }
        assert!(features.class().has(1), "3 a second is between the borders");
        for second in 80..120 {
            features.asked(1, Time::from_millis(second * 10_000));
        }
        assert!(!features.class().has(1));
    }
}
