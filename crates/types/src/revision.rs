//! A revision: one immutable version of a function's code and configuration.

use std::sync::Arc;

use crate::{FunctionKey, FunctionSpec, RevisionName};

/// What an instance is an instance of. Shared by reference, never changed: a
/// change of the function makes another revision.
#[derive(Clone, Debug)]
pub struct Revision {
    /// Its name.
    pub name: RevisionName,
    /// The function it was made from.
    pub function: FunctionKey,
    /// The function's specification when it was made, complete and validated. Shared
    /// with the function as long as that declares nothing else.
    pub spec: Arc<FunctionSpec>,
}
