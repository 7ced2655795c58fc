//! Unit tests: what a fleet does, one situation at a time.

use super::*;

/// A fleet driven by hand, with the actions since they were last read.
struct Driven {
    fleet: Fleet,
    now: Time,
    next_id: u64,
    actions: Vec<Action>,
}

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn i(id: u64) -> InstanceId {
    InstanceId(id)
}

fn start(id: u64) -> Action {
    Action::Start { instance: i(id) }
}

impl Driven {
    /// A fleet that is not runnable yet; its first instance will be number 1.
    fn idle(min: u32, max: u32) -> Self {
        let fleet = Fleet::new(Config { min, max });
        Driven { fleet, now: Time::ZERO, next_id: 1, actions: Vec::new() }
    }

    fn new(min: u32, max: u32) -> Self {
        let mut driven = Driven::idle(min, max);
        driven.tell(Event::Runnable);
        driven
    }

    fn tell(&mut self, event: Event) -> &mut Self {
        let next_id = &mut self.next_id;
        let mut ids = || {
            *next_id += 1;
            InstanceId(*next_id - 1)
        };
        self.fleet.on_event(self.now, event, &mut ids, &mut self.actions);
        self
    }

    fn after(&mut self, span: Duration) -> &mut Self {
        self.now += span;
        self
    }

    fn demand(&mut self, instances: u32) -> &mut Self {
        let seq = self.fleet.demand_seq.unwrap_or(0) + 1;
        self.tell(Event::Demand { seq, instances })
    }

    fn ready(&mut self, ids: impl IntoIterator<Item = u64>) -> &mut Self {
        ids.into_iter().fold(self, |driven, id| driven.tell(Event::Ready { instance: i(id) }))
    }

    fn fail(&mut self, id: u64) -> &mut Self {
        self.tell(Event::Gone { instance: i(id), failed: true })
    }

