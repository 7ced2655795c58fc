//! Keeps an instance off a node without enough disk left (Kubernetes, ephemeral storage
//! in NodeResourcesFit; openYuanrong, DiskFilter).

use crate::context::Context;
use crate::policy::{Filter, Policy, Scope};
use crate::profile::{ParamError, Params};
use crate::state::NodeIndex;

/// Disk must fit into what is free.
#[derive(Debug)]
pub struct DiskFit;

impl Policy for DiskFit {
    const NAME: &'static str = "disk-fit";
    const SUMMARY: &'static str = "disk must fit into what is free";
    const IS_ESSENTIAL: bool = true;

    fn read(_: &mut Params) -> Result<Self, ParamError> {
        Ok(DiskFit)
    }
}

impl Filter for DiskFit {
    fn applies(&self, cx: &Context<'_>) -> bool {
        cx.shape.spec.disk.0 > 0
    }

    fn scope(&self) -> Scope {
        Scope::Usage
    }

    fn passes(&self, cx: &Context<'_>, node: NodeIndex) -> bool {
        cx.state.disk_free(node) >= cx.shape.spec.disk.0 as i64
    }

    fn lacking(&self, cx: &Context<'_>) -> String {
        format!("without {} of disk free", cx.shape.spec.disk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    use gapless_types::Bytes;

    #[test]
    fn a_full_disk_is_left_out() {
        let mut lab = Lab::new();
        lab.node("small", |n| n.disk = Bytes(1 << 30));
        lab.node("large", |n| n.disk = Bytes(3 << 30));
        let shape = lab.shape("a/f", |s| s.disk = Bytes(1 << 30));
        assert_eq!(lab.passes(&DiskFit, shape), [true, true]);
        lab.run(shape, "small", 1);
        lab.run(shape, "large", 1);
        assert_eq!(lab.passes(&DiskFit, shape), [false, true]);
        let none = lab.shape("a/g", |_| {});
        assert!(!lab.filter_applies(&DiskFit, none));
    }
}
