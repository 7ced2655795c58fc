//! Every formula and constant of the placement simulator, with its source. Where no
//! source gives a number, "assumed" says so. They say what a placement can change; all
//! else is left out.
//!
//! | what | which scores it can reward |
//! |---|---|
//! | processor, memory bandwidth and disk shared by neighbours | least-allocated, load-aware, low-risk-overcommit, target-load-packing, interference-aware, spread-per-function |
//! | images, snapshots, zygotes, idle instances, data on nodes | image-, snapshot- and data-locality, warm-first, bounded-consistent-hash, pool-affinity |
//! | starts slow each other | start-storm-avoidance |
//! | calls across zones | network-cost |
//! | nodes cost while anything is on them | most-allocated, target-load-packing |
//! | what is left over but in the wrong shape | balanced-allocation, most-allocated, scarce-resource-avoidance |
//! | draw above a cap slows a node | power-cap |
//! | nodes taken away, ill nodes, a lost zone | spot-risk, taint-preference, failure-history, topology-spread |
//! | other tenants beside a sensitive one | tenant-anti-affinity |
//! | older and newer processors | preferred-labels |
//!
//! Nothing here can reward `group-pack` and `group-spread` (no groups are simulated) and
//! `power-of-two-choices` (there is one decider, and its view is fresh).
//!
//! What the parts of the cost are worth against each other is
//! [`gapless_placement::balance::Cost`]'s.

use super::world::Kind;

/// How much slower a core's two threads are each when both are busy: together they do
/// about 1.3 times the work of one (Marr et al., Intel Technology Journal 2002), so each
/// is 1.54 times slower; half of that is counted, as functions rarely keep both units busy.
const SMT: f64 = 0.27;
/// Cores' worth of memory-bound work that saturate a node's memory, as a share of its
/// cores. STREAM saturates a socket with a third to a half of its cores (McCalpin 1995
/// and the results kept since); two fifths here.
pub const BANDWIDTH_SHARE: f64 = 0.4;
/// The same for disks. Assumed.
pub const IO_SHARE: f64 = 0.35;

/// Bytes a second from the registry: 2 Gbit/s. Assumed; production pulls are slower
/// (FaaSNet, ATC'21, measures container provisioning bound by image downloads).
pub const REGISTRY_BYTES_PER_S: f64 = 250e6;
/// Bytes a second from another node: 10 Gbit/s.
pub const NETWORK_BYTES_PER_S: f64 = 1.25e9;
/// Images, snapshots and data a node keeps.
pub const CACHE_BYTES: u64 = 12 << 30;
/// A start from a function's own snapshot, as a share of its boot: REAP (ASPLOS'21)
/// restores in 62 ms what boots in 0.3 to 1 s and more; Catalyzer (ASPLOS'20) is faster.
pub const SNAPSHOT_BOOT: f64 = 0.1;
/// From a zygote with the runtime only: SOCK (ATC'18) is 3x faster from a zygote than from
/// its lean container.
pub const ZYGOTE_BOOT: f64 = 0.33;
/// Where an idle instance of the function is, whose pages are shared. Assumed.
pub const WARM_BOOT: f64 = 0.05;
/// Where a prewarmed sandbox of the runtime is: what is left is the program's own
/// start. Fission's pools; half is assumed.
pub const POOL_BOOT: f64 = 0.5;
/// Seconds each other start under way on a node adds: AFaaS (OSDI'25, section 3.2)
/// measured 443 ms for 23 others.
pub const EACH_OTHER_START_S: f64 = 0.443 / 23.0;

/// How much longer a call across zones takes than within one. Providers' zones are 0.5
/// to 1 ms apart, machines within one 0.1 to 0.3; a call's work is the other half. Assumed: 2.5.
pub const CROSS_ZONE: f64 = 2.5;

/// Draw with nothing to do, as a share of the greatest (Barroso, Hoelzle and Ranganathan,
/// The Datacenter as a Computer: a half, falling).
pub const IDLE_DRAW: f64 = 0.5;
/// What of a node's cost is energy (same source: about a fifth with power and cooling).
pub const ENERGY_SHARE: f64 = 0.2;

/// How long an instance that has done its work stays idle, and which share of them. Assumed.
pub const IDLE_S: f64 = 20.0;
/// See [`IDLE_S`].
pub const IDLE_PROBABILITY: f64 = 0.3;
/// How long an ill node stays ill; half of its starts fail. Assumed.
pub const ILL_S: f64 = 300.0;
/// How long a node or a zone that was lost is away. Assumed.
pub const AWAY_S: f64 = 120.0;
/// A lost instance's failure counts more the larger the share of the function that went
/// with it: up to three times. Assumed: half a function is an incident, one instance is not.
pub const LOST_TOGETHER: f64 = 2.0;

