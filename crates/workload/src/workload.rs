//! The one interface of every source of arrivals.
//!
//! A [`Workload`] is an iterator that is used up. For the same arrivals again, as
//! when planners are compared, make it again from the same source and seed: nothing
//! is kept, so a trace may be larger than memory.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::error::TraceError;
use crate::function::FunctionProfile;

/// One invocation that arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When, since the workload's begin.
    pub at: Duration,
    /// Which: an index into [`Workload::functions`].
    pub function: u32,
    /// How long its function will work on it.
    pub service: Duration,
}

/// Where a workload comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct About {
    /// Its source in one line: format or shape, with the seed.
    pub name: String,
    /// How long it is, where that is known beforehand.
    pub span: Option<Duration>,
    /// How many invocations it has, where that is known beforehand.
    pub invocations: Option<u64>,
    /// What was assumed or filled in, for people to read.
    pub notes: Vec<String>,
}

/// A source of arrivals, in time order.
pub(crate) trait Feed: Send {
    /// The next arrival, or `None` at the end. A source that learns its functions as
    /// it goes adds to `functions`, before it gives an arrival of them.
    fn next(&mut self, functions: &mut Vec<FunctionProfile>)
    -> Result<Option<Arrival>, TraceError>;

    /// How many arrivals, or beginnings of arrivals, it holds at this moment.
    fn held(&self) -> usize;
}

/// Functions, and their invocations in time order.
pub struct Workload {
    about: About,
    functions: Vec<FunctionProfile>,
    feed: Box<dyn Feed>,
    last: Duration,
    until: Option<Duration>,
    has_ended: bool,
}

impl Workload {
    pub(crate) fn new(about: About, functions: Vec<FunctionProfile>, feed: Box<dyn Feed>) -> Self {
        Workload { about, functions, feed, last: Duration::ZERO, until: None, has_ended: false }
    }

    /// Where it comes from.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// The functions; complete from the start, except where a trace of single
    /// invocations is read from a stream: then those seen so far.
    pub fn functions(&self) -> &[FunctionProfile] {
        &self.functions
    }

    /// Only what arrives before `end`.
    #[must_use]
    pub fn until(mut self, end: Duration) -> Self {
        self.until = Some(self.until.map_or(end, |until| until.min(end)));
        self.about.span = self.about.span.map(|span| span.min(end));
        self.about.invocations = None;
        for function in &mut self.functions {
            function.invocations = None;
        }
        self
    }

    /// How many arrivals it holds in memory at this moment; bounded by the number of
    /// functions, or for traces of single invocations by the reorder window.
    pub fn held(&self) -> usize {
        self.feed.held()
    }
}

impl Iterator for Workload {
    type Item = Result<Arrival, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        let arrival = match self.feed.next(&mut self.functions) {
            Ok(Some(arrival)) if self.until.is_none_or(|until| arrival.at < until) => arrival,
            Ok(_) => {
                self.has_ended = true;
                return None;
            }
            Err(error) => {
                self.has_ended = true;
                return Some(Err(error));
            }
        };
        assert!(arrival.at >= self.last, "a source gave arrivals out of order");
        assert!((arrival.function as usize) < self.functions.len(), "a source made up a function");
        self.last = arrival.at;
        Some(Ok(arrival))
    }
}

impl fmt::Debug for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workload")
            .field("about", &self.about)
            .field("functions", &self.functions.len())
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}
