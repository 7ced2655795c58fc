//! A store with a component instance in it: the memory a guest runs in.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use wasmtime::Store;
use wasmtime_wasi_http::handler::Proxy;

use crate::host::Host;
use crate::module::Module;
use crate::terms::Terms;

/// How many requests one memory serves at the most, where it is reused.
pub(crate) const REUSES_MAX: u32 = 10_000;

/// A live instance.
pub(crate) struct Live {
    pub(crate) proxy: Proxy,
    pub(crate) store: Store<Host>,
    /// Requests it has begun to serve.
    uses: u32,
}

impl Live {
    /// Makes one. The component's own start-up runs in this.
    pub(crate) async fn new(
        module: &Module,
        terms: &Arc<Terms>,
        stores: &Arc<AtomicUsize>,
    ) -> wasmtime::Result<Self> {
        let mut store = Host::store(&module.flavor, terms, stores)?;
        let proxy = module.pre.instantiate_async(&mut store).await?;
        Ok(Live { proxy, store, uses: 0 })
    }

    /// Gives it to a request.
    pub(crate) fn begin(&mut self, deadline: Instant) {
        self.uses += 1;
        Host::begin(&mut self.store, deadline);
    }

    /// Whether it may serve another request.
    pub(crate) fn is_reusable(&self) -> bool {
        self.uses < REUSES_MAX
    }
}
