//! Frames: what one fsync makes durable, whole or not at all.
//!
//! ```text
//! frame     magic 4 | payload bytes u32 | crc32 u32 | payload
//! payload   1 group     revision before u64 | history from u64 | transactions u32 | (writes u32 | write*)*
//!           2 closed
//!           3 records   (revision u64 | created u64 | key | value)*
//!           4 end       records u64
//! write     1 key value     put
//!           2 key           delete
//! key, value    bytes u32 | bytes                                         little-endian throughout
//! ```
//!
//! The checksum covers the length and the payload, and begins with the file's
//! seed. A group's transactions take the revisions after the one before it.

use crc32fast::Hasher;
use gapless_store::{Record, TRANSACTION_BYTES_MAX};

const MAGIC: [u8; 4] = *b"\xF5gfr";
/// Magic, length and checksum.
pub(crate) const FRAME_HEADER_BYTES: usize = 12;
/// A group is written when it has become so large.
pub(crate) const GROUP_BYTES: usize = 1 << 20;
/// No frame is larger: a group that lacked a byte, and the largest transaction.
pub(crate) const FRAME_BYTES_MAX: usize = GROUP_BYTES + 2 * TRANSACTION_BYTES_MAX;

const GROUP: u8 = 1;
const CLOSED: u8 = 2;
const RECORDS: u8 = 3;
const END: u8 = 4;
const PUT: u8 = 1;
const DELETE: u8 = 2;

/// A frame being written.
#[derive(Debug, Default)]
pub(crate) struct FrameBuffer {
    bytes: Vec<u8>,
}

impl FrameBuffer {
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Begins a group. Its history and its count are set at the end.
    pub(crate) fn begin_group(&mut self, before: u64) {
        self.begin(GROUP);
        self.u64(before);
        self.u64(0);
        self.u32(0);
    }

    /// Begins a transaction of the group.
    pub(crate) fn transaction(&mut self, writes: usize) {
        self.u32(writes as u32);
    }

    pub(crate) fn put(&mut self, key: &str, value: &[u8]) {
        self.bytes.push(PUT);
        self.field(key.as_bytes());
        self.field(value);
    }

    pub(crate) fn delete(&mut self, key: &str) {
        self.bytes.push(DELETE);
        self.field(key.as_bytes());
    }

    /// Ends a group of so many transactions, which moves the beginning of history
    /// to `history` if that is later.
    pub(crate) fn end_group(&mut self, history: u64, transactions: u32) {
        let at = FRAME_HEADER_BYTES + 1 + 8;
        self.bytes[at..at + 8].copy_from_slice(&history.to_le_bytes());
        self.bytes[at + 8..at + 12].copy_from_slice(&transactions.to_le_bytes());
    }

    pub(crate) fn closed(&mut self) {
        self.begin(CLOSED);
    }

    pub(crate) fn begin_records(&mut self) {
        self.begin(RECORDS);
    }

    pub(crate) fn record(&mut self, record: &Record) {
        self.u64(record.revision);
        self.u64(record.created);
        self.field(record.key.as_bytes());
        self.field(&record.value);
    }

    pub(crate) fn end(&mut self, records: u64) {
        self.begin(END);
        self.u64(records);
    }

    /// Fills in length and checksum: what is to be written to a file of this seed.
    pub(crate) fn seal(&mut self, seed: u32) -> &[u8] {
        let payload = (self.bytes.len() - FRAME_HEADER_BYTES) as u32;
        self.bytes[4..8].copy_from_slice(&payload.to_le_bytes());
        let crc = checksum(seed, self.bytes[4..8].as_ref(), &self.bytes[FRAME_HEADER_BYTES..]);
        self.bytes[8..12].copy_from_slice(&crc.to_le_bytes());
        &self.bytes
    }

    fn begin(&mut self, kind: u8) {
        self.bytes.clear();
        self.bytes.extend_from_slice(&MAGIC);
        self.bytes.extend_from_slice(&[0; FRAME_HEADER_BYTES - MAGIC.len()]);
        self.bytes.push(kind);
    }

    fn field(&mut self, bytes: &[u8]) {
        self.u32(bytes.len() as u32);
        self.bytes.extend_from_slice(bytes);
    }

    fn u32(&mut self, number: u32) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    fn u64(&mut self, number: u64) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }
}

/// The payload of the frame that begins `bytes`, if a whole and right one does.
pub(crate) fn payload(bytes: &[u8], seed: u32) -> Option<&[u8]> {
    let header: &[u8; FRAME_HEADER_BYTES] = bytes.first_chunk()?;
    let length = payload_bytes(header)?;
    let payload = bytes[FRAME_HEADER_BYTES..].get(..length)?;
    (checksum(seed, &header[4..8], payload).to_le_bytes() == header[8..12]).then_some(payload)
}

/// The length that a frame's header says, if it can be one.
pub(crate) fn payload_bytes(header: &[u8; FRAME_HEADER_BYTES]) -> Option<usize> {
    let length = u32::from_le_bytes(header[4..8].try_into().ok()?) as usize;
    (header[..4] == MAGIC && (1..=FRAME_BYTES_MAX).contains(&length)).then_some(length)
}

/// Whether a whole and right frame begins anywhere in `bytes`.
pub(crate) fn has_frame(bytes: &[u8], seed: u32) -> bool {
    let starts = bytes.windows(MAGIC.len()).enumerate().filter(|(_, window)| **window == MAGIC);
    starts.into_iter().any(|(at, _)| payload(&bytes[at..], seed).is_some())
}

fn checksum(seed: u32, length: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = Hasher::new_with_initial(seed);
    hasher.update(length);
    hasher.update(payload);
    hasher.finalize()
}

/// What a payload is.
#[derive(Debug)]
pub(crate) enum Frame<'a> {
    Group { before: u64, history: u64, transactions: u32, rest: Fields<'a> },
    Closed,
    Records(Fields<'a>),
    End(u64),
}

impl<'a> Frame<'a> {
    pub(crate) fn read(payload: &'a [u8]) -> Option<Frame<'a>> {
        let mut rest = Fields(payload);
        Some(match rest.u8()? {
            GROUP => {
                let (before, history) = (rest.u64()?, rest.u64()?);
                Frame::Group { before, history, transactions: rest.u32()?, rest }
            }
            CLOSED => Frame::Closed,
            RECORDS => Frame::Records(rest),
            END => Frame::End(rest.u64()?),
            _ => return None,
        })
    }
}

/// A payload's bytes that were not read yet.
#[derive(Debug)]
pub(crate) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next write: its key, and its value unless it deletes.
    pub(crate) fn write(&mut self) -> Option<(&'a str, Option<&'a [u8]>)> {
        let kind = self.u8()?;
        let key = std::str::from_utf8(self.field()?).ok()?;
        match kind {
            PUT => Some((key, Some(self.field()?))),
            DELETE => Some((key, None)),
            _ => None,
        }
    }

    /// The next record: revision, created, key, value.
    pub(crate) fn record(&mut self) -> Option<(u64, u64, &'a str, &'a [u8])> {
        let (revision, created) = (self.u64()?, self.u64()?);
        Some((revision, created, std::str::from_utf8(self.field()?).ok()?, self.field()?))
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take().map(|[byte]| byte)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn field(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()? as usize;
        let (field, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(field)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }
}
