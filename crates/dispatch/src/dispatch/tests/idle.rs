//! Instances that nobody uses.

use std::collections::VecDeque;

use super::*;

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
