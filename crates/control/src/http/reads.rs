//! Reading kinds: one object, a list, a watch.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt as _, stream};
use gapless_api::{Status, StatusCause};
use gapless_declared::{ListOptions, ObjectKey, Resource, Selection, Watch, WatchOptions, Watched};
use gapless_objects::negotiate::{self, Form};
use gapless_objects::table::{Include, View};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Api;
use super::error::{ApiError, bad_request};
use super::query::Query;
use super::target::Target;

type Outcome<T> = Result<T, ApiError>;

/// How often a watcher is told how far it is, if it wants to know.
const BOOKMARK_EVERY: Duration = Duration::from_secs(30);
/// How long a watch goes on when its client does not say.
const WATCH_FOR: Duration = Duration::from_secs(3600);

/// In which form a client wants objects.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    form: Form,
    include: Include,
}

impl Wanted {
    pub(crate) fn read(headers: &HeaderMap, query: &Query) -> Outcome<Self> {
        let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
        let form = negotiate::objects(accept.unwrap_or_default()).ok_or_else(|| {
            let message = "only application/json can be had here, also as=Table and \
                           as=PartialObjectMetadata";
            ApiError::from(Status::failure(406, "NotAcceptable", message))
        })?;
        Ok(Wanted { form, include: query.include()? })
    }

    pub(crate) fn view<'a>(&self, resource: &'a Arc<dyn Resource>) -> View<'a> {
        let (form, include) = (self.form, self.include);
        View { kind: resource.descriptor(), form, include, now: Timestamp::now() }
    }
}

/// One object.
pub(crate) fn get(
    api: &Api,
    resource: &Arc<dyn Resource>,
    key: &ObjectKey,
    headers: &HeaderMap,
    query: &Query,
) -> Outcome<Response> {
    let wanted = Wanted::read(headers, query)?;
    let object = api.control.objects().get(resource, key, query.is_revealed()?)?;
    Ok(answer(StatusCode::OK, &wanted.view(resource).object(object), &[]))
}

/// A list, or a watch.
pub(crate) async fn list(
    api: &Api,
    resource: &Arc<dyn Resource>,
    target: &Target<'_>,
    headers: &HeaderMap,
    query: &Query,
) -> Outcome<Response> {
    let wanted = Wanted::read(headers, query)?;
    let selection = query.selection(target, resource.descriptor())?;
    if query.flag("watch")? {
        return watch(api, resource, selection, wanted, query).await;
    }
    let options = list_options(api, query)?;
    let (control, resource) = (Arc::clone(&api.control), Arc::clone(resource));
    // A list of thousands takes tens of milliseconds, and requests must not wait for it.
    let made = gapless_rt::spawn_blocking(move || {
        let listed = control.objects().list(&resource, &selection, &options)?;
        let mut meta = json!({ "resourceVersion": listed.version.to_string() });
        if let Some(continued) = listed.continued {
            meta["continue"] = continued.into();
        }
        let list = wanted.view(&resource).list(meta, listed.items);
        Ok::<_, ApiError>(serde_json::to_vec(&list).unwrap_or_default())
    });
    let json = HeaderValue::from_static("application/json");
    Ok(([(header::CONTENT_TYPE, json)], made.await??).into_response())
}

fn list_options(api: &Api, query: &Query) -> Outcome<ListOptions> {
    let version = query.version()?;
    let at = match query.get("resourceVersionMatch") {
        Some("Exact") => version,
        None | Some("NotOlderThan") => None,
        Some(other) => {
            let message = format!("resourceVersionMatch={other} is neither Exact nor NotOlderThan");
            return Err(bad_request(message));
        }
    };
    let newest = api.control.store().revision();
    // Versions of live kinds are times, and never behind.
    if let Some(wanted) = version.filter(|wanted| *wanted > newest && *wanted < 1 << 48) {
        return Err(too_large(wanted, newest));
    }
    Ok(ListOptions {
        limit: query.number("limit")?.and_then(|limit| usize::try_from(limit).ok()),
        continued: query.get("continue").map(str::to_owned),
        at,
        is_revealed: query.is_revealed()?,
    })
}

/// `504`, as client libraries expect it to try again.
fn too_large(wanted: u64, newest: u64) -> ApiError {
    let message = format!("Too large resource version: {wanted}, current: {newest}");
    let mut status = Status::failure(504, "Timeout", message);
    status.details.causes.push(StatusCause {
        reason: "ResourceVersionTooLarge".to_owned(),
        message: "Too large resource version".to_owned(),
        field: String::new(),
    });
    status.into()
}

