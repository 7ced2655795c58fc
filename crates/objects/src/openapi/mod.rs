//! OpenAPI documents, versions 2 and 3, made from the descriptors' schemas: what
//! `kubectl explain`, validation in old clients and the question "does this server
//! validate, does it know dry run" go by.
//!
//! Documents are made once. That takes milliseconds, so a server that wants to be ready
//! at once makes them when they are first asked for.

mod definitions;
mod paths;
mod protobuf;
mod v2;
mod v3;

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::descriptor::Descriptor;
use crate::negotiate::{OPENAPI_V2_PROTOBUF, OpenApiForm};

/// A document as it is answered.
#[derive(Clone, Debug)]
pub struct Document {
    /// `Content-Type`.
    pub content_type: &'static str,
    /// `ETag`, with its quotes: a hash of the body.
    pub etag: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Document {
    fn new(content_type: &'static str, body: Vec<u8>) -> Document {
        let digest = Sha256::digest(&body);
        let hex: String = digest.iter().map(|byte| format!("{byte:02X}")).collect();
        Document { content_type, etag: format!("\"{hex}\""), body }
    }

    fn json(value: &Value) -> Document {
        Document::new("application/json", value.to_string().into_bytes())
    }

    /// The hash alone, as in the index of version 3.
    pub fn hash(&self) -> &str {
        self.etag.trim_matches('"')
    }
}

/// Every document.
#[derive(Clone, Debug)]
pub struct OpenApi {
    v2_json: Document,
    v2_protobuf: Document,
    index: Document,
    v3: BTreeMap<String, Document>,
}

impl OpenApi {
    /// The documents of these kinds. `version` is the platform's.
    pub fn new(kinds: &[&Descriptor], version: &str) -> OpenApi {
        let v2 = v2::document(kinds, version);
        let v3: BTreeMap<String, Document> = v3::documents(kinds, version)
            .iter()
            .map(|(path, document)| (path.clone(), Document::json(document)))
            .collect();
        OpenApi {
            v2_protobuf: Document::new(OPENAPI_V2_PROTOBUF, protobuf::encode(&v2)),
            v2_json: Document::json(&v2),
            index: Document::json(&v3::index(&v3)),
            v3,
        }
    }

    /// `GET /openapi/v2`.
    pub fn v2(&self, form: OpenApiForm) -> &Document {
        match form {
            OpenApiForm::Json => &self.v2_json,
            OpenApiForm::Protobuf => &self.v2_protobuf,
        }
    }

    /// `GET /openapi/v3`: which documents there are.
    pub fn v3_index(&self) -> &Document {
        &self.index
    }

    /// `GET /openapi/v3/PATH`, such as `api/v1` and `apis/gapless.dev/v1`.
    pub fn v3(&self, path: &str) -> Option<&Document> {
        self.v3.get(path)
    }
}
