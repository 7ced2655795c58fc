//! What there is to ask for: the documents from which clients learn kinds, verbs
//! and paths.
//!
//! Source: Kubernetes API concepts, "API discovery"; the types `APIGroupList` and
//! `APIResourceList` of `v1` and `APIGroupDiscoveryList` of `apidiscovery.k8s.io`.

use serde_json::{Map, Value, json};

use crate::descriptor::Descriptor;

/// The version of Kubernetes whose API conventions are followed: what clients that
/// look for features by version go by.
const KUBERNETES: (&str, &str) = ("1", "33");

/// A group's version and its kinds.
struct GroupVersion<'a> {
    group: &'static str,
    version: &'static str,
    kinds: Vec<&'a Descriptor>,
}

/// Groups and versions in the order in which kinds first name them.
fn group_versions<'a>(kinds: &'a [&'a Descriptor]) -> Vec<GroupVersion<'a>> {
    let mut found: Vec<GroupVersion<'a>> = Vec::new();
    for kind in kinds {
        let is_it =
            |one: &&mut GroupVersion<'_>| one.group == kind.group && one.version == kind.version;
        match found.iter_mut().find(is_it) {
            Some(one) => one.kinds.push(kind),
            None => found.push(GroupVersion {
                group: kind.group,
                version: kind.version,
                kinds: vec![kind],
            }),
        }
    }
    found
}

/// `GET /api`: versions of the core group. `address` is where the server is, such as
/// `127.0.0.1:8090`.
pub fn core_versions(kinds: &[&Descriptor], address: &str) -> Value {
    let versions: Vec<&str> = group_versions(kinds)
        .iter()
        .filter(|one| one.group.is_empty())
        .map(|one| one.version)
        .collect();
    json!({
        "kind": "APIVersions",
        "versions": versions,
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    })
}

/// `GET /apis`: every group but the core group.
pub fn groups(kinds: &[&Descriptor]) -> Value {
    let mut names: Vec<&str> = Vec::new();
    for one in group_versions(kinds) {
        if !one.group.is_empty() && !names.contains(&one.group) {
            names.push(one.group);
        }
    }
    let groups: Vec<Value> = names.into_iter().filter_map(|name| group_of(kinds, name)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `GET /apis/GROUP`; `None` when there is no such group.
pub fn group(kinds: &[&Descriptor], name: &str) -> Option<Value> {
    let mut group = group_of(kinds, name)?;
    group["kind"] = json!("APIGroup");
    group["apiVersion"] = json!("v1");
    Some(group)
}

fn group_of(kinds: &[&Descriptor], name: &str) -> Option<Value> {
    let versions: Vec<Value> = group_versions(kinds)
        .iter()
        .filter(|one| one.group == name && !name.is_empty())
        .map(|one| {
            json!({"groupVersion": format!("{name}/{}", one.version), "version": one.version})
        })
        .collect();
    let preferred = versions.first()?.clone();
    Some(json!({"name": name, "versions": versions, "preferredVersion": preferred}))
}

/// `GET /api/VERSION` and `GET /apis/GROUP/VERSION`; `None` when there is none.
pub fn resources(kinds: &[&Descriptor], group: &str, version: &str) -> Option<Value> {
    let groups = group_versions(kinds);
    let found = groups.iter().find(|one| one.group == group && one.version == version)?;
    let resources: Vec<Value> = found.kinds.iter().flat_map(|kind| resource(kind)).collect();
    let name = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Some(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": name,
        "resources": resources,
    }))
}

/// Verbs of a subresource.
fn subresource_verbs(kind: &Descriptor) -> Vec<&'static str> {
    ["get", "patch", "update"].into_iter().filter(|verb| kind.allows(verb)).collect()
}

/// A kind and its subresources.
fn resource(kind: &Descriptor) -> Vec<Value> {
    let mut main = json!({
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.is_namespaced,
        "kind": kind.kind,
        "verbs": kind.verbs,
    });
    add_names(&mut main, kind);
    let verbs = subresource_verbs(kind);
    let mut all = vec![main];
    if kind.has_status {
        all.push(json!({
            "name": format!("{}/status", kind.plural), "singularName": "",
            "namespaced": kind.is_namespaced, "kind": kind.kind, "verbs": verbs,
        }));
    }
    if kind.has_scale {
        all.push(json!({
            "name": format!("{}/scale", kind.plural), "singularName": "",
            "namespaced": kind.is_namespaced, "group": "autoscaling", "version": "v1",
            "kind": "Scale", "verbs": verbs,
        }));
    }
    all
}

