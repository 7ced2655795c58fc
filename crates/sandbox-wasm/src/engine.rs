//! The wasmtime engines, made when the first component needs them.
//!
//! Two of them, because what wasi 0.3 needs (concurrent tasks in a store) makes
//! every store and call of a 0.2 component slower: a component gets the engine of
//! its generation. Both use the pooling allocator with copy-on-write images: a
//! slot keeps the mapping of the module it last held, and pages a guest dirtied
//! are put back in place instead of being given back to the kernel, so a warm
//! request takes no page faults.
//!
//! A pool reserves addresses, not memory: a slot never used costs a few bytes.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};

use gapless_proto::StartFailure;
use gapless_types::Fault;
use wasmtime::component::Linker;
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::failure::first_line;
use crate::host::Host;
use crate::ticker::Ticker;

/// Smallest pool worth having, where address space is scarce.
const INSTANCES_MIN: u32 = 16;
/// Core instances, memories and tables per component instance, on average over
/// the pool (a Rust component has 3 to 4 core instances, 1 memory and 2 tables).
const CORE_INSTANCES_EACH: u32 = 8;
const MEMORIES_EACH: u32 = 1;
const TABLES_EACH: u32 = 4;
/// The same for one component instance, at most.
const CORE_INSTANCES_MAX: u32 = 64;
const MEMORIES_MAX: u32 = 8;
const TABLES_MAX: u32 = 64;
/// Largest table; interpreters compiled to Wasm have tens of thousands of functions.
const TABLE_ELEMENTS_MAX: usize = 100_000;
/// Bookkeeping of one instance; interpreters need more than the default.
const INSTANCE_BYTES_MAX: usize = 4 << 20;
/// How much of a memory's and of a table's dirtied pages stay in place for the
/// next instance in the slot.
const MEMORY_KEPT_BYTES: usize = 1 << 20;
const TABLE_KEPT_BYTES: usize = 64 << 10;
/// Slots that keep the pages of a module nobody runs at the moment.
const WARM_SLOTS_MAX: u32 = 100;
/// The stack of a guest, and what of it its Wasm frames may use.
const STACK_BYTES: usize = 2 << 20;
const WASM_STACK_BYTES: usize = 1 << 20;

/// Which generation of wasi a component is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Generation {
    /// `wasi:http/incoming-handler@0.2`.
    P2,
    /// `wasi:http/handler@0.3`.
    P3,
}

impl Generation {
    pub(crate) const ALL: [Generation; 2] = [Generation::P2, Generation::P3];

    /// The generation of the component in `bytes`. A component that only mentions
    /// the name of 0.3's handler still runs on that engine, which links both.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        const HANDLER: &[u8] = b"wasi:http/handler@0.3";
        let mentioned = bytes.windows(HANDLER.len()).any(|window| window == HANDLER);
        if mentioned { Generation::P3 } else { Generation::P2 }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Generation::P2 => "p2",
            Generation::P3 => "p3",
        }
    }
}

/// An engine with everything a component may import.
pub(crate) struct Flavor {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<Host>,
    /// Changes with anything that makes compiled code of another engine useless.
    pub(crate) compatibility: u64,
}

/// Both engines.
pub(crate) struct Engines {
    instances_max: u32,
    flavors: [OnceLock<Result<Arc<Flavor>, StartFailure>>; 2],
    pub(crate) ticker: Ticker,
}

impl Engines {
    pub(crate) fn new(instances_max: u32) -> Self {
        Engines { instances_max, flavors: Default::default(), ticker: Ticker::default() }
    }

    /// The engine of a generation, made on first use.
    pub(crate) fn get(&self, generation: Generation) -> Result<Arc<Flavor>, StartFailure> {
        let made = self.flavors[generation as usize].get_or_init(|| {
            let flavor = make(generation, self.instances_max).map_err(|error| StartFailure {
                fault: Fault::Platform,
                kind: "NoEngine",
                message: format!("the WebAssembly engine does not start: {}", first_line(&error)),
            })?;
            self.ticker.add(flavor.engine.clone());
            Ok(Arc::new(flavor))
        });
        made.clone()
    }

    /// The engine of a generation, where it was made.
    pub(crate) fn made(&self, generation: Generation) -> Option<Arc<Flavor>> {
        self.flavors[generation as usize].get()?.clone().ok()
    }
}

fn make(generation: Generation, instances_max: u32) -> wasmtime::Result<Flavor> {
    let mut instances = instances_max.max(INSTANCES_MIN);
    let engine = loop {
        // A limit on address space (`ulimit -v`) shows here: take a smaller pool.
        match Engine::new(&config(generation, instances)) {
            Ok(engine) => break engine,
            Err(_) if instances > INSTANCES_MIN => instances = (instances / 4).max(INSTANCES_MIN),
            Err(error) => return Err(error),
        }
    };
    if instances < instances_max {
        tracing::warn!(instances, wanted = instances_max, "address space is scarce: smaller pool");
    }
    let mut linker = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    if generation == Generation::P3 {
        wasmtime_wasi::p3::add_to_linker(&mut linker)?;
        wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    }
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    Ok(Flavor { engine, linker, compatibility: hasher.finish() })
}

fn config(generation: Generation, instances: u32) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(CORE_INSTANCES_EACH))
        .total_memories(instances.saturating_mul(MEMORIES_EACH))
        .total_tables(instances.saturating_mul(TABLES_EACH))
        .total_stacks(instances.saturating_mul(2))
        .max_core_instances_per_component(CORE_INSTANCES_MAX)
        .max_memories_per_component(MEMORIES_MAX)
        .max_tables_per_component(TABLES_MAX)
        .table_elements(TABLE_ELEMENTS_MAX)
        .max_component_instance_size(INSTANCE_BYTES_MAX)
        .max_core_instance_size(INSTANCE_BYTES_MAX)
        .linear_memory_keep_resident(MEMORY_KEPT_BYTES)
        .table_keep_resident(TABLE_KEPT_BYTES)
        .max_unused_warm_slots(WARM_SLOTS_MAX)
        .pagemap_scan(Enabled::Auto);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .wasm_component_model(true)
        .epoch_interruption(true)
        .async_stack_size(STACK_BYTES)
        .max_wasm_stack(WASM_STACK_BYTES);
    match generation {
        Generation::P2 => config.concurrency_support(false),
        Generation::P3 => config.wasm_component_model_async(true),
    };
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_are_made_on_first_use_and_differ() {
        let engines = Engines::new(32);
        let p2 = engines.get(Generation::P2).unwrap();
        assert!(Arc::ptr_eq(&p2, &engines.get(Generation::P2).unwrap()));
        let p3 = engines.get(Generation::P3).unwrap();
        assert_ne!(p2.compatibility, p3.compatibility, "their caches must not mix");
    }

    #[test]
    fn the_generation_is_read_from_the_names() {
        assert_eq!(Generation::of(b"..wasi:http/incoming-handler@0.2.0.."), Generation::P2);
        assert_eq!(Generation::of(b"..wasi:http/handler@0.3.0.."), Generation::P3);
    }
}
