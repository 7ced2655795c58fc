//! Making a new revision runnable, in the background of its declaration, and
//! switching to it.
//!
//! Until the new revision is prepared the former one serves; if it cannot be
//! prepared the former one goes on serving, and the function's condition says
//! what is wrong with the new one.

use std::sync::Arc;

use futures::future::join_all;
use gapless_placement::{Held, ShapeSpec};
use gapless_proto::StartFailure;
use gapless_store::{Expect, StoreError};
use gapless_types::{Fault, FunctionKey, Revision};
use jiff::Timestamp;

use crate::Control;
use crate::functions::{Declared, Readiness};
use crate::record::{Stored, store_key};
use crate::routes::{Step, route};
use crate::shape::shape_of;

impl Control {
    /// Prepares a revision and then switches to it.
    pub(crate) fn prepare_in_background(&self, revision: Arc<Revision>) {
        let Some(control) = self.weak().upgrade() else { return };
        let shutdown = control.shutdown().clone();
        gapless_rt::spawn(async move {
            let prepared = async {
                // The semaphore is never closed.
                let _turn = control.preparing.acquire().await;
                control.prepare(&revision).await
            };
            tokio::select! {
                result = prepared => control.prepared(&revision, result).await,
                () = shutdown.begun() => {}
            }
        });
    }

    async fn prepare(&self, revision: &Arc<Revision>) -> Result<(), StartFailure> {
        let shape = shape_of(&revision.function, &revision.spec);
        let nodes = self.nodes().to_prepare(&shape);
        if nodes.is_empty() {
            return Err(no_node(revision, &shape));
        }
        let prepared = nodes.iter().map(|node| {
            let work = node.prepare(Arc::clone(revision));
            // A task of its own: a driver that panics is a refusal, not the end of this.
            async { gapless_rt::spawn(work).await.unwrap_or_else(|_| Err(panicked(revision))) }
        });
        let prepared: Vec<Result<(), StartFailure>> = join_all(prepared).await;
        if let Some(artifact) = &revision.spec.artifact {
            for (node, _) in nodes.iter().zip(&prepared).filter(|(_, result)| result.is_ok()) {
                self.nodes().set_held(node.id(), Held::Image, artifact, true);
            }
        }
        prepared.into_iter().collect()
    }

    async fn prepared(
        self: &Arc<Self>,
        revision: &Arc<Revision>,
        result: Result<(), StartFailure>,
    ) {
        let unused = match &result {
            Ok(()) => self.switch_to(revision),
            Err(failure) => self.refuse(revision, failure),
        };
        self.attend_routes();
        self.watch_changed(&revision.function);
        let (control, revision) = (Arc::clone(self), Arc::clone(revision));
        let stored = gapless_rt::spawn_blocking(move || {
            control.remove_unused(unused);
            match &result {
                Err(failure) if failure.fault != Fault::Platform => {
                    control.store_refusal(&revision, failure);
                }
                _ => {}
            }
        });
        // Nothing waits for it: what is not stored is found out again.
        let _ = stored.await;
    }

    /// The new revision takes over. Returns an artifact that nothing uses any more.
    fn switch_to(&self, revision: &Arc<Revision>) -> Option<String> {
        let mut functions = self.functions().lock();
        let declared = latest_mut(functions.get_mut(&revision.function), revision)?;
        let former = declared.serving.replace(Arc::clone(revision));
        declared.readiness = Readiness::Ready;
        declared.since = Timestamp::now();
        let route = route(declared);
        let mut routes = self.routes().lock();
        routes.push(Step::Set(route));
        if revision.spec.scale.min > 0 || self.revision(&revision.name).is_some() {
            routes.push(Step::Runnable(self.make_revision(&functions, revision)));
        }
        let former = former.filter(|former| !Arc::ptr_eq(former, revision))?;
        routes.push(Step::Close(Arc::clone(&former)));
        functions.free_hosts(&revision.function);
        functions.release_artifact(former.spec.artifact.as_deref())
    }

    fn refuse(&self, revision: &Arc<Revision>, failure: &StartFailure) -> Option<String> {
        let mut functions = self.functions().lock();
        let declared = latest_mut(functions.get_mut(&revision.function), revision)?;
        declared.readiness = Readiness::Failed(failure.message.as_str().into());
        declared.since = Timestamp::now();
        if declared.serving.is_none() {
            self.routes().lock().push(Step::Set(route(declared)));
        }
        None
    }

    /// Remembers over a restart that a revision was refused.
    fn store_refusal(&self, revision: &Arc<Revision>, failure: &StartFailure) {
        let key = &revision.function;
        let _turn = self.stripes.lock(key);
        let Some(expected) = self.store_revision_of(key, revision) else { return };
        let name = store_key(key);
        let stored = self.store().get(&name).and_then(|record| match record {
            Some(record) if record.revision == expected => {
                let mut stored = Stored::read(&record)?;
                stored.failed = Some(failure.message.clone());
                self.store().put(&name, &stored.to_bytes(), Expect::At(expected)).map(Some)
            }
            _ => Ok(None),
        });
        match stored {
            Ok(Some(written)) => {
                let mut functions = self.functions().lock();
                if let Some(declared) = latest_mut(functions.get_mut(key), revision) {
                    declared.store_revision = written;
                }
            }
            // Somebody else wrote it: then there is a newer declaration.
            Ok(None) | Err(StoreError::Conflict { .. }) => {}
            Err(error) => tracing::warn!(function = %key, %error, "cannot store a refusal"),
        }
    }

    fn store_revision_of(&self, key: &FunctionKey, revision: &Arc<Revision>) -> Option<u64> {
        let mut functions = self.functions().lock();
        latest_mut(functions.get_mut(key), revision).map(|declared| declared.store_revision)
    }
}

/// The function, if `revision` is still its latest.
fn latest_mut<'a>(
    declared: Option<&'a mut Declared>,
    revision: &Arc<Revision>,
) -> Option<&'a mut Declared> {
    declared.filter(|declared| Arc::ptr_eq(&declared.latest, revision))
}

fn no_node(revision: &Revision, shape: &ShapeSpec) -> StartFailure {
    let sandbox = &shape.sandbox;
    let hint = match &**sandbox {
        "fake" => "; start the platform with --fake-nodes N",
        _ => "",
    };
    let required: Vec<String> = shape.require.iter().map(ToString::to_string).collect();
    let labels = match required.is_empty() {
        true => String::new(),
        false => format!(" and the labels {}", required.join(", ")),
    };
    StartFailure {
        fault: Fault::Platform,
        kind: "NoNode",
        message: format!(
            "no node can run {}: none has {sandbox} sandboxes{labels}{hint}",
            revision.function
        ),
    }
}

fn panicked(revision: &Revision) -> StartFailure {
    StartFailure {
        fault: Fault::Platform,
        kind: "DriverPanicked",
        message: format!(
            "preparing {} ended by a bug of gapless; see the platform's own log",
            revision.name
        ),
    }
}