fn add_names(resource: &mut Value, kind: &Descriptor) {
    if !kind.short_names.is_empty() {
        resource["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        resource["categories"] = json!(kind.categories);
    }
}

/// Everything at once, for `GET /api` (`is_core`) or `GET /apis`, in `version` of
/// `apidiscovery.k8s.io`.
pub fn aggregated(kinds: &[&Descriptor], is_core: bool, version: &str) -> Value {
    let mut groups: Vec<(&str, Vec<Value>)> = Vec::new();
    for one in group_versions(kinds).iter().filter(|one| one.group.is_empty() == is_core) {
        let resources: Vec<Value> =
            one.kinds.iter().map(|kind| aggregated_resource(kind)).collect();
        let entry = json!({"version": one.version, "freshness": "Current", "resources": resources});
        match groups.iter_mut().find(|(name, _)| *name == one.group) {
            Some((_, versions)) => versions.push(entry),
            None => groups.push((one.group, vec![entry])),
        }
    }
    let items: Vec<Value> = groups
        .into_iter()
        .map(|(name, versions)| {
            let mut meta = Map::from_iter([("creationTimestamp".to_owned(), Value::Null)]);
            if !name.is_empty() {
                meta.insert("name".to_owned(), json!(name));
            }
            json!({"metadata": meta, "versions": versions})
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {},
        "items": items,
    })
}

/// The content type of [`aggregated`]: by it clients know that the server understood.
pub fn aggregated_content_type(version: &str) -> String {
    format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList")
}

fn aggregated_resource(kind: &Descriptor) -> Value {
    let response = json!({"group": kind.group, "version": kind.version, "kind": kind.kind});
    let mut resource = json!({
        "resource": kind.plural,
        "responseKind": response,
        "scope": if kind.is_namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": kind.singular,
        "verbs": kind.verbs,
    });
    add_names(&mut resource, kind);
    let verbs = subresource_verbs(kind);
    let mut below = Vec::new();
    if kind.has_scale {
        let scale = json!({"group": "autoscaling", "version": "v1", "kind": "Scale"});
        below.push(json!({"subresource": "scale", "responseKind": scale, "verbs": verbs}));
    }
    if kind.has_status {
        below.push(json!({"subresource": "status", "responseKind": response, "verbs": verbs}));
    }
    if !below.is_empty() {
        resource["subresources"] = Value::Array(below);
    }
    resource
}

/// `GET /version`: the version of Kubernetes whose API this is, with that of the
/// platform (`0.1.0`) behind it.
pub fn version(platform: &str) -> Value {
    let (major, minor) = KUBERNETES;
    json!({
        "major": major,
        "minor": minor,
        "gitVersion": format!("v{major}.{minor}.0+gapless.{platform}"),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, go_architecture()),
    })
}

/// The architecture's name as Kubernetes spells it.
fn go_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds;

    #[test]
    fn groups_versions_and_resources_agree() {
        let core = core_versions(kinds::ALL, "127.0.0.1:8090");
        assert_eq!(core["versions"], json!(["v1"]));
        let all = groups(kinds::ALL);
        assert_eq!(all["groups"][0]["name"], "serving.knative.dev");
        assert_eq!(all["groups"][0]["preferredVersion"]["groupVersion"], "serving.knative.dev/v1");
        assert!(all["groups"].get(1).is_none());
        assert_eq!(group(kinds::ALL, "serving.knative.dev").unwrap()["kind"], "APIGroup");
        assert!(group(kinds::ALL, "").is_none() && group(kinds::ALL, "x").is_none());
        let list = resources(kinds::ALL, "", "v1").unwrap();
        let names: Vec<&Value> =
            list["resources"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
        assert_eq!(names, ["namespaces", "namespaces/status", "secrets", "configmaps", "events"]);
        assert!(resources(kinds::ALL, "", "v2").is_none());
    }

    #[test]
    fn aggregated_discovery_has_subresources() {
        let core = aggregated(kinds::ALL, true, "v2");
        assert_eq!(core["apiVersion"], "apidiscovery.k8s.io/v2");
        assert!(core["items"][0]["metadata"].get("name").is_none());
        let namespaces = &core["items"][0]["versions"][0]["resources"][0];
        assert_eq!(namespaces["scope"], "Cluster");
        assert_eq!(namespaces["subresources"][0]["subresource"], "status");
        let others = aggregated(kinds::ALL, false, "v2beta1");
        assert_eq!(others["items"][0]["metadata"]["name"], "serving.knative.dev");
        assert_eq!(others["items"].as_array().unwrap().len(), 1);
    }
}
