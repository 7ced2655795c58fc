//! The machines a platform runs on: this one, as the kernel describes it, and
//! modelled ones.

use std::sync::Arc;
use std::time::Duration;

use gapless_control::{Control, NodeSpec};
use gapless_node::LoadMeter;
use gapless_rt::{Clock, Shutdown};
use gapless_types::NodeId;

/// The node that is this machine.
pub(crate) const LOCAL_NODE: &str = "local";
/// The label that says a node's zone, as in Kubernetes.
pub(crate) const ZONE_LABEL: &str = "topology.kubernetes.io/zone";
/// Modelled nodes per rack and zone.
const FAKE_NODES_PER_RACK: u32 = 40;
/// How often the machine's use is measured.
const LOAD_EVERY: Duration = Duration::from_secs(5);

/// A modelled node in a modelled place: three zones, racks of 40 (a common rack), one
/// in sixteen with accelerators, one in eight that may be taken away.
pub(crate) fn fake_node(mut spec: NodeSpec, number: u32) -> NodeSpec {
    let index = number - 1;
    let zone = format!("zone-{}", ["a", "b", "c"][index as usize % 3]);
    spec.labels.insert(ZONE_LABEL.to_owned(), zone.clone());
    spec.zone = zone.into();
    spec.rack = format!("rack-{}", index / 3 / FAKE_NODES_PER_RACK).into();
    if index % 16 == 15 {
        spec.devices = vec!["gpu".into(); 4];
        spec.labels.insert("gapless.dev/gpu".to_owned(), "true".to_owned());
    }
    if index % 8 == 7 {
        spec.spot_risk = 0.05;
        spec.labels.insert("gapless.dev/spot".to_owned(), "true".to_owned());
    }
    spec
}

/// The processor's name, as Kubernetes' node labels have it.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Tells control how busy this machine is, until shutdown.
pub(crate) fn measure_load(control: &Arc<Control>, clock: Clock, shutdown: &Shutdown) {
    let (control, ending) = (Arc::downgrade(control), shutdown.clone());
    shutdown.spawn(async move {
        let mut meter = LoadMeter::default();
        let mut next = clock.now();
        while let Some(control) = control.upgrade() {
            if let Some(load) = meter.read() {
                control.set_load(&NodeId::new(LOCAL_NODE), load);
            }
            drop(control);
            next += LOAD_EVERY;
            tokio::select! {
                () = clock.sleep_until(next) => {}
                () = ending.begun() => return,
            }
        }
    });
}

/// The machine's memory.
pub(crate) fn memory_bytes() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib << 10)
}
