//! What is simulated: nodes of a cluster, functions, and how much of each there is.

use gapless_types::{Bytes, CpuMillis};

/// What an instance does to its neighbours, and they to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Computes.
    Cpu,
    /// Moves memory: joins, graphs, inference.
    MemoryBandwidth,
    /// Reads and writes disks.
    Io,
    /// Waits for others.
    Waiting,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 4] = [Kind::Cpu, Kind::MemoryBandwidth, Kind::Io, Kind::Waiting];

    /// Its name, as `placement.class` has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Cpu => "cpu",
            Kind::MemoryBandwidth => "memory",
            Kind::Io => "io",
            Kind::Waiting => "waiting",
        }
    }
}

/// A function.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub tenant: String,
    /// Processor share it reserves.
    pub cpu: CpuMillis,
    /// Memory it reserves.
    pub memory: Bytes,
    /// What it does.
    pub kind: Kind,
    /// How much of its reserved processor share it uses; may be more than 1.
    pub usage: f64,
    /// How much that varies, as a share of it; its own instances vary together.
    pub variation: f64,
    /// Mean seconds of work of an instance.
    pub life_s: f64,
    /// The spread of that, as the standard deviation of its logarithm.
    pub life_sigma: f64,
    /// Share of the cluster's processor that it takes on average, of all functions'.
    pub share: f64,
    /// Instances that come at the same moment, on average.
    pub crowd: f64,
    /// Code that must be on a node.
    pub image: Bytes,
    /// Seconds a start takes with the code there and nothing else.
    pub boot_s: f64,
    /// The runtime whose zygotes it can start from.
    pub runtime: Option<&'static str>,
    /// Functions it calls, and the share of its time that takes within a zone.
    pub calls: Option<(String, f64)>,
    /// Data it reads first.
    pub data: Option<(&'static str, Bytes)>,
    /// Whether it wants the newer processors.
    pub wants_new: bool,
    /// Whether other tenants beside it matter.
    pub is_sensitive: bool,
    /// Whether it needs an accelerator.
    pub needs_device: bool,
    /// Whether it does not mind nodes that may be taken away.
    pub tolerates_spot: bool,
}

/// A node.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Cores.
    pub cores: u32,
    /// Memory.
    pub memory: Bytes,
    /// Its zone.
    pub zone: u32,
    /// Its rack.
    pub rack: u32,
    /// Price of an hour, as a share of the usual for its size.
    pub price: f64,
    /// Chance to be taken away within an hour.
    pub spot_risk: f64,
    /// Speed, of 1.
    pub speed: f64,
    /// Accelerators.
    pub devices: u32,
    /// Share of its greatest draw that it may have, if capped.
    pub power_cap: Option<f64>,
}

/// A cluster.
#[derive(Clone, Debug)]
pub struct World {
    /// Its name.
    pub name: &'static str,
    /// Its nodes.
    pub machines: Vec<Machine>,
    /// Chance that a node falls ill within an hour.
    pub illness: f64,
    /// Whether a zone is lost once.
    pub loses_zone: bool,
}

/// A workload.
#[derive(Clone, Debug)]
pub struct Mix {
    /// Its name.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// Its functions.
    pub functions: Vec<Function>,
    /// How much of the cluster's processor is reserved on average, in the first half of
    /// a run and in the second.
    pub load: (f64, f64),
    /// Functions that only come in the first half, by number; the others take their share.
    pub first_half_only: Vec<usize>,
    /// The same for the second half.
    pub second_half_only: Vec<usize>,
}

impl Mix {
    /// Whether a function comes at this share of the run.
    pub(crate) fn comes(&self, function: usize, at: f64) -> bool {
        let gone = if at < 0.5 { &self.second_half_only } else { &self.first_half_only };
        !gone.contains(&function)
    }

    /// How much is reserved at this share of the run.
    pub fn load_at(&self, at: f64) -> f64 {
        if at < 0.5 { self.load.0 } else { self.load.1 }
    }

    /// A function's share at this share of the run.
    pub fn share_at(&self, function: usize, at: f64) -> f64 {
        let there = (0..self.functions.len()).filter(|other| self.comes(*other, at));
        let all: f64 = there.map(|other| self.functions[other].share).sum();
        if self.comes(function, at) { self.functions[function].share / all } else { 0.0 }
    }

    /// The function that one calls, by number.
    pub(crate) fn called_by(&self, function: &Function) -> Option<usize> {
        let (called, _) = function.calls.as_ref()?;
        let is_it = |f: &Function| called.split_once('/') == Some((&*f.tenant, &*f.name));
        self.functions.iter().position(is_it)
    }

    /// Whether something changes halfway.
    pub fn changes(&self) -> bool {
        self.load.0 != self.load.1
            || !self.first_half_only.is_empty()
            || !self.second_half_only.is_empty()
    }
}
