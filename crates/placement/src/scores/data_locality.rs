//! Prefers nodes that hold the data an instance reads, by bytes (openYuanrong, data
//! system; Faasm, local state): moving the function is cheaper than moving the data.

use crate::context::Context;
use crate::policy::{Policy, Scope, Score};
use crate::profile::{ParamError, Params};
use crate::state::NodeIndex;

/// Prefers nodes that hold the data it reads.
#[derive(Debug)]
pub struct DataLocality;

impl Policy for DataLocality {
    const NAME: &'static str = "data-locality";
    const SUMMARY: &'static str = "prefers nodes that hold the data it reads";

    fn read(_: &mut Params) -> Result<Self, ParamError> {
        Ok(DataLocality)
    }
}

impl Score for DataLocality {
    fn applies(&self, cx: &Context<'_>) -> bool {
        !cx.data().is_empty()
    }

    fn scope(&self) -> Scope {
        Scope::Fixed
    }

    fn score(&self, cx: &Context<'_>, node: NodeIndex) -> f32 {
        cx.data().iter().map(|(nodes, share)| if nodes.contains(node) { *share } else { 0.0 }).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    use crate::node::Held;
    use gapless_types::Bytes;

    #[test]
    fn bytes_count() {
        let mut lab = Lab::new();
        lab.node("large", |_| {});
        lab.node("small", |_| {});
        lab.hold("large", Held::Data, "model");
        lab.hold("small", Held::Data, "index");
        let shape = lab.shape("a/f", |s| {
            s.data = vec![("model".into(), Bytes(3 << 20)), ("index".into(), Bytes(1 << 20))];
        });
        assert_eq!(lab.scores(&DataLocality, shape), [0.75, 0.25]);
        let nothing = lab.shape("a/g", |s| s.data = vec![("empty".into(), Bytes(0))]);
        assert_eq!(lab.scores(&DataLocality, nothing), [0.0, 0.0]);
    }
}