    /// What was to be done since the last call.
    fn done(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// How many instances are starting, ready and retiring.
    fn counts(&self) -> (u32, u32, u32) {
        (self.fleet.starting(), self.fleet.ready(), self.fleet.retiring())
    }

    fn starts(&mut self) -> usize {
        self.done().iter().filter(|action| matches!(action, Action::Start { .. })).count()
    }

    /// The block stated last since the actions were last read.
    fn last_block(&mut self) -> Option<Block> {
        let mut blocks = self.done().into_iter().filter_map(|action| match action {
            Action::Blocked(block) => Some(block),
            _ => None,
        });
        blocks.next_back().flatten()
    }
}

#[test]
fn nothing_is_started_before_it_can_run() {
    let mut driven = Driven::idle(1, 10);
    driven.demand(3);
    assert_eq!(driven.done(), []);
    driven.tell(Event::Runnable);
    assert_eq!(driven.starts(), 3);
}

#[test]
fn demand_is_met_up_to_the_maximum_and_never_below_the_minimum() {
    let mut driven = Driven::new(2, 4);
    assert_eq!(driven.done(), [start(1), start(2)]);
    driven.demand(3);
    assert_eq!(driven.done(), [start(3)]);
    driven.demand(100);
    assert_eq!(driven.done(), [start(4)]);
    driven.demand(0);
    assert_eq!(driven.counts(), (2, 0, 0));
}

#[test]
fn an_old_demand_is_ignored() {
    let mut driven = Driven::new(0, 10);
    driven.tell(Event::Demand { seq: 7, instances: 2 });
    driven.tell(Event::Demand { seq: 6, instances: 9 });
    driven.tell(Event::Demand { seq: 7, instances: 9 });
    assert_eq!(driven.counts(), (2, 0, 0));
}

#[test]
fn falling_demand_cancels_the_youngest_starts_and_nothing_that_is_ready_or_begun() {
    let mut driven = Driven::new(0, 10);
    driven.demand(5).ready([1]).tell(Event::Starting { instance: i(5) }).done();
    driven.demand(2);
    let cancel = |id| Action::CancelStart { instance: i(id) };
    assert_eq!(driven.done(), [cancel(4), cancel(3), cancel(2)]);
    driven.demand(0);
    assert_eq!((driven.done(), driven.counts()), (vec![], (1, 1, 0)));
}

#[test]
fn an_idle_instance_is_taken_back_and_not_replaced() {
    let mut driven = Driven::new(1, 10);
    driven.demand(3).ready([1, 2, 3]).done();
    driven.tell(Event::Idle { instance: i(2) });
    assert_eq!(driven.done(), [Action::Retire { instance: i(2) }]);
    driven.tell(Event::Idle { instance: i(2) });
    assert_eq!(driven.done(), [], "asked already");
    driven.tell(Event::Released { instance: i(2) });
    assert_eq!(driven.done(), [Action::Stop { instance: i(2) }]);
    driven.tell(Event::Gone { instance: i(2), failed: false });
    assert_eq!((driven.done(), driven.counts()), (vec![], (0, 2, 0)));
    driven.tell(Event::Idle { instance: i(1) }).tell(Event::Idle { instance: i(3) });
    assert_eq!(driven.done(), [Action::Retire { instance: i(1) }], "one is the minimum");
}

#[test]
fn an_idle_report_is_out_of_date_while_more_are_wanted() {
    let mut driven = Driven::new(0, 10);
    driven.demand(1).ready([1]).demand(2).done();
    driven.tell(Event::Idle { instance: i(1) });
    assert_eq!(driven.done(), []);
}

#[test]
fn a_dead_instance_is_replaced_when_the_gateway_says_so() {
    let mut driven = Driven::new(0, 10);
    driven.demand(2).ready([1, 2]).after(HEALTHY_AFTER).done();
    driven.fail(1);
    assert_eq!((driven.done(), driven.fleet.desired()), (vec![], 1));
    driven.demand(2);
    assert_eq!(driven.done(), [start(3)]);
}

#[test]
fn failed_starts_are_retried_one_at_a_time_ever_later() {
    let mut driven = Driven::new(0, 10);
    driven.demand(3).done();
    driven.fail(1).fail(2).fail(3);
    let until = Time::from_millis(200);
    let block = Block { until, is_capacity: false, failures: 1, backoff: 200 * MS };
    let expected = [Action::Blocked(Some(block)), Action::WakeAt(until)];
    assert_eq!(driven.done(), expected, "one round, one failure");
    driven.after(199 * MS).tell(Event::Wake);
    assert_eq!(driven.done(), []);
    driven.after(MS).tell(Event::Wake);
    assert_eq!(driven.done(), [Action::Blocked(None), start(4)], "one is tried");
    driven.demand(4);
    assert_eq!(driven.done(), [], "and no more before its outcome is known");
    driven.demand(3);
    driven.fail(4);
    let block = driven.last_block().unwrap();
    assert_eq!((block.failures, block.backoff), (2, 400 * MS));
    driven.after(400 * MS).tell(Event::Wake).done();
    driven.ready([5]);
    assert_eq!(driven.done(), [start(6), start(7)], "the rest at once");
    assert_eq!(driven.fleet.failures(), 2, "not forgotten before it lived for a while");
}

#[test]
fn the_end_of_a_block_is_told_even_if_nothing_is_wanted_then() {
    let mut driven = Driven::new(0, 10);
    driven.demand(1).fail(1).demand(0).done();
    driven.after(200 * MS).tell(Event::Wake);
    assert_eq!(driven.done(), [Action::Blocked(None)], "or nobody would ever ask again");
    driven.demand(1);
    assert_eq!(driven.done(), [start(2)]);
}

#[test]
fn an_instance_that_becomes_ready_ends_a_block_for_failures() {
    let mut driven = Driven::new(0, 10);
    driven.demand(2).fail(1).done();
    driven.ready([2]);
    assert_eq!(driven.done(), [Action::Blocked(None), start(3), Action::WakeAt(Time::NEVER)]);
}

#[test]
fn what_dies_young_is_a_failure_and_what_lived_is_not() {
    let mut driven = Driven::new(1, 10);
    for round in 1..=9_u64 {
        driven.ready([round]).fail(round);
        let block = driven.last_block().unwrap();
        assert_eq!(u64::from(block.failures), round);
        driven.after(block.backoff).tell(Event::Wake);
    }
    driven.ready([10]).after(HEALTHY_AFTER).done();
    driven.fail(10);
    assert_eq!(driven.done(), [start(11)], "at once: the minimum is to be kept");
    assert_eq!(driven.fleet.failures(), 0);
}

#[test]
fn an_instance_that_lives_speaks_for_the_others() {
    let mut driven = Driven::new(0, 10);
    driven.demand(1).fail(1).after(SECOND).tell(Event::Wake).ready([2]);
    assert_eq!(driven.fleet.failures(), 1);
    driven.after(HEALTHY_AFTER).demand(2).done();
    driven.fail(3);
    assert_eq!(driven.last_block().map(|block| block.failures), Some(1), "the first again");
}

#[test]
fn want_of_room_is_tried_again_soon_and_at_once_when_room_was_freed() {
    let mut driven = Driven::new(0, 10);
    driven.demand(4).ready([1]).done();
    for id in [2, 3, 4] {
        driven.tell(Event::NoCapacity { instance: i(id) });
    }
    let block = driven.last_block().unwrap();
    assert_eq!((block.is_capacity, block.failures, block.backoff), (true, 1, 100 * MS));
    driven.after(50 * MS).tell(Event::CapacityFreed).tell(Event::CapacityFreed);
    assert_eq!(driven.starts(), 1, "one to try");
    driven.tell(Event::NoCapacity { instance: i(5) });
    assert_eq!(driven.last_block().unwrap().backoff, 200 * MS);
    driven.after(200 * MS).tell(Event::Wake);
    assert_eq!(driven.starts(), 1);
    driven.tell(Event::Starting { instance: i(6) });
    assert_eq!(driven.done(), [start(7), start(8)]);
}

#[test]
fn a_cancelled_try_for_room_is_followed_by_another() {
    let mut driven = Driven::new(0, 10);
    driven.demand(1).tell(Event::NoCapacity { instance: i(1) });
    driven.after(SECOND).tell(Event::Wake).demand(0).done();
    driven.demand(1);
    assert_eq!(driven.done(), [start(3)]);
}

#[test]
fn room_freed_does_not_shorten_a_back_off_for_failures() {
    let mut driven = Driven::new(0, 10);
    driven.demand(1).fail(1).done();
    driven.tell(Event::CapacityFreed);
    assert_eq!(driven.done(), []);
}

#[test]
fn a_lower_maximum_takes_back_the_youngest() {
    let mut driven = Driven::new(0, 10);
    driven.demand(4).ready([1, 2, 3]).done();
    driven.tell(Event::Configure { config: Config { min: 0, max: 2 } });
    let expected = vec![Action::CancelStart { instance: i(4) }, Action::Retire { instance: i(3) }];
    assert_eq!((driven.done(), driven.counts()), (expected, (0, 2, 1)));
}

#[test]
fn closing_ends_everything_once_it_is_idle() {
    let mut driven = Driven::new(1, 10);
    driven.demand(3).ready([1, 2]).tell(Event::Starting { instance: i(3) }).done();
    driven.tell(Event::Close);
    let retire = |id| Action::Retire { instance: i(id) };
    let cancel = Action::CancelStart { instance: i(3) };
    assert_eq!(driven.done(), [cancel, retire(2), retire(1)]);
    driven.tell(Event::Released { instance: i(2) }).demand(5).tell(Event::Runnable);
    assert_eq!(driven.done(), [Action::Stop { instance: i(2) }]);
    driven.tell(Event::Gone { instance: i(2), failed: false }).fail(1);
    assert_eq!(driven.done(), [Action::Closed]);
    assert!(driven.fleet.is_closed());
    driven.tell(Event::Wake).tell(Event::Close);
    assert_eq!(driven.done(), [], "said once");
}

#[test]
fn facts_of_unknown_instances_are_ignored() {
    let mut driven = Driven::new(0, 10);
    driven.demand(1).demand(0).done();
    driven.ready([1]).tell(Event::Idle { instance: i(1) }).fail(1);
    driven.tell(Event::Released { instance: i(1) }).tell(Event::NoCapacity { instance: i(9) });
    assert_eq!((driven.done(), driven.counts()), (vec![], (0, 0, 0)));
}
