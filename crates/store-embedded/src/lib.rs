//! The embedded store: everything one machine must not lose, in one folder.
//!
//! ```text
//! DATA_DIR/gapless.lock           held by the one process that uses the folder
//!          state.redb             declared state: [`EmbeddedStore`]
//!          artifacts/sha256/HEX   code that was uploaded: [`ArtifactStore`]
//! ```
//!
//! The file is redb's. fjall commits faster, but reopening it takes about
//! 200 ms where redb takes half a millisecond, and `gapless up` promises to be
//! ready within 100 ms; declared state is small and seldom written, so a fast
//! start counts for more than the last factor of two per write.
//!
//! What always holds: a write is acknowledged after the fsync that holds it;
//! one process at a time uses a folder; an artifact is there whole or not at all.

mod artifacts;
mod folder;
mod store;
mod writer;

pub use artifacts::{ARTIFACT_BYTES_MAX, ArtifactError, ArtifactStore, ArtifactWriter};
pub use store::EmbeddedStore;
