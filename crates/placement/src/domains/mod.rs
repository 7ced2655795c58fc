//! Domain scores: how good is this zone or rack?
//! One policy per file; [`registry`](crate::registry) lists them.

mod group_pack;
mod group_spread;
mod network_cost;
mod topology_spread;

pub use group_pack::GroupPack;
pub use group_spread::GroupSpread;
pub use network_cost::NetworkCost;
pub use topology_spread::TopologySpread;
