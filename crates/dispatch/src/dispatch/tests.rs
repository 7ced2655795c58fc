//! Unit tests by scenario, a small virtual-time harness for bursts, and property
//! tests over random events.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};

use gapless_types::StartMode;
use proptest::prelude::*;

use super::*;
use crate::KeepAlive;

fn config() -> Config {
    Config {
        queue_size: 10,
        queue_wait: Duration::from_secs(1),
        concurrency: 1,
        instances_max: 50,
        keep_alive: KeepAlive::For(Duration::from_secs(60)),
        mode: StartMode::Async,
        start_prior: Duration::from_millis(100),
    }
}

fn ms(millis: u64) -> Time {
    Time::from_millis(millis)
}

fn step(core: &mut Dispatch, now: Time, event: Event) -> Vec<Action> {
    let mut actions = Vec::new();
    core.on_event(now, event, &mut actions);
    actions
}

fn arrive(core: &mut Dispatch, now: Time, request: u64) -> Vec<Action> {
    step(core, now, Event::Arrive { request: RequestId(request) })
}

fn ready(core: &mut Dispatch, now: Time, instance: u64) -> Vec<Action> {
    let start = Duration::from_millis(10);
    step(core, now, Event::InstanceReady { instance: InstanceId(instance), slots: 1, start })
}

fn sent(actions: &[Action]) -> Vec<(u64, u64)> {
    let send = |action: &Action| match action {
        Action::Send { request, instance } => Some((request.0, instance.0)),
        _ => None,
    };
    actions.iter().filter_map(send).collect()
}

fn refused(actions: &[Action]) -> Vec<(u64, Reason)> {
    let refusal = |action: &Action| match action {
        Action::Refuse { request, reason, .. } => Some((request.0, *reason)),
        _ => None,
    };
    actions.iter().filter_map(refusal).collect()
}

fn demanded(actions: &[Action]) -> Option<u32> {
    actions.iter().rev().find_map(|action| match action {
        Action::Demand { instances } => Some(*instances),
        _ => None,
    })
}

#[test]
fn a_warm_request_is_sent_and_nothing_else_is_said() {
    let mut core = Dispatch::new(config());
    ready(&mut core, ms(0), 1);
    assert_eq!(
        arrive(&mut core, ms(1), 1),
        [Action::Send { request: RequestId(1), instance: InstanceId(1) }]
    );
    assert_eq!(step(&mut core, ms(2), Event::Finish { request: RequestId(1) }), []);
}

#[test]
fn a_cold_request_asks_for_an_instance_and_takes_it() {
    let mut core = Dispatch::new(config());
    let actions = arrive(&mut core, ms(0), 1);
    assert_eq!(demanded(&actions), Some(1));
    assert!(actions.contains(&Action::WakeAt(ms(100))), "the plan is reviewed after a start");
    step(&mut core, ms(1), Event::InstanceStarting { instance: InstanceId(1) });
    assert_eq!(sent(&ready(&mut core, ms(5), 1)), [(1, 1)]);
}

#[test]
fn the_queue_is_bounded_and_times_out_with_advice() {
    let mut core = Dispatch::new(Config { queue_size: 2, ..config() });
    arrive(&mut core, ms(0), 1);
    arrive(&mut core, ms(10), 2);
    let full = arrive(&mut core, ms(20), 3);
    assert_eq!(refused(&full), [(3, Reason::QueueFull)]);
    assert!(
        matches!(full[0], Action::Refuse { retry_after, .. } if retry_after >= RETRY_AFTER_MIN)
    );
    assert_eq!(refused(&step(&mut core, ms(1000), Event::Wake)), [(1, Reason::QueueTimeout)]);
    let late = step(&mut core, ms(1010), Event::Wake);
    assert_eq!(refused(&late), [(2, Reason::QueueTimeout)]);
    assert_eq!(demanded(&late), Some(0), "nothing waits, nothing is wanted");
}

