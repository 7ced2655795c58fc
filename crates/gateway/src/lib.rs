//! The gateway: finds the function a request is for, waits for a slot, forwards.
//!
//! ```text
//!   net::server -> gateway.handle -> routes (host or path -> revision)
//!                                 -> queue  (admit: a slot, a wait, or a refusal)
//!                                 -> forward (headers, the call, the answer's body)
//! ```
//!
//! - `gateway`: the life of one request, read top to bottom;
//! - `routes`: which host and path is which function, and its tag;
//! - `split`: which revision takes a request that has no tag;
//! - `queue`: one revision's dispatch core and what it stands for (waiting
//!   clients, leased instances), behind one short lock;
//! - `ticket`: a request's place in a queue, then its slot;
//! - `leased`: an instance and how it is reached;
//! - `links`: what control says to us;
//! - `probe`: a revision is tried before it takes requests;
//! - `tally`: what became of a revision's requests;
//! - `forward`, `headers`: the request as the instance gets it, and back;
//! - `answer`: the body on its way to the client, holding the slot until its end;
//! - `own`, `refusal`: every answer a client gets from us and not from a function.
//!
//! How long a body may take is not bounded by `spec.timeout`, which ends with the
//! head of the answer: streams may be long. A client that stops reading is cut by
//! the server ([`gapless_net::Limits::client_stall`]), and an instance that stops
//! sending is cut when its client leaves.
//!
//! What always holds: bodies pass frame by frame; a client that leaves gives its
//! slot back; links are called with no lock held.

mod answer;
mod forward;
mod gateway;
mod headers;
mod leased;
mod links;
mod own;
mod probe;
mod queue;
mod refusal;
mod routes;
mod shared;
mod split;
mod tally;
mod ticket;

pub use answer::Answer;
pub use gateway::{Gateway, GatewayConfig};
