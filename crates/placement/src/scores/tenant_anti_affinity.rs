//! Prefers nodes where fewer instances are other tenants' (SySched; cloud providers'
//! spreading of tenants): what one tenant could learn of or do to another needs a shared
//! node. Pulls against packing.

use crate::context::Context;
use crate::policy::{Policy, Scope, Score};
use crate::profile::{ParamError, Params};
use crate::state::NodeIndex;

/// Prefers nodes with fewer instances of other tenants.
#[derive(Debug)]
pub struct TenantAntiAffinity;

impl Policy for TenantAntiAffinity {
    const NAME: &'static str = "tenant-anti-affinity";
    const SUMMARY: &'static str = "prefers nodes with fewer instances of other tenants";

    fn read(_: &mut Params) -> Result<Self, ParamError> {
        Ok(TenantAntiAffinity)
    }
}

impl Score for TenantAntiAffinity {
    fn scope(&self) -> Scope {
        Scope::Usage
    }

    fn score(&self, cx: &Context<'_>, node: NodeIndex) -> f32 {
        let instances = cx.state.instances_on(node);
        if instances == 0 {
            return 0.0;
        }
        (instances - cx.tenant().on(node).min(instances)) as f32 / instances as f32
    }

    fn normalise(&self, raw: f32) -> f32 {
        1.0 - raw
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    #[test]
    fn strangers_cost() {
        let mut lab = Lab::new();
        for name in ["empty", "own", "mixed", "strangers"] {
            lab.node(name, |_| {});
        }
        let (own, other) = (lab.shape("a/f", |_| {}), lab.shape("b/f", |_| {}));
        for (shape, node) in [(own, "own"), (own, "mixed"), (other, "mixed"), (other, "strangers")]
        {
            lab.run(shape, node, 1);
        }
        assert_eq!(lab.scores(&TenantAntiAffinity, own), [1.0, 1.0, 0.5, 0.0]);
    }
}
