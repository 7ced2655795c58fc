//! Prefers nodes with a prewarmed sandbox of the instance's environment (Fission, pools
//! by environment; openYuanrong, X-Pool-Label): a start there takes one that is half made.

use crate::context::Context;
use crate::policy::{Policy, Scope, Score};
use crate::profile::{ParamError, Params};
use crate::state::NodeIndex;

/// Prefers nodes with prewarmed sandboxes of its environment.
#[derive(Debug)]
pub struct PoolAffinity;

impl Policy for PoolAffinity {
    const NAME: &'static str = "pool-affinity";
    const SUMMARY: &'static str = "prefers nodes with prewarmed sandboxes of its environment";

    fn read(_: &mut Params) -> Result<Self, ParamError> {
        Ok(PoolAffinity)
    }
}

impl Score for PoolAffinity {
    fn applies(&self, cx: &Context<'_>) -> bool {
        cx.pool().is_some()
    }

    fn scope(&self) -> Scope {
        Scope::Fixed
    }

    fn score(&self, cx: &Context<'_>, node: NodeIndex) -> f32 {
        cx.pool().map_or(0.0, |nodes| f32::from(u8::from(nodes.contains(node))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    use crate::node::Held;

    #[test]
    fn the_pool_draws() {
        let mut lab = Lab::new();
        lab.node("with", |_| {});
        lab.node("without", |_| {});
        lab.hold("with", Held::Pool, "python-3.13");
        let shape = lab.shape("a/f", |s| s.pool = Some("python-3.13".into()));
        assert_eq!(lab.scores(&PoolAffinity, shape), [1.0, 0.0]);
        let plain = lab.shape("a/g", |_| {});
        assert!(!lab.applies(&PoolAffinity, plain));
    }
}