#[test]
fn a_queue_of_size_zero_only_serves_what_finds_a_slot() {
    let mut core = Dispatch::new(Config { queue_size: 0, ..config() });
    assert_eq!(refused(&arrive(&mut core, ms(0), 1)), [(1, Reason::QueueFull)]);
    ready(&mut core, ms(1), 1);
    assert_eq!(sent(&arrive(&mut core, ms(2), 2)), [(2, 1)]);
}

#[test]
fn a_client_that_leaves_frees_what_it_held() {
    let mut core = Dispatch::new(config());
    arrive(&mut core, ms(0), 1);
    let left = step(&mut core, ms(1), Event::Cancel { request: RequestId(1) });
    assert_eq!(demanded(&left), Some(0));
    ready(&mut core, ms(2), 1);
    arrive(&mut core, ms(3), 2);
    arrive(&mut core, ms(4), 3);
    let left = step(&mut core, ms(5), Event::Cancel { request: RequestId(2) });
    assert_eq!(sent(&left), [(3, 1)]);
    step(&mut core, ms(6), Event::Cancel { request: RequestId(99) });
    step(&mut core, ms(6), Event::Finish { request: RequestId(3) });
    assert!(core.is_empty());
}

#[test]
fn those_who_wait_behind_hung_requests_get_a_start() {
    let mut core = Dispatch::new(Config { queue_wait: Duration::from_secs(10), ..config() });
    ready(&mut core, ms(0), 1);
    arrive(&mut core, ms(0), 1);
    step(&mut core, ms(1), Event::Finish { request: RequestId(1) });
    arrive(&mut core, ms(2), 2);
    assert_eq!(demanded(&arrive(&mut core, ms(3), 3)), None, "a millisecond is worth the wait");
    let review = step(&mut core, ms(25), Event::Wake);
    assert_eq!(demanded(&review), Some(2), "it has been more than twenty");
    assert!(review.iter().any(|action| matches!(action, Action::WakeAt(at) if *at < ms(100))));
}

#[test]
fn a_block_that_is_over_refuses_nobody_even_if_nobody_says_so() {
    let mut core = Dispatch::new(config());
    let blocked = Event::StartsBlocked { blocked: Some((ms(100), Reason::StartFailed)) };
    step(&mut core, ms(0), blocked);
    assert_eq!(refused(&arrive(&mut core, ms(50), 1)), [(1, Reason::StartFailed)]);
    assert_eq!(demanded(&arrive(&mut core, ms(101), 2)), Some(1));
}

#[test]
fn blocked_starts_refuse_only_where_nothing_can_come() {
    let mut core = Dispatch::new(config());
    arrive(&mut core, ms(0), 1);
    step(&mut core, ms(0), Event::InstanceStarting { instance: InstanceId(1) });
    let blocked = Event::StartsBlocked { blocked: Some((ms(5000), Reason::StartFailed)) };
    assert_eq!(refused(&step(&mut core, ms(1), blocked.clone())), [], "one is still starting");
    let gone = step(&mut core, ms(2), Event::InstanceGone { instance: InstanceId(1) });
    assert_eq!(refused(&gone), [(1, Reason::StartFailed)]);
    assert_eq!(refused(&arrive(&mut core, ms(3), 2)), [(2, Reason::StartFailed)]);
    step(&mut core, ms(4), Event::StartsBlocked { blocked: None });
    assert_eq!(demanded(&arrive(&mut core, ms(5), 3)), Some(1));
}

#[test]
fn an_unused_instance_is_reported_idle_again_and_again_until_it_is_used() {
    let mut core = Dispatch::new(config());
    let actions = ready(&mut core, ms(0), 1);
    assert!(actions.contains(&Action::WakeAt(ms(60_000))));
    arrive(&mut core, ms(1_000), 1);
    step(&mut core, ms(2_000), Event::Finish { request: RequestId(1) });
    let early = step(&mut core, ms(60_000), Event::Wake);
    assert_eq!(early, [Action::WakeAt(ms(62_000))], "it was used since");
    let idle = step(&mut core, ms(62_000), Event::Wake);
    assert_eq!(idle, [Action::Idle { instance: InstanceId(1) }, Action::WakeAt(ms(122_000))]);
    let again = step(&mut core, ms(122_000), Event::Wake);
    assert!(again.contains(&Action::Idle { instance: InstanceId(1) }));
}

