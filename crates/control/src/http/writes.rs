//! Changing kinds: create, replace, patch, apply, scale, delete.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use gapless_api::Status;
use gapless_declared::{
    Change, DeleteOptions, Make, ObjectKey, Outcome as Declared, Refusal, Resource,
};
use gapless_objects::patch::{Patch, PatchType};
use gapless_objects::{apply, meta, scale};
use gapless_types::FieldError;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::error::{ApiError, bad_request, refused};
use super::query::Query;
use super::reads::{Wanted, answer};
use super::target::Target;
use super::{Api, body};

type Outcome<T> = Result<T, ApiError>;

/// Letters of a generated name's end: those of Kubernetes, that make no words.
const SUFFIX_LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX_LEN: usize = 5;

/// One request that changes something.
pub(crate) struct Writer<'a> {
    pub(crate) api: &'a Api,
    pub(crate) resource: &'a Arc<dyn Resource>,
    pub(crate) target: &'a Target<'a>,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) query: &'a Query,
}

impl Writer<'_> {
    /// `POST` to a collection.
    pub(crate) async fn create(&self, body: Body) -> Outcome<Response> {
        let bytes = body::bytes(body).await?;
        let mut document = body::document(self.headers, &bytes)?;
        let key = self.new_key(&mut document.value)?;
        self.change(&key, Change::Create(document)).await
    }

    /// `PUT` of an object.
    pub(crate) async fn replace(&self, key: &ObjectKey, body: Body) -> Outcome<Response> {
        let bytes = body::bytes(body).await?;
        let document = body::document(self.headers, &bytes)?;
        self.change(key, Change::Replace(document)).await
    }

    /// `PATCH` of an object.
    pub(crate) async fn patch(&self, key: &ObjectKey, body: Body) -> Outcome<Response> {
        let bytes = body::bytes(body).await?;
        let change = match body::media_type(self.headers) {
            apply::CONTENT_TYPE | "application/apply-patch+json" => {
                Change::Apply(body::yaml(&bytes)?)
            }
            kind => Change::Patch(patch_of(kind, &bytes)?),
        };
        self.change(key, change).await
    }

    async fn change(&self, key: &ObjectKey, change: Change) -> Outcome<Response> {
        let wanted = Wanted::read(self.headers, self.query)?;
        let options = self.query.write_options(self.headers)?;
        let objects = self.api.control.objects();
        let written =
            objects.change(self.resource, key, &change, &options, Timestamp::now()).await?;
        let code = if written.is_created { StatusCode::CREATED } else { StatusCode::OK };
        let object = wanted.view(self.resource).object(written.object);
        Ok(answer(code, &object, &written.warnings))
    }

    /// The key of an object to create; its name is made if it asks for that.
    fn new_key(&self, object: &mut Value) -> Outcome<ObjectKey> {
        let descriptor = self.resource.descriptor();
        let namespace = match (descriptor.is_namespaced, self.target.namespace) {
            (false, _) => "",
            (true, Some(namespace)) => namespace,
            (true, None) => {
                let kind = descriptor.kind;
                let message = format!(
                    "a {kind} is created in a namespace: POST to {}/namespaces/NAMESPACE/{}",
                    descriptor.root(),
                    descriptor.plural
                );
                return Err(bad_request(message));
            }
        };
        if !object.is_object() {
            return Err(bad_request(
                "the body is not an object: it needs apiVersion, kind, metadata and spec",
            ));
        }
        let prefix = meta::text(object, "generateName").to_owned();
        if meta::name(object).is_empty() && !prefix.is_empty() {
            let name = meta::generated_name(&prefix, &suffix());
            meta::metadata_mut(object).insert("name".to_owned(), name.into());
        }
        let name = meta::name(object);
        if name.is_empty() {
            let error = FieldError::new("metadata.name", "is missing: name or generateName");
            return Err(Status::invalid("", &[error]).into());
        }
        Ok(ObjectKey::new(namespace, name))
    }

    /// `DELETE` of an object.
    pub(crate) async fn delete(&self, key: &ObjectKey, body: Body) -> Outcome<Response> {
        let options = self.delete_options(body).await?;
        let objects = self.api.control.objects();
        let deleted = objects.delete(self.resource, key, &options, Timestamp::now()).await?;
        if !deleted.is_gone {
            return Ok(answer(StatusCode::OK, &deleted.object, &[]));
        }
        let descriptor = self.resource.descriptor();
        let mut status = Status::success();
        status.details.name.clone_from(&key.name);
        status.details.group = descriptor.group.to_owned();
        status.details.kind = descriptor.plural.to_owned();
        status.details.uid = meta::text(&deleted.object, "uid").to_owned();
        Ok(answer(StatusCode::OK, &serde_json::to_value(&status).unwrap_or_default(), &[]))
    }

    /// `DELETE` of a collection.
    pub(crate) async fn delete_collection(&self, body: Body) -> Outcome<Response> {
        let selection = self.query.selection(self.target, self.resource.descriptor())?;
        let options = self.delete_options(body).await?;
        let objects = self.api.control.objects();
        let deleted =
            objects.delete_collection(self.resource, &selection, &options, Timestamp::now());
        let wanted = Wanted::read(self.headers, self.query)?;
        let version = self.api.control.store().revision().to_string();
        let meta = json!({ "resourceVersion": version });
        let list = wanted.view(self.resource).list(meta, deleted.await?);
        Ok(answer(StatusCode::OK, &list, &[]))
    }

    async fn delete_options(&self, body: Body) -> Outcome<DeleteOptions> {
        let bytes = body::bytes(body).await?;
        let mut options =
            DeleteOptions { is_dry_run: self.query.is_dry_run()?, ..Default::default() };
        if bytes.is_empty() {
            return Ok(options);
        }
        let document = body::document(self.headers, &bytes)?.value;
        let preconditions = meta::Preconditions::of_options(&document);
        (options.uid, options.version) = (preconditions.uid, preconditions.resource_version);
        options.is_dry_run |=
            document["dryRun"].as_array().is_some_and(|all| all.iter().any(|one| one == "All"));
        Ok(options)
    }

    /// `GET` of `/scale`.
    pub(crate) fn scale(&self, key: &ObjectKey) -> Outcome<Response> {
        let object = self.api.control.objects().get(self.resource, key, false)?;
        Ok(answer(StatusCode::OK, &scale_of(&object), &[]))
    }

    /// `PUT` or `PATCH` of `/scale`.
    pub(crate) async fn rescale(
        &self,
        key: &ObjectKey,
        method: &str,
        body: Body,
    ) -> Outcome<Response> {
        let bytes = body::bytes(body).await?;
        let make: Box<Make> = match method {
            "PUT" => {
                let asked = body::document(self.headers, &bytes)?.value;
                Box::new(move |_| Ok(asked.clone()))
            }
            _ => {
                let patch = patch_of(body::media_type(self.headers), &bytes)?;
                let (kind, schema) = (self.resource.descriptor(), scale::schema());
                Box::new(move |scale| {
                    patch.apply(kind, &schema, scale).map_err(|e| refused(e).into_refusal())
                })
            }
        };
        let name = key.name.clone();
        let change = Change::Make(Box::new(move |object| {
            let before = scale_of(object);
            let after = make(&before)?;
            scaled(&name, object, &after)
        }));
        let mut options = self.query.write_options(self.headers)?;
        options.subresource = "scale";
        let objects = self.api.control.objects();
        let written =
            objects.change(self.resource, key, &change, &options, Timestamp::now()).await?;
        Ok(answer(StatusCode::OK, &scale_of(&written.object), &written.warnings))
    }
}

