//! Names of objects, and where they are in the store.
//!
//! A store key is `PLURAL.GROUP/NAMESPACE/NAME`, or `PLURAL.GROUP/NAME` for kinds
//! without namespaces (`PLURAL/...` in the core group). Names hold no `/`, so a prefix
//! selects exactly one kind, or one namespace of it.

use std::fmt;

use gapless_objects::Descriptor;

/// Which object of a kind. The namespace is empty for kinds without namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// The namespace; empty where a kind has none.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl ObjectKey {
    /// The object called `name` in `namespace` (empty where the kind has none).
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        ObjectKey { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.is_empty() {
            true => f.write_str(&self.name),
            false => write!(f, "{}/{}", self.namespace, self.name),
        }
    }
}

/// `PLURAL.GROUP`, as errors and store keys name a kind.
pub(crate) fn qualified(descriptor: &Descriptor) -> String {
    match descriptor.group {
        "" => descriptor.plural.to_owned(),
        group => format!("{}.{group}", descriptor.plural),
    }
}

/// Where an object is in the store.
pub fn store_key(descriptor: &Descriptor, key: &ObjectKey) -> String {
    format!("{}/{key}", qualified(descriptor))
}

/// Where the objects of a kind are, of one namespace or all.
pub fn store_prefix(descriptor: &Descriptor, namespace: Option<&str>) -> String {
    match namespace.filter(|_| descriptor.is_namespaced) {
        Some(namespace) => format!("{}/{namespace}/", qualified(descriptor)),
        None => format!("{}/", qualified(descriptor)),
    }
}

/// The object that a store key of this kind names.
pub fn key_of(descriptor: &Descriptor, store_key: &str) -> Option<ObjectKey> {
    let (_, rest) = store_key.split_once('/')?;
    match descriptor.is_namespaced {
        true => rest.split_once('/').map(|(namespace, name)| ObjectKey::new(namespace, name)),
        false => Some(ObjectKey::new("", rest)),
    }
}
