//! What makes an API look like Kubernetes to the tools people have: patches,
//! server-side apply, selectors, tables, discovery and OpenAPI documents.
//!
//! Everything here is a function of JSON values: no socket, no store, no clock
//! (the time is an argument). A [`Descriptor`] says what a kind is; an API server
//! reads requests, calls these functions and writes what they give back. Objects
//! stay `serde_json::Value`, because patches, ownership and selectors speak of
//! fields by path, whatever the kind; who needs a typed object reads it after.
//!
//! | module | what | source |
//! |---|---|---|
//! | [`patch`] | JSON patch, merge patch, strategic merge patch | RFC 6902, RFC 7386, Kubernetes API concepts |
//! | [`managed`], [`apply`] | who owns which field; server-side apply | Kubernetes API concepts, structured-merge-diff |
//! | [`selector`] | label and field selectors | Kubernetes API concepts |
//! | [`table`], [`negotiate`] | tables for `kubectl get`, what a client accepts | Kubernetes API concepts, RFC 9110 |
//! | [`discovery`], [`openapi`] | what there is to ask for, and its fields | Kubernetes API concepts, OpenAPI 2.0 and 3.0 |
//! | [`decode`], [`protobuf`] | reading requests | RFC 8259, Kubernetes API concepts |
//! | [`meta`], [`fields`] | checking objects | Kubernetes API conventions |
//! | [`schema`] | schemas of our types as Kubernetes wants them | Kubernetes, structural schemas |

pub mod apply;
pub mod decode;
pub mod descriptor;
pub mod discovery;
pub mod fields;
pub mod fieldset;
mod granular;
pub mod kinds;
pub mod managed;
pub mod meta;
pub mod negotiate;
pub mod openapi;
pub mod patch;
pub mod protobuf;
mod refusal;
pub mod scale;
pub mod schema;
pub mod selector;
pub mod table;

pub use descriptor::{Column, ColumnKind, Descriptor};
pub use refusal::{Cause, Refusal};
