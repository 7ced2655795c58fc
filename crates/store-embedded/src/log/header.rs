//! The first bytes of a log file and of a checkpoint.
//!
//! ```text
//! magic 8 | format u32 | seed u32 | sequence u64 | revision u64 | crc32 u32     little-endian
//! ```
//!
//! The seed begins the checksum of every frame of the file. It is drawn at random,
//! so that neither bytes left over on the disk nor a stored value that was made to
//! look like a frame is taken for one.

use std::hash::{BuildHasher, Hasher, RandomState};

/// The layout of the files; one with another is refused.
const FORMAT: u32 = 1;
pub(crate) const HEADER_BYTES: usize = 36;
pub(crate) const SEGMENT_MAGIC: [u8; 8] = *b"GPLSLOG\n";
pub(crate) const CHECKPOINT_MAGIC: [u8; 8] = *b"GPLSCKP\n";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Begins the checksums of the file.
    pub(crate) seed: u32,
    /// A log file's own number; the first log file that a checkpoint needs.
    pub(crate) sequence: u64,
    /// The revision before a log file's first transaction; a checkpoint's own.
    pub(crate) revision: u64,
}

/// Why a file's first bytes are not a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoHeader {
    Damaged,
    OtherFormat(u32),
}

impl Header {
    pub(crate) fn new(sequence: u64, revision: u64) -> Self {
        let random = RandomState::new().build_hasher().finish();
        Header { seed: random as u32, sequence, revision }
    }

    pub(crate) fn to_bytes(self, magic: [u8; 8]) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&magic);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.seed.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.revision.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..32]);
        bytes[32..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(crate) fn read(bytes: &[u8], magic: [u8; 8]) -> Result<Header, NoHeader> {
        let bytes: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(NoHeader::Damaged)?;
        let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap_or([0; 4]));
        let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap_or([0; 8]));
        if bytes[..8] != magic || u32_at(32) != crc32fast::hash(&bytes[..32]) {
            return Err(NoHeader::Damaged);
        }
        match u32_at(8) {
            FORMAT => Ok(Header { seed: u32_at(12), sequence: u64_at(16), revision: u64_at(24) }),
            other => Err(NoHeader::OtherFormat(other)),
        }
    }
}
