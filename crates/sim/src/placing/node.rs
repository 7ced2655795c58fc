//! A modelled node: what is on it, and sums over time of what that did to each kind of
//! work, so that an instance's share is the difference of two readings.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::FixedState;

use super::model::{self, Pressure};
use super::world::{Function, Kind, Machine};

/// What is known of who is on a node.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) machine: Machine,
    /// Of each function: instances that work.
    working: HashMap<u32, u32, FixedState>,
    cpu_used: f64,
    cpu_variance: f64,
    bandwidth: f64,
    io: f64,
    /// Reserved, also by idle instances.
    cpu_reserved: f64,
    memory_reserved: f64,
    tenants: BTreeMap<u32, u32>,
    instances: u32,
    pub(crate) starting: u32,
    pub(crate) ill_until: f64,
    pub(crate) is_away: bool,
    cache: Cache,
    slowdowns: [f64; 4],
    room: f64,
    at: f64,
    sums: Sums,
    /// Seconds that anything was on it, times its price.
    pub(crate) busy_s: f64,
}

/// Sums over time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    slowdowns: [f64; 4],
    room: f64,
}

impl Sums {
    /// Means since an earlier reading, this many seconds ago: the slowdown of a kind, and
    /// what room costs there.
    pub(crate) fn since(&self, earlier: &Sums, kind: Kind, seconds: f64) -> (f64, f64) {
        let at = kind as usize;
        let seconds = seconds.max(1e-9);
        let slowdown = (self.slowdowns[at] - earlier.slowdowns[at]) / seconds;
        (slowdown, (self.room - earlier.room) / seconds)
    }
}

impl Node {
    pub(crate) fn new(machine: Machine) -> Self {
        let mut node = Node {
            machine,
            working: HashMap::default(),
            cpu_used: 0.0,
            cpu_variance: 0.0,
            bandwidth: 0.0,
            io: 0.0,
            cpu_reserved: 0.0,
            memory_reserved: 0.0,
            tenants: BTreeMap::new(),
            instances: 0,
            starting: 0,
            ill_until: 0.0,
            is_away: false,
            cache: Cache::default(),
            slowdowns: [1.0; 4],
            room: 1.0,
            at: 0.0,
            sums: Sums::default(),
            busy_s: 0.0,
        };
        node.settle();
        node
    }

    fn cores(&self) -> f64 {
        f64::from(self.machine.cores)
    }

    /// Use as placement measures it: processor, memory, deviation.
    pub(crate) fn load(&self) -> (f64, f64, f64) {
        let memory = self.memory_reserved / self.machine.memory.0 as f64;
        (self.cpu_used / self.cores(), memory, self.cpu_variance.sqrt() / self.cores())
    }

    fn pressure(&self) -> Pressure {
        let cpu = self.cpu_used / self.cores();
        let draw = model::IDLE_DRAW + (1.0 - model::IDLE_DRAW) * cpu.min(1.0);
        Pressure {
            cpu,
            cpu_deviation: self.cpu_variance.sqrt() / self.cores(),
            bandwidth: self.bandwidth / self.cores(),
            io: self.io / self.cores(),
            power: self.machine.power_cap.map_or(0.0, |cap| draw / cap),
        }
    }

    /// Reads the sums at a time.
    pub(crate) fn read(&mut self, now: f64) -> Sums {
        let passed = now - self.at;
        if passed > 0.0 {
            for (sum, slowdown) in self.sums.slowdowns.iter_mut().zip(self.slowdowns) {
                *sum += slowdown * passed;
            }
            self.sums.room += self.room * passed;
            if self.instances > 0 {
                self.busy_s += self.price() * passed;
            }
            self.at = now;
        }
        self.sums
    }

    /// What it costs while anything is on it, as a share of a usual node that is busy.
    fn price(&self) -> f64 {
        let cpu = (self.cpu_used / self.cores()).min(1.0);
        let draw = model::IDLE_DRAW + (1.0 - model::IDLE_DRAW) * cpu;
        self.machine.price * (1.0 - model::ENERGY_SHARE + model::ENERGY_SHARE * draw)
    }

    /// What is the same until somebody comes or goes.
    fn settle(&mut self) {
        self.slowdowns = model::slowdowns(&self.pressure(), self.machine.speed);
        let cpu = self.cpu_reserved / self.cores();
        let memory = self.memory_reserved / self.machine.memory.0 as f64;
        // Who is there shares the node's cost by what they reserve.
        self.room = self.price() / cpu.max(memory).max(1e-6);
    }

