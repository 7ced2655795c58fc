//! Fake kinds: a thing, a thing in another shape, and a thing in memory.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use gapless_declared::{
    Admission, Change, Document, Feed, Hold, Kinds, LiveSource, Namespaces, ObjectKey, Objects,
    Outcome, Refusal, Resource, Source, View, Watch, Watched, WriteOptions, Written,
};
use gapless_objects::Descriptor;
use gapless_objects::kinds::DECLARED_VERBS;
use gapless_objects::patch::{Patch, PatchType};
use gapless_store::Write;
use gapless_store_embedded::EmbeddedStore;
use gapless_types::FieldError;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) static THINGS: Descriptor = Descriptor {
    group: "fake.dev",
    version: "v1",
    kind: "Thing",
    list_kind: "ThingList",
    plural: "things",
    singular: "thing",
    short_names: &[],
    categories: &[],
    is_namespaced: true,
    verbs: DECLARED_VERBS,
    has_status: true,
    has_scale: false,
    columns: &[],
    selectable: &["spec.size"],
    schema,
};
pub(crate) static BOXES: Descriptor = Descriptor {
    group: "boxes.fake.dev",
    kind: "Box",
    list_kind: "BoxList",
    plural: "boxes",
    singular: "box",
    ..THINGS
};
pub(crate) static SPARKS: Descriptor = Descriptor {
    kind: "Spark",
    list_kind: "SparkList",
    plural: "sparks",
    singular: "spark",
    has_status: false,
    ..THINGS
};

fn schema() -> Value {
    json!({"type": "object", "properties": {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": gapless_objects::schema::object_meta(),
        "spec": {"type": "object", "properties": {
            "size": {"type": "integer"}, "colour": {"type": "string"}, "label": {"type": "string"},
        }},
        "status": {"type": "object", "properties": {"seen": {"type": "integer"}}},
    }})
}

struct Things;

impl Resource for Things {
    fn descriptor(&self) -> &'static Descriptor {
        &THINGS
    }

    fn admit(&self, admission: &mut Admission<'_>) -> Outcome<Result<Hold, Vec<FieldError>>> {
        let spec = &mut admission.new["spec"];
        if spec["colour"].is_null() {
            spec["colour"] = "grey".into();
        }
        match spec["size"].as_i64() {
            Some(0..) | None => Ok(Ok(None)),
            Some(size) => Ok(Err(vec![FieldError::new(
                "spec.size",
                format!("found {size}, wanted 0 or more"),
            )])),
        }
    }
}

/// A thing as a box: its label is the thing's, its size is not shown.
struct Boxes(Arc<Shape>);

struct Shape(Arc<dyn Resource>);

impl Resource for Boxes {
    fn descriptor(&self) -> &'static Descriptor {
        &BOXES
    }

    fn source(&self) -> Source {
        Source::View(Arc::clone(&self.0) as Arc<dyn View>)
    }

    fn admit(&self, _: &mut Admission<'_>) -> Outcome<Result<Hold, Vec<FieldError>>> {
        Ok(Ok(None))
    }
}

impl View for Shape {
    fn stored(&self) -> Arc<dyn Resource> {
        Arc::clone(&self.0)
    }

    fn shown(&self, stored: &Value) -> Option<Value> {
        let label = stored["spec"]["label"].as_str()?;
        Some(json!({
            "apiVersion": "boxes.fake.dev/v1", "kind": "Box",
            "metadata": stored["metadata"], "spec": {"label": label},
        }))
    }

    fn store(
        &self,
        shown: &Value,
        stored: Option<&Value>,
        warnings: &mut Vec<String>,
    ) -> Result<Value, Vec<FieldError>> {
        let Some(label) = shown["spec"]["label"].as_str() else {
            return Err(vec![FieldError::new("spec.label", "is needed")]);
        };
        warnings.push("boxes are things".to_owned());
        let mut spec = stored.map(|stored| stored["spec"].clone()).unwrap_or_else(|| json!({}));
        spec["label"] = label.into();
        Ok(json!({
            "apiVersion": "fake.dev/v1", "kind": "Thing",
            "metadata": shown["metadata"], "spec": spec,
        }))
    }
}

/// Things in memory.
pub(crate) struct Sparks {
    all: Mutex<std::collections::BTreeMap<ObjectKey, Value>>,
    feed: Arc<Feed>,
}

impl Sparks {
    pub(crate) fn light(&self, name: &str, labels: &Value) {
        let key = ObjectKey::new("default", name);
        let object = json!({"apiVersion": "fake.dev/v1", "kind": "Spark", "metadata":
            {"name": name, "namespace": "default", "labels": labels}});
        let is_new = self.all.lock().insert(key.clone(), object).is_none();
        self.feed.tell(is_new, || (key, None));
    }

