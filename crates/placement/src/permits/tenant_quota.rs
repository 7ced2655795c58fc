//! A tenant has at most so many instances (Kubernetes, ResourceQuota; Volcano,
//! capacity; OpenWhisk, concurrent invocations per namespace): what is beyond is
//! refused, not queued in front of others.

use crate::policy::{Lot, Permit, Policy, Verdict};
use crate::profile::{ParamError, Params};

/// A bound on a tenant's instances.
#[derive(Debug)]
pub struct TenantQuota {
    instances: u32,
}

impl Policy for TenantQuota {
    const NAME: &'static str = "tenant-quota";
    const SUMMARY: &'static str = "a tenant has at most so many instances";

    /// `instances`: how many.
    fn read(params: &mut Params) -> Result<Self, ParamError> {
        let instances = params.number("instances", 1000.0, 0.0, 1e6)? as u32;
        Ok(TenantQuota { instances })
    }
}

impl Permit for TenantQuota {
    fn permit(&self, lot: &Lot<'_>) -> Verdict {
        let over = lot.tenant_instances.saturating_sub(self.instances);
        if over == 0 {
            return Verdict::Allow;
        }
        let (tenant, most) = (&lot.shape.spec.tenant, self.instances);
        let why = format!("{tenant} has its {most} instances, the quota of its profile");
        Verdict::Keep(lot.placed.saturating_sub(over), why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    #[test]
    fn what_is_over_is_not_kept() {
        let mut lab = Lab::new();
        let quota: TenantQuota = lab.policy(&[("instances", 5.0)]);
        let shape = lab.shape("a/f", |_| {});
        let shape = lab.cluster.shape(shape).unwrap();
        // What is being placed is in the tenant's count already.
        let lot = |tenant_instances, placed| Lot {
            state: lab.cluster.state(),
            shape,
            tenant_instances,
            is_group: false,
            wanted: 4,
            placed,
        };
        assert_eq!(quota.permit(&lot(5, 4)), Verdict::Allow);
        assert!(matches!(quota.permit(&lot(7, 4)), Verdict::Keep(2, _)));
        assert!(matches!(quota.permit(&lot(20, 4)), Verdict::Keep(0, _)));
    }
}
