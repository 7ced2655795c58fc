//! One modelled instance: answers after its service time, until it is ended.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use gapless_proto::{
    Body, CallError, Endpoint, LocalCall, LocalService, Request, Response, StartFailure,
};
use gapless_sandbox::{Sandbox, StartTask};
use gapless_types::{FakeModel, InstanceId, Reason, RevisionName};
use tokio::sync::watch;

/// The handle the node holds. Dropping it ends the calls under way.
#[derive(Debug)]
pub(crate) struct FakeSandbox {
    instance: Arc<Instance>,
    /// Turns true when the instance ends; dropped means the same.
    ended: watch::Sender<bool>,
}

struct Instance {
    id: InstanceId,
    revision: RevisionName,
    service: Duration,
    served: AtomicU64,
    in_flight: AtomicU32,
    ended: watch::Receiver<bool>,
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fake {} of {}", self.id, self.revision)
    }
}

impl FakeSandbox {
    pub(crate) fn new(task: &StartTask, model: FakeModel) -> Self {
        let (ended, watched) = watch::channel(false);
        let instance = Arc::new(Instance {
            id: task.instance,
            revision: task.prepare.revision.name.clone(),
            service: model.service.0,
            served: AtomicU64::new(0),
            in_flight: AtomicU32::new(0),
            ended: watched,
        });
        FakeSandbox { instance, ended }
    }
}

impl Sandbox for FakeSandbox {
    fn endpoint(&self) -> Endpoint {
        Endpoint::Local(Arc::new(Service(self.instance.clone())))
    }

    fn died(&self) -> BoxFuture<'static, StartFailure> {
        futures::future::pending().boxed()
    }

    fn stop(self: Box<Self>, grace: Duration) -> BoxFuture<'static, ()> {
        async move {
            // One service time lets every call under way end.
            if self.instance.in_flight.load(Ordering::SeqCst) > 0 {
                tokio::time::sleep(grace.min(self.instance.service)).await;
            }
            self.ended.send_replace(true);
        }
        .boxed()
    }
}

struct Service(Arc<Instance>);

/// Counts a call out, however it ends.
struct InFlight(Arc<Instance>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

impl LocalService for Service {
    fn call(&self, _request: Request) -> LocalCall {
        let instance = self.0.clone();
        instance.in_flight.fetch_add(1, Ordering::SeqCst);
        let in_flight = InFlight(instance.clone());
        Box::pin(async move {
            let _in_flight = in_flight;
            let mut ended = instance.ended.clone();
            tokio::select! {
                biased;
                _ = ended.wait_for(|ended| *ended) => Err(is_dead(&instance)),
                () = tokio::time::sleep(instance.service) => Ok(instance.answer()),
            }
        })
    }
}

fn is_dead(instance: &Instance) -> CallError {
    CallError {
        reason: Reason::InstanceDied,
        message: format!("{} of {} was ended", instance.id, instance.revision),
        instance_is_dead: true,
        is_unsent: false,
    }
}

impl Instance {
    fn answer(&self) -> Response {
        let served = self.served.fetch_add(1, Ordering::Relaxed) + 1;
        // Names and ids are lower-case words: nothing in them needs escaping.
        let json = format!(
            "{{\"revision\":\"{}\",\"instance\":\"{}\",\"served\":{served}}}\n",
            self.revision, self.id
        );
        let mut response = http::Response::new(Body::from(json));
        let kind = http::HeaderValue::from_static("application/json");
        response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
        response
    }
}
