//! Keeps tenants apart where nodes are dedicated (OpenWhisk, dedicated namespaces;
//! Volcano, nodegroup; Fission, tenants): a node dedicated to a tenant admits only it,
//! and a shape that asks for dedicated nodes is placed on no other.

use crate::context::Context;
use crate::policy::{Filter, Policy, Scope};
use crate::profile::{ParamError, Params};
use crate::state::NodeIndex;

/// A dedicated node admits only its tenant.
#[derive(Debug)]
pub struct TenantDedication;

impl Policy for TenantDedication {
    const NAME: &'static str = "tenant-dedication";
    const SUMMARY: &'static str = "a dedicated node admits only its tenant";

    fn read(_: &mut Params) -> Result<Self, ParamError> {
        Ok(TenantDedication)
    }
}

impl Filter for TenantDedication {
    fn scope(&self) -> Scope {
        Scope::Fixed
    }

    fn passes(&self, cx: &Context<'_>, node: NodeIndex) -> bool {
        let dedicated = cx.state.dedicated(node);
        if cx.shape.spec.dedicated {
            dedicated == cx.shape.dedicated
        } else {
            dedicated == 0 || dedicated == cx.shape.dedicated
        }
    }

    fn lacking(&self, cx: &Context<'_>) -> String {
        match cx.shape.spec.dedicated {
            true => format!("not dedicated to {}", cx.shape.spec.tenant),
            false => "dedicated to another tenant".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    #[test]
    fn a_dedicated_node_is_its_tenants_alone() {
        let mut lab = Lab::new();
        lab.node("anybody", |_| {});
        lab.node("bank", |n| n.tenant = Some("bank".into()));
        let other = lab.shape("shop/f", |_| {});
        assert_eq!(lab.passes(&TenantDedication, other), [true, false]);
        let bank = lab.shape("bank/f", |_| {});
        assert_eq!(lab.passes(&TenantDedication, bank), [true, true]);
        let strict = lab.shape("bank/g", |s| s.dedicated = true);
        assert_eq!(lab.passes(&TenantDedication, strict), [false, true]);
    }
}
