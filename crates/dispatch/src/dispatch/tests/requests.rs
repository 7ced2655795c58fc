//! What becomes of a request: sent, waiting, refused, gone.

use super::*;

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
