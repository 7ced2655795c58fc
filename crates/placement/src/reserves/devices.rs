//! Devices: which of a node's an instance has. Whole devices lowest first; a share on
//! the device with the least left that still has it, so that whole ones stay whole.

use crate::context::Shape;
use crate::policy::{Grant, Reserve};
use crate::state::{NodeIndex, State};

/// Takes whole devices or a share of one.
#[derive(Debug)]
pub struct Devices;

impl Reserve for Devices {
    fn reserve(&self, state: &mut State, shape: &Shape, node: NodeIndex, grant: &mut Grant) {
        let (Some(need), Some(kind)) = (&shape.spec.devices, shape.device_kind) else { return };
        let (usage, at) = state.usage_mut(node);
        let devices = &mut usage.devices[at];
        for _ in 0..need.count {
            let fits = devices.iter().enumerate().filter(|(index, device)| {
                device.kind == kind
                    && device.free_millis >= need.share_millis
                    && grant.devices >> index & 1 == 0
            });
            // The first of equals: for whole devices, the lowest.
            let Some((index, _)) = fits.min_by_key(|(_, device)| device.free_millis) else {
                return;
            };
            devices[index].free_millis -= need.share_millis;
            grant.devices |= 1 << index;
        }
    }

    fn unreserve(&self, state: &mut State, shape: &Shape, node: NodeIndex, grant: &Grant) {
        let Some(need) = &shape.spec.devices else { return };
        if grant.devices == 0 {
            return;
        }
        let (usage, at) = state.usage_mut(node);
        for (index, device) in usage.devices[at].iter_mut().enumerate() {
            if grant.devices >> index & 1 == 1 {
                device.free_millis += need.share_millis;
            }
        }
    }
}
