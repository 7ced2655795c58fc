//! Keeps instances that need no device off nodes that have some (Koordinator,
//! ScarceResourceAvoidance): a graphics card whose node is full of others' processes is a
//! card nobody can use. Pulls against packing.

use crate::context::Context;
use crate::policy::{Policy, Scope, Score};
use crate::profile::{ParamError, Params};
use crate::state::NodeIndex;

/// Prefers nodes without devices it does not need.
#[derive(Debug)]
pub struct ScarceResourceAvoidance;

impl Policy for ScarceResourceAvoidance {
    const NAME: &'static str = "scarce-resource-avoidance";
    const SUMMARY: &'static str = "prefers nodes without devices it does not need";

    fn read(_: &mut Params) -> Result<Self, ParamError> {
        Ok(ScarceResourceAvoidance)
    }
}

impl Score for ScarceResourceAvoidance {
    fn scope(&self) -> Scope {
        Scope::Fixed
    }

    fn score(&self, cx: &Context<'_>, node: NodeIndex) -> f32 {
        let wanted = cx.shape.device_kind.map_or(0, |kind| 1_u32 << kind);
        let kinds = cx.state.device_kinds(node);
        (kinds & !wanted).count_ones() as f32
    }

    fn normalise(&self, raw: f32) -> f32 {
        1.0 / (1.0 + raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    use crate::shape::DeviceNeed;

    #[test]
    fn devices_it_does_not_need_are_left_to_others() {
        let mut lab = Lab::new();
        lab.node("plain", |_| {});
        lab.node("gpu", |n| n.devices = vec!["gpu".into(); 4]);
        let plain = lab.shape("a/f", |_| {});
        assert_eq!(lab.scores(&ScarceResourceAvoidance, plain), [1.0, 0.5]);
        let gpu = lab.shape("a/g", |s| {
            s.devices = Some(DeviceNeed { kind: "gpu".into(), count: 1, share_millis: 1000 });
        });
        assert_eq!(lab.scores(&ScarceResourceAvoidance, gpu), [1.0, 1.0]);
    }

    #[test]
    fn each_kind_costs_not_each_device() {
        let mut lab = Lab::new();
        lab.node("one-kind", |n| n.devices = vec!["gpu".into(); 8]);
        lab.node("two-kinds", |n| n.devices = vec!["gpu".into(), "npu".into()]);
        let plain = lab.shape("a/f", |_| {});
        let [one, two] = lab.scores(&ScarceResourceAvoidance, plain)[..] else { panic!() };
        assert_eq!(one, 0.5);
        assert!((two - 1.0 / 3.0).abs() < 1e-6, "{two}");
    }
}
