//! What a guest's store holds on the host's side: its wasi contexts, its limits
//! and its deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use wasmtime::{ResourceLimiter, Store, StoreContextMut, UpdateDeadline};
use wasmtime_wasi::{FsPerms, ResourceTable, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::engine::Flavor;
use crate::failure::{Stopped, TimedOut};
use crate::logs::GuestLog;
use crate::outbound::Outbound;
use crate::terms::Terms;
use gapless_sandbox::LogStream;
use gapless_sandbox::files::FILES_VARIABLE;

/// Ticks until a guest that does not wait lets others run. Two, so that a short
/// guest is not sent to the back of the queue by a tick that was due anyway.
const TICKS_BEFORE_YIELD: u64 = 2;
/// Handles (streams, bodies, headers, ...) one guest may hold.
const HANDLES_MAX: usize = 10_000;

/// The data of a store.
pub(crate) struct Host {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: Outbound,
    memory: Memory,
    terms: Arc<Terms>,
    /// When the invocation this store serves must have ended.
    pub(crate) deadline: Instant,
    _counted: Counted,
}

impl Host {
    /// A store with nothing in it.
    pub(crate) fn store(
        flavor: &Flavor,
        terms: &Arc<Terms>,
        stores: &Arc<AtomicUsize>,
    ) -> wasmtime::Result<Store<Host>> {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES_MAX);
        let host = Host {
            table,
            wasi: wasi(terms)?,
            http: WasiHttpCtx::new(),
            outbound: Outbound::new(terms.clone()),
            memory: Memory { used_bytes: 0, max_bytes: terms.memory_bytes_max, was_refused: false },
            terms: terms.clone(),
            deadline: Instant::now() + terms.timeout,
            _counted: Counted::new(stores),
        };
        let mut store = Store::new(&flavor.engine, host);
        store.limiter(|host| &mut host.memory);
        store.set_epoch_deadline(TICKS_BEFORE_YIELD);
        store.epoch_deadline_callback(at_tick);
        Ok(store)
    }

    /// Whether the guest asked for more memory than it may have.
    pub(crate) fn memory_was_refused(&self) -> bool {
        self.memory.was_refused
    }

    /// Gives a store to an invocation.
    pub(crate) fn begin(store: &mut Store<Host>, deadline: Instant) {
        store.data_mut().deadline = deadline;
        store.set_epoch_deadline(TICKS_BEFORE_YIELD);
    }
}

/// Called in a guest that has run for [`TICKS_BEFORE_YIELD`] ticks without waiting.
fn at_tick(store: StoreContextMut<'_, Host>) -> wasmtime::Result<UpdateDeadline> {
    let host = store.data();
    if host.terms.is_cancelled() {
        return Err(wasmtime::Error::new(Stopped));
    }
    if Instant::now() >= host.deadline {
        return Err(wasmtime::Error::new(TimedOut));
    }
    Ok(UpdateDeadline::Yield(1))
}

/// Where a guest finds the files of `spec.files`.
const GUEST_FILES: &str = "/gapless/files";

/// No sockets, no arguments, no files but the declared ones, to be read only: the
/// declared environment and the logs.
fn wasi(terms: &Arc<Terms>) -> wasmtime::Result<WasiCtx> {
    let mut builder = WasiCtxBuilder::new();
    builder
        .stdout(GuestLog::new(terms.clone(), LogStream::Stdout))
        .stderr(GuestLog::new(terms.clone(), LogStream::Stderr))
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false);
    for (name, value) in terms.env() {
        builder.env(name, value);
    }
    if let Some(files) = &terms.files {
        builder.env(FILES_VARIABLE, GUEST_FILES);
        builder.preopened_dir(files, GUEST_FILES, FsPerms::ReadOnly)?;
    }
    Ok(builder.build())
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Host {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.outbound, table: &mut self.table, ctx: &mut self.http }
    }
}

/// Counts all linear memories of a store against one limit.
struct Memory {
    used_bytes: u64,
    max_bytes: u64,
    was_refused: bool,
}

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let used = self.used_bytes.saturating_add(desired.saturating_sub(current) as u64);
        if used > self.max_bytes {
            self.was_refused = true;
            return Ok(false);
        }
        self.used_bytes = used;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        _desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // The pool bounds every table (`TABLE_ELEMENTS_MAX`).
        Ok(true)
    }
}

/// Keeps the number of stores that exist.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(stores: &Arc<AtomicUsize>) -> Self {
        stores.fetch_add(1, Ordering::Relaxed);
        Counted(stores.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
