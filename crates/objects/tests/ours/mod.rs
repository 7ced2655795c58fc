//! Our own kinds as descriptors, for the tests of this crate: what a server serves
//! besides [`kinds::ALL`].

use gapless_api::{Instance, Node, PlacementProfile};
use gapless_objects::descriptor::Descriptor;
use gapless_objects::kinds::{
    self, AGE, CONFIG_MAP, OBSERVED_VERBS, condition, found, integer, text,
};
use gapless_objects::schema;
use gapless_types::Function;

/// Functions.
pub(crate) static FUNCTION: Descriptor = Descriptor {
    group: "gapless.dev",
    kind: "Function",
    list_kind: "FunctionList",
    plural: "functions",
    singular: "function",
    short_names: &["fn"],
    categories: &["all"],
    has_status: true,
    has_scale: true,
    columns: &[
        text("Ready", "Whether it can be called.", |o| condition(o, "Ready", "status")),
        text("URL", "Where to call it.", |o| found(o, "status.url")),
        integer("Instances", "Instances ready to serve.", |o| found(o, "status.readyInstances")),
        AGE,
    ],
    schema: schema::of::<Function>,
    ..CONFIG_MAP
};

/// Instances.
pub(crate) static INSTANCE: Descriptor = Descriptor {
    kind: "Instance",
    list_kind: "InstanceList",
    plural: "instances",
    singular: "instance",
    short_names: &["inst"],
    categories: &[],
    verbs: OBSERVED_VERBS,
    has_status: false,
    has_scale: false,
    selectable: &["status.node", "status.phase"],
    schema: schema::of::<Instance>,
    columns: &[AGE],
    ..FUNCTION
};

/// Nodes.
pub(crate) static NODE: Descriptor = Descriptor {
    kind: "Node",
    list_kind: "NodeList",
    plural: "nodes",
    singular: "node",
    short_names: &["no"],
    is_namespaced: false,
    schema: schema::of::<Node>,
    ..INSTANCE
};

/// Placement profiles.
pub(crate) static PROFILE: Descriptor = Descriptor {
    kind: "PlacementProfile",
    list_kind: "PlacementProfileList",
    plural: "placementprofiles",
    singular: "placementprofile",
    short_names: &["pp"],
    is_namespaced: false,
    has_scale: false,
    schema: schema::of::<PlacementProfile>,
    ..FUNCTION
};

/// Every kind that a server would serve.
pub(crate) fn all() -> Vec<&'static Descriptor> {
    let ours = [&FUNCTION, &INSTANCE, &NODE, &PROFILE];
    ours.into_iter().chain(kinds::ALL.iter().copied()).collect()
}
