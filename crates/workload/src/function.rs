//! What a workload knows of a function.

use std::fmt;
use std::str::FromStr;

use gapless_types::Bytes;
use serde::{Serialize, Serializer};

use crate::service::ServiceTime;

/// The most functions of one workload: memory grows with their number.
pub(crate) const FUNCTIONS_MAX: usize = 4_000_000;

/// A function as an experiment has to deploy it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FunctionProfile {
    /// Its name in the source; hashes are shortened. Unique in its workload.
    pub name: String,
    /// What one instance of it needs.
    #[serde(serialize_with = "bytes")]
    pub memory: Bytes,
    /// How long an invocation works.
    pub service: ServiceTime,
    /// What invokes it.
    pub trigger: Trigger,
    /// How many invocations the workload has of it, where that is known beforehand.
    pub invocations: Option<u64>,
}

fn bytes<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(bytes.0)
}

/// What invokes a function, in the groups of the Azure Functions 2019 trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// A request that somebody waits for.
    Http,
    /// The clock.
    Timer,
    /// A stream of events.
    Event,
    /// A message queue.
    Queue,
    /// A change in stored data.
    Storage,
    /// A step of a workflow.
    Orchestration,
    /// Something else.
    Others,
    /// The source does not say.
    Unknown,
}

impl Trigger {
    /// Every trigger.
    pub const ALL: [Trigger; 8] = [
        Trigger::Http,
        Trigger::Timer,
        Trigger::Event,
        Trigger::Queue,
        Trigger::Storage,
        Trigger::Orchestration,
        Trigger::Others,
        Trigger::Unknown,
    ];

    /// Its word in the Azure Functions 2019 trace.
    pub fn as_str(self) -> &'static str {
        match self {
            Trigger::Http => "http",
            Trigger::Timer => "timer",
            Trigger::Event => "event",
            Trigger::Queue => "queue",
            Trigger::Storage => "storage",
            Trigger::Orchestration => "orchestration",
            Trigger::Others => "others",
            Trigger::Unknown => "unknown",
        }
    }

    /// From the `triggerType-invocationType` list of the Huawei 2025 trace, such as
    /// `APIG-S` or `timer-A`: the first type known here counts.
    pub(crate) fn from_huawei(text: &str) -> Trigger {
        let text = text.to_ascii_lowercase();
        let known = [
            ("timer", Trigger::Timer),
            ("apig", Trigger::Http),
            ("workflow", Trigger::Orchestration),
            ("obs", Trigger::Storage),
            ("cts", Trigger::Event),
            ("kafka", Trigger::Queue),
            ("smn", Trigger::Queue),
            ("dis", Trigger::Event),
            ("lts", Trigger::Event),
            ("eventgrid", Trigger::Event),
        ];
        let first = known
            .iter()
            .filter_map(|&(word, trigger)| text.find(word).map(|place| (place, trigger)))
            .min_by_key(|&(place, _)| place);
        match first {
            Some((_, trigger)) => trigger,
            None if text.is_empty() || text.contains("unknown") => Trigger::Unknown,
            None => Trigger::Others,
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Trigger {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Trigger::ALL.into_iter().find(|trigger| trigger.as_str() == text).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_both_traces_are_understood() {
        for trigger in Trigger::ALL {
            assert_eq!(trigger.as_str().parse(), Ok(trigger));
        }
        assert_eq!("HTTP".parse::<Trigger>(), Err(()));
        assert_eq!(Trigger::from_huawei("workflow-S"), Trigger::Orchestration);
        assert_eq!(Trigger::from_huawei("['APIG-S', 'TIMER-A']"), Trigger::Http);
        assert_eq!(Trigger::from_huawei("unknown-unknown"), Trigger::Unknown);
        assert_eq!(Trigger::from_huawei("something-A"), Trigger::Others);
    }
}
