//! HTTP substrate: what gateway and benches build on, with no idea of functions.
//!
//! - [`server`]: accepts connections, serves HTTP/1.1 and HTTP/2 (prior
//!   knowledge) on each, drains at shutdown;
//! - [`client`]: connections to instances, kept in a small stack per instance
//!   and driven by the request that uses them, and HTTP/1.1 on them;
//! - [`listen`]: with room for a burst of clients;
//! - [`upgrade`]: passes an upgraded connection (WebSocket) through.

mod activity;
pub mod client;
mod io;
pub mod linger;
mod listen;
pub mod server;
pub mod upgrade;

pub use client::{Connected, ConnectionBody, Pool};
pub use io::Stream;
pub use listen::listen;
pub use server::{Handler, Limits, serve};
