//! Checks of a function's values, by the part of the specification they are of.

mod env;

use super::FunctionSpec;
use crate::FieldError;

pub use env::is_platform_variable;

/// Checks the environment and the files.
pub(super) fn environment(spec: &FunctionSpec, errors: &mut Vec<FieldError>) {
    env::check(spec, errors);
}
