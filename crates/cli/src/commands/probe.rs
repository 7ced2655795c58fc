//! `gapless probe`: the small HTTP program that benches and tests deploy as a
//! process function. Hidden: it is of no use by itself.

use crate::failure::{Failure, Outcome};

pub(crate) fn run() -> Outcome {
    gapless_probe::serve_from_env().map_err(|error| {
        Failure::new("cannot serve", error)
            .help("set PORT or GAPLESS_SOCKET to where it shall listen")
    })
}
