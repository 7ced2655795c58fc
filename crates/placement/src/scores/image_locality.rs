//! Prefers nodes that have the instance's image or compiled code (Kubernetes,
//! ImageLocality): nothing has to be fetched first.

use crate::context::Context;
use crate::policy::{Policy, Scope, Score};
use crate::profile::{ParamError, Params};
use crate::state::NodeIndex;

/// Prefers nodes that have the image.
#[derive(Debug)]
pub struct ImageLocality;

impl Policy for ImageLocality {
    const NAME: &'static str = "image-locality";
    const SUMMARY: &'static str = "prefers nodes that have the image";

    fn read(_: &mut Params) -> Result<Self, ParamError> {
        Ok(ImageLocality)
    }
}

impl Score for ImageLocality {
    fn applies(&self, cx: &Context<'_>) -> bool {
        cx.image().is_some()
    }

    fn scope(&self) -> Scope {
        Scope::Fixed
    }

    fn score(&self, cx: &Context<'_>, node: NodeIndex) -> f32 {
        cx.image().map_or(0.0, |nodes| f32::from(u8::from(nodes.contains(node))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    use crate::node::Held;

    #[test]
    fn the_image_draws() {
        let mut lab = Lab::new();
        lab.node("without", |_| {});
        lab.node("with", |_| {});
        lab.hold("with", Held::Image, "sha256:1");
        lab.hold("without", Held::Snapshot, "sha256:1");
        let shape = lab.shape("a/f", |s| s.image = Some("sha256:1".into()));
        assert_eq!(lab.scores(&ImageLocality, shape), [0.0, 1.0]);
        let plain = lab.shape("a/g", |_| {});
        assert!(!lab.applies(&ImageLocality, plain));
    }
}
