//! The trace record of one request: how long each stage took, shown to the
//! caller as `Server-Timing` (W3C Server Timing), and the identity under which
//! other systems trace it, `traceparent` (W3C Trace Context).

use std::cell::Cell;
use std::fmt::Write;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The stages of a request, in order. Those from `Place` to `Init` are of the
/// start it waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Waiting for a slot.
    Queue,
    /// Choosing a node, reaching it, waiting for a turn there.
    Place,
    /// Bringing the code to the node.
    Fetch,
    /// Making the sandbox.
    Create,
    /// Starting the program or instantiating the component.
    Boot,
    /// The program's own start-up.
    Init,
    /// Connecting to the instance.
    Connect,
    /// From the request's being sent to the answer's head.
    Execute,
}

const STAGE_COUNT: usize = 8;

const STAGE_NAMES: [&str; STAGE_COUNT] =
    ["queue", "place", "fetch", "create", "boot", "init", "connect", "execute"];

/// How long each stage of a request took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trace {
    stages: [Option<Duration>; STAGE_COUNT],
}

impl Trace {
    /// Sets one stage.
    pub fn set(&mut self, stage: Stage, took: Duration) {
        self.stages[stage as usize] = Some(took);
    }

    /// One stage.
    pub fn get(&self, stage: Stage) -> Option<Duration> {
        self.stages[stage as usize]
    }

    /// Sets the stages of a start, in order from `Place` to `Init`.
    pub fn set_start(&mut self, phases: &[Duration; 5]) {
        for (stage, took) in self.stages[Stage::Place as usize..].iter_mut().zip(phases) {
            *stage = Some(*took);
        }
    }

    /// The value of `Server-Timing`: `queue;dur=1.234, execute;dur=0.056`, in
    /// milliseconds.
    pub fn server_timing(&self) -> String {
        let mut text = String::with_capacity(96);
        for (name, took) in STAGE_NAMES.iter().zip(&self.stages) {
            if let Some(took) = took {
                let comma = if text.is_empty() { "" } else { ", " };
                let micros = took.as_micros();
                let (millis, rest) = (micros / 1_000, micros % 1_000);
                // Writing into a String cannot fail.
                let _ = write!(text, "{comma}{name};dur={millis}.{rest:03}");
            }
        }
        text
    }
}

/// An identity for a request that came without one.
#[derive(Clone, Copy, Debug)]
pub struct TraceParent {
    trace: [u64; 2],
    span: u64,
}

thread_local! {
    /// Seeded from the standard library's random keys, which differ per process
    /// and thread. Ids must be unique, not secret.
    static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(0u8) | 1);
}

/// xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift
/// generators, scrambled", 2016).
fn random() -> u64 {
    STATE.with(|state| {
        let mut x = state.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        state.set(x);
        x.wrapping_mul(0x2545_F491_4F6C_DD1D)
    })
}

impl TraceParent {
    /// A new identity.
    pub fn generate() -> Self {
        TraceParent { trace: [random() | 1, random()], span: random() | 1 }
    }

    /// The header's value: version, trace id, parent id, not sampled.
    pub fn header(&self) -> String {
        format!("00-{:016x}{:016x}-{:016x}-00", self.trace[0], self.trace[1], self.span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_timing_lists_stages_in_order_in_milliseconds() {
        let mut trace = Trace::default();
        trace.set(Stage::Execute, Duration::from_micros(56));
        trace.set(Stage::Queue, Duration::from_micros(1234));
        assert_eq!(trace.server_timing(), "queue;dur=1.234, execute;dur=0.056");
        trace.set_start(&[Duration::from_millis(1); 5]);
        assert!(trace.server_timing().contains("place;dur=1.000, fetch;dur=1.000, create"));
    }

    #[test]
    fn identities_are_well_formed_and_differ() {
        let one = TraceParent::generate().header();
        let parts: Vec<&str> = one.split('-').collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [2, 32, 16, 2]);
        assert_ne!(one, TraceParent::generate().header());
    }
}
