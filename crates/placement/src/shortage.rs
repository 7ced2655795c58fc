//! [`Shortage`]: why an instance was placed nowhere: how many nodes each filter left
//! out, and what would make it fit. An answer, not an error.

use std::fmt;
use std::sync::Arc;

/// Nodes that one filter left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The filter.
    pub filter: &'static str,
    /// How many nodes passed the filters before it, but not this one.
    pub nodes: u32,
    /// What they lacked.
    pub lacking: String,
}

/// Why an instance was placed nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unplaced {
    /// No node was possible.
    Shortage(Shortage),
    /// A permit did not let it stand.
    NotPermitted(String),
    /// Its shape is not known (any more).
    UnknownShape,
    /// It is placed already, or twice in the batch.
    Duplicate,
}

impl fmt::Display for Unplaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unplaced::Shortage(shortage) => shortage.fmt(f),
            Unplaced::NotPermitted(why) => f.write_str(why),
            Unplaced::UnknownShape => f.write_str("its shape is not known"),
            Unplaced::Duplicate => f.write_str("it is placed already"),
        }
    }
}

/// On how many nodes each thing was lacking. A node counts once, for the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shortage {
    /// Nodes there are.
    pub nodes: u32,
    /// Filters that left nodes out, in the order in which they were asked.
    pub left_out: Arc<[LeftOut]>,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.nodes == 1 { "node" } else { "nodes" };
        write!(f, "of {} {plural}", self.nodes)?;
        for (index, left_out) in self.left_out.iter().enumerate() {
            let separator = if index == 0 { ":" } else { "," };
            write!(f, "{separator} {} {}", left_out.nodes, left_out.lacking)?;
        }
        Ok(())
    }
}
