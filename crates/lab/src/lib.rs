//! Benches, load and the demo.
//!
//! What is measured here is what users run: the platform is a child process
//! (this program, `up`), spoken to over HTTP. This crate links no server.
//!
//! | part | where |
//! |---|---|
//! | the load generator | [`load`] |
//! | `gapless bench` | [`bench`] |
//! | `gapless demo` | [`demo`] |
//! | `gapless sim`, `gapless lab start` | [`start`] |
//! | `gapless lab balance` | [`balance`] |
//! | `gapless replay`: a trace on a running platform | [`replay`] |
//! | the platform as a child process, its API | [`platform`], [`api`], [`child`] |

mod api;
pub mod balance;
pub mod bench;
mod child;
pub mod demo;
mod interrupt;
pub mod load;
mod platform;
pub mod replay;
pub mod start;

pub use interrupt::Interrupted;
