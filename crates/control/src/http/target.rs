//! What a path of the API names: a kind, perhaps a namespace, a name, a subresource.
//!
//! Paths follow the Kubernetes API concepts, "Resource URIs": the core group is at
//! `/api/v1`, the others at `/apis/GROUP/VERSION`; then `/PLURAL[/NAME[/SUB]]`, or
//! `/namespaces/NS/PLURAL[/NAME[/SUB]]`.

/// A path below a group and version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    pub(crate) group: &'a str,
    pub(crate) version: &'a str,
    pub(crate) namespace: Option<&'a str>,
    pub(crate) plural: &'a str,
    pub(crate) name: Option<&'a str>,
    pub(crate) subresource: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// What `path` names, if it is the path of a kind.
    pub(crate) fn read(path: &'a str) -> Option<Self> {
        let mut segments = path.strip_prefix('/')?.trim_end_matches('/').split('/');
        let group = match segments.next()? {
            "api" => "",
            "apis" => segments.next().filter(|group| !group.is_empty())?,
            _ => return None,
        };
        let version = segments.next()?;
        let rest: Vec<&str> = segments.collect();
        if rest.iter().any(|segment| segment.is_empty()) {
            return None;
        }
        let target = |namespace, plural, name, subresource| Target {
            group,
            version,
            namespace,
            plural,
            name,
            subresource,
        };
        match rest.as_slice() {
            // Namespaces themselves, and what is in them.
            ["namespaces"] => Some(target(None, "namespaces", None, None)),
            ["namespaces", name] => Some(target(None, "namespaces", Some(name), None)),
            ["namespaces", name, sub @ ("status" | "finalize")] => {
                Some(target(None, "namespaces", Some(name), Some(sub)))
            }
            ["namespaces", namespace, plural] => Some(target(Some(namespace), plural, None, None)),
            ["namespaces", namespace, plural, name] => {
                Some(target(Some(namespace), plural, Some(name), None))
            }
            ["namespaces", namespace, plural, name, sub] => {
                Some(target(Some(namespace), plural, Some(name), Some(sub)))
            }
            [plural] => Some(target(None, plural, None, None)),
            [plural, name] => Some(target(None, plural, Some(name), None)),
            [plural, name, sub] => Some(target(None, plural, Some(name), Some(sub))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str) -> Option<String> {
        let Target { group, version, namespace, plural, name, subresource } = Target::read(path)?;
        let part = |part: Option<&str>| part.unwrap_or("-").to_owned();
        Some(format!(
            "{group}|{version}|{}|{plural}|{}|{}",
            part(namespace),
            part(name),
            part(subresource)
        ))
    }

    #[test]
    fn paths_name_kinds() {
        for (path, named) in [
            ("/api/v1/namespaces", "|v1|-|namespaces|-|-"),
            ("/api/v1/namespaces/a", "|v1|-|namespaces|a|-"),
            ("/api/v1/namespaces/a/secrets", "|v1|a|secrets|-|-"),
            ("/api/v1/namespaces/a/secrets/s", "|v1|a|secrets|s|-"),
            ("/api/v1/secrets", "|v1|-|secrets|-|-"),
            ("/apis/g.d/v1/functions/", "g.d|v1|-|functions|-|-"),
            ("/apis/g.d/v1/nodes/n", "g.d|v1|-|nodes|n|-"),
            ("/apis/g.d/v1/nodes/n/status", "g.d|v1|-|nodes|n|status"),
            ("/apis/g.d/v1/namespaces/a/functions/f/scale", "g.d|v1|a|functions|f|scale"),
        ] {
            assert_eq!(read(path).as_deref(), Some(named), "{path}");
        }
        for none in ["/", "/api", "/api/v1", "/apis/g/v1", "/apis//v1/x", "/metrics", "/api/v1//x"]
        {
            assert_eq!(read(none), None, "{none}");
        }
    }
}
