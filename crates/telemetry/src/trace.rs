//! The trace record of one request: how long each stage took, shown to the
//! caller as `Server-Timing` (W3C Server Timing), and the identity under which
//! other systems trace it, `traceparent` (W3C Trace Context).

use std::cell::Cell;
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
    pub fn server_timing(&self) -> ServerTiming {
        let mut text = ServerTiming { bytes: [0; SERVER_TIMING_BYTES], len: 0 };
        for (name, took) in STAGE_NAMES.iter().zip(&self.stages) {
            if let Some(took) = took {
                if text.len > 0 {
                    text.push(b", ");
                }
                text.push(name.as_bytes());
                text.push(b";dur=");
                text.push_millis(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
            }
        }
        text
    }
}

/// Every stage: comma, longest name, `;dur=`, digits of the longest time and a point.
const SERVER_TIMING_BYTES: usize = STAGE_COUNT * (2 + 7 + 5 + 21);

/// The text of a `Server-Timing` header. It is made for every answer, so it lies
/// in place and is put together by hand.
#[derive(Clone, Debug)]
pub struct ServerTiming {
    bytes: [u8; SERVER_TIMING_BYTES],
    len: usize,
}

impl ServerTiming {
    /// Its bytes: visible ASCII and spaces.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn push(&mut self, text: &[u8]) {
        self.bytes[self.len..self.len + text.len()].copy_from_slice(text);
        self.len += text.len();
    }

    /// A number of microseconds, in milliseconds with three decimals.
    fn push_millis(&mut self, micros: u64) {
        // Twenty digits and a point.
        let mut text = [0u8; 21];
        let (mut at, mut rest) = (text.len(), micros);
        // Four digits at least: three decimals and the one before the point.
        for place in 0.. {
            if place == 3 {
                at -= 1;
                text[at] = b'.';
            }
            at -= 1;
            text[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 && place >= 3 {
                break;
            }
        }
        self.push(&text[at..]);
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

    /// The header's value, visible ASCII: version, trace id, parent id, not sampled.
    pub fn header(&self) -> [u8; 55] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        for (number, at) in [(self.trace[0], 3), (self.trace[1], 19), (self.span, 36)] {
            for (place, digit) in text[at..at + 16].iter_mut().enumerate() {
                *digit = b"0123456789abcdef"[(number >> (60 - 4 * place)) as usize & 15];
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(trace: &Trace) -> String {
        String::from_utf8(trace.server_timing().as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn server_timing_lists_stages_in_order_in_milliseconds() {
        let mut trace = Trace::default();
        assert_eq!(text(&trace), "");
        trace.set(Stage::Execute, Duration::from_micros(56));
        trace.set(Stage::Queue, Duration::from_micros(1234));
        assert_eq!(text(&trace), "queue;dur=1.234, execute;dur=0.056");
        trace.set_start(&[Duration::from_millis(1); 5]);
        assert!(text(&trace).contains("place;dur=1.000, fetch;dur=1.000, create"));
    }

    #[test]
    fn server_timing_has_room_for_the_longest_times() {
        let mut trace = Trace::default();
        trace.set_start(&[Duration::MAX; 5]);
        for stage in [Stage::Queue, Stage::Connect, Stage::Execute] {
            trace.set(stage, Duration::MAX);
        }
        assert!(text(&trace).ends_with("execute;dur=18446744073709551.615"));
        for micros in [0, 1, 999, 1_000, 9_999, 10_000, 123_456_789] {
            let mut trace = Trace::default();
            trace.set(Stage::Queue, Duration::from_micros(micros));
            assert_eq!(text(&trace), format!("queue;dur={}.{:03}", micros / 1000, micros % 1000));
        }
    }

    #[test]
    fn identities_are_well_formed_and_differ() {
        let fixed = TraceParent { trace: [0x1234, u64::MAX], span: 0xab };
        let known = b"00-0000000000001234ffffffffffffffff-00000000000000ab-00";
        assert_eq!(fixed.header(), *known);
        assert_ne!(TraceParent::generate().header(), TraceParent::generate().header());
    }
}
