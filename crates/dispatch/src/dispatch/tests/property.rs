//! Random events against a reference that knows what must hold.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

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
