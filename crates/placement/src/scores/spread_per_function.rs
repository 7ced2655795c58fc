//! Prefers nodes with fewer instances of the same function (Knative, soft anti-affinity by
//! default; openYuanrong, SPREAD): one node's loss takes few of them, and they do not
//! compete at the same moment. At odds with locality.

use crate::context::Context;
use crate::policy::{Policy, Scope, Score};
use crate::profile::{ParamError, Params};
use crate::state::NodeIndex;

/// Prefers nodes with fewer instances of the function.
#[derive(Debug)]
pub struct SpreadPerFunction;

impl Policy for SpreadPerFunction {
    const NAME: &'static str = "spread-per-function";
    const SUMMARY: &'static str = "prefers nodes with fewer instances of the function";
    const OPPOSES: &'static [&'static str] = &["group-pack"];

    fn read(_: &mut Params) -> Result<Self, ParamError> {
        Ok(SpreadPerFunction)
    }
}

impl Score for SpreadPerFunction {
    fn scope(&self) -> Scope {
        Scope::Usage
    }

    fn score(&self, cx: &Context<'_>, node: NodeIndex) -> f32 {
        cx.function().on(node) as f32
    }

    fn normalise(&self, raw: f32) -> f32 {
        1.0 / (1.0 + raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Lab;

    #[test]
    fn company_of_its_own_costs() {
        let mut lab = Lab::new();
        for name in ["none", "one", "others"] {
            lab.node(name, |_| {});
        }
        let shape = lab.shape("a/f", |_| {});
        let other = lab.shape("a/g", |_| {});
        lab.run(shape, "one", 1);
        lab.run(other, "others", 3);
        assert_eq!(lab.scores(&SpreadPerFunction, shape), [1.0, 0.5, 1.0]);
    }

    #[test]
    fn each_further_one_costs_and_no_node_is_out() {
        let mut lab = Lab::new();
        lab.node("few", |_| {});
        lab.node("many", |_| {});
        let shape = lab.shape("a/f", |_| {});
        lab.run(shape, "few", 3);
        lab.start(shape, "many", 19);
        let [few, many] = lab.scores(&SpreadPerFunction, shape)[..] else { panic!() };
        assert_eq!(few, 0.25);
        assert!((many - 0.05).abs() < 1e-6, "what starts counts: {many}");
    }
}
