//! Keeps new instances off nodes that are cordoned or drained; what runs there stays
//! (Kubernetes, NodeUnschedulable; openYuanrong, node state EVICTING).

use crate::context::Context;
use crate::policy::{Filter, Policy, Scope};
use crate::profile::{ParamError, Params};
use crate::state::NodeIndex;

/// A node must take new instances.
#[derive(Debug)]
pub struct Unschedulable;

impl Policy for Unschedulable {
    const NAME: &'static str = "unschedulable";
    const SUMMARY: &'static str = "a node must take new instances";
    const IS_ESSENTIAL: bool = true;

    fn read(_: &mut Params) -> Result<Self, ParamError> {
        Ok(Unschedulable)
    }
}

impl Filter for Unschedulable {
    fn scope(&self) -> Scope {
        Scope::Fixed
    }

    fn passes(&self, cx: &Context<'_>, node: NodeIndex) -> bool {
        !cx.state.cordoned().contains(node)
    }

    fn lacking(&self, _: &Context<'_>) -> String {
        "that are drained or cordoned".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    #[test]
    fn a_cordoned_node_takes_nothing_new() {
        let mut lab = Lab::new();
        lab.node("open", |_| {});
        lab.node("closed", |_| {});
        let shape = lab.shape("a/f", |_| {});
        assert_eq!(lab.passes(&Unschedulable, shape), [true, true]);
        lab.cordon("closed");
        assert_eq!(lab.passes(&Unschedulable, shape), [true, false]);
    }
}
