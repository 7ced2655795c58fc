//! The gateway on real sockets, with closures and small servers as instances.

mod instances;
mod platform;
mod queueing;
mod refusals;
mod routing;
mod streaming;
mod traffic;
mod upgrades;
