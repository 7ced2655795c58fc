//! [`Packed`]: a value as memory holds it, smaller than it is.
//!
//! Records of a kind look alike: most of a function's bytes are names of fields and
//! defaults that every other function has too. So a few records are taken as a
//! dictionary, and a value holds only what is not in it (LZ4's block format, whose
//! matches may begin before the block:
//! <https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md>). What the records are
//! is not known here; what is learned is learned from them.
//!
//! ```text
//! value --pack, by who writes--> Packed in versions and history --unpack, by who reads--> value
//! ```
//!
//! What always holds: a value is read as it was written; a dictionary that was learned
//! never changes, and each value says which is its own. Only memory is packed: files hold
//! values as they are, so that a file can be read whatever was learned when it was written.
//!
//! Not zstd: it packs more, unpacks at less than half the speed (the benchmark in its own
//! README), and is C.

use std::num::NonZero;
use std::sync::{Arc, OnceLock};
use std::thread::{self, ScopedJoinHandle};

use bytes::Bytes;
use gapless_store::Record;
use lz4_flex::block::{compress_into_with_dict, decompress_with_dict, get_maximum_output_size};

/// Records there are when a dictionary is learned: early, and again when what there is may
/// be other than what came first.
const LEARN_AT: [u64; 3] = [100, 1_000, 10_000];
/// Values that a dictionary is made of.
const SAMPLES: usize = 8;
/// A dictionary's size at the most: a longer one takes longer to look through with every write.
const DICTIONARY_BYTES_MAX: usize = 8 << 10;
/// Shorter values gain nothing.
const PACKED_BYTES_MIN: usize = 64;
/// Records for which another thread is worth its start.
const RECORDS_A_THREAD_MIN: usize = 1_000;

/// A value. Cloning it copies no bytes.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    /// The value itself if there are `len` of them, else what it was packed to.
    bytes: Arc<[u8]>,
    len: u32,
    dictionary: u8,
}

impl Packed {
    /// The value's length.
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    /// The bytes that it takes.
    pub(crate) fn taken(&self) -> usize {
        self.bytes.len()
    }

    fn as_it_is(value: &[u8]) -> Self {
        Packed { bytes: value.into(), len: value.len() as u32, dictionary: 0 }
    }
}

/// What values have in common, and have had.
#[derive(Debug, Default)]
pub(crate) struct Dictionaries {
    learned: [OnceLock<Box<[u8]>>; LEARN_AT.len()],
}

impl Dictionaries {
    /// Packs a value, with what was learned last. Before anything was, it stays as it is.
    pub(crate) fn pack(&self, value: &[u8]) -> Packed {
        let newest = self.learned.iter().enumerate().rev();
        let newest = newest.filter_map(|(index, learned)| Some((index, learned.get()?))).next();
        let Some((index, dictionary)) = newest.filter(|_| value.len() >= PACKED_BYTES_MIN) else {
            return Packed::as_it_is(value);
        };
        let mut packed = vec![0; get_maximum_output_size(value.len())];
        match compress_into_with_dict(value, &mut packed, dictionary) {
            // What gains less than an eighth is not worth its unpacking.
            Ok(taken) if taken + value.len() / 8 < value.len() => Packed {
                bytes: packed[..taken].into(),
                len: value.len() as u32,
                dictionary: index as u8,
            },
            _ => Packed::as_it_is(value),
        }
    }

    /// The value.
    pub(crate) fn unpack(&self, packed: &Packed) -> Bytes {
        if packed.bytes.len() == packed.len() {
            return Bytes::from_owner(Arc::clone(&packed.bytes));
        }
        let dictionary = self.learned[usize::from(packed.dictionary)].get();
        let dictionary = dictionary.expect("it was there when the value was packed");
        let value = decompress_with_dict(&packed.bytes, packed.len(), dictionary);
        Bytes::from(value.expect("it was packed here"))
    }

    /// The dictionary that is to be learned when there are so many records.
    fn due(&self, records: u64) -> Option<&OnceLock<Box<[u8]>>> {
        let reached = LEARN_AT.iter().rposition(|at| records >= *at)?;
        Some(&self.learned[reached]).filter(|learned| learned.get().is_none())
    }

