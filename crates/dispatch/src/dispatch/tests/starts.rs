//! When starts are asked for, by bursts in virtual time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::*;

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