#[test]
fn a_retired_instance_is_released_once_it_is_idle() {
    let mut core = Dispatch::new(config());
    ready(&mut core, ms(0), 1);
    arrive(&mut core, ms(1), 1);
    let retiring = Event::InstanceRetiring { instance: InstanceId(1) };
    assert_eq!(step(&mut core, ms(2), retiring), [Action::Demand { instances: 0 }]);
    assert_eq!(demanded(&arrive(&mut core, ms(3), 2)), Some(1), "it takes nothing new");
    let finished = step(&mut core, ms(4), Event::Finish { request: RequestId(1) });
    assert_eq!(finished, [Action::Released { instance: InstanceId(1) }]);
}

#[test]
fn a_lost_instance_is_wished_for_again_though_the_number_is_the_same() {
    let mut core = Dispatch::new(config());
    arrive(&mut core, ms(0), 1);
    step(&mut core, ms(0), Event::InstanceStarting { instance: InstanceId(1) });
    let gone = step(&mut core, ms(2), Event::InstanceGone { instance: InstanceId(1) });
    assert_eq!(demanded(&gone), Some(1));
}

#[test]
fn closing_refuses_what_waits_and_lets_the_rest_finish() {
    let mut core = Dispatch::new(config());
    ready(&mut core, ms(0), 1);
    arrive(&mut core, ms(1), 1);
    arrive(&mut core, ms(1), 2);
    let closed = step(&mut core, ms(2), Event::Close);
    assert_eq!(refused(&closed), [(2, Reason::FunctionGone)]);
    assert_eq!(refused(&arrive(&mut core, ms(3), 3)), [(3, Reason::FunctionGone)]);
    step(&mut core, ms(4), Event::Finish { request: RequestId(1) });
    assert!(core.is_empty());
    step(&mut core, ms(5), Event::Open);
    assert_eq!(sent(&arrive(&mut core, ms(6), 4)), [(4, 1)], "a rollback");
}

#[test]
fn a_sync_request_waits_for_its_own_instance() {
    let mut core = Dispatch::new(Config { mode: StartMode::Sync, instances_max: 2, ..config() });
    ready(&mut core, ms(0), 1);
    arrive(&mut core, ms(1), 1);
    assert_eq!(demanded(&arrive(&mut core, ms(2), 2)), Some(2));
    step(&mut core, ms(2), Event::InstanceStarting { instance: InstanceId(2) });
    arrive(&mut core, ms(3), 3);
    let freed = step(&mut core, ms(4), Event::Finish { request: RequestId(1) });
    assert_eq!(sent(&freed), [(3, 1)], "the one with no instance of its own takes the slot");
    assert_eq!(sent(&ready(&mut core, ms(9), 2)), [(2, 2)]);
}

#[test]
fn a_sync_request_whose_instance_fails_takes_a_free_slot() {
    let mut core = Dispatch::new(Config { mode: StartMode::Sync, ..config() });
    ready(&mut core, ms(0), 1);
    arrive(&mut core, ms(1), 1);
    arrive(&mut core, ms(2), 2);
    step(&mut core, ms(2), Event::InstanceStarting { instance: InstanceId(2) });
    step(&mut core, ms(4), Event::Finish { request: RequestId(1) });
    let gone = step(&mut core, ms(5), Event::InstanceGone { instance: InstanceId(2) });
    assert_eq!(sent(&gone), [(2, 1)]);
}

