//! Mixes that are held out and were written down last: before the prior was made from
//! random mixes and before anything was chosen with those.

use gapless_sim::placing::world::{Function, Kind, Mix};
use gapless_types::{Bytes, CpuMillis};

use super::{GIB, MIB, function, many, mix, rare, small};

/// Assistants: fronts that wait for models, tools they call, one tenant that minds others.
pub(super) fn assistants() -> Mix {
    let model = Function {
        kind: Kind::MemoryBandwidth,
        memory: Bytes(8 * GIB),
        cpu: CpuMillis(2000),
        usage: 0.8,
        life_s: 80.0,
        boot_s: 4.0,
        image: Bytes(1500 * MIB),
        data: Some(("adapters", Bytes(2 * GIB))),
        ..function("model")
    };
    let front = Function {
        kind: Kind::Waiting,
        usage: 0.3,
        share: 0.5,
        calls: Some(("a/model-0".to_owned(), 0.6)),
        is_sensitive: true,
        ..small("front")
    };
    let mut functions: Vec<Function> = many(&Function { share: 2.0, ..model }, 3).collect();
    functions.extend(many(&front, 8));
    functions.extend(many(&Function { tenant: "b".to_owned(), share: 0.6, ..rare("tool") }, 40));
    mix("assistants", "fronts that wait for models, and tools now and then", (0.4, 0.4), functions)
}

/// Messages of devices: short work of very many functions, and those that gather it.
pub(super) fn devices() -> Mix {
    let gather = Function {
        kind: Kind::Io,
        usage: 0.7,
        life_s: 90.0,
        share: 0.8,
        data: Some(("series", Bytes(GIB))),
        ..function("gather")
    };
    let decode = Function {
        crowd: 3.0,
        life_s: 6.0,
        share: 2.0,
        image: Bytes(40 * MIB),
        boot_s: 0.3,
        calls: Some(("a/gather-0".to_owned(), 0.2)),
        ..small("decode")
    };
    let mut functions: Vec<Function> = many(&decode, 50).collect();
    functions.extend(many(&gather, 3));
    mix("devices", "short work of many functions, and what gathers it", (0.22, 0.22), functions)
}

/// Parameter sweeps: crowds that compute for minutes, of two tenants, some wide.
pub(super) fn sweeps() -> Mix {
    let sweep = Function {
        usage: 1.0,
        variation: 0.1,
        crowd: 12.0,
        life_s: 100.0,
        life_sigma: 0.5,
        image: Bytes(700 * MIB),
        boot_s: 1.5,
        ..function("sweep")
    };
    let wide = Function {
        cpu: CpuMillis(8000),
        memory: Bytes(16 * GIB),
        crowd: 1.0,
        share: 0.7,
        tenant: "b".to_owned(),
        wants_new: true,
        ..sweep.clone()
    };
    let mut functions: Vec<Function> = many(&sweep, 4).collect();
    functions.extend(many(&wide, 2));
    functions.extend(many(&Function { share: 0.3, ..small("watch") }, 4));
    mix("sweeps", "crowds that compute for minutes, some of them wide", (0.45, 0.45), functions)
}

/// Imports at night, in crowds, that are gone by day, when pages are read instead.
pub(super) fn imports() -> Mix {
    let import = Function {
        kind: Kind::Io,
        usage: 0.9,
        memory: Bytes(2 * GIB),
        crowd: 6.0,
        life_s: 40.0,
        share: 2.0,
        runtime: Some("jvm"),
        boot_s: 2.0,
        data: Some(("dump", Bytes(2 * GIB))),
        ..function("import")
    };
    let mut functions: Vec<Function> = many(&import, 5).collect();
    functions.extend(many(&Function { share: 2.0, ..small("page") }, 15));
    functions.extend(many(&rare("hook"), 20));
    let about = "imports in crowds, and from halfway on pages instead";
    let mut mix = mix("imports", about, (0.5, 0.35), functions);
    mix.first_half_only = (0..5).collect();
    mix.second_half_only = (5..20).collect();
    mix
}
