//! Parameters that are out of range, said alike by whatever takes parameters: the
//! generator, shapes, and the simulator above.

/// A parameter that is out of range: which, what it was, and what it may be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{parameter}: found {found}, allowed is {allowed}")]
pub struct ParameterError {
    /// Which.
    pub parameter: &'static str,
    /// What it was.
    pub found: String,
    /// What it may be.
    pub allowed: String,
}

impl ParameterError {
    /// `found` where only `allowed` may be.
    pub fn new(parameter: &'static str, found: impl ToString, allowed: impl Into<String>) -> Self {
        ParameterError { parameter, found: found.to_string(), allowed: allowed.into() }
    }
}
