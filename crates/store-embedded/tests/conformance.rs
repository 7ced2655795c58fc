//! The store suite, on the embedded store.

use std::sync::Arc;

use gapless_store::{Store, conformance};
use gapless_store_embedded::{Bounds, EmbeddedStore};

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

gapless_store::for_each_check! { checks }

/// All on one place, whose log is cut into many files and checkpoints.
#[test]
fn suite() {
    let folder = tempfile::tempdir().unwrap();
    let bounds =
        Bounds { segment_bytes: 4 << 10, checkpoint_bytes_min: 16 << 10, ..Bounds::default() };
    conformance::suite(&|| -> Arc<dyn Store> {
        EmbeddedStore::open_with(folder.path(), bounds).unwrap()
    });
}
