//! Keeps code that users built off nodes for what the platform built, and the other way
//! round (OpenWhisk, managed and black-box invokers): an escape from a sandbox then
//! meets only its like.

use crate::context::Context;
use crate::node::NodeTrust;
use crate::policy::{Filter, Policy, Scope};
use crate::profile::{ParamError, Params};
use crate::state::NodeIndex;

/// Managed and untrusted code run on different nodes.
#[derive(Debug)]
pub struct TrustPartition;

impl Policy for TrustPartition {
    const NAME: &'static str = "trust-partition";
    const SUMMARY: &'static str = "managed and untrusted code run on different nodes";

    fn read(_: &mut Params) -> Result<Self, ParamError> {
        Ok(TrustPartition)
    }
}

impl Filter for TrustPartition {
    fn scope(&self) -> Scope {
        Scope::Fixed
    }

    fn passes(&self, cx: &Context<'_>, node: NodeIndex) -> bool {
        match cx.state.trust(node) {
            NodeTrust::Any => true,
            NodeTrust::Managed => !cx.shape.spec.is_untrusted,
            NodeTrust::Untrusted => cx.shape.spec.is_untrusted,
        }
    }

    fn lacking(&self, cx: &Context<'_>) -> String {
        match cx.shape.spec.is_untrusted {
            true => "only for managed code".to_owned(),
            false => "only for untrusted code".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    #[test]
    fn the_partitions_do_not_mix() {
        let mut lab = Lab::new();
        lab.node("any", |_| {});
        lab.node("managed", |n| n.trust = NodeTrust::Managed);
        lab.node("untrusted", |n| n.trust = NodeTrust::Untrusted);
        let managed = lab.shape("a/f", |_| {});
        assert_eq!(lab.passes(&TrustPartition, managed), [true, true, false]);
        let untrusted = lab.shape("a/g", |s| s.is_untrusted = true);
        assert_eq!(lab.passes(&TrustPartition, untrusted), [true, false, true]);
    }
}
