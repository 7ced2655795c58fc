//! Prefers nodes whose neighbours slow the instance down least. How much each neighbour
//! of a class costs an instance of another is measured elsewhere and looked up here, as
//! Jiagu does: no model is evaluated per decision. Says nothing of unknown classes.

use crate::context::Context;
use crate::policy::{Policy, Scope, Score};
use crate::profile::{ParamError, Params};
use crate::state::NodeIndex;

/// Predicted slowdown from neighbours by class.
#[derive(Debug)]
pub struct InterferenceAware;

impl Policy for InterferenceAware {
    const NAME: &'static str = "interference-aware";
    const SUMMARY: &'static str = "prefers nodes whose neighbours slow it down least";

    fn read(_: &mut Params) -> Result<Self, ParamError> {
        Ok(InterferenceAware)
    }
}

impl Score for InterferenceAware {
    fn applies(&self, cx: &Context<'_>) -> bool {
        cx.shape.class != 0
    }

    fn scope(&self) -> Scope {
        Scope::Usage
    }

    fn score(&self, cx: &Context<'_>, node: NodeIndex) -> f32 {
        let slowdowns = cx.state.slowdowns(cx.shape.class);
        let neighbours = cx.state.classes(node);
        slowdowns.iter().zip(neighbours).map(|(slowdown, count)| slowdown * f32::from(count)).sum()
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
    fn costly_neighbours_are_avoided() {
        let mut lab = Lab::new();
        lab.node("cpu", |_| {});
        lab.node("memory", |_| {});
        let class = |class: &str| {
            let class: std::sync::Arc<str> = class.into();
            move |s: &mut crate::shape::ShapeSpec| s.class = class
        };
        let cpu = lab.shape("a/cpu", class("cpu"));
        let memory = lab.shape("a/memory", class("memory"));
        lab.slowdown("cpu", "cpu", 0.5);
        lab.slowdown("cpu", "memory", 0.1);
        lab.run(cpu, "cpu", 2);
        lab.run(memory, "memory", 2);
        let [beside_cpu, beside_memory] = lab.scores(&InterferenceAware, cpu)[..] else { panic!() };
        assert_eq!(beside_cpu, 0.5);
        assert!(beside_memory > beside_cpu);
        let unknown = lab.shape("a/unknown", |_| {});
        assert!(!lab.applies(&InterferenceAware, unknown));
    }

    #[test]
    fn without_a_table_or_neighbours_nothing_is_predicted() {
        let mut lab = Lab::new();
        lab.node("alone", |_| {});
        lab.node("beside", |_| {});
        let shape = lab.shape("a/f", |s| s.class = "cpu".into());
        let unknown = lab.shape("a/g", |_| {});
        lab.run(unknown, "beside", 4);
        lab.run(shape, "beside", 4);
        assert_eq!(lab.scores(&InterferenceAware, shape), [1.0, 1.0]);
    }
}
