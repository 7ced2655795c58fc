//! The lab's workloads. Seven mixes were used to make the shipped prior; the others are
//! held out. Five of those were written down with these seven: their figures were looked
//! at while the lab was made. Three were added when that was seen, and looked at once.
//! Four were added after that, before the prior was made from random mixes as well.
//!
//! Sizes are those of published traces where they say: most functions run for less than
//! a few seconds, memory is a few hundred MiB (Azure Functions 2019, Shahrad et al.
//! ATC'20; Huawei, Joosen et al. SoCC'23); what is longer (pipelines, inference) is what
//! such clusters are said to hold as well.

mod drawn;
mod held_out;
mod later;

use gapless_sim::placing::world::{Function, Kind, Mix};
use gapless_types::{Bytes, CpuMillis};

pub(crate) use drawn::drawn;
use held_out::{analytics, batch_arrives, builds, evening, events, media, night_day, shop};
use later::{assistants, devices, imports, sweeps};

const MIB: u64 = 1 << 20;
pub(crate) const GIB: u64 = 1 << 30;

/// A workload of the lab.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LabMix {
    pub(crate) name: &'static str,
    /// Whether the shipped prior was made with it.
    pub(crate) is_tuned_on: bool,
    pub(crate) make: fn() -> Mix,
}

/// Every mix.
pub(crate) const MIXES: [LabMix; 19] = [
    LabMix { name: "web", is_tuned_on: true, make: web },
    LabMix { name: "idle-night", is_tuned_on: true, make: idle_night },
    LabMix { name: "pipeline", is_tuned_on: true, make: pipeline },
    LabMix { name: "inference", is_tuned_on: true, make: inference },
    LabMix { name: "bursts", is_tuned_on: true, make: bursts },
    LabMix { name: "tenants", is_tuned_on: true, make: tenants },
    LabMix { name: "day-night", is_tuned_on: true, make: day_night },
    LabMix { name: "shop", is_tuned_on: false, make: shop },
    LabMix { name: "media", is_tuned_on: false, make: media },
    LabMix { name: "analytics", is_tuned_on: false, make: analytics },
    LabMix { name: "night-day", is_tuned_on: false, make: night_day },
    LabMix { name: "batch-arrives", is_tuned_on: false, make: batch_arrives },
    LabMix { name: "events", is_tuned_on: false, make: events },
    LabMix { name: "builds", is_tuned_on: false, make: builds },
    LabMix { name: "evening", is_tuned_on: false, make: evening },
    LabMix { name: "assistants", is_tuned_on: false, make: assistants },
    LabMix { name: "devices", is_tuned_on: false, make: devices },
    LabMix { name: "sweeps", is_tuned_on: false, make: sweeps },
    LabMix { name: "imports", is_tuned_on: false, make: imports },
];

/// What a usual function uses of what it reserves. Slack is 46% where people say how
/// much is reserved, 23% where that is set by measurement (Autopilot, EuroSys'20): this is
/// the middle. Functions that compute and nothing else use all they get; mixes say which.
const USAGE: f64 = 0.65;

/// A function of nothing special: 1 core and 1 GiB reserved, two thirds of it used on
/// average and at times more than all of it, 40 seconds of work.
fn function(name: &str) -> Function {
    Function {
        name: name.to_owned(),
        tenant: "a".to_owned(),
        cpu: CpuMillis(1000),
        memory: Bytes(GIB),
        kind: Kind::Cpu,
        usage: USAGE,
        variation: 0.4,
        life_s: 40.0,
        life_sigma: 0.8,
        share: 1.0,
        crowd: 1.0,
        image: Bytes(250 * MIB),
        boot_s: 1.0,
        runtime: Some("python"),
        calls: None,
        data: None,
        wants_new: false,
        is_sensitive: false,
        needs_device: false,
        tolerates_spot: true,
    }
}

/// Copies of a function under numbered names, each with a share of its share.
fn many(of: &Function, count: usize) -> impl Iterator<Item = Function> + '_ {
    (0..count).map(move |number| Function {
        name: format!("{}-{number}", of.name),
        share: of.share / count as f64,
        ..of.clone()
    })
}

fn mix(name: &'static str, about: &'static str, load: (f64, f64), functions: Vec<Function>) -> Mix {
    Mix { name, about, functions, load, first_half_only: Vec::new(), second_half_only: Vec::new() }
}

/// Small and steady: its instances serve many requests.
fn small(name: &str) -> Function {
    Function {
        cpu: CpuMillis(500),
        memory: Bytes(512 * MIB),
        variation: 0.6,
        life_s: 30.0,
        image: Bytes(80 * MIB),
        boot_s: 0.6,
        ..function(name)
    }
}

