//! An instance this gateway holds the lease of, and how it is reached.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gapless_net::Pool;
use gapless_proto::{Endpoint, Lease, LocalService, Served, StartReport};
use gapless_types::{InstanceId, Time};
use http::HeaderValue;

/// A leased instance.
pub(crate) struct Leased {
    pub(crate) id: InstanceId,
    pub(crate) reach: Reach,
    pub(crate) start: Arc<StartReport>,
    /// When this gateway learned that it can serve.
    pub(crate) ready_at: Time,
    /// Its id, as a header's value.
    pub(crate) label: HeaderValue,
    requests: AtomicU64,
    took_nanos: AtomicU64,
}

/// How an instance is reached.
pub(crate) enum Reach {
    /// By a call.
    Local(Arc<dyn LocalService>),
    /// By a connection.
    Remote(Arc<Pool>),
}

impl Leased {
    pub(crate) fn new(id: InstanceId, lease: Lease, ready_at: Time) -> Self {
        let reach = match lease.endpoint {
            Endpoint::Local(service) => Reach::Local(service),
            endpoint => Reach::Remote(Pool::new(endpoint, lease.slots)),
        };
        let label = label(&id.to_string());
        let (requests, took_nanos) = (AtomicU64::new(0), AtomicU64::new(0));
        Leased { id, reach, start: lease.start, ready_at, label, requests, took_nanos }
    }

    /// The head of an answer came, `took` after the request had its slot.
    pub(crate) fn answered(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.took_nanos.fetch_add(nanos, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// What came of its requests so far.
    pub(crate) fn served(&self) -> Served {
        let requests = self.requests.load(Ordering::Relaxed);
        Served { requests, took: Duration::from_nanos(self.took_nanos.load(Ordering::Relaxed)) }
    }
}

/// A name of ours as a header's value. Ours are all visible ASCII.
pub(crate) fn label(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("?"))
}
