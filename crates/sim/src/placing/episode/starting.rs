//! Instances that are asked for: where they are placed, how their start goes, until they
//! work.

use std::time::Duration;

use gapless_placement::Request;
use gapless_placement::balance::{ArmId, Class, Played, Regime};
use gapless_types::InstanceId;

use super::super::cluster::has_pool;
use super::super::draw::Stream;
use super::super::events::Event;
use super::super::model;
use super::super::outcome::Costs;
use super::{Episode, Instance, Phase, Probe};

/// A failed start takes this long to fail.
const FAILS_AFTER_S: f64 = 1.0;

impl Episode<'_> {
    pub(super) fn next_arrival(&mut self, function: u32) {
        let (mix, number) = (self.mix, function as usize);
        let of = &mix.functions[number];
        let at = self.now / self.seconds;
        let work = mix.load_at(at) * self.cores * mix.share_at(number, at);
        let half = self.seconds / 2.0;
        let cores = f64::from(of.cpu.0) / 1000.0;
        let per_s = work / (cores * of.life_s * of.crowd);
        let mut next = f64::INFINITY;
        if per_s > 0.0 {
            next = self.now + self.streams[number].exponential() / per_s;
        }
        // Halfway everything may be different: what was foreseen is drawn anew there.
        if self.now < half && next > half {
            let is_on = mix.share_at(number, 0.5) > 0.0;
            next = if is_on { half + 0.01 * self.streams[number].unit() } else { f64::INFINITY };
        }
        if next < self.seconds {
            self.events.add(next, Event::Arrive(function));
        }
    }

    pub(super) fn arrive(&mut self, function: u32, probe: &mut Option<Probe<'_>>) {
        let number = function as usize;
        let of = &self.mix.functions[number];
        let stream = &mut self.streams[number];
        let count = match of.crowd > 1.0 {
            true => (stream.exponential() * (of.crowd - 0.5)) as u32 + 1,
            false => 1,
        };
        let lives: Vec<f64> =
            (0..count).map(|_| stream.log_normal(of.life_s, of.life_sigma)).collect();
        if let Some(probe) = probe {
            probe(&self.cluster, self.shapes[number]);
        }
        let first = self.instances.len() as u32;
        let shape = self.shapes[number];
        let request =
            |n: u32| Request { instance: InstanceId(u64::from(first + n)), shape, group: None };
        let requests: Vec<Request> = (0..count).map(request).collect();
        let now = self.time();
        let batch = self.cluster.place(&requests, now);
        self.features[number].asked(count, now);
        for (n, (outcome, life_s)) in (0..count).zip(batch.outcomes.iter().zip(lives)) {
            match outcome.node() {
                Some(node) => self.placed(first + n, function, node.0, life_s),
                None => {
                    self.instances.push(None);
                    let failed = Costs {
                        instances: 1.0,
                        slowdown: 1.0,
                        interference: 1.0,
                        node_hours: 1.0,
                        failures: 1.0,
                        exposure: 0.0,
                    };
                    let context = self.context(function);
                    self.count(self.now, context, &failed);
                }
            }
        }
        self.next_arrival(function);
    }

    fn placed(&mut self, number: u32, function: u32, node: u32, life_s: f64) {
        let of = &self.mix.functions[function as usize];
        self.outcome.placed += 1;
        let played = self.cluster.instance(InstanceId(u64::from(number))).and_then(|p| p.played);
        self.note_explored(played);
        let context = self.context(function);
        let is_warm = self.take_over(function, node);
        let start_s = self.start_s(function, node, is_warm);
        let tenant = self.tenants[function as usize];
        let on = &mut self.nodes[node as usize];
        on.take(self.now, of, tenant);
        on.starting += 1;
        let placed = on.read(self.now);
        let is_ill = on.ill_until > self.now;
        let strangers = if of.is_sensitive { on.strangers(tenant) } else { 0.0 };
        self.instances.push(Some(Instance {
            function,
            node,
            phase: Phase::Starting,
            asked_at: self.now,
            began_at: self.now,
            life_s,
            start_s,
            calls_s: 0.0,
            placed,
            began: placed,
            strangers,
            played,
            context,
        }));
        let fails = is_ill && Stream::new(self.seed, 3, u64::from(number)).unit() < 0.5;
        match fails {
            true => self.events.add(self.now + FAILS_AFTER_S, Event::StartFailed(number)),
            false => self.events.add(self.now + start_s, Event::Started(number)),
        }
    }

    /// What a function's instances are placed as now.
    fn context(&self, function: u32) -> (Class, Regime) {
        let shape = self.shapes[function as usize];
        let class = self.cluster.class(shape).expect("every function has its shape");
        (class, self.regime)
    }

    fn note_explored(&mut self, played: Option<Played>) {
        let Some(Played { arm, class, .. }) = played else { return };
        let table = self.cluster.table();
        let leader =
            table.and_then(|table| table.leader(class)).map_or(ArmId::DEFAULT, |(arm, _)| arm);
        self.outcome.explored += u64::from(arm != leader);
    }

    /// Takes the place of an idle instance of the function, if there is one on the node.
    fn take_over(&mut self, function: u32, node: u32) -> bool {
        let id = gapless_types::NodeId::new(&format!("node-{node:03}"));
        let is_idle = |id: &&InstanceId| {
            let instance = self.instances.get(id.0 as usize).and_then(Option::as_ref);
            instance.is_some_and(|i| i.phase == Phase::Idle && i.function == function)
        };
        let found = self.cluster.instances_on(&id).iter().find(is_idle).copied();
        if let Some(idle) = found {
            self.end(idle.0 as u32);
        }
        found.is_some()
    }

    /// How long a start takes there, and what it leaves behind.
    fn start_s(&mut self, function: u32, node: u32, is_warm: bool) -> f64 {
        let of = &self.mix.functions[function as usize];
        let memory = of.memory.0;
        let mut took = f64::from(self.nodes[node as usize].starting) * model::EACH_OTHER_START_S;
        if let Some((name, bytes)) = of.data
            && let Some(key) = self.things.data(name)
            && !self.hold(node, key, bytes.0)
        {
            took += bytes.0 as f64 / model::NETWORK_BYTES_PER_S;
        }
        let has_image = self.hold(node, self.things.image(function), of.image.0);
        let has_snapshot = self.hold(node, self.things.snapshot(function), memory / 4);
        let zygote = of.runtime.and_then(|runtime| self.things.zygote(runtime));
        let has_zygote = zygote.is_some_and(|key| self.hold(node, key, 128 << 20));
        if is_warm {
            return took + of.boot_s * model::WARM_BOOT;
        }
        if !has_image {
            took += of.image.0 as f64 / model::REGISTRY_BYTES_PER_S;
        }
        let has_pool = of.runtime.is_some_and(|runtime| has_pool(node as usize, runtime));
        let share = match (has_snapshot, has_zygote, has_pool) {
            (true, _, _) => model::SNAPSHOT_BOOT,
            (_, true, _) => model::ZYGOTE_BOOT,
            (_, _, true) => model::POOL_BOOT,
            _ => 1.0,
        };
        took + of.boot_s * share
    }

    /// Uses something on a node; it is there from then on. Whether it was.
    fn hold(&mut self, node: u32, key: u32, bytes: u64) -> bool {
        let (was_there, gone) = self.nodes[node as usize].uses(key, bytes);
        if !was_there {
            self.things.tell(&mut self.cluster, node, key, true);
        }
        for key in gone {
            self.things.tell(&mut self.cluster, node, key, false);
        }
        was_there
    }

    pub(super) fn started(&mut self, number: u32) {
        let Some(instance) = &self.instances[number as usize] else { return };
        let (function, node) = (instance.function as usize, instance.node as usize);
        let far = 1.0 - self.near(function, node);
        self.count_working(function, node, true);
        let Some(instance) = &mut self.instances[number as usize] else { return };
        let of = &self.mix.functions[function];
        self.cluster.confirm(InstanceId(u64::from(number)));
        let on = &mut self.nodes[node];
        on.starting = on.starting.saturating_sub(1);
        on.work(self.now, function as u32, of);
        instance.began = on.read(self.now);
        instance.began_at = self.now;
        instance.phase = Phase::Working;
        let slowdown = on.slowdown(of.kind);
        if let Some((_, share)) = &of.calls {
            instance.calls_s = instance.life_s * share * far * (model::CROSS_ZONE - 1.0);
        }
        let work_s = instance.life_s * slowdown + instance.calls_s;
        self.features[function].started(Duration::from_secs_f64(instance.start_s));
        self.events.add(self.now + work_s, Event::Done(number));
    }

    /// The share of what a function calls that is in the node's zone.
    fn near(&self, function: usize, node: usize) -> f64 {
        let Some(called) = self.called[function] else { return 1.0 };
        let by_zone = &self.working[called];
        let all: u32 = by_zone.iter().sum();
        let near = by_zone[self.nodes[node].machine.zone as usize];
        if all > 0 { f64::from(near) / f64::from(all) } else { 1.0 }
    }

    /// One more, or one fewer, of a function works in a node's zone.
    pub(super) fn count_working(&mut self, function: usize, node: usize, comes: bool) {
        let zone = self.nodes[node].machine.zone as usize;
        let count = &mut self.working[function][zone];
        *count = if comes { *count + 1 } else { count.saturating_sub(1) };
    }
}
