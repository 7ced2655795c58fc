//! Keeps an instance off a node without the devices it asks for: so many whole ones, or
//! a share of one (Kubernetes, device plugins and dynamic resource allocation; Volcano,
//! deviceshare; Iluvatar, GPU functions).

use crate::context::Context;
use crate::policy::{Filter, Policy, Scope};
use crate::profile::{ParamError, Params};
use crate::state::NodeIndex;

/// Whole devices, or a share of one, must be free.
#[derive(Debug)]
pub struct DeviceFit;

impl Policy for DeviceFit {
    const NAME: &'static str = "device-fit";
    const SUMMARY: &'static str = "whole devices, or a share of one, must be free";
    const IS_ESSENTIAL: bool = true;

    fn read(_: &mut Params) -> Result<Self, ParamError> {
        Ok(DeviceFit)
    }
}

impl Filter for DeviceFit {
    fn applies(&self, cx: &Context<'_>) -> bool {
        cx.shape.spec.devices.is_some()
    }

    fn scope(&self) -> Scope {
        Scope::Usage
    }

    fn passes(&self, cx: &Context<'_>, node: NodeIndex) -> bool {
        let Some(need) = &cx.shape.spec.devices else { return true };
        let Some(kind) = cx.shape.device_kind else { return false };
        if cx.state.device_kinds(node) >> kind & 1 == 0 {
            return false;
        }
        let devices = cx.state.devices(node).iter();
        let free =
            devices.filter(|device| device.kind == kind && device.free_millis >= need.share_millis);
        free.count() >= usize::from(need.count)
    }

    fn lacking(&self, cx: &Context<'_>) -> String {
        match &cx.shape.spec.devices {
            Some(need) if need.share_millis < 1000 => {
                format!("without {}m of one {} free", need.share_millis, need.kind)
            }
            Some(need) => format!("without {} {} free", need.count, need.kind),
            None => "without devices".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    use crate::shape::DeviceNeed;

    #[test]
    fn whole_devices_and_shares_are_counted() {
        let need =
            |count, share_millis| Some(DeviceNeed { kind: "gpu".into(), count, share_millis });
        let mut lab = Lab::new();
        lab.node("none", |_| {});
        lab.node("two", |n| n.devices = vec!["gpu".into(); 2]);
        lab.node("npu", |n| n.devices = vec!["npu".into(); 2]);
        let half = lab.shape("a/half", |s| s.devices = need(1, 500));
        let two = lab.shape("a/two", |s| s.devices = need(2, 1000));
        assert_eq!(lab.passes(&DeviceFit, two), [false, true, false]);
        lab.run(half, "two", 2);
        assert_eq!(lab.passes(&DeviceFit, two), [false, false, false], "one is shared");
        assert_eq!(lab.passes(&DeviceFit, half), [false, true, false]);
        let one = lab.shape("a/one", |s| s.devices = need(1, 1000));
        lab.run(one, "two", 1);
        assert_eq!(lab.passes(&DeviceFit, half), [false, false, false]);
    }
}
