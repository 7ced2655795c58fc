//! Keeps instances off nodes without their kind of sandbox, such as `wasm` or `linux`
//! (Kubernetes, RuntimeClass; SpinKube, executors).

use crate::context::Context;
use crate::policy::{Filter, Policy, Scope};
use crate::profile::{ParamError, Params};
use crate::state::NodeIndex;

/// A node must have the kind of sandbox.
#[derive(Debug)]
pub struct SandboxKind;

impl Policy for SandboxKind {
    const NAME: &'static str = "sandbox-kind";
    const SUMMARY: &'static str = "a node must have the kind of sandbox";
    const IS_ESSENTIAL: bool = true;

    fn read(_: &mut Params) -> Result<Self, ParamError> {
        Ok(SandboxKind)
    }
}

impl Filter for SandboxKind {
    fn scope(&self) -> Scope {
        Scope::Fixed
    }

    fn passes(&self, cx: &Context<'_>, node: NodeIndex) -> bool {
        cx.state.sandboxes(node) & cx.shape.sandbox != 0
    }

    fn lacking(&self, cx: &Context<'_>) -> String {
        format!("without the sandbox {:?}", cx.shape.spec.sandbox)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    #[test]
    fn the_kind_must_be_there() {
        let mut lab = Lab::new();
        lab.node("wasm", |_| {});
        lab.node("both", |n| n.sandboxes = vec!["linux".into(), "wasm".into()]);
        lab.node("none", |n| n.sandboxes.clear());
        let linux = lab.shape("a/f", |s| s.sandbox = "linux".into());
        assert_eq!(lab.passes(&SandboxKind, linux), [false, true, false]);
        let unknown = lab.shape("a/g", |s| s.sandbox = "firecracker".into());
        assert_eq!(lab.passes(&SandboxKind, unknown), [false; 3]);
    }
}
