//! The store's metrics: read from the store when somebody asks for them, so that a
//! write counts nothing twice.

use std::fmt;
use std::sync::{Arc, OnceLock};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::names;

/// What a store says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct StoreFacts {
    /// Records there are.
    pub records: u64,
    /// Their bytes.
    pub record_bytes: u64,
    /// What their values take in memory.
    pub packed_bytes: u64,
    /// Changes kept as history.
    pub history_changes: u64,
    /// Bytes of history.
    pub history_bytes: u64,
    /// Transactions that wait for the disk.
    pub waiting: u64,
    /// Bytes of the log's files.
    pub log_bytes: u64,
    /// Groups of transactions made durable.
    pub syncs: u64,
    /// The last transaction's revision.
    pub revision: u64,
}

type Source = Box<dyn Fn() -> Option<StoreFacts> + Send + Sync>;

/// Where the store's facts come from; nothing is shown before that is said.
#[derive(Clone, Default)]
pub struct StoreMetrics(Arc<OnceLock<Source>>);

impl StoreMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = StoreMetrics::default();
        registry.register_collector(Box::new(metrics.clone()));
        metrics
    }

    /// Asks `source` from now on, which has nothing to say once its store is closed. The
    /// first one counts: a process has one store.
    pub fn observe(&self, source: impl Fn() -> Option<StoreFacts> + Send + Sync + 'static) {
        let _ = self.0.set(Box::new(source));
    }
}

impl Collector for StoreMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(facts) = self.0.get().and_then(|source| source()) else { return Ok(()) };
        let gauges = [
            (names::STORE_RECORDS, "Records of declared state", facts.records),
            (names::STORE_RECORD_BYTES, "Bytes of the records", facts.record_bytes),
            (
                names::STORE_PACKED_BYTES,
                "Bytes that the records' values take in memory",
                facts.packed_bytes,
            ),
            (names::STORE_HISTORY_CHANGES, "Changes kept as history", facts.history_changes),
            (names::STORE_HISTORY_BYTES, "Bytes of history", facts.history_bytes),
            (
                names::STORE_WAITING_TRANSACTIONS,
                "Transactions that wait for the disk",
                facts.waiting,
            ),
            (names::STORE_LOG_BYTES, "Bytes of the log", facts.log_bytes),
            (names::STORE_REVISION, "Revision of the last transaction", facts.revision),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let syncs = ConstCounter::new(facts.syncs);
        let help = "Groups of transactions made durable";
        syncs.encode(encoder.encode_descriptor(
            names::STORE_SYNCS,
            help,
            None,
            syncs.metric_type(),
        )?)
    }
}

impl fmt::Debug for StoreMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.get().is_some() { "of a store" } else { "of no store yet" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Metrics;

    #[test]
    fn facts_are_asked_for_when_they_are_wanted() {
        let metrics = Metrics::new();
        assert!(!metrics.encode().contains("gapless_store"));
        let facts = StoreFacts { records: 3, syncs: 7, ..StoreFacts::default() };
        metrics.store.observe(move || Some(facts));
        let text = metrics.encode();
        assert!(text.contains("gapless_store_records 3\n"), "{text}");
        assert!(text.contains("gapless_store_syncs_total 7\n"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }
}
