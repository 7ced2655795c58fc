//! What an instance goes through, from being asked for to being gone.
//!
//! ```text
//!            asked
//!              |
//!              v      stop
//!           Waiting ---------------------------------------------+
//!              | turn                                            |
//!              v      stop                 ended, failed         |
//!           Starting -------> Cancelling ----------------------->|
//!            |    |               | started (too late)           |
//!    started |    | failed        v                              |
//!            v    |           Stopping ------------------------->|
//!          Ready -----------------^     ended, died              |
//!            | died   stop                                       v
//!            +------------------------------------------------> Gone
//! ```
//!
//! Starting and Cancelling hold one of the node's turns; the others do not.
//! What always holds: Gone is told exactly once, and is the last word; Ready is
//! told at most once, and never after a stop; an instance that was told to stop
//! has not failed, whatever else happens to it; a turn that was taken is given back.
//!
//! Pure: the shell in `node.rs` and `instance.rs` carries out the actions.

/// Where an instance is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Asked for; its turn to start has not come.
    Waiting,
    /// The driver is starting it.
    Starting,
    /// It can serve.
    Ready,
    /// Told to stop while it was starting: the start is being dropped.
    Cancelling,
    /// Told to stop: the sandbox is ending.
    Stopping,
    /// It is no more.
    Gone,
}

/// What happens to an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Its turn to start has come.
    Turn,
    /// The driver says that it can serve.
    Started,
    /// The driver says that it cannot be started.
    StartFailed,
    /// It died without having been told to.
    Died,
    /// Control wants it gone.
    Stop,
    /// What was told to stop has ended.
    Ended,
}

/// What has to be done, in the order given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Give up its place in the queue for a turn.
    LeaveQueue,
    /// Begin the start.
    Begin,
    /// Tell the instance's task to stop: to drop the start, or to stop the sandbox.
    SignalStop,
    /// Its turn is over; the next may begin.
    FreeTurn,
    /// Tell control that it can serve.
    TellReady,
    /// Tell control that it is gone, as it was told to.
    TellStopped,
    /// Tell control that it is gone, and why.
    TellFailed,
}

impl Phase {
    /// The phase after `event`, and what has to be done. An event that cannot
    /// happen in this phase is old, and changes nothing.
    pub(crate) fn step(self, event: Event) -> (Phase, &'static [Action]) {
        use Action::*;
        match (self, event) {
            (Phase::Waiting, Event::Turn) => (Phase::Starting, &[Begin]),
            (Phase::Waiting, Event::Stop) => (Phase::Gone, &[LeaveQueue, TellStopped]),

            (Phase::Starting, Event::Started) => (Phase::Ready, &[FreeTurn, TellReady]),
            (Phase::Starting, Event::StartFailed) => (Phase::Gone, &[FreeTurn, TellFailed]),
            (Phase::Starting, Event::Stop) => (Phase::Cancelling, &[SignalStop]),

            (Phase::Ready, Event::Died) => (Phase::Gone, &[TellFailed]),
            (Phase::Ready, Event::Stop) => (Phase::Stopping, &[SignalStop]),

            (Phase::Cancelling, Event::Started) => (Phase::Stopping, &[FreeTurn]),
            (Phase::Cancelling, Event::StartFailed | Event::Ended) => {
                (Phase::Gone, &[FreeTurn, TellStopped])
            }

            (Phase::Stopping, Event::Died | Event::Ended) => (Phase::Gone, &[TellStopped]),

            (phase, _) => (phase, &[]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: [Event; 6] =
        [Event::Turn, Event::Started, Event::StartFailed, Event::Died, Event::Stop, Event::Ended];

    /// What has happened on one path through the machine.
    #[derive(Clone, Default)]
    struct Seen {
        actions: Vec<Action>,
        is_stop_told: bool,
    }

    impl Seen {
        fn count(&self, action: Action) -> usize {
            self.actions.iter().filter(|seen| **seen == action).count()
        }

        fn gone(&self) -> usize {
            self.count(Action::TellStopped) + self.count(Action::TellFailed)
        }
    }

    fn check(phase: Phase, seen: &Seen) {
        let is_gone = phase == Phase::Gone;
        assert_eq!(seen.gone(), usize::from(is_gone), "gone is told once, on becoming it");
        assert!(seen.count(Action::TellReady) <= 1);
        assert!(seen.count(Action::SignalStop) <= 1);
        let holds_turn = matches!(phase, Phase::Starting | Phase::Cancelling);
        let turns_held = seen.count(Action::Begin) - seen.count(Action::FreeTurn);
        assert_eq!(turns_held, usize::from(holds_turn), "in {phase:?}");
        if seen.is_stop_told && seen.count(Action::SignalStop) == 1 {
            assert_eq!(seen.count(Action::TellFailed), 0, "who was told to stop has not failed");
        }
    }

    /// Every order of events, also impossible ones.
    fn walk(phase: Phase, seen: &Seen, depth: usize) -> usize {
        check(phase, seen);
        if depth == 0 {
            return 1;
        }
        let mut paths = 0;
        for event in EVENTS {
            let (next, actions) = phase.step(event);
            assert!(next >= phase, "{phase:?} went back to {next:?}");
            assert!(phase != Phase::Gone || actions.is_empty(), "gone is the last word");
            let mut after = seen.clone();
            if event == Event::Stop && phase != Phase::Gone {
                after.is_stop_told = true;
            }
            if after.is_stop_told {
                assert!(!actions.contains(&Action::TellReady), "ready after a stop");
            }
            after.actions.extend_from_slice(actions);
            paths += walk(next, &after, depth - 1);
        }
        paths
    }

    #[test]
    fn every_order_of_events_keeps_the_promises() {
        assert_eq!(walk(Phase::Waiting, &Seen::default(), 6), 6usize.pow(6));
    }

    fn run(events: &[Event]) -> (Phase, Vec<Action>) {
        let mut phase = Phase::Waiting;
        let mut all = Vec::new();
        for event in events {
            let (next, actions) = phase.step(*event);
            phase = next;
            all.extend_from_slice(actions);
        }
        (phase, all)
    }

    #[test]
    fn a_stop_ends_it_from_every_phase() {
        use Action::*;
        let cases: [(&[Event], &[Action]); 5] = [
            (&[Event::Stop], &[LeaveQueue, TellStopped]),
            (
                &[Event::Turn, Event::Stop, Event::Ended],
                &[Begin, SignalStop, FreeTurn, TellStopped],
            ),
            (
                &[Event::Turn, Event::Stop, Event::Started, Event::Ended],
                &[Begin, SignalStop, FreeTurn, TellStopped],
            ),
            (
                &[Event::Turn, Event::Started, Event::Stop, Event::Ended],
                &[Begin, FreeTurn, TellReady, SignalStop, TellStopped],
            ),
            (
                &[Event::Turn, Event::Started, Event::Stop, Event::Stop, Event::Died],
                &[Begin, FreeTurn, TellReady, SignalStop, TellStopped],
            ),
        ];
        for (events, actions) in cases {
            assert_eq!(run(events), (Phase::Gone, actions.to_vec()), "{events:?}");
        }
    }

    #[test]
    fn failures_are_told_with_their_cause() {
        let (_, actions) = run(&[Event::Turn, Event::StartFailed]);
        assert_eq!(actions, [Action::Begin, Action::FreeTurn, Action::TellFailed]);
        let (_, actions) = run(&[Event::Turn, Event::Started, Event::Died]);
        assert_eq!(actions.last(), Some(&Action::TellFailed));
    }
}