    /// Learns from some of the values of so many records, if it is time to: those that are
    /// so far apart.
    pub(crate) fn learn(&self, records: u64, samples: impl FnOnce(usize) -> Vec<Bytes>) {
        let Some(due) = self.due(records) else { return };
        let mut dictionary = Vec::new();
        for value in samples((records as usize / SAMPLES).max(1)).iter().take(SAMPLES) {
            if dictionary.len() + value.len() <= DICTIONARY_BYTES_MAX {
                dictionary.extend_from_slice(value);
            }
        }
        let _ = due.set(dictionary.into());
    }

    /// Packs many records on all processors: when a store is opened, somebody waits.
    pub(crate) fn pack_all(&self, records: &[Record]) -> Vec<Packed> {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let each = records.len().div_ceil(threads).max(RECORDS_A_THREAD_MIN);
        thread::scope(|scope| {
            let pack = |part: &[Record]| part.iter().map(|one| self.pack(&one.value)).collect();
            let parts = records.chunks(each).map(|part| scope.spawn(move || pack(part)));
            let parts: Vec<ScopedJoinHandle<'_, Vec<Packed>>> = parts.collect();
            parts
                .into_iter()
                .flat_map(|part| part.join().expect("packing does not panic"))
                .collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn like(n: usize) -> Vec<u8> {
        let status = r#""status":{"conditions":[{"type":"Ready","status":"True"}]}"#;
        format!(
            r#"{{"kind":"Function","metadata":{{"name":"f-{n}","uid":"{:032x}"}},{status}}}"#,
            n * 7_919
        )
        .into_bytes()
    }

    fn learned(records: usize) -> Dictionaries {
        let dictionaries = Dictionaries::default();
        let sample = |every| (0..records).step_by(every).map(|n| like(n).into()).collect();
        dictionaries.learn(records as u64, sample);
        dictionaries
    }

    #[test]
    fn what_is_alike_takes_little() {
        let dictionaries = learned(200);
        let value = like(1_000);
        let packed = dictionaries.pack(&value);
        assert!(packed.taken() * 2 < value.len(), "{} of {}", packed.taken(), value.len());
        assert_eq!(packed.len(), value.len());
        assert_eq!(dictionaries.unpack(&packed), value);
    }

    #[test]
    fn nothing_is_packed_before_anything_is_known() {
        let dictionaries = learned(20);
        let packed = dictionaries.pack(&like(1));
        assert_eq!(packed.taken(), packed.len());
        assert_eq!(dictionaries.unpack(&packed), like(1));
    }

    #[test]
    fn what_was_packed_before_more_was_learned_is_read_all_the_same() {
        let dictionaries = learned(200);
        let before = dictionaries.pack(&like(3));
        let other = Bytes::from("of another kind altogether: 16");
        dictionaries.learn(2_000, |_| vec![other; SAMPLES]);
        assert_eq!(dictionaries.unpack(&before), like(3));
        let value = b"of another kind altogether, and long enough to be worth packing: 17";
        let packed = dictionaries.pack(value);
        assert!(packed.taken() < value.len() && packed.dictionary == 1);
        assert_eq!(dictionaries.unpack(&packed), value[..]);
        dictionaries.learn(2_001, |_| unreachable!("that was learned already"));
    }

    #[test]
    fn many_are_packed_in_their_order() {
        let dictionaries = learned(200);
        let record = |n| Record { key: "".into(), value: like(n).into(), revision: 1, created: 1 };
        let records: Vec<Record> = (0..5 * RECORDS_A_THREAD_MIN / 2).map(record).collect();
        let packed = dictionaries.pack_all(&records);
        assert_eq!(packed.len(), records.len());
        let same =
            |(packed, record): (&Packed, &Record)| dictionaries.unpack(packed) == record.value;
        assert!(packed.iter().zip(&records).all(same));
    }

    proptest! {
        #[test]
        fn every_value_is_read_as_it_was_written(
            value in prop::collection::vec(any::<u8>(), 0..2_000),
            cut in 0_usize..200,
        ) {
            let dictionaries = learned(200);
            let of_both = [&like(5)[..cut.min(like(5).len())], &value].concat();
            for value in [value, of_both] {
                prop_assert_eq!(dictionaries.unpack(&dictionaries.pack(&value)), value);
            }
        }
    }
}