    pub(crate) fn quench(&self, name: &str) {
        let key = ObjectKey::new("default", name);
        if let Some(last) = self.all.lock().remove(&key) {
            self.feed.tell(false, || (key, Some(last)));
        }
    }
}

impl LiveSource for Sparks {
    fn get(&self, key: &ObjectKey) -> Option<Value> {
        self.all.lock().get(key).cloned()
    }

    fn list(&self, namespace: Option<&str>) -> Vec<Value> {
        let all = self.all.lock();
        let meant = all.iter().filter(|(key, _)| namespace.is_none_or(|one| key.namespace == one));
        meant.map(|(_, object)| object.clone()).collect()
    }

    fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    fn write(&self, _: &ObjectKey, new: Value) -> BoxFuture<'_, Outcome<Value>> {
        Box::pin(std::future::ready(Ok(new)))
    }
}

struct SparkKind(Arc<Sparks>);

impl Resource for SparkKind {
    fn descriptor(&self) -> &'static Descriptor {
        &SPARKS
    }

    fn source(&self) -> Source {
        Source::Live(Arc::clone(&self.0) as Arc<dyn LiveSource>)
    }

    fn admit(&self, _: &mut Admission<'_>) -> Outcome<Result<Hold, Vec<FieldError>>> {
        Ok(Ok(None))
    }
}

/// Namespaces are there.
struct Given;

impl Namespaces for Given {
    fn enter(&self, _: &str, _: Timestamp) -> Outcome<Option<Write>> {
        Ok(None)
    }
}

/// Objects of the fake kinds in a folder.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) objects: Objects,
    pub(crate) things: Arc<dyn Resource>,
    pub(crate) boxes: Arc<dyn Resource>,
    pub(crate) spark: Arc<dyn Resource>,
    pub(crate) sparks: Arc<Sparks>,
}

impl World {
    pub(crate) fn open(folder: &Path) -> Self {
        let things: Arc<dyn Resource> = Arc::new(Things);
        let boxes: Arc<dyn Resource> = Arc::new(Boxes(Arc::new(Shape(Arc::clone(&things)))));
        let feed = Arc::new(Feed::new(Timestamp::now()));
        let sparks = Arc::new(Sparks { all: Mutex::default(), feed });
        let spark: Arc<dyn Resource> = Arc::new(SparkKind(Arc::clone(&sparks)));
        let mut kinds = Kinds::default();
        [&things, &boxes, &spark].into_iter().for_each(|kind| kinds.add(Arc::clone(kind)));
        let store = EmbeddedStore::open(folder).unwrap();
        let objects = Objects::new(store, kinds, Arc::new(Given));
        World { objects, things, boxes, spark, sparks }
    }

    pub(crate) fn revision(&self) -> u64 {
        self.objects.store().revision()
    }

    pub(crate) async fn change(
        &self,
        kind: &Arc<dyn Resource>,
        name: &str,
        change: Change,
        options: &WriteOptions,
    ) -> Outcome<Written> {
        let key = ObjectKey::new("default", name);
        self.objects.change(kind, &key, &change, options, Timestamp::now()).await
    }

    /// Has `test` change a thing.
    pub(crate) async fn thing(&self, name: &str, change: Change) -> Outcome<Written> {
        self.change(&self.things, name, change, &by("test")).await
    }

    pub(crate) async fn create(&self, name: &str, labels: Value, size: i64) -> Value {
        let created = self.thing(name, Change::Create(document(name, labels, size))).await;
        created.unwrap().object
    }

    pub(crate) fn get(&self, name: &str) -> Outcome<Value> {
        self.objects.get(&self.things, &ObjectKey::new("default", name), false)
    }
}

pub(crate) fn by(manager: &str) -> WriteOptions {
    WriteOptions { manager: manager.to_owned(), ..Default::default() }
}

pub(crate) fn document(name: &str, labels: Value, size: i64) -> Document {
    let metadata = json!({"name": name, "namespace": "default", "labels": labels});
    let value = json!({"apiVersion": "fake.dev/v1", "kind": "Thing", "metadata": metadata,
        "spec": {"size": size}});
    Document { value, duplicates: Vec::new() }
}

pub(crate) fn merge(patch: &Value) -> Change {
    Change::Patch(Patch::parse(PatchType::Merge, patch.to_string().as_bytes()).unwrap())
}

pub(crate) fn code(refusal: &Refusal) -> (u16, &str) {
    (refusal.status().code, &refusal.status().reason)
}

pub(crate) fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

pub(crate) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap()
}

/// The next event of a watch that is certain to come: its kind, the object's name and
/// its version.
pub(crate) async fn event(watch: &mut Watch) -> (&'static str, String, u64) {
    match tokio::time::timeout(PATIENCE, watch.next()).await.expect("an event") {
        Some(Watched::Event(kind, object)) => (kind, name(&object).to_owned(), version(&object)),
        other => panic!("not an event: {other:?}"),
    }
}
