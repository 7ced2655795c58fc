//! Which kinds the platform serves, as it says itself (Kubernetes API concepts, "API
//! discovery"): `/api/v1` and what `/apis` lists.
//!
//! The command knows no kind by heart that it only lists, applies or deletes, so a
//! kind that a platform learns can be used by a command that is older.

use serde::Deserialize;

use crate::client::Client;
use crate::failure::{Failure, Outcome};

/// A kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// `gapless.dev/v1`; `v1` for the core group.
    pub(crate) api_version: String,
    /// `Function`.
    pub(crate) kind: String,
    /// `functions`.
    pub(crate) plural: String,
    /// `function`.
    pub(crate) singular: String,
    short_names: Vec<String>,
    /// Whether its objects live in a namespace.
    pub(crate) is_namespaced: bool,
    verbs: Vec<String>,
}

impl Kind {
    /// A kind of the core group, for tests.
    #[cfg(test)]
    pub(crate) fn fake(kind: &str, plural: &str) -> Kind {
        Kind {
            api_version: "v1".to_owned(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
            singular: kind.to_lowercase(),
            short_names: Vec::new(),
            is_namespaced: true,
            verbs: Vec::new(),
        }
    }

    /// Whether it can be asked to do this.
    pub(crate) fn allows(&self, verb: &str) -> bool {
        self.verbs.iter().any(|one| one == verb)
    }

    /// The path of a list: of all namespaces when `namespace` is `None`.
    pub(crate) fn list_path(&self, namespace: Option<&str>) -> String {
        let root = if self.api_version.contains('/') { "/apis" } else { "/api" };
        let root = format!("{root}/{}", self.api_version);
        match namespace.filter(|_| self.is_namespaced) {
            Some(namespace) => format!("{root}/namespaces/{namespace}/{}", self.plural),
            None => format!("{root}/{}", self.plural),
        }
    }

    /// The path of one object.
    pub(crate) fn path(&self, namespace: &str, name: &str) -> String {
        format!("{}/{name}", self.list_path(Some(namespace)))
    }

    /// An object, as people are told of it: `function/hello`.
    pub(crate) fn shown(&self, name: &str) -> String {
        let name = format!("{}/{name}", self.singular);
        // Knative's services are functions under another name: the group tells them apart.
        match self.api_version.split_once('/') {
            Some((group, _)) if group != "gapless.dev" => {
                name.replacen('/', &format!(".{group}/"), 1)
            }
            _ => name,
        }
    }

    fn is_called(&self, word: &str) -> bool {
        let (name, group) = word.split_once('.').unwrap_or((word, ""));
        let own_group = self.api_version.split_once('/').map_or("", |(group, _)| group);
        let name = name.to_ascii_lowercase();
        (group.is_empty() || group == own_group)
            && (name == self.plural
                || name == self.singular
                || self.short_names.contains(&name)
                || alias(&name) == Some(self.plural.as_str()))
    }
}

/// Names of our own for kinds.
fn alias(name: &str) -> Option<&'static str> {
    match name {
        "fn" | "fns" => Some("functions"),
        "profile" | "profiles" => Some("placementprofiles"),
        _ => None,
    }
}

/// Every kind that a platform serves.
#[derive(Debug)]
pub(crate) struct Kinds(Vec<Kind>);

#[derive(Deserialize)]
struct Groups {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    preferred_version: Version,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    group_version: String,
}

#[derive(Deserialize)]
struct Resources {
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    name: String,
    singular_name: String,
    namespaced: bool,
    kind: String,
    verbs: Vec<String>,
    #[serde(default)]
    short_names: Vec<String>,
}

impl Kinds {
    /// Asks the platform.
    pub(crate) async fn of(client: &Client) -> Outcome<Kinds> {
        let what = "cannot learn which kinds there are";
        let groups: Groups = client.get(what, "/apis").await?;
        // Ours come first: of two kinds of one name the first is meant.
        let mut versions: Vec<String> =
            groups.groups.into_iter().map(|group| group.preferred_version.group_version).collect();
        versions.sort_by_key(|version| !version.starts_with("gapless.dev/"));
        versions.push("v1".to_owned());
        let mut kinds = Vec::new();
        for version in versions {
            let root = if version.contains('/') { "/apis" } else { "/api" };
            let found: Resources = client.get(what, &format!("{root}/{version}")).await?;
            let main = found.resources.into_iter().filter(|one| !one.name.contains('/'));
            kinds.extend(main.map(|one| Kind {
                api_version: version.clone(),
                kind: one.kind,
                plural: one.name,
                singular: one.singular_name,
                short_names: one.short_names,
                is_namespaced: one.namespaced,
                verbs: one.verbs,
            }));
        }
        Ok(Kinds(kinds))
    }