fn patch_of(kind: &str, bytes: &[u8]) -> Outcome<Patch> {
    let Some(kind) = PatchType::from_content_type(kind) else {
        let message = format!(
            "{kind} is no patch; application/json-patch+json, application/merge-patch+json and \
             application/apply-patch+yaml are"
        );
        return Err(Status::failure(415, "UnsupportedMediaType", message).into());
    };
    Patch::parse(kind, bytes).map_err(refused)
}

/// A function's scale: replicas are the instances kept also when idle.
fn scale_of(object: &Value) -> Value {
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let selector = format!("gapless.dev/function={}", meta::name(object));
    scale::of(object, number("/spec/scale/min"), number("/status/readyInstances"), &selector)
}

fn scaled(name: &str, object: &Value, scale: &Value) -> Declared<Value> {
    let wrong = |message: String| {
        Refusal::from(Status::invalid(name, &[FieldError::new("spec.replicas", message)]))
    };
    let replicas = scale::wanted(scale).map_err(wrong)?;
    let max = object.pointer("/spec/scale/max").and_then(Value::as_u64).unwrap_or(u64::MAX);
    if replicas > max {
        return Err(wrong(format!(
            "found {replicas}, allowed is 0 to {max}, the function's spec.scale.max; raise that first"
        )));
    }
    let mut new = object.clone();
    new["spec"]["scale"]["min"] = replicas.into();
    let asked = meta::resource_version(scale);
    if !asked.is_empty() {
        meta::metadata_mut(&mut new).insert("resourceVersion".to_owned(), asked.into());
    }
    Ok(new)
}

fn suffix() -> String {
    let random = uuid::Uuid::new_v4();
    let letter = |byte: &u8| SUFFIX_LETTERS[usize::from(*byte) % SUFFIX_LETTERS.len()] as char;
    random.as_bytes().iter().take(SUFFIX_LEN).map(letter).collect()
}
