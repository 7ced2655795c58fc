//! Mixes that the shipped prior was not made with.

use gapless_sim::placing::world::{Function, Kind, Mix};
use gapless_types::{Bytes, CpuMillis};

use super::{GIB, MIB, function, many, mix, rare, small, web};

pub(super) fn shop() -> Mix {
    let mut functions: Vec<Function> =
        many(&Function { share: 2.0, ..small("view") }, 10).collect();
    let order = Function {
        calls: Some(("a/stock".to_owned(), 0.5)),
        kind: Kind::Waiting,
        usage: 0.3,
        is_sensitive: true,
        ..function("order")
    };
    functions.extend(many(&order, 3));
    functions.push(Function { kind: Kind::Io, life_s: 60.0, ..function("stock") });
    let mail =
        Function { tenant: "b".to_owned(), crowd: 16.0, life_s: 8.0, share: 0.6, ..small("mail") };
    functions.push(mail);
    functions.extend(many(&Function { tenant: "b".to_owned(), ..rare("task") }, 30));
    mix("shop", "pages, orders that call a store, mails in crowds", (0.5, 0.5), functions)
}

pub(super) fn media() -> Mix {
    let transcode = Function {
        cpu: CpuMillis(4000),
        memory: Bytes(3 * GIB),
        usage: 1.1,
        variation: 0.15,
        life_s: 60.0,
        wants_new: true,
        image: Bytes(900 * MIB),
        runtime: None,
        ..function("transcode")
    };
    let mut functions: Vec<Function> = many(&Function { share: 2.0, ..transcode }, 3).collect();
    functions
        .extend(many(&Function { kind: Kind::Io, life_s: 10.0, share: 0.5, ..small("thumb") }, 6));
    functions.push(Function {
        needs_device: true,
        share: 0.1,
        life_s: 50.0,
        ..function("upscale")
    });
    mix("media", "wide computing functions among small ones", (0.5, 0.5), functions)
}

pub(super) fn analytics() -> Mix {
    let scan = Function {
        kind: Kind::Io,
        usage: 0.9,
        memory: Bytes(5 * GIB),
        life_s: 25.0,
        crowd: 8.0,
        data: Some(("lake", Bytes(2 * GIB))),
        runtime: Some("jvm"),
        boot_s: 2.5,
        image: Bytes(500 * MIB),
        ..function("scan")
    };
    let sort = Function {
        kind: Kind::MemoryBandwidth,
        memory: Bytes(8 * GIB),
        life_s: 35.0,
        runtime: Some("jvm"),
        boot_s: 2.5,
        ..function("sort")
    };
    let mut functions: Vec<Function> = many(&scan, 3).collect();
    functions.extend(many(&sort, 3));
    functions.extend(many(&Function { share: 0.5, ..small("query") }, 5));
    mix("analytics", "scans in crowds and sorts, short of memory", (0.38, 0.38), functions)
}

pub(super) fn night_day() -> Mix {
    Mix {
        name: "night-day",
        about: "quiet, and busy from halfway on",
        load: (0.15, 0.65),
        ..shop()
    }
}

pub(super) fn batch_arrives() -> Mix {
    let mut mix = Mix {
        name: "batch-arrives",
        about: "pages, and from halfway on long computing functions beside them",
        ..web()
    };
    let pages = mix.functions.len();
    let batch = Function {
        usage: 1.2,
        life_s: 90.0,
        share: 8.0,
        memory: Bytes(2 * GIB),
        ..function("batch")
    };
    mix.functions.extend(many(&batch, 5));
    mix.second_half_only = (pages..mix.functions.len()).collect();
    mix.load = (0.3, 0.65);
    mix
}

/// Handlers of events of three tenants, in small crowds, that write somewhere.
pub(super) fn events() -> Mix {
    let mut functions = Vec::new();
    for tenant in ["a", "b", "c"] {
        let handler = Function {
            tenant: tenant.to_owned(),
            kind: Kind::Waiting,
            crowd: 5.0,
            life_s: 10.0,
            is_sensitive: tenant == "c",
            calls: Some(("a/sink".to_owned(), 0.3)),
            ..small(&format!("{tenant}-handler"))
        };
        functions.extend(many(&handler, 12));
    }
    functions.push(Function { kind: Kind::Io, life_s: 120.0, share: 0.6, ..function("sink") });
    mix("events", "handlers of three tenants' events, in small crowds", (0.3, 0.3), functions)
}

/// Builds and tests: large images and caches, all of a core and more, not rare.
pub(super) fn builds() -> Mix {
    let compile = Function {
        cpu: CpuMillis(2000),
        memory: Bytes(4 * GIB),
        usage: 1.2,
        variation: 0.2,
        life_s: 45.0,
        life_sigma: 1.2,
        image: Bytes(1800 * MIB),
        runtime: None,
        boot_s: 2.0,
        data: Some(("cache", Bytes(GIB))),
        wants_new: true,
        ..function("compile")
    };
    let test =
        Function { kind: Kind::Io, crowd: 6.0, life_s: 20.0, usage: 0.9, ..function("test") };
    let mut functions: Vec<Function> = many(&Function { share: 1.5, ..compile }, 4).collect();
    functions.extend(many(&test, 6));
    functions.extend(many(&Function { share: 0.5, ..rare("report") }, 20));
    mix("builds", "builds with large images, tests in crowds", (0.35, 0.35), functions)
}

/// Pages all day; in the evening, joins over tables beside them.
pub(super) fn evening() -> Mix {
    let join = Function {
        kind: Kind::MemoryBandwidth,
        usage: 1.0,
        variation: 0.2,
        memory: Bytes(5 * GIB),
        life_s: 50.0,
        share: 3.0,
        data: Some(("ledger", Bytes(2 * GIB))),
        ..function("close")
    };
    let mut functions: Vec<Function> =
        many(&Function { share: 3.0, ..small("page") }, 12).collect();
    functions.extend(many(&Function { share: 0.5, ..rare("mail") }, 24));
    let pages = functions.len();
    functions.extend(many(&join, 4));
    let mut mix =
        mix("evening", "pages, and from halfway on joins beside them", (0.25, 0.5), functions);
    mix.second_half_only = (pages..mix.functions.len()).collect();
    mix
}
