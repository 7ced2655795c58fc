//! [`Episode`]: one run. The workload and the troubles follow from the seed alone; what
//! is decided follows from the weights that are played.

use std::sync::Arc;
use std::time::Duration;

use gapless_placement::balance::{ArmId, Balancer, Class, Features, Observation, Played, Regime};
use gapless_placement::{Cluster, Load, NodeIndex, Profile, Request, ShapeId, plain};
use gapless_types::{InstanceId, Time};

use super::cluster::{self, Things, has_pool};
use super::draw::Stream;
use super::events::{Event, Events};
use super::model;
use super::node::{Node, Sums};
use super::outcome::{Costs, Outcome};
use super::world::{Function, Mix, World};

/// Stretches that a run's outcome is told by.
const STRETCHES: usize = 60;
/// How often what failed counts half.
const DECAY_EVERY_S: f64 = 60.0;
/// A failed start takes this long to fail.
const FAILS_AFTER_S: f64 = 1.0;

/// Whose weights decide.
#[derive(Debug)]
pub enum Playing {
    /// The same for all.
    Fixed(Arc<Profile>),
    /// A balancer's, which learns.
    Balanced(Box<Balancer>),
}

/// Called with the cluster and a shape now and then, before one of it is placed.
pub type Probe<'a> = &'a mut dyn FnMut(&Cluster, ShapeId);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Starting,
    Working,
    Idle,
}

#[derive(Debug)]
struct Instance {
    function: u32,
    node: u32,
    phase: Phase,
    asked_at: f64,
    began_at: f64,
    life_s: f64,
    start_s: f64,
    calls_s: f64,
    placed: Sums,
    began: Sums,
    strangers: f64,
    played: Option<Played>,
    context: (Class, Regime),
}

/// One run.
#[derive(Debug)]
pub struct Episode<'a> {
    mix: &'a Mix,
    world: &'a World,
    seconds: f64,
    seed: u64,
    cluster: Cluster,
    things: Things,
    nodes: Vec<Node>,
    tenants: Vec<u32>,
    shapes: Vec<ShapeId>,
    streams: Vec<Stream>,
    troubles: Stream,
    /// By function: which it calls, and how many of its instances work, by zone.
    called: Vec<Option<usize>>,
    working: Vec<Vec<u32>>,
    cores: f64,
    events: Events,
    now: f64,
    instances: Vec<Option<Instance>>,
    playing: Playing,
    features: Vec<Features>,
    regime: Regime,
    outcome: Outcome,
    decayed: f64,
}

impl<'a> Episode<'a> {
    /// A run of so many seconds.
    pub fn new(world: &'a World, mix: &'a Mix, seed: u64, seconds: f64, playing: Playing) -> Self {
        let mut cluster = cluster::cluster(world, mix, seed);
        let profile = match &playing {
            Playing::Fixed(profile) => Arc::clone(profile),
            Playing::Balanced(balancer) => Arc::clone(balancer.profile()),
        };
        let functions = mix.functions.iter();
        let shapes: Vec<ShapeId> =
            functions.map(|f| cluster::shape(&mut cluster, f, &profile)).collect();
        let specs = shapes.iter().filter_map(|shape| cluster.shape(*shape));
        let features = specs.map(|shape| Features::new(&shape.spec)).collect();
        let mut names: Vec<&str> = mix.functions.iter().map(|f| &*f.tenant).collect();
        names.sort_unstable();
        names.dedup();
        let tenant = |f: &Function| names.iter().position(|name| *name == f.tenant).unwrap_or(0);
        let cores = world.machines.iter().map(|machine| f64::from(machine.cores)).sum();
        let zones = world.machines.iter().map(|m| m.zone as usize + 1).max().unwrap_or(1);
        let stretches = vec![Costs::default(); STRETCHES];
        Episode {
            mix,
            world,
            seconds,
            seed,
            cluster,
            things: Things::new(mix),
            nodes: world.machines.iter().cloned().map(Node::new).collect(),
            tenants: mix.functions.iter().map(|f| tenant(f) as u32).collect(),
            shapes,
            streams: (0..mix.functions.len() as u64).map(|f| Stream::new(seed, 1, f)).collect(),
            troubles: Stream::new(seed, 2, 0),
            called: mix.functions.iter().map(|f| mix.called_by(f)).collect(),
            working: vec![vec![0; zones]; mix.functions.len()],
            cores,
            events: Events::default(),
            now: 0.0,
            instances: Vec::new(),
            playing,
            features,
            regime: Regime::Low,
            outcome: Outcome { stretches, ..Outcome::default() },
            decayed: 0.0,
        }
    }

