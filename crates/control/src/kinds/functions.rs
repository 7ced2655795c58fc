//! `Function`: what people deploy. A change of its code or configuration makes a
//! revision in the same transaction; a change of its traffic, its rollout or its
//! minimum of instances does not.

use std::sync::Arc;

use futures::future::BoxFuture;
use gapless_declared::{Admission, Hold, ObjectKey, Operation, Outcome, Resource, store_key};
use gapless_objects::Descriptor;
use gapless_objects::kinds::{AGE, DECLARED_VERBS, condition, found, integer, text};
use gapless_store::{Expect, StoreRevision, Write};
use gapless_types::{Code, FieldError, Function, FunctionKey, FunctionSpec, RevisionName};
use serde_json::{Value, json};
use tokio::sync::broadcast;

use super::revisions::{self, REVISIONS};
use super::{Owner, text as text_at};
use crate::Control;

/// Revisions of one function that are kept besides those its traffic names.
const REVISIONS_KEPT: u64 = 20;

/// Parts of a stored function that are not shown: the course of its rollout, and the
/// shape in which it was declared.
const HIDDEN: &[&str] = &["course", "shape"];

/// The kind.
pub(crate) static FUNCTIONS: Descriptor = Descriptor {
    group: "gapless.dev",
    version: "v1",
    kind: "Function",
    list_kind: "FunctionList",
    plural: "functions",
    singular: "function",
    short_names: &["fn", "fns"],
    categories: &["all", "gapless"],
    is_namespaced: true,
    verbs: DECLARED_VERBS,
    has_status: true,
    has_scale: true,
    columns: &[
        text("Ready", "Whether it can be called.", |o| condition(o, "Ready", "status")),
        text("Reason", "Why not.", |o| match condition(o, "Ready", "status") == "True" {
            true => json!(""),
            false => condition(o, "Ready", "reason"),
        }),
        text("Revision", "The revision that takes new requests.", |o| found(o, "status.revision")),
        integer("Instances", "Instances that can serve.", |o| found(o, "status.readyInstances")),
        text("Cold", "Share of its requests that waited for a start.", |o| {
            found(o, "status.coldShare")
        }),
        integer("Queue", "Requests that wait.", |o| found(o, "status.queued")),
        text("Url", "Where to call it.", |o| found(o, "status.url")),
        AGE,
        text("Code", "What kind of code it has.", code).wide(),
    ],
    selectable: &["status.revision"],
    schema: gapless_objects::schema::of::<gapless_types::Function>,
};

fn code(function: &Value) -> Value {
    let spec = &function["spec"];
    let kinds = ["wasm", "command", "image", "lambda", "fake"];
    kinds.into_iter().find(|kind| !spec[*kind].is_null()).unwrap_or_default().into()
}

/// The kind at work.
#[derive(Debug)]
pub(crate) struct Functions(pub(super) Owner);

