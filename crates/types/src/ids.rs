//! Names and numbers that identify things. Names are cheap to clone: they are
//! shared text, and the hot path clones them without allocating.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest name of a namespace or a function: a DNS label (RFC 1123), because
/// both become labels of the host name `NAME.NAMESPACE.localhost`.
const NAME_LEN_MAX: usize = 63;

/// Why a name cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a valid name: use 1 to 63 lower-case letters, digits and '-', \
     beginning and ending with a letter or digit"
)]
pub struct IdError(String);

/// Checks that `name` is a DNS label (RFC 1123, section 2.1).
pub fn check_name(name: &str) -> Result<(), IdError> {
    let bytes = name.as_bytes();
    let edge = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ok = (1..=NAME_LEN_MAX).contains(&bytes.len())
        && bytes.iter().all(|b| edge(b) || *b == b'-')
        && bytes.first().is_some_and(edge)
        && bytes.last().is_some_and(edge);
    if ok { Ok(()) } else { Err(IdError(name.to_owned())) }
}

/// Longest name of an object that is no part of a host name, and of a key in one
/// (Kubernetes: `DNS1123SubdomainMaxLength`).
const OBJECT_NAME_LEN_MAX: usize = 253;

/// Why a name or key of a secret or config cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectNameError {
    /// The object's name.
    #[error(
        "{0:?} is not a valid name: use 1 to 253 lower-case letters, digits, '-' and '.', \
         each part beginning and ending with a letter or digit"
    )]
    Name(String),
    /// A key in it.
    #[error("{0:?} is not a valid key: use 1 to 253 letters, digits, '-', '_' and '.', not '..'")]
    Key(String),
}

/// Checks the name of a secret or config: a DNS subdomain (RFC 1123, section 2.1).
pub fn check_object_name(name: &str) -> Result<(), ObjectNameError> {
    let is_ok = name.len() <= OBJECT_NAME_LEN_MAX
        && name.split('.').all(|label| {
            let bytes = label.as_bytes();
            let edge = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
            bytes.iter().all(|b| edge(b) || *b == b'-')
                && bytes.first().is_some_and(edge)
                && bytes.last().is_some_and(edge)
        });
    if is_ok { Ok(()) } else { Err(ObjectNameError::Name(name.to_owned())) }
}

/// Checks a key of a secret or config. It may become a file's name, so it has no `/`
/// and is not `..` (Kubernetes: `IsConfigMapKey`).
pub fn check_key(key: &str) -> Result<(), ObjectNameError> {
    let is_char = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let is_ok = (1..=OBJECT_NAME_LEN_MAX).contains(&key.len())
        && key.bytes().all(is_char)
        && key != "."
        && !key.starts_with("..");
    if is_ok { Ok(()) } else { Err(ObjectNameError::Key(key.to_owned())) }
}

/// A function's identity: namespace and name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionKey {
    namespace: Arc<str>,
    name: Arc<str>,
}

impl FunctionKey {
    /// A key of two valid names.
    pub fn new(namespace: &str, name: &str) -> Result<Self, IdError> {
        check_name(namespace)?;
        check_name(name)?;
        Ok(FunctionKey { namespace: namespace.into(), name: name.into() })
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name within the namespace.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for FunctionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl fmt::Debug for FunctionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A revision's identity, `NAMESPACE/NAME-NNNNN`: the function it was made from
/// and which of its generations it is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RevisionName(Arc<str>);

impl RevisionName {
    /// The revision that generation `generation` of `function` makes.
    pub fn new(function: &FunctionKey, generation: u64) -> Self {
        RevisionName(format!("{function}-{generation:05}").into())
    }

    /// The name within its namespace, such as `hello-00001`.
    pub fn short(&self) -> &str {
        self.0.split_once('/').map_or(&*self.0, |(_, short)| short)
    }

    /// Namespace and name, such as `default/hello-00001`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RevisionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RevisionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An instance, unique within one run of a control process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstanceId(pub u64);

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "i{:06x}", self.0)
    }
}

impl fmt::Debug for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A request, unique within one dispatch core.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

/// A node's name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub Arc<str>);

impl NodeId {
    /// The node called `name`.
    pub fn new(name: &str) -> Self {
        NodeId(name.into())
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_labels() {
        for good in ["a", "hello", "a-1", "0x", &"a".repeat(63)] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a_b", "a/b", "ä", &"a".repeat(64)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn objects_and_their_keys_have_names_that_can_be_files() {
        for good in ["a", "web-tls", "a.b-c.d", &"a".repeat(253)] {
            assert!(check_object_name(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "a.", "a..b", "A", "a/b", "-a", &"a".repeat(254)] {
            assert!(check_object_name(bad).is_err(), "{bad}");
        }
        for good in ["TOKEN", "tls.crt", ".dockerconfigjson", "a_b-c"] {
            assert!(check_key(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "..a", "a/b", "a b", "ä", &"a".repeat(254)] {
            assert!(check_key(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_revision_is_named_after_its_function_and_generation() {
        let name = RevisionName::new(&FunctionKey::new("default", "hello").unwrap(), 7);
        assert_eq!(name.as_str(), "default/hello-00007");
        assert_eq!(name.short(), "hello-00007");
    }
}
