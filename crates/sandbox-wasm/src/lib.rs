//! wasi:http components on wasmtime: the driver of kind `wasm`.
//!
//! ```text
//!  deploy   validate -> compile -> cache (disk, by digest and engine)      driver, cache
//!  start    resident module, or map it from the cache -> a seat            resident, seat
//!  request  a fresh store and instance -> guest runs on the caller's task  call, guest, run, body
//! ```
//!
//! What always holds:
//! - A request runs where it is polled: no task is spawned to serve it and no
//!   thread is handed to. The guest's future is polled by the call until the
//!   response's head is there, then by the response's body.
//! - A request sees memory nobody wrote to, unless the function asks for `reuse`.
//! - Whatever a guest does (traps, loops, grows, never answers, goes on after its
//!   answer) ends at its own timeout or limit and touches no other request.
//! - Only what this driver compiled itself is mapped as code.
//!
//! Why not the library's `ProxyHandler`: it runs each request in a task of its
//! own behind channels, which on a small machine costs more than the guest.
//!
//! # Concurrency and reuse
//!
//! An instance is a *seat*: it serves up to `spec.concurrency` requests at a time.
//! Without `spec.reuse` each of them gets a store and component instance of its
//! own, made ahead where that is off the way and dropped afterwards, so N requests
//! at a time are N separate memories. With `spec.reuse` a seat keeps up to
//! `concurrency` stores and gives each request one that is free: a memory serves
//! one request after the other, never two at once, and is dropped when it traps
//! and after [`REUSES_MAX`](live::REUSES_MAX) requests.

mod artifact;
mod body;
mod cache;
mod call;
mod driver;
mod engine;
mod failure;
mod guest;
mod host;
mod library;
mod live;
mod logs;
mod module;
mod outbound;
mod resident;
mod run;
mod seat;
mod terms;
mod ticker;
mod validate;

pub use driver::{WasmConfig, WasmDriver, WasmFigures};
