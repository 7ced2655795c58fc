//! Keeps instances apart that must not share a node (Kubernetes, required pod
//! anti-affinity; openYuanrong, instance labels): an instance is not placed beside what
//! it avoids, nor beside an instance that avoids it. One that avoids its own function
//! has at most one instance per node. At odds with whatever keeps a function together.

use crate::context::Context;
use crate::policy::{Filter, Policy, Scope};
use crate::profile::{ParamError, Params};
use crate::state::NodeIndex;

/// A node must not run what the instance avoids, or what avoids it.
#[derive(Debug)]
pub struct RequiredAntiAffinity;

impl Policy for RequiredAntiAffinity {
    const NAME: &'static str = "required-anti-affinity";
    const SUMMARY: &'static str = "a node must not run what the instance avoids, or what avoids it";

    fn read(_: &mut Params) -> Result<Self, ParamError> {
        Ok(RequiredAntiAffinity)
    }
}

impl Filter for RequiredAntiAffinity {
    fn applies(&self, cx: &Context<'_>) -> bool {
        !cx.shape.spec.avoid.is_empty() || cx.avoided_by().next().is_some()
    }

    fn scope(&self) -> Scope {
        Scope::Usage
    }

    fn passes(&self, cx: &Context<'_>, node: NodeIndex) -> bool {
        cx.avoid().chain(cx.avoided_by()).all(|counts| counts.on(node) == 0)
    }

    fn lacking(&self, _: &Context<'_>) -> String {
        "that run what it must not be beside".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    #[test]
    fn avoiding_works_both_ways() {
        let mut lab = Lab::new();
        lab.node("a", |_| {});
        lab.node("b", |_| {});
        let loud = lab.shape("x/loud", |s| s.marks = vec!["noise=high".into()]);
        let quiet = lab.shape("x/quiet", |s| s.avoid = vec!["noise=high".into()]);
        lab.run(loud, "a", 1);
        assert_eq!(lab.passes(&RequiredAntiAffinity, quiet), [false, true]);
        lab.run(quiet, "b", 1);
        assert_eq!(lab.passes(&RequiredAntiAffinity, loud), [true, false]);
        let neither = lab.shape("x/neither", |_| {});
        assert!(!lab.filter_applies(&RequiredAntiAffinity, neither));
    }

    #[test]
    fn one_that_avoids_itself_is_once_per_node() {
        let mut lab = Lab::new();
        lab.node("a", |_| {});
        lab.node("b", |_| {});
        let single = lab.shape("x/single", |s| s.avoid = vec!["x/single".into()]);
        lab.run(single, "a", 1);
        assert_eq!(lab.passes(&RequiredAntiAffinity, single), [false, true]);
    }
}