/// Modelled instances around a core, in virtual time: starts and services take
/// fixed times. Returns when the last request ended and how many starts began.
fn burst(requests: u64, start_ms: u64, service_ms: u64, config: Config) -> (u64, u64) {
    let mut core = Dispatch::new(config);
    let mut due = BinaryHeap::new();
    let (mut ids, mut live_or_starting, mut ended, mut now) = (0, 0, 0, 0);
    let mut actions = Vec::new();
    for request in 0..requests {
        core.on_event(ms(0), Event::Arrive { request: RequestId(request) }, &mut actions);
    }
    loop {
        for action in std::mem::take(&mut actions) {
            match action {
                Action::Send { request, .. } => due.push(Reverse((now + service_ms, 1, request.0))),
                Action::Demand { instances } => {
                    while live_or_starting < instances {
                        live_or_starting += 1;
                        ids += 1;
                        let instance = InstanceId(ids);
                        core.on_event(ms(now), Event::InstanceStarting { instance }, &mut actions);
                        due.push(Reverse((now + start_ms, 0, ids)));
                    }
                }
                Action::Refuse { .. } => panic!("{action:?}"),
                _ => {}
            }
        }
        if !actions.is_empty() {
            continue;
        }
        let Some(Reverse((at, kind, id))) = due.pop() else {
            break;
        };
        now = at;
        let start = Duration::from_millis(start_ms);
        let event = match kind {
            0 => Event::InstanceReady { instance: InstanceId(id), slots: 1, start },
            _ => Event::Finish { request: RequestId(id) },
        };
        ended += kind;
        core.on_event(ms(now), event, &mut actions);
    }
    assert_eq!(ended, requests);
    (now, ids)
}

#[test]
fn a_burst_is_served_at_full_width() {
    let wide = Config { queue_size: 1000, queue_wait: Duration::from_secs(10), ..config() };
    let (total_ms, starts) = burst(1000, 5, 20, wide);
    assert_eq!(total_ms, 405, "ideal: a start and twenty rounds of fifty");
    assert_eq!(starts, 50);
}

#[test]
fn no_start_is_asked_for_that_could_not_help() {
    let known = Config { queue_size: 2000, queue_wait: Duration::from_secs(10), ..config() };
    let mut core = Dispatch::new(known);
    // One instance, a start of 500 ms and a service of 1 ms are known.
    step(
        &mut core,
        ms(0),
        Event::InstanceReady {
            instance: InstanceId(1),
            slots: 1,
            start: Duration::from_millis(500),
        },
    );
    arrive(&mut core, ms(1), 1);
    step(&mut core, ms(2), Event::Finish { request: RequestId(1) });
    let wanted = (2..402).filter_map(|id| demanded(&arrive(&mut core, ms(3), id))).max();
    assert_eq!(wanted, None, "400 ms of work on one slot is done before a start would be");
    let wanted = (402..1002).filter_map(|id| demanded(&arrive(&mut core, ms(3), id))).max();
    assert_eq!(wanted, Some(4), "three more drain what is left after 500 ms soon enough");
}

#[test]
fn an_instance_for_one_request_serves_one_and_is_given_back() {
    let mut core = Dispatch::new(Config { mode: StartMode::Emergency, ..config() });
    assert_eq!(demanded(&arrive(&mut core, ms(0), 1)), Some(1));
    step(&mut core, ms(1), Event::InstanceStarting { instance: InstanceId(1) });
    assert_eq!(sent(&ready(&mut core, ms(10), 1)), [(1, 1)]);
    let finished = step(&mut core, ms(20), Event::Finish { request: RequestId(1) });
    assert!(finished.contains(&Action::Idle { instance: InstanceId(1) }), "{finished:?}");
    assert_eq!(sent(&arrive(&mut core, ms(21), 2)), [], "it takes no second request");
}

