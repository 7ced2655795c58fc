//! Keeps instances off nodes whose labels do not satisfy what they require (Kubernetes,
//! NodeAffinity; OpenWhisk, strict tags; openYuanrong, ResourceSelector).

use crate::context::Context;
use crate::policy::{Filter, Policy, Scope};
use crate::profile::{ParamError, Params};
use crate::state::NodeIndex;

/// A node's labels must satisfy every requirement.
#[derive(Debug)]
pub struct RequiredLabels;

impl Policy for RequiredLabels {
    const NAME: &'static str = "required-labels";
    const SUMMARY: &'static str = "a node's labels must satisfy every requirement";
    const IS_ESSENTIAL: bool = true;

    fn read(_: &mut Params) -> Result<Self, ParamError> {
        Ok(RequiredLabels)
    }
}

impl Filter for RequiredLabels {
    fn applies(&self, cx: &Context<'_>) -> bool {
        !cx.require().is_empty()
    }

    fn scope(&self) -> Scope {
        Scope::Fixed
    }

    fn passes(&self, cx: &Context<'_>, node: NodeIndex) -> bool {
        cx.require().iter().all(|satisfied| satisfied.contains(node))
    }

    fn lacking(&self, cx: &Context<'_>) -> String {
        let required: Vec<String> = cx.shape.spec.require.iter().map(ToString::to_string).collect();
        format!("whose labels do not satisfy {}", required.join(" and "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    use crate::shape::Requirement;

    #[test]
    fn every_requirement_must_hold() {
        let mut lab = Lab::new();
        lab.node("plain", |_| {});
        lab.node("ssd", |n| drop(n.labels.insert("disk".into(), "ssd".into())));
        let plain = lab.shape("a/f", |_| {});
        assert!(!lab.filter_applies(&RequiredLabels, plain));
        let ssd = lab.shape("a/g", |s| s.require = vec![Requirement::is("disk", "ssd")]);
        assert_eq!(lab.passes(&RequiredLabels, ssd), [false, true]);
        let both = lab.shape("a/h", |s| {
            s.require = vec![Requirement::is("disk", "ssd"), Requirement::is("arch", "arm")];
        });
        assert_eq!(lab.passes(&RequiredLabels, both), [false, false]);
    }
}
