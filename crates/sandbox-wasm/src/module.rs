//! A component ready to be instantiated: mapped code with its imports linked.

use std::sync::Arc;

use gapless_proto::StartFailure;
use wasmtime::component::Component;
use wasmtime_wasi_http::handler::ProxyPre;
use wasmtime_wasi_http::p2::bindings::ProxyPre as P2Pre;
use wasmtime_wasi_http::p3::bindings::ServicePre;

use crate::artifact::Digest;
use crate::engine::{Flavor, Generation};
use crate::host::Host;
use crate::validate;

/// What a resident component holds besides its mapped code: types, link tables.
const OVERHEAD_BYTES: u64 = 96 << 10;

/// A linked component, shared by every seat of every revision with its digest.
pub(crate) struct Module {
    pub(crate) digest: Digest,
    pub(crate) flavor: Arc<Flavor>,
    pub(crate) component: Component,
    pub(crate) pre: ProxyPre<Host>,
    /// What it counts for in the budget of resident code.
    pub(crate) resident_bytes: u64,
}

impl Module {
    /// What a module with so much code counts for in the budget of resident code.
    pub(crate) fn bytes(code_bytes: u64) -> u64 {
        code_bytes + OVERHEAD_BYTES
    }

    /// Links a component, or says why it cannot run here.
    pub(crate) fn link(
        flavor: Arc<Flavor>,
        generation: Generation,
        digest: Digest,
        component: Component,
        code_bytes: u64,
    ) -> Result<Self, StartFailure> {
        validate::imports(&component, &flavor)?;
        let linked = flavor.linker.instantiate_pre(&component);
        let linked = linked.map_err(|error| validate::not_linked(&error))?;
        let newest = match generation {
            Generation::P3 => ServicePre::new(linked.clone()).ok().map(ProxyPre::P3),
            Generation::P2 => None,
        };
        let pre = match newest {
            Some(pre) => pre,
            None => P2Pre::new(linked)
                .map(ProxyPre::P2)
                .map_err(|_| validate::no_handler(&component, &flavor))?,
        };
        let resident_bytes = Module::bytes(code_bytes);
        Ok(Module { digest, flavor, component, pre, resident_bytes })
    }
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "module {}", self.digest)
    }
}
