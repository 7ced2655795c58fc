//! Instances that end: their work is done, their start failed, or their node was lost; and
//! what each of these cost.

use std::time::Duration;

use gapless_placement::NodeIndex;
use gapless_placement::balance::{Class, Observation, Played, Regime};
use gapless_types::InstanceId;

use super::super::draw::Stream;
use super::super::events::Event;
use super::super::model;
use super::super::outcome::Costs;
use super::{Episode, Instance, Phase, Playing, STRETCHES};

impl Episode<'_> {
    pub(super) fn done(&mut self, number: u32) {
        let Some(instance) = &mut self.instances[number as usize] else { return };
        let (function, node) = (instance.function as usize, instance.node as usize);
        let of = &self.mix.functions[function];
        let tenant = self.tenants[function];
        let on = &mut self.nodes[node];
        on.rest(self.now, function as u32, of);
        let sums = on.read(self.now);
        let worked_s = self.now - instance.began_at;
        let (slowdown, _) = sums.since(&instance.began, of.kind, worked_s);
        let (_, room) = sums.since(&instance.placed, of.kind, self.now - instance.asked_at);
        let least_s = of.boot_s * model::SNAPSHOT_BOOT + instance.life_s;
        let work_s = instance.life_s * slowdown + instance.calls_s;
        let leaves = if of.is_sensitive { on.strangers(tenant) } else { 0.0 };
        let costs = Costs {
            instances: 1.0,
            slowdown: (instance.start_s + work_s) / least_s,
            interference: work_s / instance.life_s,
            node_hours: room,
            failures: 0.0,
            exposure: (instance.strangers + leaves) / 2.0,
        };
        instance.phase = Phase::Idle;
        let (asked_at, played, context) = (instance.asked_at, instance.played, instance.context);
        self.count_working(function, node, false);
        self.count(asked_at, context, &costs);
        self.learn(function, played, &costs, worked_s);
        let stays = Stream::new(self.seed, 4, u64::from(number)).unit() < model::IDLE_PROBABILITY;
        match stays {
            true => {
                self.cluster.set_idle(InstanceId(u64::from(number)), true);
                self.events.add(self.now + model::IDLE_S, Event::IdleEnds(number));
            }
            false => self.end(number),
        }
    }

    pub(super) fn count(&mut self, asked_at: f64, context: (Class, Regime), costs: &Costs) {
        let (count, mean) = self.outcome.contexts.entry(context).or_default();
        *count += 1.0;
        *mean += (costs.objective() - *mean) / *count;
        let at = (asked_at / self.seconds * STRETCHES as f64) as usize;
        self.outcome.stretches[at.min(STRETCHES - 1)].add(costs);
    }

    fn learn(&mut self, function: usize, played: Option<Played>, costs: &Costs, worked_s: f64) {
        self.features[function].ended(Duration::from_secs_f64(worked_s.max(0.0)));
        let Playing::Balanced(balancer) = &mut self.playing else { return };
        if let Some(played) = played {
            let (shape, cost) = (function as u64, costs.objective() as f32);
            let failed = costs.failures > 0.0;
            balancer.observe(Observation { shape, played, cost, failed });
        }
    }

    pub(super) fn idle_ends(&mut self, number: u32) {
        if self.instances[number as usize].as_ref().is_some_and(|i| i.phase == Phase::Idle) {
            self.end(number);
        }
    }

    /// An instance gives its room back.
    pub(super) fn end(&mut self, number: u32) {
        let Some(instance) = self.instances[number as usize].take() else { return };
        let function = instance.function as usize;
        let tenant = self.tenants[function];
        let of = &self.mix.functions[function];
        self.nodes[instance.node as usize].leave(self.now, of, tenant);
        self.cluster.release(InstanceId(u64::from(number)));
    }

    pub(super) fn start_failed(&mut self, number: u32) {
        let Some(instance) = &self.instances[number as usize] else { return };
        let node = instance.node;
        self.nodes[node as usize].starting = self.nodes[node as usize].starting.saturating_sub(1);
        self.cluster.note_failure(NodeIndex(node));
        self.fail(number, 1.0);
    }

    /// An instance is no more, for no fault of its own.
    fn fail(&mut self, number: u32, failures: f64) {
        let Some(instance) = &self.instances[number as usize] else { return };
        let (function, node) = (instance.function as usize, instance.node as usize);
        let (asked_at, played, placed) = (instance.asked_at, instance.played, instance.placed);
        let context = instance.context;
        let phase = instance.phase;
        let of = &self.mix.functions[function];
        if phase == Phase::Working {
            self.count_working(function, node, false);
            self.nodes[node].rest(self.now, function as u32, of);
        }
        let sums = self.nodes[node].read(self.now);
        let (_, room) = sums.since(&placed, of.kind, self.now - asked_at);
        if phase != Phase::Idle {
            let costs = Costs {
                instances: 1.0,
                slowdown: 1.0,
                interference: 1.0,
                node_hours: room,
                failures,
                exposure: 0.0,
            };
            self.count(asked_at, context, &costs);
            self.learn(function, played, &costs, self.now - asked_at);
        }
        self.end(number);
    }

    /// Nodes are taken away at once, with what is on them.
    pub(super) fn lost(&mut self, nodes: &[u32]) {
        let is_on = |i: &Instance| nodes.contains(&i.node);
        let mut all = vec![(0.0, 0.0); self.mix.functions.len()];
        let mut there = Vec::new();
        for (number, instance) in self.instances.iter().enumerate() {
            let Some(instance) = instance else { continue };
            let counts = &mut all[instance.function as usize];
            counts.1 += 1.0;
            if is_on(instance) {
                counts.0 += 1.0;
                there.push((number as u32, instance.function));
            }
        }
        for (number, function) in there {
            let (lost, all) = all[function as usize];
            let share: f64 = lost / f64::max(all, 1.0);
            self.fail(number, 1.0 + model::LOST_TOGETHER * share);
        }
        for node in nodes {
            if self.nodes[*node as usize].is_away {
                continue;
            }
            for key in self.nodes[*node as usize].is_lost(self.now) {
                self.things.tell(&mut self.cluster, *node, key, false);
            }
            self.cluster.set_healthy(NodeIndex(*node), false);
            self.events.add(self.now + model::AWAY_S, Event::Back(*node));
        }
    }

    pub(super) fn back(&mut self, node: u32) {
        self.nodes[node as usize].is_away = false;
        self.cluster.set_healthy(NodeIndex(node), true);
        self.next_loss(node);
    }
}
