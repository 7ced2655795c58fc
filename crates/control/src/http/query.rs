//! The query of a request, by name. A parameter that is understood and wrong is
//! refused by its name; one that is not known is ignored, as clients of other versions
//! send some.

use std::collections::HashMap;

use axum::extract::Query as Decoded;
use gapless_declared::{Selection, WriteOptions};
use gapless_objects::Descriptor;
use gapless_objects::fields::FieldValidation;
use gapless_objects::managed::default_manager;
use gapless_objects::selector::{FieldSelector, LabelSelector};
use gapless_objects::table::Include;
use gapless_secret::REVEAL_PARAMETER;
use http::{HeaderMap, Uri, header};

use super::error::{ApiError, bad_request, refused};
use super::target::Target;

/// A request's query.
#[derive(Debug, Default)]
pub(crate) struct Query(HashMap<String, String>);

impl Query {
    pub(crate) fn read(uri: &Uri) -> Result<Self, ApiError> {
        Ok(Query(Decoded::<HashMap<String, String>>::try_from_uri(uri)?.0))
    }

    /// The value of a parameter that is there and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A yes or no.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.get(name) {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(other) => Err(bad_request(format!("{name}={other} is neither true nor false"))),
        }
    }

    /// A number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, ApiError> {
        let read = |value: &str| {
            value.parse().map_err(|_| bad_request(format!("{name}={value} is not a number")))
        };
        self.get(name).map(read).transpose()
    }

    /// A version; `None` for any (not named, or 0).
    pub(crate) fn version(&self) -> Result<Option<u64>, ApiError> {
        let read = |value: &str| {
            value.parse().map_err(|_| {
                bad_request(format!("resourceVersion={value} is none of this platform's versions"))
            })
        };
        let version = self.get("resourceVersion").map(read).transpose()?;
        Ok(version.filter(|version| *version > 0))
    }

    /// Which objects of a kind.
    pub(crate) fn selection(
        &self,
        target: &Target<'_>,
        kind: &'static Descriptor,
    ) -> Result<Selection, ApiError> {
        let labels = self.get("labelSelector").unwrap_or_default();
        let fields = self.get("fieldSelector").unwrap_or_default();
        Ok(Selection {
            namespace: target.namespace.map(str::to_owned),
            labels: LabelSelector::parse(labels).map_err(refused)?,
            fields: FieldSelector::parse(fields, kind).map_err(refused)?,
        })
    }

    /// How a change is asked for.
    pub(crate) fn write_options(&self, headers: &HeaderMap) -> Result<WriteOptions, ApiError> {
        let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        let manager = match self.get("fieldManager") {
            Some(manager) => manager.to_owned(),
            None => default_manager(agent.unwrap_or("unknown")),
        };
        let validation = match self.get("fieldValidation") {
            None => None,
            Some(word) => Some(FieldValidation::parse(word).ok_or_else(|| {
                bad_request(format!("fieldValidation={word} is none of Ignore, Warn, Strict"))
            })?),
        };
        Ok(WriteOptions {
            manager,
            is_forced: self.flag("force")?,
            is_dry_run: self.is_dry_run()?,
            validation,
            subresource: "",
            is_revealed: self.is_revealed()?,
        })
    }

    /// Whether nothing is to be written.
    pub(crate) fn is_dry_run(&self) -> Result<bool, ApiError> {
        match self.get("dryRun") {
            None => Ok(false),
            Some("All") => Ok(true),
            Some(other) => Err(bad_request(format!("dryRun={other} is not known; All is"))),
        }
    }

    /// Whether secrets are shown.
    pub(crate) fn is_revealed(&self) -> Result<bool, ApiError> {
        self.flag(REVEAL_PARAMETER)
    }

    /// How much of each object the rows of a table carry.
    pub(crate) fn include(&self) -> Result<Include, ApiError> {
        let word = self.get("includeObject").unwrap_or_default();
        Include::parse(word).ok_or_else(|| {
            bad_request(format!("includeObject={word} is none of None, Metadata, Object"))
        })
    }
}