    pub(crate) fn slowdown(&self, kind: Kind) -> f64 {
        self.slowdowns[kind as usize]
    }

    /// An instance takes its room, before it works.
    pub(crate) fn take(&mut self, now: f64, function: &Function, tenant: u32) {
        self.read(now);
        self.reserve(function, tenant, 1.0);
        self.settle();
    }

    /// It gives its room back.
    pub(crate) fn leave(&mut self, now: f64, function: &Function, tenant: u32) {
        self.read(now);
        self.reserve(function, tenant, -1.0);
        self.settle();
    }

    fn reserve(&mut self, function: &Function, tenant: u32, by: f64) {
        self.cpu_reserved = (self.cpu_reserved + by * cores(function)).max(0.0);
        self.memory_reserved = (self.memory_reserved + by * function.memory.0 as f64).max(0.0);
        let there = self.tenants.entry(tenant).or_default();
        if by > 0.0 {
            *there += 1;
            self.instances += 1;
        } else {
            *there = there.saturating_sub(1);
            self.instances = self.instances.saturating_sub(1);
        }
    }

    /// An instance begins to work.
    pub(crate) fn work(&mut self, now: f64, number: u32, function: &Function) {
        self.read(now);
        let others = self.working.entry(number).or_default();
        let before = f64::from(*others);
        *others += 1;
        self.add_work(function, before, 1.0);
        self.settle();
    }

    /// It has done its work.
    pub(crate) fn rest(&mut self, now: f64, number: u32, function: &Function) {
        self.read(now);
        let others = self.working.entry(number).or_default();
        *others = others.saturating_sub(1);
        let before = f64::from(*others);
        self.add_work(function, before, -1.0);
        self.settle();
    }

    fn add_work(&mut self, function: &Function, others: f64, by: f64) {
        let used = cores(function) * function.usage;
        let (bandwidth, io) = model::demands(function.kind);
        self.cpu_used = (self.cpu_used + by * used).max(0.0);
        self.bandwidth = (self.bandwidth + by * used * bandwidth).max(0.0);
        self.io = (self.io + by * used * io).max(0.0);
        // A function's own instances vary together, so their deviations add.
        let deviation = used * function.variation;
        let variance = ((others + 1.0).powi(2) - others.powi(2)) * deviation * deviation;
        self.cpu_variance = (self.cpu_variance + by * variance).max(0.0);
    }

    /// The share of the instances there that are other tenants'.
    pub(crate) fn strangers(&self, tenant: u32) -> f64 {
        let own = self.tenants.get(&tenant).copied().unwrap_or(0);
        1.0 - f64::from(own) / f64::from(self.instances.max(1))
    }

    /// Something is used from the cache. Whether it was there, and what had to go.
    pub(crate) fn uses(&mut self, key: u32, bytes: u64) -> (bool, Vec<u32>) {
        self.cache.uses(key, bytes)
    }

    /// Nothing is on it any more, nor in its cache.
    pub(crate) fn is_lost(&mut self, now: f64) -> Vec<u32> {
        self.read(now);
        self.is_away = true;
        self.starting = 0;
        self.cache.clear()
    }
}

fn cores(function: &Function) -> f64 {
    f64::from(function.cpu.0) / 1000.0
}

/// Images, snapshots and data, the one used last longest.
#[derive(Debug, Default)]
struct Cache {
    bytes: u64,
    used: u64,
    by_key: HashMap<u32, (u64, u64), FixedState>,
    by_use: BTreeMap<u64, u32>,
}

impl Cache {
    fn uses(&mut self, key: u32, bytes: u64) -> (bool, Vec<u32>) {
        self.used += 1;
        let before = self.by_key.insert(key, (self.used, bytes));
        self.by_use.insert(self.used, key);
        if let Some((used, _)) = before {
            self.by_use.remove(&used);
        } else {
            self.bytes += bytes;
        }
        let mut gone = Vec::new();
        while self.bytes > model::CACHE_BYTES && self.by_use.len() > 1 {
            let Some((_, key)) = self.by_use.pop_first() else { break };
            if let Some((_, bytes)) = self.by_key.remove(&key) {
                self.bytes -= bytes;
            }
            gone.push(key);
        }
        (before.is_some(), gone)
    }

    fn clear(&mut self) -> Vec<u32> {
        self.by_use.clear();
        self.bytes = 0;
        let mut keys: Vec<u32> = self.by_key.drain().map(|(key, _)| key).collect();
        keys.sort_unstable();
        keys
    }
}
