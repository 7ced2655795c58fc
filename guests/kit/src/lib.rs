//! HTTP for the guests: a request with its path, query and body, and an answer
//! that is written whole or as a stream. A thin layer over `wasi:http`, blocking,
//! one request at a time, because that is how an instance of a component runs.
//!
//! Always holds: a body is never read past the limit its reader names.

mod answer;
mod body;
mod request;

// Linked for its allocation function, which the host calls.
use wit_bindgen as _;

pub use answer::{Answer, BodyWriter, Gone};
pub use body::{BodyError, BodyReader};
pub use request::{Request, decode};

/// The longest piece of a body that is read or written at once.
pub const PIECE_BYTES: usize = 64 * 1024;