impl Resource for Functions {
    fn descriptor(&self) -> &'static Descriptor {
        &FUNCTIONS
    }

    fn admit(&self, admission: &mut Admission<'_>) -> Outcome<Result<Hold, Vec<FieldError>>> {
        let control = self.0.require()?;
        let mut read = admission.new.clone();
        if let Some(fields) = read.as_object_mut() {
            fields.remove("status");
        }
        let function = match Function::from_value(read) {
            Ok(function) => function,
            Err(errors) => return Ok(Err(errors)),
        };
        if admission.new["metadata"]["deletionTimestamp"].is_string() {
            return Ok(Ok(None));
        }
        admission.new["spec"] = serde_json::to_value(&function.spec).unwrap_or_default();
        let key = function
            .metadata
            .key()
            .map_err(|error| gapless_api::Status::failure(400, "BadRequest", error.to_string()))?;
        if let Err(error) = control.check_references(&key, &function.spec) {
            return Ok(Err(vec![error]));
        }
        let hold = match control.hold_artifact(&key, &function.spec) {
            Ok(hold) => hold,
            Err(error) => return Ok(Err(vec![error])),
        };
        if let Err(error) = claim_host(&control, admission, &key, &function.spec) {
            return Ok(Err(vec![error]));
        }
        add_revision(&control, admission, &key, &function.spec);
        Ok(Ok(Some(Box::new(hold))))
    }

    fn admit_removal(
        &self,
        key: &ObjectKey,
        object: &Value,
        writes: &mut Vec<Write>,
    ) -> Outcome<Hold> {
        if let Some(host) = host_of(object) {
            writes.push(Write::delete(host_key(&host), Expect::Any));
        }
        let control = self.0.require()?;
        for name in control.stored_revisions(key) {
            let revision = ObjectKey::new(key.namespace.as_str(), name);
            writes.push(Write::delete(store_key(&REVISIONS, &revision), Expect::Any));
        }
        Ok(None)
    }

    fn hidden(&self) -> &'static [&'static str] {
        HIDDEN
    }

    fn show(&self, object: &mut Value, _is_revealed: bool) {
        if let Some(control) = self.0.get() {
            control.show_function(object);
        }
    }

    fn touched(&self) -> Option<broadcast::Receiver<ObjectKey>> {
        self.0.get().map(|control| control.touched.subscribe())
    }

    fn restated(&self, key: &ObjectKey) {
        let key = FunctionKey::new(&key.namespace, &key.name);
        if let (Some(control), Ok(key)) = (self.0.get(), key) {
            control.retry(&key);
        }
    }

    fn settled(&self, revision: StoreRevision) -> BoxFuture<'static, ()> {
        match self.0.get() {
            Some(control) => {
                let followed = Arc::clone(&control.functions_followed);
                Box::pin(async move { followed.reached(revision).await })
            }
            None => Box::pin(std::future::ready(())),
        }
    }
}

/// The part of a specification that makes a revision: what an instance is, and how it is
/// reached. Not how many there are at least, nor which revision gets which requests.
pub(crate) fn template(spec: &FunctionSpec) -> FunctionSpec {
    let defaults = FunctionSpec::with_defaults();
    let mut template = spec.clone();
    template.scale.min = 0;
    template.traffic = defaults.traffic;
    template.rollout = None;
    template
}

/// The same, shared with the function's own where that says nothing else: many functions
/// are kept in memory.
pub(crate) fn shared_template(spec: &Arc<FunctionSpec>) -> Arc<FunctionSpec> {
    let template = template(spec);
    if template == **spec { Arc::clone(spec) } else { Arc::new(template) }
}

/// Makes a revision if the template changed, and says so in the function's status.
fn add_revision(
    control: &Control,
    admission: &mut Admission<'_>,
    key: &FunctionKey,
    spec: &FunctionSpec,
) {
    let new = template(spec);
    let last = admission.old.map(|old| text_at(old, "/status/latestCreatedRevision").to_owned());
    let is_same = admission
        .old
        .and_then(|old| serde_json::from_value::<FunctionSpec>(old["spec"].clone()).ok())
        .is_some_and(|old| template(&old) == new);
    if is_same && last.as_ref().is_some_and(|last| !last.is_empty()) {
        return;
    }
    let number = match last.as_deref().and_then(revisions::number_of) {
        Some(number) => number + 1,
        None => control.first_revision(key),
    };
    let name = RevisionName::new(key, number);
    let object = revisions::object(admission.new, name.short(), &new, admission.now);
    let revision = ObjectKey::new(key.namespace(), name.short());
    let value = serde_json::to_vec(&object).unwrap_or_default();
    admission.writes.push(Write::put(store_key(&REVISIONS, &revision), value, Expect::Absent));
    if !admission.new["status"].is_object() {
        admission.new["status"] = json!({});
    }
    admission.new["status"]["latestCreatedRevision"] = name.short().into();
    if admission.operation == Operation::Update {
        forget_old(control, admission, key, number, spec);
    }
}

/// Has revisions go that are old, and that no traffic names.
fn forget_old(
    control: &Control,
    admission: &mut Admission<'_>,
    key: &FunctionKey,
    newest: u64,
    spec: &FunctionSpec,
) {
    let named = |name: &str| spec.traffic.iter().any(|t| t.revision.to_string() == name);
    let in_use = control.revisions_in_use(key);
    let object = ObjectKey::new(key.namespace(), key.name());
    for name in control.stored_revisions(&object) {
        let is_old = revisions::number_of(&name).is_some_and(|n| n + REVISIONS_KEPT < newest);
        if is_old && !named(&name) && !in_use.contains(&name) {
            let revision = ObjectKey::new(key.namespace(), name);
            let write = Write::delete(store_key(&REVISIONS, &revision), Expect::Any);
            admission.writes.push(write);
        }
    }
}

