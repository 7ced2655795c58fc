//! From a method and a path to a verb of a kind: the one handler of every kind's
//! paths. What cannot be done is refused with what can.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use gapless_api::Status;
use gapless_declared::{ObjectKey, Resource};
use http::Method;

use super::Api;
use super::error::ApiError;
use super::query::Query;
use super::reads;
use super::target::Target;
use super::writes::Writer;

type Outcome = Result<Response, ApiError>;

/// Any path that no other handler has.
pub(crate) async fn serve(State(api): State<Api>, request: Request) -> Outcome {
    let (parts, body) = request.into_parts();
    let path = decoded(parts.uri.path());
    let Some(target) = Target::read(&path) else { return Err(no_path(&path)) };
    let kinds = api.control.objects().kinds();
    let resource = kinds.get(target.group, target.version, target.plural).cloned();
    let resource = resource.ok_or_else(|| no_path(&path))?;
    if target.namespace.is_some() && !resource.descriptor().is_namespaced {
        return Err(no_path(&path));
    }
    let query = Query::read(&parts.uri)?;
    let method = if parts.method == Method::HEAD { Method::GET } else { parts.method };
    let (target, headers) = (&target, &parts.headers);
    let writer = Writer { api: &api, resource: &resource, target, headers, query: &query };
    let Some(name) = target.name else {
        let _turn = turn(&api, &method).await;
        return match method.as_str() {
            "GET" => {
                allow(&resource, if query.flag("watch")? { "watch" } else { "list" })?;
                reads::list(&api, &resource, target, headers, &query).await
            }
            "POST" => {
                allow(&resource, "create")?;
                writer.create(body).await
            }
            "DELETE" => {
                allow(&resource, "deletecollection")?;
                writer.delete_collection(body).await
            }
            other => Err(not_allowed(&path, other)),
        };
    };
    let key = key_of(&resource, target, name, &path)?;
    let _turn = turn(&api, &method).await;
    match (method.as_str(), target.subresource) {
        ("GET", None) if query.flag("watch")? => Err(not_allowed(&path, "GET with watch")),
        ("GET", None) => {
            allow(&resource, "get")?;
            reads::get(&api, &resource, &key, headers, &query)
        }
        ("PUT", None) => {
            allow(&resource, "update")?;
            writer.replace(&key, body).await
        }
        ("PATCH", None) => {
            allow(&resource, "patch")?;
            writer.patch(&key, body).await
        }
        ("DELETE", None) => {
            allow(&resource, "delete")?;
            writer.delete(&key, body).await
        }
        ("GET", Some("status")) if resource.descriptor().has_status => {
            reads::get(&api, &resource, &key, headers, &query)
        }
        ("PUT" | "PATCH", Some("status")) if resource.descriptor().has_status => {
            let message = "status is what the platform observes: only the platform writes it";
            Err(Status::failure(403, "Forbidden", message).into())
        }
        ("GET", Some("scale")) if resource.descriptor().has_scale => writer.scale(&key),
        (method @ ("PUT" | "PATCH"), Some("scale")) if resource.descriptor().has_scale => {
            writer.rescale(&key, method, body).await
        }
        (_, Some(_)) => Err(no_path(&path)),
        (other, None) => Err(not_allowed(&path, other)),
    }
}

/// A turn among those that write. Their number is bounded; they share fsyncs.
async fn turn<'a>(api: &'a Api, method: &Method) -> Option<tokio::sync::SemaphorePermit<'a>> {
    match *method {
        Method::GET => None,
        // The semaphore is never closed.
        _ => api.declarations.acquire().await.ok(),
    }
}

fn key_of(
    resource: &Arc<dyn Resource>,
    target: &Target<'_>,
    name: &str,
    path: &str,
) -> Result<ObjectKey, ApiError> {
    match (resource.descriptor().is_namespaced, target.namespace) {
        (false, _) => Ok(ObjectKey::new("", name)),
        (true, Some(namespace)) => Ok(ObjectKey::new(namespace, name)),
        (true, None) => Err(no_path(path)),
    }
}

fn allow(resource: &Arc<dyn Resource>, verb: &str) -> Result<(), ApiError> {
    let descriptor = resource.descriptor();
    if descriptor.allows(verb) {
        return Ok(());
    }
    let message = format!(
        "{} cannot be asked to {verb}; they can be asked to {}",
        descriptor.resource(),
        descriptor.verbs.join(", ")
    );
    Err(Status::failure(405, "MethodNotAllowed", message).into())
}

fn no_path(path: &str) -> ApiError {
    let message = format!("there is no path {path}; /apis and /api/v1 say which kinds there are");
    Status::failure(404, "NotFound", message).into()
}

fn not_allowed(path: &str, method: &str) -> ApiError {
    let message = format!("{path} does not take {method}");
    Status::failure(405, "MethodNotAllowed", message).into()
}

/// A path with its percent-encoded bytes as they are. Names need none.
fn decoded(path: &str) -> String {
    if !path.contains('%') {
        return path.to_owned();
    }
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = (*first == b'%').then(|| after.get(..2)).flatten();
        let hex = hex.and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoded_paths_are_read() {
        assert_eq!(decoded("/a/b"), "/a/b");
        assert_eq!(decoded("/a%2Fb%3a%zz%4"), "/a/b:%zz%4");
    }
}
