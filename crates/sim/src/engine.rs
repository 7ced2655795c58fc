//! The run: arrivals and foreseen events in time order, each handed to the cores,
//! and what the cores answer carried out on modelled nodes.
//!
//! One loop plays both shells. What the gateway does with a `Dispatch`
//! (`crates/gateway/src/queue.rs`) and control with a `Fleet` and the cluster
//! (`crates/control/src/revision/`) is done here in the same order: [`steps`] hands
//! events to cores and turns their actions into [`Step`]s for the other core or into
//! what happens on a node, and [`instances`] is what nodes do.

mod instances;
mod steps;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use foldhash::fast::FixedState;
use gapless_dispatch::Dispatch;
use gapless_placement::ShapeId;
use gapless_scaling::Fleet;
use gapless_types::{Bytes, InstanceId, RequestId, Time};
use gapless_workload::{Arrival, FunctionProfile, ParameterError, TraceError, Workload};
use rand_distr::{Distribution, Exp1, StandardNormal, StandardUniform};
use rand_pcg::Pcg64Mcg;

use crate::agenda::{Agenda, Event};
use crate::config::{Config, Setting};
use crate::node::Node;
use crate::place::Places;
use crate::report::{Recorder, Report};
use instances::Instance;
use steps::Step;

/// How often somebody may look whether to go on.
const LOOK_EVERY: u64 = 4096;
/// How long a failed node is away.
const NODE_AWAY: Duration = Duration::from_secs(60);

/// Why a run did not come about.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// A parameter is out of range.
    #[error(transparent)]
    Config(#[from] ParameterError),
    /// The trace cannot be read.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// A function fits on no node.
    #[error(
        "function {function} needs {needs} MiB of memory, and a node has {has} MiB: raise the \
         nodes' memory or leave the function out"
    )]
    TooLarge {
        /// Which.
        function: String,
        /// What an instance needs.
        needs: u64,
        /// What a node has.
        has: u64,
    },
}

/// How far a run is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Requests that have arrived.
    pub arrived: u64,
    /// Simulated time.
    pub now: Duration,
}

/// One function's cores, as a gateway and control would hold them.
struct Function {
    dispatch: Dispatch,
    fleet: Fleet,
    shape: ShapeId,
    memory: u64,
    dispatch_wakes: Time,
    fleet_wakes: Time,
    demand_seq: u64,
    is_starved: bool,
}

/// A request under way.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    function: u32,
    arrived: Time,
    sent: Time,
    service: Duration,
    instance: Option<InstanceId>,
    is_cold: bool,
}

type Numbered<K, V> = HashMap<K, V, FixedState>;

/// A run of a workload.
pub struct Simulation {
    config: Config,
    now: Time,
    agenda: Agenda,
    functions: Vec<Function>,
    nodes: Vec<Node>,
    places: Places,
    instances: Numbered<InstanceId, Instance>,
    requests: Numbered<u64, Waiting>,
    starved: VecDeque<u32>,
    steps: VecDeque<Step>,
    recorder: Recorder,
    rng: Pcg64Mcg,
    last_request: u64,
    last_instance: u64,
    dispatch_actions: Vec<gapless_dispatch::Action>,
    fleet_actions: Vec<gapless_scaling::Action>,
}

impl std::fmt::Debug for Simulation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "simulation of {} nodes at {:?}", self.nodes.len(), self.now)
    }
}

impl Simulation {
    /// A run with nothing in it yet.
    pub fn new(config: Config) -> Result<Self, SimError> {
        config.check()?;
        let mut simulation = Simulation {
            now: Time::ZERO,
            agenda: Agenda::default(),
            functions: Vec::new(),
            nodes: (0..config.nodes).map(|_| Node::new(&config)).collect(),
            places: Places::new(&config),
            instances: HashMap::default(),
            requests: HashMap::default(),
            starved: VecDeque::new(),
            steps: VecDeque::new(),
            recorder: Recorder::new(config.warm_up),
            rng: Pcg64Mcg::new(u128::from(config.seed) << 1 | 1),
            last_request: 0,
            last_instance: 0,
            dispatch_actions: Vec::new(),
            fleet_actions: Vec::new(),
            config,
        };
        for node in 0..simulation.config.nodes {
            simulation.foresee_failure(node);
        }
        Ok(simulation)
    }

    /// Runs a workload to its end, or until `stop` is set: then what came of it until
    /// then is reported as partial.
    pub fn run(
        mut self,
        workload: &mut Workload,
        stop: &AtomicBool,
        mut progress: impl FnMut(Progress),
    ) -> Result<Report, SimError> {
        let span = workload.about().span.map(|span| Time::ZERO + span);
        let mut next = self.next_arrival(workload)?;
        let mut handled = 0u64;
        let mut is_partial = false;
        loop {
            handled += 1;
            if handled.is_multiple_of(LOOK_EVERY) {
                progress(Progress { arrived: self.last_request, now: self.now - Time::ZERO });
                if stop.load(Ordering::Relaxed) {
                    is_partial = true;
                    break;
                }
            }
            let foreseen = self.agenda.next_at();
            match next {
                Some(arrival) if foreseen.is_none_or(|at| Time::ZERO + arrival.at <= at) => {
                    self.now = Time::ZERO + arrival.at;
                    self.arrive(arrival);
                    next = self.next_arrival(workload)?;
                }
                // After the last arrival only those under way matter, and the time
                // that the workload still covers.
                None if self.requests.is_empty()
                    && foreseen.is_none_or(|at| span.is_none_or(|span| at > span)) =>
                {
                    break;
                }
                _ => {
                    let Some((at, event)) = self.agenda.pop() else { break };
                    self.now = at;
                    self.happen(event);
                }
            }
            self.carry_out();
        }
        let end =
            if is_partial { self.now } else { span.map_or(self.now, |span| span.max(self.now)) };
        Ok(self.finish(end, is_partial))
    }

