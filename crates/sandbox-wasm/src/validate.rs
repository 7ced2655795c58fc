//! Whether a file is a component this platform can run; if not, a sentence that
//! says what it is instead and what to do.

use gapless_proto::StartFailure;
use gapless_types::Fault;
use wasmtime::component::Component;

use crate::engine::Flavor;

/// Interfaces of these packages are provided.
const PROVIDED: [&str; 7] = [
    "wasi:cli/",
    "wasi:clocks/",
    "wasi:filesystem/",
    "wasi:http/",
    "wasi:io/",
    "wasi:random/",
    "wasi:sockets/",
];
/// Names listed in one message.
const NAMES_SHOWN_MAX: usize = 8;

fn refused(kind: &'static str, message: String) -> StartFailure {
    StartFailure { fault: Fault::Function, kind, message }
}

/// Checks the file's first bytes, before it is compiled.
pub(crate) fn preamble(bytes: &[u8]) -> Result<(), StartFailure> {
    const COMPONENT: [u8; 4] = [0x0d, 0, 1, 0];
    const CORE: [u8; 4] = [1, 0, 0, 0];
    let Some(rest) = bytes.strip_prefix(b"\0asm") else {
        let begins = &bytes[..bytes.len().min(4)];
        let message = match begins {
            [] => "the file is empty; spec.wasm must name a WebAssembly component".to_owned(),
            _ => format!(
                "the file is not WebAssembly: it begins with {:?}; spec.wasm must name a component",
                begins.escape_ascii().to_string()
            ),
        };
        return Err(refused("NotWasm", message));
    };
    if rest.starts_with(&COMPONENT) {
        return Ok(());
    }
    if rest.starts_with(&CORE) {
        let message = "this is a core module, not a component; build with --target wasm32-wasip2, \
                       or wrap it with `wasm-tools component new`";
        return Err(refused("CoreModule", message.to_owned()));
    }
    let message = "the file is WebAssembly of a version this platform does not know; rebuild it \
                   with a current toolchain for wasm32-wasip2";
    Err(refused("NotWasm", message.to_owned()))
}

/// A component that the compiler refused.
pub(crate) fn not_compiled(error: &wasmtime::Error) -> StartFailure {
    let text = format!("{error:#}");
    let line = text.lines().next().unwrap_or_default();
    refused("InvalidComponent", format!("the component is not valid WebAssembly: {line}"))
}

/// Checks that everything the component imports is provided.
pub(crate) fn imports(component: &Component, flavor: &Flavor) -> Result<(), StartFailure> {
    let ty = component.component_type();
    let is_provided = |name: &str| PROVIDED.iter().any(|prefix| name.starts_with(prefix));
    let missing: Vec<&str> = ty
        .imports(&flavor.engine)
        .map(|(name, _)| name)
        .filter(|name| !is_provided(name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!(
        "the component imports what this platform does not provide: {}; it provides wasi:cli, \
         clocks, filesystem (empty), http, io, random and sockets (closed) of version 0.2",
        listed(&missing)
    );
    Err(refused("UnknownImport", message))
}

/// A component whose imports cannot be linked although their packages are known.
pub(crate) fn not_linked(error: &wasmtime::Error) -> StartFailure {
    let text = format!("{error:#}").replace('\n', " ");
    refused("UnknownImport", format!("the component's imports do not fit this platform: {text}"))
}

/// A component that has no handler this platform can call.
pub(crate) fn no_handler(component: &Component, flavor: &Flavor) -> StartFailure {
    let ty = component.component_type();
    let found: Vec<&str> = ty.exports(&flavor.engine).map(|(name, _)| name).collect();
    let exports = match found.is_empty() {
        true => "nothing".to_owned(),
        false => listed(&found),
    };
    let message = format!(
        "the component exports {exports}; needed is wasi:http/incoming-handler@0.2 or \
         wasi:http/handler@0.3 (the world wasi:http/proxy)"
    );
    refused("WrongWorld", message)
}

/// A component whose memories are larger at the start than the function allows.
pub(crate) fn memory(component: &Component, memory_bytes_max: u64) -> Result<(), StartFailure> {
    const PAGE_BYTES: u64 = 64 << 10;
    let required = component.resources_required();
    let pages = required.and_then(|required| required.max_initial_memory_size).unwrap_or(0);
    let bytes = pages.saturating_mul(PAGE_BYTES);
    if bytes <= memory_bytes_max {
        return Ok(());
    }
    let message = format!(
        "the component begins with a memory of {:.1} MiB, spec.resources.memory allows {} MiB",
        bytes as f64 / f64::from(1 << 20),
        memory_bytes_max >> 20
    );
    Err(refused("MemoryTooSmall", message))
}

fn listed(names: &[&str]) -> String {
    let mut text = names[..names.len().min(NAMES_SHOWN_MAX)].join(", ");
    if names.len() > NAMES_SHOWN_MAX {
        text.push_str(&format!(" and {} more", names.len() - NAMES_SHOWN_MAX));
    }
    text
}