    /// Runs to the end of the last instance.
    pub fn run(mut self, mut probe: Option<Probe<'_>>) -> (Outcome, Playing) {
        self.begin();
        while let Some((at, event)) = self.events.pop() {
            self.now = at;
            match event {
                Event::Arrive(function) => self.arrive(function, &mut probe),
                Event::Started(instance) => self.started(instance),
                Event::StartFailed(instance) => self.start_failed(instance),
                Event::Done(instance) => self.done(instance),
                Event::IdleEnds(instance) => self.idle_ends(instance),
                Event::Measure => self.measure(),
                Event::Lost(node) => self.lost(&[node]),
                Event::ZoneLost(zone) => {
                    let nodes = self.nodes.iter().zip(0_u32..);
                    let its = nodes.filter(|(node, _)| node.machine.zone == zone);
                    let its: Vec<u32> = its.map(|(_, number)| number).collect();
                    self.lost(&its);
                }
                Event::Back(node) => self.back(node),
                Event::Ill(node) => {
                    self.nodes[node as usize].ill_until = self.now + model::ILL_S;
                    self.next_illness(node);
                }
            }
        }
        for node in &mut self.nodes {
            node.read(self.now);
            self.outcome.node_s += node.busy_s;
        }
        self.outcome.infeasible += plain::audit(&self.cluster).len() as u64;
        (self.outcome, self.playing)
    }

    fn begin(&mut self) {
        if let Playing::Balanced(balancer) = &mut self.playing {
            balancer.tick(self.regime);
            self.cluster.set_table(Some(balancer.table()));
        }
        for function in 0..self.mix.functions.len() as u32 {
            self.next_arrival(function);
        }
        for node in 0..self.nodes.len() as u32 {
            self.next_illness(node);
            self.next_loss(node);
        }
        if self.world.loses_zone {
            let at = self.seconds * (0.3 + 0.4 * self.troubles.unit());
            self.events.add(at, Event::ZoneLost(0));
        }
        self.events.add(0.0, Event::Measure);
    }

    fn time(&self) -> Time {
        Time::from_nanos((self.now * 1e9) as u64)
    }

    fn next_illness(&mut self, node: u32) {
        let per_s = self.world.illness / 3600.0;
        self.foresee(per_s, Event::Ill(node));
    }

    fn next_loss(&mut self, node: u32) {
        let per_s = self.nodes[node as usize].machine.spot_risk / 3600.0;
        self.foresee(per_s, Event::Lost(node));
    }

    fn foresee(&mut self, per_s: f64, event: Event) {
        if per_s > 0.0 {
            let at = self.now + self.troubles.exponential() / per_s;
            if at < self.seconds {
                self.events.add(at, event);
            }
        }
    }

    fn next_arrival(&mut self, function: u32) {
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

    fn arrive(&mut self, function: u32, probe: &mut Option<Probe<'_>>) {
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

    fn started(&mut self, number: u32) {
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
    fn count_working(&mut self, function: usize, node: usize, comes: bool) {
        let zone = self.nodes[node].machine.zone as usize;
        let count = &mut self.working[function][zone];
        *count = if comes { *count + 1 } else { count.saturating_sub(1) };
    }

    fn done(&mut self, number: u32) {
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

    fn count(&mut self, asked_at: f64, context: (Class, Regime), costs: &Costs) {
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

    fn idle_ends(&mut self, number: u32) {
        if self.instances[number as usize].as_ref().is_some_and(|i| i.phase == Phase::Idle) {
            self.end(number);
        }
    }

    /// An instance gives its room back.
    fn end(&mut self, number: u32) {
        let Some(instance) = self.instances[number as usize].take() else { return };
        let function = instance.function as usize;
        let tenant = self.tenants[function];
        let of = &self.mix.functions[function];
        self.nodes[instance.node as usize].leave(self.now, of, tenant);
        self.cluster.release(InstanceId(u64::from(number)));
    }

    fn start_failed(&mut self, number: u32) {
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
    fn lost(&mut self, nodes: &[u32]) {
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

    fn back(&mut self, node: u32) {
        self.nodes[node as usize].is_away = false;
        self.cluster.set_healthy(NodeIndex(node), true);
        self.next_loss(node);
    }

    fn measure(&mut self) {
        for (node, number) in self.nodes.iter().zip(0_u32..) {
            let (cpu, memory, deviation) = node.load();
            let load =
                Load { cpu: cpu as f32, memory: memory as f32, cpu_deviation: deviation as f32 };
            self.cluster.set_load(NodeIndex(number), load);
        }
        if self.now - self.decayed >= DECAY_EVERY_S {
            self.decayed = self.now;
            self.cluster.decay_failures();
        }
        for (features, shape) in self.features.iter_mut().zip(&self.shapes) {
            self.cluster.set_class(*shape, features.class());
        }
        self.regime = Regime::of_cluster(self.cluster.state(), self.regime);
        if let Playing::Balanced(balancer) = &mut self.playing
            && let Some(table) = balancer.tick(self.regime)
        {
            self.cluster.set_table(Some(table));
        }
        if self.now < self.seconds {
            self.events.add(self.now + model::MEASURED_EVERY_S, Event::Measure);
        }
    }
}
