//! A modelled sandbox: start time and service time, nothing else.
//!
//! A back end for tests at a scale no machine here has: an instance is a counter
//! and two timers, so one process holds thousands of "nodes" full of them, while
//! everything above the driver (queues, placement, links, leases) is the real
//! thing. It keeps to the driver contract, the conformance suite included; it
//! does not model load: whether an instance has a free slot is the caller's to
//! respect, as with any other driver.

mod instance;

use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt;
use futures::future::BoxFuture;
use gapless_proto::{StartFailure, StartKind, StartPhase, StartReport};
use gapless_sandbox::{Driver, PrepareTask, StartTask, Started};
use gapless_types::{Code, FakeModel, Fault, RevisionName};

use crate::instance::FakeSandbox;

/// Starts of one core at a time. A modelled start costs no processor, so this
/// only bounds how many timers run.
const STARTS_PER_CORE: usize = 64;

/// Makes modelled sandboxes. Holds nothing: every instance stands alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct FakeDriver;

impl FakeDriver {
    /// The driver.
    pub fn new() -> Arc<Self> {
        Arc::new(FakeDriver)
    }
}

fn model(task: &PrepareTask) -> Result<FakeModel, StartFailure> {
    match task.revision.spec.code() {
        Code::Fake(model) => Ok(model),
        Code::Wasm | Code::Command(_) => Err(StartFailure {
            fault: Fault::Platform,
            kind: "WrongDriver",
            message: format!(
                "{} has real code, and was sent to the driver of modelled functions; \
                 this is a defect of gapless",
                task.revision.name
            ),
        }),
    }
}

impl Driver for FakeDriver {
    fn kind(&self) -> &'static str {
        "fake"
    }

    fn runs(&self, code: &Code<'_>) -> bool {
        matches!(code, Code::Fake(_))
    }

    fn prepare(&self, task: PrepareTask) -> BoxFuture<'static, Result<(), StartFailure>> {
        futures::future::ready(model(&task).map(drop)).boxed()
    }

    fn start(&self, task: StartTask) -> BoxFuture<'static, Result<Started, StartFailure>> {
        async move {
            let begun = Instant::now();
            let model = model(&task.prepare)?;
            tokio::time::sleep(model.start.0).await;
            let report = StartReport::new(StartKind::Cold).with(StartPhase::Init, begun.elapsed());
            Ok(Started { sandbox: Box::new(FakeSandbox::new(&task, model)), report })
        }
        .boxed()
    }

    fn starts_at_once(&self, cores: usize) -> usize {
        cores.max(1).saturating_mul(STARTS_PER_CORE)
    }

    fn forget(&self, _revision: &RevisionName) {}
}
