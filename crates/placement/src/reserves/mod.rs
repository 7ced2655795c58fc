//! Reserves: what an instance occupies, taken and given back exactly.
//! One policy per file; [`registry`](crate::registry) lists them.

mod census;
mod devices;
mod numa;
mod resources;

pub use census::Census;
pub use devices::Devices;
pub use numa::Numa;
pub use resources::Resources;
