//! Which objects a request means: by label and by field.

mod field;
mod label;

pub use field::FieldSelector;
pub use label::{LabelOperator, LabelRequirement, LabelSelector};

/// Why a selector cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// The text of a label selector cannot be read.
    #[error("unable to parse requirement: found {found:?} in {selector:?}, expected {expected}")]
    Label {
        /// The whole selector.
        selector: String,
        /// The part at fault.
        found: String,
        /// What could be there.
        expected: &'static str,
    },
    /// A label's name or value cannot exist.
    #[error("unable to parse requirement: {what} {found:?} in {selector:?}: {expected}")]
    LabelSyntax {
        /// The whole selector.
        selector: String,
        /// `label name` or `label value`.
        what: &'static str,
        /// The part at fault.
        found: String,
        /// The rule.
        expected: &'static str,
    },
    /// The text of a field selector cannot be read.
    #[error(
        "invalid field selector {selector:?}: can't understand {found:?}; write FIELD=VALUE or FIELD!=VALUE"
    )]
    Field {
        /// The whole selector.
        selector: String,
        /// The part at fault.
        found: String,
    },
    /// A field that objects of this kind cannot be selected by.
    #[error("field label not supported: {field:?}; {kind} can be selected by {known}")]
    UnknownField {
        /// The field.
        field: String,
        /// The kind.
        kind: &'static str,
        /// Fields that would do.
        known: String,
    },
    /// The text is longer than a selector may be.
    #[error("the selector has {found} bytes, allowed are {allowed}")]
    TooLong {
        /// How long it is.
        found: usize,
        /// How long it may be.
        allowed: usize,
    },
}

/// Longest text of a selector, in bytes.
pub const SELECTOR_BYTES_MAX: usize = 16 * 1024;

fn check_length(text: &str) -> Result<(), SelectorError> {
    if text.len() > SELECTOR_BYTES_MAX {
        return Err(SelectorError::TooLong { found: text.len(), allowed: SELECTOR_BYTES_MAX });
    }
    Ok(())
}