/// Seconds between measurements of nodes' use, as on the platform.
pub const MEASURED_EVERY_S: f64 = 5.0;

/// The mean of what is above 1, of something normal around `mean`: how much more is
/// wanted than there is. A logistic approximation of the normal loss function.
pub fn above_one(mean: f64, deviation: f64) -> f64 {
    let scale = deviation.max(0.03) / 1.7;
    let z = (mean - 1.0) / scale;
    if z > 30.0 { mean - 1.0 } else { scale * z.exp().ln_1p() }
}

/// Use of one node by all that runs there, as shares of what it has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pressure {
    /// Processor, and its deviation.
    pub cpu: f64,
    /// See `cpu`.
    pub cpu_deviation: f64,
    /// Memory bandwidth.
    pub bandwidth: f64,
    /// Disks.
    pub io: f64,
    /// Draw over what it may draw.
    pub power: f64,
}

/// How many times longer work of each kind takes there, in the order of [`Kind::ALL`].
pub fn slowdowns(pressure: &Pressure, speed: f64) -> [f64; 4] {
    let contended = above_one(pressure.cpu, pressure.cpu_deviation);
    let smt = SMT * ((pressure.cpu - 0.5) / 0.5).clamp(0.0, 1.0);
    let bandwidth = above_one(pressure.bandwidth, 0.15);
    let io = above_one(pressure.io, 0.2);
    let throttled = pressure.power.max(1.0) / speed;
    let half = 1.0 + 0.5 * (throttled - 1.0);
    [
        (1.0 + contended + smt) * throttled,
        (1.0 + 0.5 * contended + 0.5 * smt + bandwidth) * half,
        1.0 + 0.3 * contended + io,
        1.0 + 0.3 * contended,
    ]
}

/// Shares of a node's memory bandwidth and disks that a core of this kind's work takes.
pub fn demands(kind: Kind) -> (f64, f64) {
    match kind {
        Kind::Cpu => (0.1 / BANDWIDTH_SHARE, 0.0),
        Kind::MemoryBandwidth => (1.0 / BANDWIDTH_SHARE, 0.0),
        Kind::Io => (0.1 / BANDWIDTH_SHARE, 1.0 / IO_SHARE),
        Kind::Waiting => (0.05 / BANDWIDTH_SHARE, 0.05 / IO_SHARE),
    }
}

/// What placement is told of who slows whom down: the slowdown of one for each neighbour
/// of another, on a node of usual size, near saturation. A table as Jiagu (ATC'24) has
/// it, coarser than the formula above on purpose.
pub fn told_slowdown(one: Kind, other: Kind) -> f32 {
    match (one, other) {
        (Kind::Cpu, Kind::Cpu) => 0.05,
        (Kind::MemoryBandwidth, Kind::MemoryBandwidth) => 0.15,
        (Kind::Io, Kind::Io) => 0.15,
        (Kind::Cpu | Kind::MemoryBandwidth, Kind::Cpu | Kind::MemoryBandwidth) => 0.03,
        _ => 0.01,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_above_one_is_the_normal_loss() {
        // The normal loss at 0 is 0.3989 deviations, at one deviation above 1.0833.
        assert!((above_one(1.0, 0.2) - 0.3989 * 0.2).abs() < 0.003);
        assert!((above_one(1.2, 0.2) - 1.0833 * 0.2).abs() < 0.01);
        assert!(above_one(0.2, 0.1) < 1e-4 && (above_one(3.0, 0.05) - 2.0).abs() < 1e-6);
    }

    #[test]
    fn each_kind_suffers_from_its_own() {
        let calm = slowdowns(&Pressure::default(), 1.0);
        assert!(calm.iter().all(|slowdown| (slowdown - 1.0).abs() < 0.01), "{calm:?}");
        let streaming = Pressure { bandwidth: 1.5, cpu: 0.4, ..Pressure::default() };
        let [cpu, memory, io, _] = slowdowns(&streaming, 1.0);
        assert!(memory > 1.4 && cpu < 1.01 && io < 1.01);
        let capped = Pressure { power: 1.2, ..Pressure::default() };
        assert!((slowdowns(&capped, 1.0)[0] - 1.2).abs() < 0.01);
        assert!((slowdowns(&Pressure::default(), 0.8)[0] - 1.25).abs() < 0.01);
    }
}
