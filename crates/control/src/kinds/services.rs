//! Knative's `Service` (`serving.knative.dev/v1`): a function in another shape.
//!
//! It is stored as a function, with what was written kept beside it, so that it reads
//! back as it was written. A function that was declared as a function is none.

use std::sync::Arc;

use gapless_declared::{Admission, Hold, Outcome, Resource, Source, View};
use gapless_knative::{to_function, to_service};
use gapless_objects::Descriptor;
use gapless_objects::kinds::KNATIVE_SERVICE;
use gapless_types::FieldError;
use serde_json::Value;

/// The part of a stored function that keeps what was written.
const SHAPE: &str = "shape";

/// The kind at work, over functions.
pub(super) fn services(functions: Arc<dyn Resource>) -> Arc<dyn Resource> {
    Arc::new(Services(Arc::new(Shape(functions))))
}

struct Services(Arc<Shape>);

impl Resource for Services {
    fn descriptor(&self) -> &'static Descriptor {
        &KNATIVE_SERVICE
    }

    fn source(&self) -> Source {
        Source::View(Arc::clone(&self.0) as Arc<dyn View>)
    }

    fn admit(&self, _: &mut Admission<'_>) -> Outcome<Result<Hold, Vec<FieldError>>> {
        Ok(Ok(None))
    }
}

struct Shape(Arc<dyn Resource>);

impl View for Shape {
    fn stored(&self) -> Arc<dyn Resource> {
        Arc::clone(&self.0)
    }

    fn shown(&self, stored: &Value) -> Option<Value> {
        let shape = stored.get(SHAPE)?.clone();
        let mut function = stored.clone();
        // What is observed is part of the shape too.
        self.0.show(&mut function, false);
        Some(to_service(&function, Some(&shape)))
    }

    fn store(
        &self,
        shown: &Value,
        stored: Option<&Value>,
        warnings: &mut Vec<String>,
    ) -> Result<Value, Vec<FieldError>> {
        let translated = to_function(shown)?;
        warnings.extend(translated.warnings);
        let mut function = translated.function;
        function[SHAPE] = translated.shape;
        if let Some(status) = stored.and_then(|stored| stored.get("status")) {
            function["status"] = status.clone();
        }
        Ok(function)
    }
}
