//! An instance this gateway holds the lease of, and how it is reached.

use std::sync::Arc;

use gapless_net::Pool;
use gapless_proto::{Endpoint, Lease, LocalService, StartReport};
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
        Leased { id, reach, start: lease.start, ready_at, label }
    }
}

/// A name of ours as a header's value. Ours are all visible ASCII.
pub(crate) fn label(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("?"))
}
