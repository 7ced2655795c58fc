//! [`Counts`]: where the instances with one mark are: per node, per rack, per zone.

use foldhash::fast::FixedState;

use super::{Level, NodeIndex};

type Map<K, V> = std::collections::HashMap<K, V, FixedState>;

/// Numbers of instances by place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    nodes: Map<u32, u32>,
    zones: Vec<u32>,
    racks: Vec<u32>,
    total: u32,
}

impl Counts {
    /// On a node.
    #[inline]
    pub fn on(&self, node: NodeIndex) -> u32 {
        if self.total == 0 { 0 } else { self.nodes.get(&node.0).copied().unwrap_or(0) }
    }

    /// In a zone.
    #[inline]
    pub fn in_zone(&self, zone: u32) -> u32 {
        self.zones.get(zone as usize).copied().unwrap_or(0)
    }

    /// In a rack.
    #[inline]
    pub fn in_rack(&self, rack: u32) -> u32 {
        self.racks.get(rack as usize).copied().unwrap_or(0)
    }

    /// In a zone or a rack.
    #[inline]
    pub fn within(&self, domain: super::Domain) -> u32 {
        domain.rack.map_or_else(|| self.in_zone(domain.zone), |rack| self.in_rack(rack))
    }

    /// In the busiest zone or rack.
    pub fn most(&self, level: Level) -> u32 {
        let counts = match level {
            Level::Zone => &self.zones,
            Level::Rack => &self.racks,
        };
        counts.iter().copied().max().unwrap_or(0)
    }

    /// All told.
    #[inline]
    pub fn total(&self) -> u32 {
        self.total
    }

    /// The nodes that have any, in no particular order.
    pub fn nodes(&self) -> impl Iterator<Item = NodeIndex> + '_ {
        self.nodes.keys().map(|node| NodeIndex(*node))
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        let nodes = self.nodes.capacity() * 9;
        nodes + (self.zones.capacity() + self.racks.capacity()) * 4 + size_of::<Self>()
    }

    pub(crate) fn add(&mut self, node: NodeIndex, zone: u32, rack: u32) {
        *self.nodes.entry(node.0).or_default() += 1;
        for (counts, place) in [(&mut self.zones, zone), (&mut self.racks, rack)] {
            if counts.len() <= place as usize {
                counts.resize(place as usize + 1, 0);
            }
            counts[place as usize] += 1;
        }
        self.total += 1;
    }

    pub(crate) fn remove(&mut self, node: NodeIndex, zone: u32, rack: u32) {
        let Some(count) = self.nodes.get_mut(&node.0) else { return };
        *count -= 1;
        if *count == 0 {
            self.nodes.remove(&node.0);
        }
        self.zones[zone as usize] -= 1;
        self.racks[rack as usize] -= 1;
        self.total -= 1;
        if self.total == 0 {
            *self = Counts::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_removed_leaves_nothing() {
        let mut counts = Counts::default();
        counts.add(NodeIndex(5), 1, 3);
        counts.add(NodeIndex(5), 1, 3);
        counts.add(NodeIndex(6), 0, 2);
        assert_eq!((counts.on(NodeIndex(5)), counts.in_zone(1), counts.in_rack(3)), (2, 2, 2));
        assert_eq!((counts.total(), counts.most(Level::Zone), counts.in_rack(99)), (3, 2, 0));
        for node in [5, 6, 5] {
            let (zone, rack) = if node == 5 { (1, 3) } else { (0, 2) };
            counts.remove(NodeIndex(node), zone, rack);
        }
        assert_eq!(counts, Counts::default());
    }
}
