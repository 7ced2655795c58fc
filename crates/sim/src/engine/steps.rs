//! Handing events to the cores, and their actions on to whoever they concern.

use gapless_dispatch::{Action as Wish, Event as Demand};
use gapless_scaling::{Action as Order, Event as Fact};
use gapless_types::{InstanceId, Reason, Time};

use super::Simulation;
use crate::agenda::Event;

/// Functions that are told at a time when room was freed, as control does.
const STARVED_TRIED_MAX: usize = 16;

/// Idle instances that are asked to go at a time, for want of room, as in control.
const RECLAIMED_MAX: usize = 16;

/// Something for a core, in the order in which links would carry it.
#[derive(Debug)]
pub(super) enum Step {
    /// For a function's dispatch core, in the gateway.
    Dispatch(u32, Demand),
    /// For a function's fleet, in control.
    Fleet(u32, Fact),
}

impl Simulation {
    /// Takes steps until none is left.
    pub(super) fn carry_out(&mut self) {
        while let Some(step) = self.steps.pop_front() {
            match step {
                Step::Dispatch(function, event) => self.dispatch(function, event),
                Step::Fleet(function, event) => self.fleet(function, event),
            }
        }
    }

    fn dispatch(&mut self, function: u32, event: Demand) {
        let mut actions = std::mem::take(&mut self.dispatch_actions);
        let core = &mut self.functions[function as usize];
        core.dispatch.on_event(self.now, event, &mut actions);
        for wish in actions.drain(..) {
            match wish {
                Wish::Send { request, instance } => self.send(request.0, instance),
                Wish::Refuse { request, reason, .. } => self.refuse(request.0, reason),
                Wish::Demand { instances } => {
                    let core = &mut self.functions[function as usize];
                    core.demand_seq += 1;
                    let event = Fact::Demand { seq: core.demand_seq, instances };
                    self.steps.push_back(Step::Fleet(function, event));
                }
                Wish::Idle { instance } => {
                    self.steps.push_back(Step::Fleet(function, Fact::Idle { instance }));
                }
                Wish::Released { instance } => {
                    self.steps.push_back(Step::Fleet(function, Fact::Released { instance }));
                }
                Wish::WakeAt(at) => {
                    self.functions[function as usize].dispatch_wakes = at;
                    self.agenda.add(at, Event::WakeDispatch { function });
                }
            }
        }
        self.dispatch_actions = actions;
    }

    fn fleet(&mut self, function: u32, event: Fact) {
        let mut actions = std::mem::take(&mut self.fleet_actions);
        self.tell_fleet(function, event, &mut actions);
        let starts: Vec<InstanceId> = actions.iter().filter_map(start_of).collect();
        let mut placed = match starts.is_empty() {
            true => Vec::new(),
            false => {
                let shape = self.functions[function as usize].shape;
                self.places.place(shape, &starts, self.now)
            }
        }
        .into_iter();
        let mut unplaced = 0;
        let mut index = 0;
        // A start without room adds actions, and blocks further starts: so this ends.
        while index < actions.len() {
            let action = actions[index].clone();
            index += 1;
            match action {
                Order::Start { instance } => match placed.next().flatten() {
                    Some(node) if unplaced == 0 => self.order(function, instance, node),
                    outcome => {
                        unplaced += 1;
                        if outcome.is_some() {
                            self.places.release(instance);
                        }
                        self.starve(function);
                        let event = Fact::NoCapacity { instance };
                        self.tell_fleet(function, event, &mut actions);
                    }
                },
                Order::CancelStart { instance } => self.cancel_start(instance),
                Order::Retire { instance } => {
                    let event = Demand::InstanceRetiring { instance };
                    self.steps.push_back(Step::Dispatch(function, event));
                }
                Order::Stop { instance } => self.stop(instance),
                // Idle instances make room first; who waits is told if that did not help.
                Order::Blocked(Some(block)) if block.is_capacity && block.failures == 1 => {}
                Order::Blocked(block) => {
                    let reason = |is_capacity| match is_capacity {
                        true => Reason::NoCapacity,
                        false => Reason::StartFailed,
                    };
                    let blocked = block.map(|block| (block.until, reason(block.is_capacity)));
                    let event = Demand::StartsBlocked { blocked };
                    self.steps.push_back(Step::Dispatch(function, event));
                }
                Order::WakeAt(at) => {
                    self.functions[function as usize].fleet_wakes = at;
                    if at < Time::NEVER {
                        self.agenda.add(at, Event::WakeFleet { function });
                    }
                }
                Order::Closed => {}
            }
        }
        actions.clear();
        self.fleet_actions = actions;
        self.reclaim(unplaced.min(RECLAIMED_MAX));
    }

    /// Idle instances worth keeping least are given back, as the gateway does it.
    fn reclaim(&mut self, instances: usize) {
        if instances == 0 {
            return;
        }
        let number = |index: usize| u32::try_from(index).expect("functions are few");
        let idle = self.functions.iter().enumerate();
        let mut idle: Vec<(Time, u32)> = idle
            .filter_map(|(index, core)| Some((core.dispatch.idle_until()?, number(index))))
            .collect();
        idle.sort_unstable();
        for (_, function) in idle.into_iter().take(instances) {
            self.steps.push_back(Step::Dispatch(function, Demand::Reclaim));
        }
    }

    fn tell_fleet(&mut self, function: u32, event: Fact, actions: &mut Vec<Order>) {
        let last = &mut self.last_instance;
        let mut ids = || {
            *last += 1;
            InstanceId(*last)
        };
        let core = &mut self.functions[function as usize];
        core.fleet.on_event(self.now, event, &mut ids, actions);
    }

    fn starve(&mut self, function: u32) {
        let core = &mut self.functions[function as usize];
        if !std::mem::replace(&mut core.is_starved, true) {
            self.starved.push_back(function);
        }
    }

    /// Room was freed: those who found none try again.
    pub(super) fn room_freed(&mut self) {
        for _ in 0..self.starved.len().min(STARVED_TRIED_MAX) {
            let Some(function) = self.starved.pop_front() else { return };
            self.functions[function as usize].is_starved = false;
            self.steps.push_back(Step::Fleet(function, Fact::CapacityFreed));
        }
    }

    fn refuse(&mut self, request: u64, reason: Reason) {
        if let Some(waiting) = self.requests.remove(&request) {
            self.recorder.refused(waiting.arrived, reason);
        }
    }
}

fn start_of(action: &Order) -> Option<InstanceId> {
    match action {
        Order::Start { instance } => Some(*instance),
        _ => None,
    }
}