/// Does what a fleet would with `event` and all that follows from it at `now`; how many
/// events that took, until nothing was left to do.
fn settle(core: &mut Dispatch, now: Time, event: Event, starting: &mut Vec<u64>) -> usize {
    let mut events = VecDeque::from([event]);
    let mut taken = 0;
    let last = starting.iter().copied().max().unwrap_or(1000);
    let mut ids = last + 1..;
    while let Some(event) = events.pop_front() {
        taken += 1;
        assert!(taken < 10_000, "it goes round for ever");
        for action in step(core, now, event) {
            let Action::Demand { instances } = action else { continue };
            let wanted = instances.saturating_sub(core.live()) as usize;
            while starting.len() > wanted {
                let instance = InstanceId(starting.pop().unwrap());
                events.push_back(Event::InstanceGone { instance });
            }
            while starting.len() < wanted {
                starting.push(ids.next().unwrap());
                let instance = InstanceId(*starting.last().unwrap());
                events.push_back(Event::InstanceStarting { instance });
            }
        }
    }
    taken
}

#[test]
fn dropping_starts_is_no_reason_to_want_more_of_them() {
    let wide = Config {
        mode: StartMode::Planned,
        queue_size: 10_000,
        queue_wait: Duration::from_secs(60),
        instances_max: 10_000,
        ..config()
    };
    let mut core = Dispatch::new(wide);
    let mut starting = Vec::new();
    // Starts take 100 ms and 5 ms more for each other one: it learns that.
    for count in [1, 40] {
        let ids: Vec<InstanceId> = (0..count).map(|id| InstanceId(count * 10 + id)).collect();
        for instance in &ids {
            step(&mut core, ms(0), Event::InstanceStarting { instance: *instance });
        }
        for instance in ids {
            let start = Duration::from_millis(100 + 5 * (count - 1));
            step(&mut core, ms(0), Event::InstanceReady { instance, slots: 1, start });
        }
    }
    let mut last = 0;
    for round in 1..400u64 {
        let now = ms(round);
        last += 1;
        settle(&mut core, now, Event::Arrive { request: RequestId(last) }, &mut starting);
        if round > 100 {
            let served = Event::Finish { request: RequestId(round - 100) };
            settle(&mut core, now, served, &mut starting);
        }
    }
    settle(&mut core, ms(500), Event::Wake, &mut starting);
}

#[test]
fn a_closed_core_asks_for_nothing_more() {
    for mode in StartMode::PLANNERS {
        let mut core = Dispatch::new(Config { mode, ..config() });
        arrive(&mut core, ms(0), 1);
        ready(&mut core, ms(10), 1);
        step(&mut core, ms(20), Event::Finish { request: RequestId(1) });
        step(&mut core, ms(30), Event::Close);
        step(&mut core, ms(30), Event::InstanceRetiring { instance: InstanceId(1) });
        step(&mut core, ms(30), Event::InstanceGone { instance: InstanceId(1) });
        for wake in 1..=10 {
            let actions = step(&mut core, ms(wake * 10_000), Event::Wake);
            assert_eq!(actions, [], "{mode:?}");
        }
    }
}

#[test]
fn the_instance_that_was_idle_longest_makes_room_first_and_only_once() {
    let mut core = Dispatch::new(config());
    ready(&mut core, ms(0), 1);
    ready(&mut core, ms(5), 2);
    assert_eq!(core.idle_until(), Some(ms(60_000)));
    let idle = |instance| [Action::Idle { instance: InstanceId(instance) }];
    assert_eq!(step(&mut core, ms(10), Event::Reclaim), idle(1));
    assert_eq!(core.idle_until(), Some(ms(60_005)), "it was said of the first");
    assert_eq!(step(&mut core, ms(10), Event::Reclaim), idle(2));
    assert_eq!(step(&mut core, ms(10), Event::Reclaim), []);
    assert_eq!(core.idle_until(), None);
}

