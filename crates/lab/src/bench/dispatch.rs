//! `bench dispatch`: what deciding costs, per event, under each start planner.
//!
//! The real core, in a loop on one thread, with virtual time: no sockets and no
//! instances, for what is measured is the decision. *Warm* is an arrival at a free
//! slot and its end; *queued* is an arrival that waits behind 500 others and the end
//! of a service that takes one off, so every event asks the planner.

use std::time::{Duration, Instant};

use gapless_dispatch::{Config, Dispatch, Event, KeepAlive};
use gapless_types::{InstanceId, RequestId, StartMode, Time};

use super::table::{Findings, Goal, median};

const SLOTS: u64 = 64;
const QUEUED: u64 = 500;
/// How long a modelled service takes; of no influence on what a decision costs.
const SERVICE: Duration = Duration::from_millis(20);

/// Flags.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Args {
    /// Events in a round
    #[arg(long, default_value_t = 400_000, value_parser = clap::value_parser!(u64).range(1000..=100_000_000))]
    events: u64,
    /// Rounds; medians are printed
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..=1000))]
    rounds: u64,
}

pub(super) fn run(args: &Args) -> Findings {
    let mut findings = Findings::of("dispatch");
    for mode in StartMode::PLANNERS {
        let rounds = |is_queued| -> Vec<f64> {
            (0..args.rounds).map(|_| ns_per_event(mode, is_queued, args.events)).collect()
        };
        let name = mode.as_str();
        findings.row(format!("{name}, warm"), "ns", median(&rounds(false)));
        let queued = median(&rounds(true));
        match mode {
            StartMode::Planned => {
                findings.goal(format!("{name}, queued"), "ns", queued, Goal::AtMost(1000.0));
            }
            _ => findings.row(format!("{name}, queued"), "ns", queued),
        }
    }
    findings.note(format!("nanoseconds per event; {SLOTS} slots, {QUEUED} waiting"));
    findings
}

/// A core with its slots and, if it is to be queued at, all of them taken.
struct Loop {
    core: Dispatch,
    now: Time,
    actions: Vec<gapless_dispatch::Action>,
    last: u64,
    oldest: u64,
}

impl Loop {
    fn new(mode: StartMode) -> Self {
        let config = Config {
            queue_size: 100_000,
            queue_wait: Duration::from_secs(3600),
            concurrency: 1,
            // No more than there are, so that nothing is asked of anybody.
            instances_max: SLOTS as u32,
            keep_alive: KeepAlive::Learned { worth: Duration::from_secs(600) },
            mode,
            start_prior: Duration::from_millis(100),
        };
        let core = Dispatch::new(config);
        let mut one = Loop { core, now: Time::ZERO, actions: Vec::new(), last: 0, oldest: 0 };
        // A queue first, so that planners that own scale-down want every instance.
        (0..SLOTS).for_each(|_| one.arrive());
        for instance in 1..=SLOTS {
            let instance = InstanceId(instance);
            one.tell(Event::InstanceStarting { instance });
            let start = Duration::from_millis(100);
            one.tell(Event::InstanceReady { instance, slots: 1, start });
        }
        one
    }

    fn tell(&mut self, event: Event) {
        self.actions.clear();
        self.core.on_event(self.now, event, &mut self.actions);
    }

    fn arrive(&mut self) {
        self.last += 1;
        self.tell(Event::Arrive { request: RequestId(self.last) });
    }

    fn finish(&mut self) {
        self.oldest += 1;
        self.tell(Event::Finish { request: RequestId(self.oldest) });
    }
}

fn ns_per_event(mode: StartMode, is_queued: bool, events: u64) -> f64 {
    let mut one = Loop::new(mode);
    if is_queued {
        (0..QUEUED).for_each(|_| one.arrive());
    } else {
        (0..SLOTS / 2).for_each(|_| one.finish());
    }
    let begun = Instant::now();
    for _ in 0..events / 2 {
        one.now += SERVICE / SLOTS as u32;
        one.arrive();
        one.finish();
    }
    begun.elapsed().as_nanos() as f64 / events as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loop_keeps_its_queue_under_every_planner() {
        for mode in StartMode::PLANNERS {
            let mut one = Loop::new(mode);
            (0..QUEUED).for_each(|_| one.arrive());
            for _ in 0..1000 {
                one.now += SERVICE / SLOTS as u32;
                one.arrive();
                one.finish();
            }
            let queued = one.core.queued() as u64;
            let one_each = mode == StartMode::Emergency;
            assert!(queued == QUEUED || one_each, "{mode:?}: {queued}");
        }
    }
}