    /// Every kind.
    pub(crate) fn all(&self) -> &[Kind] {
        &self.0
    }

    /// The kind that a person calls `word`, such as `functions`, `fn`, `cm` or
    /// `services.serving.knative.dev`.
    pub(crate) fn called(&self, word: &str) -> Outcome<&Kind> {
        self.0.iter().find(|kind| kind.is_called(word)).ok_or_else(|| {
            let names: Vec<&str> = self.0.iter().map(|kind| kind.plural.as_str()).collect();
            Failure::usage(
                format!("there is no kind {word:?}"),
                format!("the platform has {}", names.join(", ")),
            )
        })
    }

    /// The kind of a document.
    pub(crate) fn declared(&self, api_version: &str, kind: &str) -> Result<&Kind, String> {
        let is_meant = |one: &&Kind| one.kind == kind && one.api_version == api_version;
        self.0.iter().find(is_meant).ok_or_else(|| {
            let same = self.0.iter().find(|one| one.kind == kind);
            match same {
                Some(same) => {
                    format!("a {kind} has apiVersion {}, not {api_version:?}", same.api_version)
                }
                None => {
                    let names: Vec<&str> = self.0.iter().map(|one| one.kind.as_str()).collect();
                    format!("there is no kind {kind:?}; there are {}", names.join(", "))
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(api_version: &str, kind: &str, plural: &str, short: &str) -> Kind {
        Kind {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
            singular: kind.to_lowercase(),
            short_names: vec![short.to_owned()],
            is_namespaced: kind != "Namespace",
            verbs: vec!["get".to_owned()],
        }
    }

    fn kinds() -> Kinds {
        Kinds(vec![
            kind("gapless.dev/v1", "Function", "functions", "fn"),
            kind("serving.knative.dev/v1", "Service", "services", "ksvc"),
            kind("v1", "Namespace", "namespaces", "ns"),
            kind("v1", "ConfigMap", "configmaps", "cm"),
        ])
    }

    #[test]
    fn kinds_have_paths() {
        let kinds = kinds();
        let path = |word: &str| kinds.called(word).unwrap().path("a", "x");
        assert_eq!(path("fn"), "/apis/gapless.dev/v1/namespaces/a/functions/x");
        assert_eq!(path("cm"), "/api/v1/namespaces/a/configmaps/x");
        assert_eq!(path("Namespace"), "/api/v1/namespaces/x");
        assert_eq!(
            kinds.called("functions").unwrap().list_path(None),
            "/apis/gapless.dev/v1/functions"
        );
        assert!(!kinds.called("fn").unwrap().allows("delete"));
    }

    #[test]
    fn kinds_are_found_by_each_of_their_names() {
        let kinds = kinds();
        for word in ["ksvc", "services", "service.serving.knative.dev"] {
            let found = kinds.called(word).unwrap();
            assert_eq!(found.shown("x"), "service.serving.knative.dev/x");
        }
        let none = kinds.called("pods").unwrap_err().to_string();
        assert!(none.contains("\"pods\"") && none.contains("configmaps"), "{none}");
        assert!(kinds.called("functions.other.group").is_err());
    }

    #[test]
    fn a_documents_kind_needs_its_version() {
        let kinds = kinds();
        assert_eq!(kinds.declared("v1", "ConfigMap").unwrap().plural, "configmaps");
        let wrong = kinds.declared("v1", "Function").unwrap_err();
        assert_eq!(wrong, "a Function has apiVersion gapless.dev/v1, not \"v1\"");
        assert!(kinds.declared("v1", "Pod").unwrap_err().contains("there is no kind \"Pod\""));
    }
}