#[test]
fn a_timers_instance_is_there_before_the_timer() {
    let keep_alive = KeepAlive::Learned { worth: Duration::from_secs(60) };
    let mut core = Dispatch::new(Config { keep_alive, ..config() });
    let period = 600_000;
    let (mut cold, mut instance, mut idle_ms) = (0, 0, 0);
    let mut wake = Time::NEVER;
    for round in 0..20u64 {
        let (begin, end) = (round * period, (round + 1) * period);
        let mut events = VecDeque::from([Event::Arrive { request: RequestId(round + 1) }]);
        let mut now = begin;
        loop {
            let event = match events.pop_front() {
                Some(event) => event,
                None if wake < ms(end) => {
                    now = wake.as_nanos().div_ceil(1_000_000);
                    wake = Time::NEVER;
                    Event::Wake
                }
                None => break,
            };
            let is_arrival = matches!(event, Event::Arrive { .. });
            let actions = step(&mut core, ms(now), event);
            cold += u32::from(is_arrival && sent(&actions).is_empty());
            for action in actions {
                match action {
                    Action::Demand { instances } if instances > core.live() + core.starting() => {
                        instance += 1;
                        let instance = InstanceId(instance);
                        let start = Duration::from_millis(1);
                        events.push_back(Event::InstanceStarting { instance });
                        events.push_back(Event::InstanceReady { instance, slots: 1, start });
                        idle_ms -= now as i64;
                    }
                    Action::Send { request, .. } => events.push_back(Event::Finish { request }),
                    Action::Idle { instance } => {
                        events.push_back(Event::InstanceRetiring { instance });
                    }
                    Action::Released { instance } => {
                        idle_ms += now as i64;
                        events.push_back(Event::InstanceGone { instance });
                    }
                    Action::WakeAt(at) => wake = at,
                    _ => {}
                }
            }
        }
    }
    assert!((4..=6).contains(&cold), "the first few, until the period is known: {cold}");
    idle_ms += i64::from(core.live()) * (20 * period) as i64;
    let idle_share = idle_ms as f64 / (20 * period) as f64;
    assert!((0.0..0.2).contains(&idle_share), "{idle_share}");
}

/// A random step of the world around a core.
#[derive(Clone, Debug)]
enum Chance {
    Arrive,
    Finish(usize),
    Cancel(usize),
    CancelQueued(usize),
    Starting,
    Ready(usize),
    Gone(usize),
    Retire(usize),
    Block(bool),
    Wait(u64),
    Wake,
}

fn chance() -> impl Strategy<Value = Chance> {
    prop_oneof![
        6 => Just(Chance::Arrive),
        4 => any::<usize>().prop_map(Chance::Finish),
        1 => any::<usize>().prop_map(Chance::Cancel),
        1 => any::<usize>().prop_map(Chance::CancelQueued),
        2 => Just(Chance::Starting),
        3 => any::<usize>().prop_map(Chance::Ready),
        1 => any::<usize>().prop_map(Chance::Gone),
        1 => any::<usize>().prop_map(Chance::Retire),
        1 => any::<bool>().prop_map(Chance::Block),
        2 => (0u64..500).prop_map(Chance::Wait),
        1 => Just(Chance::Wake),
    ]
}

/// What the world knows: a reference to hold the core's actions against.
#[derive(Default)]
struct World {
    queued: BTreeSet<u64>,
    in_service: BTreeMap<u64, u64>,
    starting: BTreeSet<u64>,
    live: BTreeMap<u64, u32>,
    now_ms: u64,
    last_request: u64,
    last_instance: u64,
}

fn pick<T: Copy>(items: impl ExactSizeIterator<Item = T>, index: usize) -> Option<T> {
    let len = items.len();
    if len == 0 { None } else { items.into_iter().nth(index % len) }
}

