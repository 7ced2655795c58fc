//! Which field of which message has which number.

/// A field of a message.
pub(super) struct Field {
    pub(super) number: u64,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

/// What a field is on the wire and in JSON.
pub(super) enum Kind {
    /// Text; empty is as good as absent.
    Text,
    /// Several texts.
    Texts,
    /// A whole number; zero is as good as absent.
    Number,
    /// A whole number that may be zero.
    OptionalNumber,
    /// Yes or no; absent is another thing than no.
    Flag,
    /// Seconds and nanoseconds; absent if there are none.
    Time,
    /// JSON inside a message of its own.
    Json,
    /// Another message.
    One(&'static [Field]),
    /// Several of another message.
    Many(&'static [Field]),
    /// Texts by name.
    TextMap,
    /// Bytes by name, in JSON as base64.
    BytesMap,
}

const fn field(number: u64, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind }
}

/// The message of a kind.
pub(super) fn table(api_version: &str, kind: &str) -> Option<&'static [Field]> {
    match (api_version, kind) {
        ("v1", "Namespace") => Some(NAMESPACE),
        ("v1", "Secret") => Some(SECRET),
        ("v1", "ConfigMap") => Some(CONFIG_MAP),
        ("v1", "Event") => Some(EVENT),
        (_, "DeleteOptions") => Some(DELETE_OPTIONS),
        _ => None,
    }
}

static OWNER: &[Field] = &[
    field(1, "kind", Kind::Text),
    field(3, "name", Kind::Text),
    field(4, "uid", Kind::Text),
    field(5, "apiVersion", Kind::Text),
    field(6, "controller", Kind::Flag),
    field(7, "blockOwnerDeletion", Kind::Flag),
];

static MANAGED: &[Field] = &[
    field(1, "manager", Kind::Text),
    field(2, "operation", Kind::Text),
    field(3, "apiVersion", Kind::Text),
    field(4, "time", Kind::Time),
    field(6, "fieldsType", Kind::Text),
    field(7, "fieldsV1", Kind::Json),
    field(8, "subresource", Kind::Text),
];

static META: &[Field] = &[
    field(1, "name", Kind::Text),
    field(2, "generateName", Kind::Text),
    field(3, "namespace", Kind::Text),
    field(5, "uid", Kind::Text),
    field(6, "resourceVersion", Kind::Text),
    field(7, "generation", Kind::Number),
    field(8, "creationTimestamp", Kind::Time),
    field(9, "deletionTimestamp", Kind::Time),
    field(10, "deletionGracePeriodSeconds", Kind::OptionalNumber),
    field(11, "labels", Kind::TextMap),
    field(12, "annotations", Kind::TextMap),
    field(13, "ownerReferences", Kind::Many(OWNER)),
    field(14, "finalizers", Kind::Texts),
    field(17, "managedFields", Kind::Many(MANAGED)),
];

static CONDITION: &[Field] = &[
    field(1, "type", Kind::Text),
    field(2, "status", Kind::Text),
    field(4, "lastTransitionTime", Kind::Time),
    field(5, "reason", Kind::Text),
    field(6, "message", Kind::Text),
];

static NAMESPACE: &[Field] = &[
    field(1, "metadata", Kind::One(META)),
    field(2, "spec", Kind::One(&[field(1, "finalizers", Kind::Texts)])),
    field(
        3,
        "status",
        Kind::One(&[field(1, "phase", Kind::Text), field(2, "conditions", Kind::Many(CONDITION))]),
    ),
];

static SECRET: &[Field] = &[
    field(1, "metadata", Kind::One(META)),
    field(2, "data", Kind::BytesMap),
    field(3, "type", Kind::Text),
    field(4, "stringData", Kind::TextMap),
    field(5, "immutable", Kind::Flag),
];

static CONFIG_MAP: &[Field] = &[
    field(1, "metadata", Kind::One(META)),
    field(2, "data", Kind::TextMap),
    field(3, "binaryData", Kind::BytesMap),
    field(4, "immutable", Kind::Flag),
];

static REFERENCE: &[Field] = &[
    field(1, "kind", Kind::Text),
    field(2, "namespace", Kind::Text),
    field(3, "name", Kind::Text),
    field(4, "uid", Kind::Text),
    field(5, "apiVersion", Kind::Text),
    field(6, "resourceVersion", Kind::Text),
    field(7, "fieldPath", Kind::Text),
];

static EVENT: &[Field] = &[
    field(1, "metadata", Kind::One(META)),
    field(2, "involvedObject", Kind::One(REFERENCE)),
    field(3, "reason", Kind::Text),
    field(4, "message", Kind::Text),
    field(
        5,
        "source",
        Kind::One(&[field(1, "component", Kind::Text), field(2, "host", Kind::Text)]),
    ),
    field(6, "firstTimestamp", Kind::Time),
    field(7, "lastTimestamp", Kind::Time),
    field(8, "count", Kind::Number),
    field(9, "type", Kind::Text),
    field(10, "eventTime", Kind::Time),
    field(
        11,
        "series",
        Kind::One(&[field(1, "count", Kind::Number), field(2, "lastObservedTime", Kind::Time)]),
    ),
    field(12, "action", Kind::Text),
    field(13, "related", Kind::One(REFERENCE)),
    field(14, "reportingComponent", Kind::Text),
    field(15, "reportingInstance", Kind::Text),
];

static DELETE_OPTIONS: &[Field] = &[
    field(1, "gracePeriodSeconds", Kind::OptionalNumber),
    field(
        2,
        "preconditions",
        Kind::One(&[field(1, "uid", Kind::Text), field(2, "resourceVersion", Kind::Text)]),
    ),
    field(3, "orphanDependents", Kind::Flag),
    field(4, "propagationPolicy", Kind::Text),
    field(5, "dryRun", Kind::Texts),
];

/// The message `Unknown` around every document.
pub(super) static ENVELOPE: &[Field] = &[field(
    1,
    "typeMeta",
    Kind::One(&[field(1, "apiVersion", Kind::Text), field(2, "kind", Kind::Text)]),
)];
