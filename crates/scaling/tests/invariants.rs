//! What holds whatever happens, in whichever order.

use std::collections::BTreeMap;
use std::time::Duration;

use gapless_scaling::{Action, Block, Config, Event, Fleet};
use gapless_types::{InstanceId, Time};
use proptest::prelude::*;

/// What the world is told and does; `pick` chooses among the instances there are.
#[derive(Clone, Debug)]
enum Step {
    Demand { instances: u32, is_old: bool },
    Starting { pick: usize },
    Ready { pick: usize },
    Idle { pick: usize },
    Released { pick: usize },
    Gone { pick: usize, failed: bool },
    NoCapacity { pick: usize },
    Configure { min: u32, max: u32 },
    Stale { id: u64 },
    Other(Event),
    Pass { ms: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let pick = || any::<usize>();
    prop_oneof![
        4 => (0..12_u32, any::<bool>())
            .prop_map(|(instances, is_old)| Step::Demand { instances, is_old }),
        2 => pick().prop_map(|pick| Step::Starting { pick }),
        6 => pick().prop_map(|pick| Step::Ready { pick }),
        3 => pick().prop_map(|pick| Step::Idle { pick }),
        3 => pick().prop_map(|pick| Step::Released { pick }),
        3 => (pick(), any::<bool>()).prop_map(|(pick, failed)| Step::Gone { pick, failed }),
        1 => pick().prop_map(|pick| Step::NoCapacity { pick }),
        1 => (0..4_u32, 0..9_u32).prop_map(|(min, max)| Step::Configure { min, max }),
        1 => (0..20_u64).prop_map(|id| Step::Stale { id }),
        2 => prop::sample::select(vec![Event::Wake, Event::CapacityFreed, Event::Runnable])
            .prop_map(Step::Other),
        3 => (0..20_000_u64).prop_map(|ms| Step::Pass { ms }),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Seen {
    Starting,
    Ready,
    Retiring,
    Stopping,
}

/// A fleet and the world around it.
struct World {
    fleet: Fleet,
    config: Config,
    now: Time,
    wake_at: Time,
    next_id: u64,
    seq: u64,
    demand_last: u32,
    instances: BTreeMap<InstanceId, Seen>,
    told_blocked: Option<Block>,
    is_closing: bool,
    closed: u32,
}

impl World {
    fn new(config: Config) -> Self {
        World {
            fleet: Fleet::new(config.clone()),
            config,
            now: Time::ZERO,
            wake_at: Time::NEVER,
            next_id: 0,
            seq: 0,
            demand_last: 0,
            instances: BTreeMap::new(),
            told_blocked: None,
            is_closing: false,
            closed: 0,
        }
    }

    fn tell(&mut self, event: Event) {
        self.is_closing |= event == Event::Close;
        let (mut actions, next_id) = (Vec::new(), &mut self.next_id);
        let mut ids = || {
            *next_id += 1;
            InstanceId(*next_id)
        };
        self.fleet.on_event(self.now, event, &mut ids, &mut actions);
        let has_started = actions.iter().any(|action| matches!(action, Action::Start { .. }));
        assert!(!has_started || self.fleet.blocked().is_none(), "started while blocked");
        actions.into_iter().for_each(|action| self.carry_out(action));
        assert!(!self.is_closing || self.fleet.starting() + self.fleet.ready() == 0);
        let counted = |seen| self.instances.values().filter(|s| **s == seen).count() as u32;
        assert_eq!(counted(Seen::Starting), self.fleet.starting());
        assert_eq!(counted(Seen::Ready), self.fleet.ready());
        assert_eq!(counted(Seen::Retiring), self.fleet.retiring());
        assert!(self.fleet.starting() + self.fleet.ready() <= self.config.max, "more than max");
        if !self.is_closing {
            let blocked = self.fleet.blocked();
            assert_eq!(self.told_blocked, blocked, "what was told is what holds");
            assert!(
                blocked.is_none_or(|block| self.now < block.until && self.wake_at == block.until)
            );
        }
    }

    fn carry_out(&mut self, action: Action) {
        assert_eq!(self.closed, 0, "{action:?} after the end");
        match action {
            Action::Start { instance } => {
                assert_eq!(self.instances.insert(instance, Seen::Starting), None);
            }
            Action::CancelStart { instance } => {
                assert_eq!(self.instances.remove(&instance), Some(Seen::Starting));
            }
            Action::Retire { instance } => {
                assert_eq!(self.instances.insert(instance, Seen::Retiring), Some(Seen::Ready));
            }
            Action::Stop { instance } => {
                let former = self.instances.insert(instance, Seen::Stopping);
                assert!(matches!(former, Some(Seen::Ready | Seen::Retiring)), "{former:?}");
            }
            Action::Blocked(block) => self.told_blocked = block,
            Action::WakeAt(at) => self.wake_at = at,
            Action::Closed => self.closed += 1,
        }
    }

    fn pick(&self, pick: usize, seen: Seen) -> Option<InstanceId> {
        let those = self.instances.iter().filter(|(_, s)| **s == seen);
        let ids: Vec<InstanceId> = those.map(|(id, _)| *id).collect();
        (!ids.is_empty()).then(|| ids[pick % ids.len()])
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Demand { instances, is_old } => {
                if !is_old {
                    self.seq += 1;
                    self.demand_last = instances;
                }
                self.tell(Event::Demand { seq: self.seq, instances });
            }
            Step::Starting { pick } => {
                if let Some(instance) = self.pick(pick, Seen::Starting) {
                    self.tell(Event::Starting { instance });
                }
            }
            Step::Ready { pick } => self.ready(pick),
            Step::Idle { pick } => {
                if let Some(instance) = self.pick(pick, Seen::Ready) {
                    self.tell(Event::Idle { instance });
                }
            }
            Step::Released { pick } => {
                if let Some(instance) = self.pick(pick, Seen::Retiring) {
                    self.tell(Event::Released { instance });
                }
            }
            Step::Gone { pick, failed } => self.gone(pick, failed),
            Step::NoCapacity { pick } => {
                if let Some(instance) = self.pick(pick, Seen::Starting) {
                    self.instances.remove(&instance);
                    self.tell(Event::NoCapacity { instance });
                }
            }
            Step::Configure { min, max } => {
                self.config = Config { min, max };
                self.tell(Event::Configure { config: self.config.clone() });
            }
            Step::Stale { id } => self.stale(InstanceId(id)),
            Step::Other(event) => self.tell(event),
            Step::Pass { ms } => self.pass(Duration::from_millis(ms)),
        }
    }

    fn ready(&mut self, pick: usize) {
        if let Some(instance) = self.pick(pick, Seen::Starting) {
            self.instances.insert(instance, Seen::Ready);
            self.tell(Event::Ready { instance });
        }
    }

    fn gone(&mut self, pick: usize, failed: bool) {
        let ids: Vec<InstanceId> = self.instances.keys().copied().collect();
        if !ids.is_empty() {
            let instance = ids[pick % ids.len()];
            self.instances.remove(&instance);
            self.tell(Event::Gone { instance, failed });
        }
    }

    /// Facts of an instance that ended must change nothing.
    fn stale(&mut self, instance: InstanceId) {
        if !self.instances.contains_key(&instance) && instance.0 <= self.next_id {
            self.tell(Event::Ready { instance });
            self.tell(Event::Gone { instance, failed: true });
        }
    }

    /// Time passes, and what is due in it happens when it is due.
    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while self.wake_at <= end {
            self.now = self.now.max(self.wake_at);
            self.wake_at = Time::NEVER;
            self.tell(Event::Wake);
        }
        self.now = end;
    }

    /// Everything goes well from here on: starts succeed, what is stopped ends.
    fn settle(&mut self) {
        self.tell(Event::Runnable);
        self.step(Step::Demand { instances: self.demand_last, is_old: false });
        for _ in 0..200 {
            self.pass(Duration::from_secs(1));
            let wishes = [Seen::Starting, Seen::Retiring, Seen::Stopping];
            let next = wishes.into_iter().find_map(|seen| Some((self.pick(0, seen)?, seen)));
            match next {
                None => {}
                Some((_, Seen::Starting)) => self.ready(0),
                Some((instance, Seen::Retiring)) => self.tell(Event::Released { instance }),
                Some((instance, _)) => {
                    self.instances.remove(&instance);
                    self.tell(Event::Gone { instance, failed: false });
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_fleet_keeps_its_promises(
        min in 0..4_u32,
        max in 0..9_u32,
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let mut world = World::new(Config { min, max });
        steps.into_iter().for_each(|step| world.step(step));

        // Left alone, it comes to rest with as many as are wanted, or more that nobody
        // reported idle, and nothing in between.
        world.settle();
        let (fleet, config) = (&world.fleet, &world.config);
        let wanted = world.demand_last.max(config.min).min(config.max);
        prop_assert_eq!((fleet.starting(), fleet.retiring()), (0, 0));
        prop_assert!(fleet.ready() >= wanted);
        prop_assert_eq!(fleet.blocked(), None);

        // Idle ones go down to the minimum.
        for _ in 0..20 {
            world.step(Step::Demand { instances: world.fleet.ready(), is_old: false });
            world.step(Step::Idle { pick: 0 });
            world.step(Step::Released { pick: 0 });
        }
        prop_assert_eq!(world.fleet.ready(), world.config.min.min(world.config.max));

        // Closed, it comes to nothing.
        world.tell(Event::Close);
        world.settle();
        prop_assert_eq!(world.closed, 1);
        prop_assert!(world.instances.is_empty());
    }
}
