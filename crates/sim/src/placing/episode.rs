//! [`Episode`]: one run. The workload and the troubles follow from the seed alone; what
//! is decided follows from the weights that are played.

mod ending;
mod starting;

use std::sync::Arc;

use gapless_placement::balance::{Balancer, Class, Features, Past, Played, Regime, Situation};
use gapless_placement::{Cluster, Load, NodeIndex, Profile, ShapeId, plain};
use gapless_types::Time;

use super::cluster::{self, Things};
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
    past: Past,
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
            past: Past::default(),
            outcome: Outcome { stretches, situations: vec![None; STRETCHES], ..Outcome::default() },
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
            balancer.tick(self.regime, None);
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
        let mut seen = Situation::of_cluster(&self.cluster);
        if let Some(seen) = &mut seen {
            self.past.tell(seen);
        }
        let at = (self.now / self.seconds * STRETCHES as f64) as usize;
        self.outcome.situations[at.min(STRETCHES - 1)] = seen;
        if let Playing::Balanced(balancer) = &mut self.playing
            && let Some(table) = balancer.tick(self.regime, seen.as_ref())
        {
            self.cluster.set_table(Some(table));
        }
        if self.now < self.seconds {
            self.events.add(self.now + model::MEASURED_EVERY_S, Event::Measure);
        }
    }
}
