//! [`Cost`]: what a placement is judged by, the same in the simulator and live. Lower is
//! better; 1.5 is an instance that lost no time on a node that was full and usual.
//!
//! The worth of the parts against each other is assumed, and the same for everybody: a
//! second of waiting for a second of work is worth twice the node that would have spared
//! it, a failure ten instances, and a sensitive instance's time among other tenants half
//! of one.

/// What a share of a node's time is worth.
pub const NODE_COST: f64 = 0.5;
/// What a failure is worth.
pub const FAILURE_COST: f64 = 10.0;
/// What being among other tenants is worth to who minds.
pub const EXPOSURE_COST: f64 = 0.5;

/// What an instance costs that lost no time, on a full node of usual price: work and its
/// share of a node, which no placement can save. Cheaper nodes can go below it.
pub const UNAVOIDABLE: f64 = 1.0 + NODE_COST;

/// The parts of one instance's cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Time until its work was done, over the least it could have taken. Interference is in it.
    pub slowdown: f64,
    /// What of a node's time it paid for, over what it reserved: 1 on a full node.
    pub node_hours: f64,
    /// 1 where it did not start or was lost; more for many at once.
    pub failures: f64,
    /// Share of other tenants beside it, where that matters to it.
    pub exposure: f64,
}

impl Cost {
    /// All of it.
    pub fn total(&self) -> f64 {
        self.slowdown
            + NODE_COST * self.node_hours
            + FAILURE_COST * self.failures
            + EXPOSURE_COST * self.exposure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_that_lost_nothing_costs_one_and_a_half() {
        let best = Cost { slowdown: 1.0, node_hours: 1.0, ..Cost::default() };
        assert_eq!(best.total(), UNAVOIDABLE);
        assert_eq!(Cost { failures: 1.0, ..best }.total(), 11.5);
    }
}
