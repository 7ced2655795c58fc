//! The gateway: finds the function a request is for, waits for a slot, forwards.
//!
//! ```text
//!   net::server -> gateway.handle -> routes (host or path -> revision)
//!                                 -> queue  (admit: a slot, a wait, or a refusal)
//!                                 -> forward (headers, the call, the answer's body)
//! ```
//!
//! - `gateway`: the life of one request, read top to bottom;
//! - `routes`: which host and path is which function;
//! - `queue`: one revision's dispatch core and what it stands for (waiting
//!   clients, leased instances), behind one short lock;
//! - `links`: what control says to us;
//! - `forward`, `headers`: the request as the instance gets it, and back;
//! - `answer`: the body on its way to the client, holding the slot until its end;
//! - `refusal`: every status a client gets from us and not from a function.
//!
//! What always holds: bodies pass frame by frame; a client that leaves gives its
//! slot back; links are called with no lock held.

mod answer;
mod forward;
mod gateway;
mod headers;
mod links;
mod queue;
mod refusal;
mod routes;

pub use gateway::{Gateway, GatewayConfig};
