//! Unit tests by subject.

mod idle;
mod property;
mod requests;
mod starts;

use gapless_types::StartMode;

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
