//! `PlacementProfile`: which policies decide where instances go.

use std::sync::Arc;

use futures::future::BoxFuture;
use gapless_api::Status;
use gapless_declared::{Admission, Hold, ObjectKey, Operation, Outcome, Resource};
use gapless_objects::Descriptor;
use gapless_objects::kinds::{AGE, DECLARED_VERBS, integer};
use gapless_store::{StoreRevision, Write};
use gapless_types::FieldError;
use serde_json::Value;

use super::Owner;
use crate::profiles::{DEFAULT, PROFILES_MAX, read};

/// The kind.
pub(crate) static PROFILES: Descriptor = Descriptor {
    group: "gapless.dev",
    version: "v1",
    kind: "PlacementProfile",
    list_kind: "PlacementProfileList",
    plural: "placementprofiles",
    singular: "placementprofile",
    short_names: &["profile", "profiles"],
    categories: &["gapless"],
    is_namespaced: false,
    verbs: DECLARED_VERBS,
    has_status: true,
    has_scale: false,
    columns: &[
        integer("Policies", "How many policies it has, filters included.", |object| {
            object["status"]["policies"].as_array().map_or(0, Vec::len).into()
        }),
        integer("Conflicts", "Pairs of its scores that want opposite things.", |object| {
            object["status"]["conflicts"].as_array().map_or(0, Vec::len).into()
        }),
        integer("Functions", "Functions it decides for, of those that were called.", |object| {
            object["status"]["functions"].clone()
        }),
        AGE,
    ],
    selectable: &[],
    schema: gapless_objects::schema::of::<gapless_api::PlacementProfile>,
};

/// The kind at work.
#[derive(Debug)]
pub(crate) struct Profiles(pub(super) Owner);

impl Resource for Profiles {
    fn descriptor(&self) -> &'static Descriptor {
        &PROFILES
    }

    fn admit(&self, admission: &mut Admission<'_>) -> Outcome<Result<Hold, Vec<FieldError>>> {
        let control = self.0.require()?;
        if admission.operation == Operation::Create && control.profiles().len() >= PROFILES_MAX {
            let message = format!("there are {PROFILES_MAX} profiles already; delete one");
            return Err(Status::failure(403, "Forbidden", message).into());
        }
        let read = match read(&admission.key.name, admission.new.clone()) {
            Ok((object, _)) => object,
            Err(errors) => return Ok(Err(errors)),
        };
        let spec = serde_json::to_value(&read.spec).unwrap_or_default();
        admission.new["spec"] = spec;
        Ok(Ok(None))
    }

    fn admit_removal(
        &self,
        key: &ObjectKey,
        _object: &Value,
        _writes: &mut Vec<Write>,
    ) -> Outcome<Hold> {
        let control = self.0.require()?;
        let refused = |message: String| Err(Status::failure(409, "Conflict", message).into());
        if key.name == DEFAULT {
            let message = "profile default is what decides where nothing else does; change it \
                           instead of deleting it";
            return refused(message.to_owned());
        }
        match control.user_of_profile(&key.name) {
            Some(user) => refused(format!(
                "function {user} names it in spec.placement.profile: change that first"
            )),
            None => Ok(None),
        }
    }

    fn show(&self, object: &mut Value, _is_revealed: bool) {
        let name = super::text(object, "/metadata/name").to_owned();
        let status = self.0.get().and_then(|control| control.status_of_profile(&name));
        if let Some(status) = status {
            object["status"] = serde_json::to_value(status).unwrap_or_default();
        }
    }

    fn settled(&self, revision: StoreRevision) -> BoxFuture<'static, ()> {
        match self.0.get() {
            Some(control) => {
                let followed = Arc::clone(control.profiles().followed());
                Box::pin(async move { followed.reached(revision).await })
            }
            None => Box::pin(std::future::ready(())),
        }
    }
}
