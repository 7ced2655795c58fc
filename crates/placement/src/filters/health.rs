//! Keeps instances off nodes that do not answer (OpenWhisk, invoker states offline,
//! unhealthy and unresponsive).

use crate::context::Context;
use crate::policy::{Filter, Policy, Scope};
use crate::profile::{ParamError, Params};
use crate::state::NodeIndex;

/// A node must answer.
#[derive(Debug)]
pub struct Health;

impl Policy for Health {
    const NAME: &'static str = "health";
    const SUMMARY: &'static str = "a node must answer";
    const IS_ESSENTIAL: bool = true;

    fn read(_: &mut Params) -> Result<Self, ParamError> {
        Ok(Health)
    }
}

impl Filter for Health {
    fn scope(&self) -> Scope {
        Scope::Fixed
    }

    fn passes(&self, cx: &Context<'_>, node: NodeIndex) -> bool {
        cx.state.healthy().contains(node)
    }

    fn lacking(&self, _: &Context<'_>) -> String {
        "that do not answer".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    #[test]
    fn a_node_that_does_not_answer_is_left_out() {
        let mut lab = Lab::new();
        lab.node("up", |_| {});
        lab.node("down", |_| {});
        lab.unhealthy("down");
        let shape = lab.shape("a/f", |_| {});
        assert_eq!(lab.passes(&Health, shape), [true, false]);
    }
}
