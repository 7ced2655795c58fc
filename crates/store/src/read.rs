//! What is listed, and the page that comes back.

use crate::{Record, StoreRevision};

/// Which records to list, in the byte order of their keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range<'a> {
    /// Keys that begin with this.
    pub prefix: &'a str,
    /// Only keys after this one: the last key of the page before.
    pub after: Option<&'a str>,
    /// At most so many records.
    pub limit: Option<usize>,
    /// As they were at this revision; as they are, if none is named.
    pub at: Option<StoreRevision>,
}

impl<'a> Range<'a> {
    /// Every record whose key begins with `prefix`, as they are.
    pub fn prefix(prefix: &'a str) -> Self {
        Range { prefix, ..Range::default() }
    }
}

/// Records of one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The records, in key order.
    pub records: Vec<Record>,
    /// The revision whose records these are. The next page names it in
    /// [`Range::at`] to go on with the same state; a watch after it misses nothing.
    pub revision: StoreRevision,
    /// Whether the range has further records, after the last one here.
    pub more: bool,
}
