//! The store suite, on the embedded store.

use std::sync::Arc;

use gapless_store::{Store, conformance};
use gapless_store_embedded::EmbeddedStore;

macro_rules! checks {
    ($($check:ident)*) => {$(
        #[test]
        fn $check() {
            let folder = tempfile::tempdir().unwrap();
            conformance::$check(&|| -> Arc<dyn Store> {
                EmbeddedStore::open(folder.path()).unwrap()
            });
        }
    )*};
}

checks! {
    reads_what_was_written
    absent_is_not_an_error
    revisions_order_every_write
    expectations_decide
    a_refused_write_changes_nothing
    lists_by_prefix_in_key_order
    takes_any_bytes
    survives_reopening
    compare_and_swap_loses_no_update
    suite
}
