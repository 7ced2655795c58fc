//! [`Layout`]: the nodes in order of zone, rack and number. A zone or a rack is then
//! a range, and a walk in even steps visits every zone in proportion.

use crate::state::{Domain, Level, NodeIndex, State};

/// Where a node is not in the layout.
const NOWHERE: u32 = u32::MAX;

/// The nodes in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout {
    pub(crate) epoch: u64,
    pub(crate) order: Vec<NodeIndex>,
    position: Vec<u32>,
}

impl Layout {
    pub(crate) fn new(state: &State, epoch: u64) -> Self {
        let mut order: Vec<NodeIndex> = state.nodes().collect();
        order.sort_unstable_by_key(|node| (state.zone(*node), state.rack(*node), node.0));
        let mut position = vec![NOWHERE; state.slots() as usize];
        for (at, node) in order.iter().enumerate() {
            position[node.index()] = at as u32;
        }
        Layout { epoch, order, position }
    }

    /// Where a node is; `None` when it is not there any more.
    pub(crate) fn position(&self, node: NodeIndex) -> Option<usize> {
        let at = self.position.get(node.index()).copied().filter(|at| *at != NOWHERE);
        at.map(|at| at as usize)
    }
}

/// The domain of a node, at a level; one for all when no level is asked for.
pub(crate) fn domain_of(state: &State, node: NodeIndex, level: Option<Level>) -> Option<Domain> {
    let zone = state.zone(node);
    level.map(|level| match level {
        Level::Zone => Domain { zone, rack: None },
        Level::Rack => Domain { zone, rack: Some(state.rack(node)) },
    })
}