async fn watch(
    api: &Api,
    resource: &Arc<dyn Resource>,
    selection: Selection,
    wanted: Wanted,
    query: &Query,
) -> Outcome<Response> {
    let wants_bookmarks = query.flag("allowWatchBookmarks")?;
    let sends_initial = query.flag("sendInitialEvents")?;
    let options = WatchOptions {
        after: query.version()?.filter(|_| !sends_initial),
        marks_initial_end: sends_initial && wants_bookmarks,
        is_revealed: query.is_revealed()?,
    };
    let ends_after = query.number("timeoutSeconds")?.map_or(WATCH_FOR, Duration::from_secs);
    let (control, of) = (Arc::clone(&api.control), Arc::clone(resource));
    let begun =
        gapless_rt::spawn_blocking(move || control.objects().watch(&of, selection, &options));
    let lines = Lines {
        watch: begun.await??,
        resource: Arc::clone(resource),
        wanted,
        wants_bookmarks,
        is_first: true,
        has_ended: false,
    };
    let (clock, shutdown) = (*api.control.clock(), api.control.shutdown().clone());
    let mut until = clock.now();
    until += ends_after;
    let ended = async move {
        tokio::select! {
            () = clock.sleep_until(until) => {}
            () = shutdown.begun() => {}
        }
    };
    let body = Body::from_stream(lines.stream(clock).take_until(ended).map(Ok::<_, Infallible>));
    let json = HeaderValue::from_static("application/json;stream=watch");
    Ok(([(header::CONTENT_TYPE, json)], body).into_response())
}

/// A watch as lines of JSON.
struct Lines {
    watch: Watch,
    resource: Arc<dyn Resource>,
    wanted: Wanted,
    wants_bookmarks: bool,
    is_first: bool,
    has_ended: bool,
}

impl Lines {
    fn stream(self, clock: gapless_rt::Clock) -> impl Stream<Item = Bytes> + Send {
        stream::unfold((self, clock), |(mut lines, clock)| async move {
            let line = lines.next(clock).await?;
            Some((line, (lines, clock)))
        })
    }

    async fn next(&mut self, clock: gapless_rt::Clock) -> Option<Bytes> {
        if self.has_ended {
            return None;
        }
        let watched = loop {
            match clock.timeout(BOOKMARK_EVERY, self.watch.next()).await {
                Some(watched) => break watched?,
                None if self.wants_bookmarks => {
                    let version = self.watch.version();
                    break Watched::Bookmark { version, is_initial_end: false };
                }
                None => {}
            }
        };
        Some(self.line(watched))
    }

    fn line(&mut self, watched: Watched) -> Bytes {
        let view = self.wanted.view(&self.resource);
        let (kind, object) = match watched {
            Watched::Event(kind, object) => {
                (kind, view.event(object, std::mem::take(&mut self.is_first)))
            }
            Watched::Bookmark { version, is_initial_end } => {
                let mut object = view.bookmark(&version.to_string());
                if is_initial_end {
                    mark_initial_end(&mut object);
                }
                ("BOOKMARK", object)
            }
            Watched::Failed(refusal) => {
                self.has_ended = true;
                ("ERROR", serde_json::to_value(refusal.status()).unwrap_or_default())
            }
        };
        event_line(kind, &object)
    }
}

/// Says that everything that existed at first was told (Kubernetes API concepts,
/// "Streaming lists").
fn mark_initial_end(object: &mut Value) {
    let annotations = json!({ "k8s.io/initial-events-end": "true" });
    let metadata = match object.pointer_mut("/rows/0/object/metadata") {
        Some(metadata) => metadata,
        None => &mut object["metadata"],
    };
    metadata["annotations"] = annotations;
}

/// A watch's event as a line. Written as it is: putting the object into another would
/// copy all of it.
fn event_line(kind: &str, object: &Value) -> Bytes {
    #[derive(serde::Serialize)]
    struct Event<'a> {
        r#type: &'a str,
        object: &'a Value,
    }
    json_line(&Event { r#type: kind, object })
}

/// A JSON line.
pub(crate) fn json_line(value: &impl serde::Serialize) -> Bytes {
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    line.push(b'\n');
    line.into()
}

/// An answer that is JSON, with what whoever asked should know.
pub(crate) fn answer(code: StatusCode, value: &Value, warnings: &[String]) -> Response {
    let body = serde_json::to_vec(value).unwrap_or_default();
    let json = HeaderValue::from_static("application/json");
    let mut response = (code, [(header::CONTENT_TYPE, json)], body).into_response();
    for warning in warnings {
        let text = gapless_objects::fields::warning_header(warning);
        if let Ok(text) = HeaderValue::from_str(&text) {
            response.headers_mut().append(header::WARNING, text);
        }
    }
    response
}