/// The host of its own that a stored function has.
fn host_of(function: &Value) -> Option<String> {
    let host = function.pointer("/spec/access/route/host")?.as_str()?;
    Some(host.to_ascii_lowercase())
}

/// Where it is recorded whose a host is. In the same transaction as the function, so
/// that two functions can never have one.
fn host_key(host: &str) -> String {
    format!("hosts/{host}")
}

fn claim_host(
    control: &Control,
    admission: &mut Admission<'_>,
    key: &FunctionKey,
    spec: &FunctionSpec,
) -> Result<(), FieldError> {
    let wanted = spec.access.route.as_ref().map(|route| route.host.to_ascii_lowercase());
    let had = admission.old.and_then(host_of);
    if wanted == had {
        return Ok(());
    }
    if let Some(host) = &wanted {
        let field = "spec.access.route.host";
        let failed = |message: String| FieldError::new(field, message);
        let record = control.store().get(&host_key(host)).map_err(|e| failed(e.to_string()))?;
        let owner = record.map(|record| String::from_utf8_lossy(&record.value).into_owned());
        if let Some(owner) = owner.filter(|owner| *owner != key.to_string()) {
            return Err(failed(format!("{host:?} is the host of function {owner} already")));
        }
        let owner = key.to_string().into_bytes();
        admission.writes.push(Write::put(host_key(host), owner, Expect::Absent));
    }
    if let Some(host) = had {
        admission.writes.push(Write::delete(host_key(&host), Expect::Any));
    }
    Ok(())
}

impl Control {
    /// Whether what a function names is there: a profile, revisions in its traffic.
    fn check_references(&self, key: &FunctionKey, spec: &FunctionSpec) -> Result<(), FieldError> {
        let placement = spec.placement.as_ref();
        let profile = placement.and_then(|placement| placement.profile.as_deref());
        if let Some(name) = profile.filter(|name| !self.profiles().has(name)) {
            let message = format!(
                "there is no placement profile {name:?}; `gapless get profiles` lists them"
            );
            return Err(FieldError::new("spec.placement.profile", message));
        }
        for (index, target) in spec.traffic.iter().enumerate() {
            let Some(revision) = target.revision.named(key) else { continue };
            let object = ObjectKey::new(key.namespace(), revision.short());
            let found = self.store().get(&store_key(&REVISIONS, &object));
            if matches!(found, Ok(None)) {
                let message = format!(
                    "there is no revision {:?}; `gapless get revisions` lists them",
                    revision.short()
                );
                return Err(FieldError::new(format!("spec.traffic[{index}].revision"), message));
            }
        }
        Ok(())
    }

    /// Holds the artifact that a function needs until its declaration is decided: it is
    /// not removed as unused meanwhile.
    fn hold_artifact(
        &self,
        key: &FunctionKey,
        spec: &FunctionSpec,
    ) -> Result<ArtifactHold, FieldError> {
        let digest = spec.artifact.clone();
        self.functions().lock().hold_artifact(digest.as_deref());
        let hold = ArtifactHold(self.weak(), digest.clone());
        let problem = match &digest {
            None if spec.code() == Code::Wasm => Some(
                "is missing: it is the digest of the uploaded component. `gapless deploy DIR` \
                 uploads and sets it"
                    .to_owned(),
            ),
            Some(digest) if !self.has_artifact(digest) => Some(format!(
                "{digest} is not here: upload it first, by PUT {} (`gapless deploy` does), then \
                 declare {key} again",
                gapless_api::artifact_path(digest)
            )),
            _ => None,
        };
        match problem {
            Some(message) => Err(FieldError::new("spec.artifact", message)),
            None => Ok(hold),
        }
    }
}

/// Lets go of an artifact when it is dropped.
struct ArtifactHold(std::sync::Weak<Control>, Option<String>);

impl Drop for ArtifactHold {
    fn drop(&mut self) {
        let Some(control) = self.0.upgrade() else { return };
        // What nothing used before stays for the next attempt: uploads are bounded.
        let _ = control.functions().lock().release_artifact(self.1.as_deref());
    }
}
