//! Where a function's log lines are read: the contract between the API server
//! and whoever keeps the logs.

use futures::stream::BoxStream;
use gapless_types::FunctionKey;

use crate::LogLine;

/// What functions wrote, by function. Calls may read from disk: make them off
/// the event loop. The streams they return do not block.
pub trait FunctionLogs: Send + Sync {
    /// The last `lines` lines (or as many as are kept), oldest first.
    fn tail(&self, function: &FunctionKey, lines: usize) -> Vec<LogLine>;

    /// The last `lines` lines and then every further one as it is written, with
    /// none missing in between. A reader that falls behind is told by a line of
    /// the platform how many it missed. Ends only when it is dropped.
    fn follow(&self, function: &FunctionKey, lines: usize) -> BoxStream<'static, LogLine>;

    /// The function is no more: drops what it wrote.
    fn forget(&self, function: &FunctionKey);
}
