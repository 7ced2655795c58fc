//! Gives an instance that asks for it a node of its own (openYuanrong, monopoly): it is
//! placed on an empty node, and nobody is placed beside it. With `exact` the node must
//! be no larger than what it needs. Nothing that balances or packs has a say on such a
//! node.

use crate::context::Context;
use crate::policy::{Filter, Policy, Scope};
use crate::profile::{ParamError, Params};
use crate::state::NodeIndex;

/// A monopoly takes an empty node, and admits nobody.
#[derive(Debug)]
pub struct Monopoly {
    exact: bool,
}

impl Policy for Monopoly {
    const NAME: &'static str = "monopoly";
    const SUMMARY: &'static str = "a monopoly takes an empty node, and admits nobody";
    const IS_ESSENTIAL: bool = true;

    /// `exact`: the node's processor and memory must be just what is needed.
    fn read(params: &mut Params) -> Result<Self, ParamError> {
        Ok(Monopoly { exact: params.flag("exact", false)? })
    }
}

impl Filter for Monopoly {
    fn scope(&self) -> Scope {
        Scope::Usage
    }

    fn passes(&self, cx: &Context<'_>, node: NodeIndex) -> bool {
        if cx.state.is_monopolised(node) {
            return false;
        }
        let spec = &cx.shape.spec;
        if !spec.monopoly {
            return true;
        }
        let is_exact = cx.state.cpu(node) == spec.cpu.0 && cx.state.memory(node) == spec.memory.0;
        cx.state.instances_on(node) == 0 && (!self.exact || is_exact)
    }

    fn lacking(&self, cx: &Context<'_>) -> String {
        match cx.shape.spec.monopoly {
            true if self.exact => "not empty and of exactly its size".to_owned(),
            true => "not empty".to_owned(),
            false => "that another instance has to itself".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    use crate::profile::Value;
    use gapless_types::{Bytes, CpuMillis};

    #[test]
    fn a_monopoly_is_alone() {
        let mut lab = Lab::new();
        lab.node("used", |_| {});
        lab.node("empty", |_| {});
        let plain = lab.shape("a/f", |_| {});
        let alone = lab.shape("a/alone", |s| s.monopoly = true);
        lab.run(plain, "used", 1);
        let monopoly: Monopoly = lab.policy(&[]);
        assert_eq!(lab.passes(&monopoly, alone), [false, true]);
        lab.run(alone, "empty", 1);
        assert_eq!(lab.passes(&monopoly, plain), [true, false]);
    }

    #[test]
    fn exact_means_no_larger_than_needed() {
        let mut lab = Lab::new();
        lab.node("large", |_| {});
        lab.node("exact", |n| (n.cpu, n.memory) = (CpuMillis(1000), Bytes(1 << 30)));
        let alone = lab.shape("a/alone", |s| {
            (s.monopoly, s.cpu, s.memory) = (true, CpuMillis(1000), Bytes(1 << 30));
        });
        let exact: Monopoly = lab.policy_with(&[("exact", Value::Flag(true))]);
        assert_eq!(lab.passes(&exact, alone), [false, true]);
    }
}
