//! The suite every store passes. A store's test file calls [`suite`], or the
//! checks one by one for a test each; `open` opens the store on one place, and
//! opens the same place again when the former handle is gone.
//!
//! ```ignore
//! let folder = tempfile::tempdir()?;
//! conformance::suite(&|| EmbeddedStore::open(folder.path()).unwrap());
//! ```
//!
//! Each check uses keys of its own, so all of them can run on one place, in any
//! order. They panic with what was expected: they are for tests.

mod histories;
mod reads;
mod support;
mod transactions;
mod watches;
mod writes;

use std::sync::Arc;

use crate::Store;

pub use histories::*;
pub use reads::*;
pub use transactions::*;
pub use watches::*;
pub use writes::*;

/// Opens the store under test.
pub type Open<'a> = &'a dyn Fn() -> Arc<dyn Store>;

/// Names every check once: for [`suite`], and for a test each by
/// [`for_each_check`](crate::for_each_check).
macro_rules! checks {
    ($($check:ident)*) => {
        /// Every check, by name.
        pub const CHECKS: &[(&str, fn(Open<'_>))] = &[$((stringify!($check), $check)),*];

        /// Calls a macro with the names of all checks, to make a test of each.
        #[macro_export]
        macro_rules! for_each_check {
            ($each:ident) => { $each! { $($check)* } };
        }
    };
}

checks! {
    reads_what_was_written
    absent_is_not_an_error
    revisions_order_every_write
    expectations_decide
    a_refused_write_changes_nothing
    takes_any_bytes
    survives_reopening
    compare_and_swap_loses_no_update
    created_is_the_first_write
    lists_by_prefix_in_key_order
    lists_in_pages
    lists_at_a_revision
    pages_of_one_revision_agree_while_others_write
    a_transaction_is_one_revision
    a_transaction_is_all_or_nothing
    a_transaction_that_changes_nothing_takes_no_revision
    a_wrong_transaction_is_refused
    transactions_are_seen_whole
    commits_in_sequence_commit_in_that_sequence
    a_watch_delivers_history_and_then_what_happens
    a_watch_delivers_only_its_prefix
    a_watch_survives_reopening
    a_watch_goes_on_where_another_was
    progress_moves_on_without_events
    many_watches_see_the_same
    a_watch_ends_when_the_store_is_closed
    the_future_is_refused
    compaction_forgets_history_and_no_record
    compaction_survives_reopening
    a_watch_that_falls_behind_is_told
}

/// Every check.
pub fn suite(open: Open<'_>) {
    for (_, check) in CHECKS {
        check(open);
    }
}