impl World {
    fn event(&mut self, chance: &Chance, slots: u32) -> Option<Event> {
        Some(match chance {
            Chance::Arrive => {
                self.last_request += 1;
                self.queued.insert(self.last_request);
                Event::Arrive { request: RequestId(self.last_request) }
            }
            Chance::Finish(index) => {
                let request = pick(self.in_service.keys().copied(), *index)?;
                self.in_service.remove(&request);
                Event::Finish { request: RequestId(request) }
            }
            Chance::Cancel(index) => {
                let request = pick(self.in_service.keys().copied(), *index)?;
                self.in_service.remove(&request);
                Event::Cancel { request: RequestId(request) }
            }
            Chance::CancelQueued(index) => {
                let request = pick(self.queued.iter().copied(), *index)?;
                self.queued.remove(&request);
                Event::Cancel { request: RequestId(request) }
            }
            Chance::Starting => {
                self.last_instance += 1;
                self.starting.insert(self.last_instance);
                Event::InstanceStarting { instance: InstanceId(self.last_instance) }
            }
            Chance::Ready(index) => {
                let instance = pick(self.starting.iter().copied(), *index)?;
                self.starting.remove(&instance);
                self.live.insert(instance, slots);
                let start = Duration::from_millis(10);
                Event::InstanceReady { instance: InstanceId(instance), slots, start }
            }
            Chance::Gone(index) => {
                let instance = pick(self.live.keys().copied(), *index)?;
                self.live.remove(&instance);
                Event::InstanceGone { instance: InstanceId(instance) }
            }
            Chance::Retire(index) => {
                let instance = pick(self.live.keys().copied(), *index)?;
                Event::InstanceRetiring { instance: InstanceId(instance) }
            }
            Chance::Block(is_blocked) => {
                let until = ms(self.now_ms + 100);
                Event::StartsBlocked { blocked: is_blocked.then_some((until, Reason::StartFailed)) }
            }
            Chance::Wait(millis) => {
                self.now_ms += millis;
                return None;
            }
            Chance::Wake => Event::Wake,
        })
    }

    fn check(&mut self, core: &Dispatch, actions: &[Action], config: &Config) {
        for action in actions {
            match action {
                Action::Send { request, instance } => {
                    assert!(self.queued.remove(&request.0), "{request:?} sent, but not waiting");
                    let slots = self.live.get(&instance.0).expect("sent to a live instance");
                    self.in_service.insert(request.0, instance.0);
                    let held = self.in_service.values().filter(|held| **held == instance.0).count();
                    assert!(held <= *slots as usize, "{instance} holds {held} of {slots}");
                }
                Action::Refuse { request, .. } => {
                    assert!(self.queued.remove(&request.0), "{request:?} refused, but not waiting");
                }
                Action::Demand { instances } => {
                    let live = u32::try_from(self.live.len()).unwrap();
                    assert!(*instances <= config.instances_max.max(live), "{instances} wanted")
                }
                Action::Released { instance } => {
                    assert!(!self.in_service.values().any(|held| *held == instance.0));
                    self.live.remove(&instance.0);
                }
                Action::Idle { .. } | Action::WakeAt(_) => {}
            }
        }
        assert_eq!(core.queued(), self.queued.len());
        assert_eq!(core.in_service(), self.in_service.len());
        assert!(core.queued() <= config.queue_size as usize);
        assert!(!core.wastes_a_slot(), "something waits while a slot is free");
    }
}

proptest! {
    #[test]
    fn every_request_has_one_outcome_and_every_bound_holds(
        chances in prop::collection::vec(chance(), 1..300),
        slots in 1u32..4,
        mode in prop::sample::select(&StartMode::PLANNERS[..]),
        keep_alive in prop::sample::select(vec![
            KeepAlive::For(Duration::from_millis(100)),
            KeepAlive::Learned { worth: Duration::from_millis(500) },
        ]),
    ) {
        let config = Config { concurrency: slots, mode, instances_max: 5, keep_alive, ..config() };
        let mut core = Dispatch::new(config.clone());
        let mut world = World::default();
        for chance in &chances {
            let Some(event) = world.event(chance, slots) else { continue };
            let mut actions = Vec::new();
            core.on_event(ms(world.now_ms), event, &mut actions);
            world.check(&core, &actions, &config);
        }
        // Everybody leaves: nothing is left.
        for request in world.queued.iter().chain(world.in_service.keys()) {
            step(&mut core, ms(world.now_ms), Event::Cancel { request: RequestId(*request) });
        }
        prop_assert!(core.is_empty());
        prop_assert_eq!(step(&mut core, ms(world.now_ms), Event::Close)
            .iter().filter(|action| matches!(action, Action::Refuse { .. })).count(), 0);
    }
}