/// Called now and then: an instance serves one request and is of no use after. Of such
/// functions there are many.
fn rare(name: &str) -> Function {
    Function { life_s: 4.0, image: Bytes(400 * MIB), boot_s: 1.5, share: 0.3, ..small(name) }
}

fn web() -> Mix {
    let mut functions: Vec<Function> =
        many(&Function { share: 4.0, ..small("page") }, 16).collect();
    functions.extend(many(
        &Function {
            kind: Kind::Waiting,
            usage: 0.3,
            share: 2.0,
            calls: Some(("a/page-0".to_owned(), 0.4)),
            ..function("api")
        },
        4,
    ));
    functions.extend(many(&rare("hook"), 60));
    mix(
        "web",
        "small steady functions, some that call them, many rare ones",
        (0.45, 0.45),
        functions,
    )
}

fn idle_night() -> Mix {
    let mut functions: Vec<Function> = many(&rare("cron"), 80).collect();
    functions.extend(many(&Function { share: 1.0, ..small("page") }, 10));
    functions.push(Function { life_s: 240.0, memory: Bytes(2 * GIB), ..function("report") });
    mix(
        "idle-night",
        "little to do: many rare functions, a few steady ones",
        (0.15, 0.15),
        functions,
    )
}

fn pipeline() -> Mix {
    let join = Function {
        kind: Kind::MemoryBandwidth,
        usage: 1.0,
        variation: 0.2,
        memory: Bytes(6 * GIB),
        cpu: CpuMillis(2000),
        life_s: 60.0,
        data: Some(("tables", Bytes(3 * GIB))),
        ..function("join")
    };
    let read =
        Function { kind: Kind::Io, usage: 0.8, life_s: 30.0, share: 0.7, ..function("read") };
    let mut functions: Vec<Function> = many(&join, 3).collect();
    functions.extend(many(&read, 4));
    functions.extend(many(&Function { share: 0.8, usage: 1.2, ..function("map") }, 4));
    mix(
        "pipeline",
        "long functions that compete for memory, disks and cores",
        (0.5, 0.5),
        functions,
    )
}

fn inference() -> Mix {
    let model = Function {
        kind: Kind::MemoryBandwidth,
        cpu: CpuMillis(2000),
        memory: Bytes(12 * GIB),
        usage: 0.9,
        life_s: 50.0,
        boot_s: 6.0,
        image: Bytes(3 * GIB),
        data: Some(("weights", Bytes(6 * GIB))),
        wants_new: true,
        ..function("model")
    };
    let card =
        Function { needs_device: true, share: 0.15, life_s: 60.0, boot_s: 8.0, ..model.clone() };
    let mut functions: Vec<Function> = many(&Function { share: 1.6, ..model }, 4).collect();
    functions.push(Function { name: "card".to_owned(), ..card });
    functions.extend(many(&Function { share: 0.6, ..small("front") }, 6));
    mix("inference", "large models in memory, large code, some accelerators", (0.3, 0.3), functions)
}

fn bursts() -> Mix {
    let crowd = Function { crowd: 24.0, life_s: 12.0, share: 2.0, ..small("fan-out") };
    let mut functions: Vec<Function> = many(&crowd, 8).collect();
    functions.extend(many(&Function { share: 1.5, ..function("steady") }, 6));
    mix("bursts", "crowds of one function at a time", (0.4, 0.4), functions)
}

fn tenants() -> Mix {
    let mut functions = Vec::new();
    for (number, tenant) in ["a", "b", "c", "d"].into_iter().enumerate() {
        let one = Function {
            tenant: tenant.to_owned(),
            is_sensitive: number < 2,
            kind: Kind::ALL[number % 4],
            ..function(&format!("{tenant}-work"))
        };
        functions.extend(many(&one, 4));
    }
    mix("tenants", "four tenants, two of which mind strangers", (0.45, 0.45), functions)
}

fn day_night() -> Mix {
    let mut mix = Mix { name: "day-night", about: "busy, and quiet from halfway on", ..web() };
    mix.functions.extend(many(&Function { share: 3.0, ..function("work") }, 6));
    mix.load = (0.7, 0.18);
    mix
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixes_are_named_once_and_what_they_call_is_there() {
        let mut names: Vec<&str> = MIXES.iter().map(|mix| mix.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), MIXES.len());
        for of in &MIXES {
            let mix = (of.make)();
            assert_eq!(mix.name, of.name);
            for function in &mix.functions {
                if let Some((called, _)) = &function.calls {
                    let is_it = |f: &Function| *called == format!("{}/{}", f.tenant, f.name);
                    assert!(mix.functions.iter().any(is_it), "{}: {called}", mix.name);
                }
            }
        }
        assert!(MIXES.iter().filter(|mix| (mix.make)().changes()).count() >= 3);
        assert!(MIXES.iter().filter(|mix| !mix.is_tuned_on).count() >= 3);
    }
}
