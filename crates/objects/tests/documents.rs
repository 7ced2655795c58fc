//! Discovery and OpenAPI of all kinds together: what clients rely on.

mod ours;

use gapless_objects::negotiate::OpenApiForm;
use gapless_objects::openapi::OpenApi;
use serde_json::Value;

fn json(document: &gapless_objects::openapi::Document) -> Value {
    serde_json::from_slice(&document.body).unwrap()
}

/// Every reference in a document leads to a schema of it.
#[test]
fn references_lead_somewhere() {
    let documents = OpenApi::new(&ours::all(), "0.1.0");
    let v2 = json(documents.v2(OpenApiForm::Json));
    check_references(&v2, &v2);
    for path in ["api/v1", "apis/gapless.dev/v1", "apis/serving.knative.dev/v1"] {
        let v3 = json(documents.v3(path).unwrap());
        check_references(&v3, &v3);
    }
    assert!(documents.v3("apis/x/v1").is_none());
}

fn check_references(value: &Value, root: &Value) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                let path = reference.strip_prefix('#').unwrap();
                assert!(root.pointer(path).is_some(), "{reference}");
            }
            fields.values().for_each(|below| check_references(below, root));
        }
        Value::Array(items) => items.iter().for_each(|item| check_references(item, root)),
        _ => {}
    }
}

#[test]
fn every_field_people_write_is_described() {
    for kind in ours::all() {
        check_described(&(kind.schema)(), kind.kind);
    }
}

fn check_described(schema: &Value, path: &str) {
    for (name, below) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let text = below["description"].as_str().unwrap_or_default();
        assert!(!text.is_empty(), "{path} has no description");
        assert!(!text.contains(['`', '[']) || path.contains("require"), "{path}: {text}");
        check_described(below, &path);
    }
    for keyword in ["items", "additionalProperties"] {
        if schema[keyword].is_object() {
            check_described(&schema[keyword], path);
        }
    }
}

#[test]
fn the_index_names_every_document_by_its_hash() {
    let documents = OpenApi::new(&ours::all(), "0.1.0");
    let index = json(documents.v3_index());
    let paths = index["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 3);
    for (path, entry) in paths {
        let url = entry["serverRelativeURL"].as_str().unwrap();
        let hash = documents.v3(path).unwrap().hash();
        assert_eq!(url, format!("/openapi/v3/{path}?hash={hash}"));
    }
}

#[test]
fn writes_say_that_they_validate_and_know_dry_run() {
    let documents = OpenApi::new(&ours::all(), "0.1.0");
    let v3 = json(documents.v3("apis/gapless.dev/v1").unwrap());
    let path = "/apis/gapless.dev/v1/namespaces/{namespace}/functions/{name}";
    let patch = &v3["paths"][path]["patch"];
    assert_eq!(patch["x-kubernetes-group-version-kind"]["kind"], "Function");
    let parameters = patch["parameters"].as_array().unwrap();
    let names: Vec<&str> = parameters.iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(names, ["dryRun", "fieldManager", "fieldValidation", "force"]);
    let scale = &v3["paths"][format!("{path}/scale")]["patch"];
    assert_eq!(scale["x-kubernetes-group-version-kind"]["kind"], "Scale");
    let observed = &v3["paths"]["/apis/gapless.dev/v1/nodes/{name}"];
    assert!(observed.get("patch").is_none() && observed.get("get").is_some());
}

#[test]
fn documents_are_the_same_every_time() {
    let make = || OpenApi::new(&ours::all(), "0.1.0");
    let (one, other) = (make(), make());
    assert_eq!(one.v2(OpenApiForm::Json).etag, other.v2(OpenApiForm::Json).etag);
    assert_eq!(one.v2(OpenApiForm::Protobuf).body, other.v2(OpenApiForm::Protobuf).body);
}
