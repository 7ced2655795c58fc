//! A modelled node: what it serves and starts, and which images it holds.

use std::collections::{BTreeMap, HashMap, VecDeque};

use foldhash::fast::FixedState;
use gapless_types::InstanceId;

use crate::config::Config;
use crate::sharing::{Rate, Sharing};

/// A modelled node.
#[derive(Debug)]
pub(crate) struct Node {
    /// Requests under way, by their number.
    pub(crate) serving: Sharing,
    /// Starts under way, by instance.
    pub(crate) starting: Sharing,
    /// Starts whose turn has not come.
    waiting: VecDeque<InstanceId>,
    at_once: usize,
    images: Images,
    pub(crate) is_up: bool,
}

impl Node {
    pub(crate) fn new(config: &Config) -> Self {
        let cores = Rate::Cores {
            cores: f64::from(config.cores),
            demand: config.cpu_per_request.max(1e-9),
        };
        Node {
            serving: Sharing::new(cores),
            starting: Sharing::new(Rate::Each { share: config.start.each }),
            waiting: VecDeque::new(),
            at_once: config.starts_at_once as usize,
            images: Images::new(config.images_max as usize),
            is_up: true,
        }
    }

    /// A start is asked for. Whether its turn is now; else it waits.
    pub(crate) fn asks_turn(&mut self, instance: InstanceId) -> bool {
        let is_now = self.starting.len() < self.at_once && self.waiting.is_empty();
        if !is_now {
            self.waiting.push_back(instance);
        }
        is_now
    }

    /// Whose turn it is, now that a start has ended.
    pub(crate) fn next_turn(&mut self) -> Option<InstanceId> {
        match self.starting.len() < self.at_once {
            true => self.waiting.pop_front(),
            false => None,
        }
    }

    /// A start that waited is dropped. False if it did not wait.
    pub(crate) fn leaves_queue(&mut self, instance: InstanceId) -> bool {
        let place = self.waiting.iter().position(|waiting| *waiting == instance);
        place.is_some_and(|place| self.waiting.remove(place).is_some())
    }

    /// A function is started here. Whether its image was here, and whose had to go.
    pub(crate) fn uses_image(&mut self, function: u32) -> (bool, Option<u32>) {
        self.images.uses(function)
    }

    /// The node is down: everything on it is lost but its images.
    pub(crate) fn fails(&mut self) {
        self.is_up = false;
        self.serving.clear();
        self.starting.clear();
        self.waiting.clear();
    }
}

/// The images or snapshots that a node holds, the one used last longest.
#[derive(Debug)]
struct Images {
    max: usize,
    used: u64,
    by_function: HashMap<u32, u64, FixedState>,
    by_use: BTreeMap<u64, u32>,
}

impl Images {
    fn new(max: usize) -> Self {
        Images { max, used: 0, by_function: HashMap::default(), by_use: BTreeMap::new() }
    }

    fn uses(&mut self, function: u32) -> (bool, Option<u32>) {
        self.used += 1;
        let former = self.by_function.insert(function, self.used);
        if let Some(former) = former {
            self.by_use.remove(&former);
        }
        self.by_use.insert(self.used, function);
        let gone = if self.by_use.len() > self.max { self.by_use.pop_first() } else { None };
        let gone = gone.map(|(_, function)| function);
        if let Some(gone) = &gone {
            self.by_function.remove(gone);
        }
        (former.is_some(), gone)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gapless_types::Time;

    use super::*;

    #[test]
    fn turns_are_taken_in_order_and_can_be_given_up() {
        let mut node = Node::new(&Config { starts_at_once: 1, ..Config::default() });
        assert!(node.asks_turn(InstanceId(1)));
        node.starting.add(Time::ZERO, 1, Duration::from_millis(5));
        assert!(!node.asks_turn(InstanceId(2)) && !node.asks_turn(InstanceId(3)));
        assert!(node.leaves_queue(InstanceId(2)) && !node.leaves_queue(InstanceId(2)));
        assert_eq!(node.next_turn(), None);
        assert_eq!(node.starting.pop_ended(Time::from_millis(5)), Some(1));
        assert_eq!(node.next_turn(), Some(InstanceId(3)));
    }

    #[test]
    fn the_image_used_longest_ago_goes() {
        let mut images = Images::new(2);
        assert_eq!(images.uses(1), (false, None));
        assert_eq!(images.uses(2), (false, None));
        assert_eq!(images.uses(1), (true, None));
        assert_eq!(images.uses(3), (false, Some(2)));
        assert_eq!(images.uses(1), (true, None));
    }
}
