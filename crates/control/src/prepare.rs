//! Making a revision runnable, and trying it, in the background of its declaration.
//! What came of it is told to the function's course, which decides what follows.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use gapless_placement::{Held, ShapeSpec};
use gapless_proto::StartFailure;
use gapless_rollout::{Event, Failure};
use gapless_types::{Fault, FunctionKey, Revision, RevisionName};

use crate::Control;
use crate::course::CODE_IS_LOST;
use crate::functions::Readiness;
use crate::routes::Step;
use crate::shape::shape_of;

/// How long one probe may take, its instance's start included.
const PROBED_WITHIN: Duration = Duration::from_secs(300);

impl Control {
    /// Prepares a revision and then switches to it.
    pub(crate) fn prepare_in_background(&self, revision: Arc<Revision>) {
        let Some(control) = self.weak().upgrade() else { return };
        let shutdown = control.shutdown().clone();
        gapless_rt::spawn(async move {
            let prepared = async {
                // What a former run had not prepared waits for this one's nodes.
                control.begun().await;
                // The semaphore is never closed.
                let _turn = control.preparing.acquire().await;
                control.prepare(&revision).await
            };
            tokio::select! {
                result = prepared => control.prepared(&revision, result),
                () = shutdown.begun() => {}
            }
        });
    }

    async fn prepare(&self, revision: &Arc<Revision>) -> Result<(), StartFailure> {
        if self.is_code_lost(&revision.spec) {
            return Err(StartFailure {
                fault: Fault::Platform,
                kind: "CodeIsLost",
                message: CODE_IS_LOST.to_owned(),
            });
        }
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

    fn prepared(&self, revision: &Arc<Revision>, result: Result<(), StartFailure>) {
        let (key, name) = (&revision.function, &revision.name);
        {
            let functions = &mut *self.functions().lock();
            let declared = functions.get_mut(key);
            let Some(known) = declared.and_then(|declared| declared.known.get_mut(name)) else {
                return;
            };
            known.readiness = match &result {
                Ok(()) => Readiness::Ready,
                Err(failure) => Readiness::Failed(failure.message.as_str().into()),
            };
            if result.is_ok() && self.revision(name).is_some() {
                let state = self.make_revision(revision);
                self.routes().lock().push(Step::Runnable(state));
            }
            self.route_function(functions, key);
        }
        if let Err(failure) = &result {
            let message = format!("{}: {}", name.short(), failure.message);
            self.happened(key, true, "PrepareFailed", message);
        }
        let result =
            result.map_err(|failure| Failure { fault: failure.fault, message: failure.message });
        self.on_course(key, Event::Prepared { revision: name.clone(), result });
        self.attend_routes();
    }

    /// Tries a revision by one instance, and says what came of it. The first revision of
    /// a function has nobody to protect: it is only tried if its declaration says how, so
    /// that what is deployed and never called costs no instance.
    pub(crate) fn probe_in_background(&self, key: &FunctionKey, revision: RevisionName) {
        let is_first = {
            let functions = self.functions().lock();
            let Some(declared) = functions.get(key) else { return };
            declared.rollout.stable().is_none() && declared.spec.probe.is_none()
        };
        let Some(control) = self.weak().upgrade() else { return };
        let (key, shutdown) = (key.clone(), control.shutdown().clone());
        gapless_rt::spawn(async move {
            let result = match is_first {
                true => Ok(()),
                false => {
                    tokio::select! {
                        result = control.probe(&revision) => result,
                        () = shutdown.begun() => return,
                    }
                }
            };
            control.on_course(&key, Event::Probed { revision, result });
        });
    }

    async fn probe(&self, revision: &RevisionName) -> Result<(), Failure> {
        let mut probing = None;
        self.with_gateway(|gateway| probing = Some(gateway.probe(revision)));
        let Some(probing) = probing else { return Ok(()) };
        match self.clock().timeout(PROBED_WITHIN, probing).await {
            Some(Ok(())) => Ok(()),
            Some(Err(failure)) => Err(Failure { fault: failure.fault, message: failure.message }),
            None => Err(Failure {
                fault: Fault::Function,
                message: format!("no answer to its probe within {} s", PROBED_WITHIN.as_secs()),
            }),
        }
    }
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