    fn next_arrival(&mut self, workload: &mut Workload) -> Result<Option<Arrival>, SimError> {
        let arrival = workload.next().transpose()?;
        for profile in &workload.functions()[self.functions.len()..] {
            self.add_function(profile)?;
        }
        Ok(arrival)
    }

    fn add_function(&mut self, profile: &FunctionProfile) -> Result<(), SimError> {
        if profile.memory > self.config.memory {
            return Err(SimError::TooLarge {
                function: profile.name.clone(),
                needs: profile.memory.0 >> 20,
                has: self.config.memory.0 >> 20,
            });
        }
        let number = u32::try_from(self.functions.len()).expect("fewer than four billion");
        let shape = self.places.add_function(number, profile.memory);
        let function = Function::new(&self.config, shape, profile.memory.0);
        self.functions.push(function);
        self.steps.push_back(Step::Fleet(number, gapless_scaling::Event::Runnable));
        Ok(())
    }

    fn arrive(&mut self, arrival: Arrival) {
        self.last_request += 1;
        let waiting = Waiting {
            function: arrival.function,
            arrived: self.now,
            sent: self.now,
            service: arrival.service,
            instance: None,
            is_cold: false,
        };
        self.requests.insert(self.last_request, waiting);
        self.recorder.arrived(self.now);
        let request = RequestId(self.last_request);
        let event = gapless_dispatch::Event::Arrive { request };
        self.steps.push_back(Step::Dispatch(arrival.function, event));
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::ServiceEnds { node, version } => self.service_ends(node, version),
            Event::StartEnds { node, version } => self.start_ends(node, version),
            Event::Ordered { instance } => self.ordered(instance),
            Event::Stopped { instance } => self.stopped(instance),
            Event::NodeFails { node } => self.node_fails(node),
            Event::NodeReturns { node } => self.node_returns(node),
            Event::WakeDispatch { function } => {
                if self.functions[function as usize].dispatch_wakes == self.now {
                    self.functions[function as usize].dispatch_wakes = Time::NEVER;
                    let event = gapless_dispatch::Event::Wake;
                    self.steps.push_back(Step::Dispatch(function, event));
                }
            }
            Event::WakeFleet { function } => {
                if self.functions[function as usize].fleet_wakes == self.now {
                    self.steps.push_back(Step::Fleet(function, gapless_scaling::Event::Wake));
                }
            }
        }
    }

    fn finish(mut self, end: Time, is_partial: bool) -> Report {
        for instance in self.instances.values() {
            self.recorder.held(instance.memory, instance.since, end, instance.busy > 0);
        }
        let simulated = end - Time::ZERO;
        self.recorder.report(Setting::of(&self.config), simulated, is_partial)
    }

    /// Log-normal around `median_ms`.
    fn draw(&mut self, median_ms: f64) -> Duration {
        if median_ms <= 0.0 {
            return Duration::ZERO;
        }
        let normal: f64 = StandardNormal.sample(&mut self.rng);
        let ms = median_ms * (self.config.start.sigma * normal).exp();
        Duration::from_secs_f64(ms / 1e3)
    }

    fn happens(&mut self, share: f64) -> bool {
        share > 0.0 && {
            let unit: f64 = StandardUniform.sample(&mut self.rng);
            unit < share
        }
    }

    fn foresee_failure(&mut self, node: u32) {
        let mean = self.config.node_failures;
        if !mean.is_zero() {
            let unit: f64 = Exp1.sample(&mut self.rng);
            self.agenda.add(self.now + mean.mul_f64(unit), Event::NodeFails { node });
        }
    }
}

impl Function {
    fn new(config: &Config, shape: ShapeId, memory: u64) -> Self {
        let dispatch = gapless_dispatch::Config {
            queue_size: config.queue_size,
            queue_wait: config.queue_wait,
            concurrency: config.concurrency,
            instances_max: config.instances_max,
            keep_alive: config.keep_alive.for_memory(Bytes(memory)),
            mode: config.planner,
            start_prior: Duration::from_secs_f64(config.start.first_ms / 1e3),
        };
        let fleet = gapless_scaling::Config { min: 0, max: config.instances_max };
        Function {
            dispatch: Dispatch::new(dispatch),
            fleet: Fleet::new(fleet),
            shape,
            memory,
            dispatch_wakes: Time::NEVER,
            fleet_wakes: Time::NEVER,
            demand_seq: 0,
            is_starved: false,
        }
    }
}
