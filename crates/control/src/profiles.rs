//! Placement profiles: declared, kept, and who uses which.
//!
//! A function uses the profile it names; else the one that names it, its class, or
//! its namespace, in this order; else `default`, which may be declared too. A change
//! counts from the next placement on; what is placed stays.

use std::collections::BTreeMap;
use std::sync::Arc;

use gapless_api::{
    ObjectMeta, PlacementProfile, ProfileConflict, ProfilePolicy, ProfileStatus, Status,
};
use gapless_placement::{Profile, ProfileSpec, plain, reference, registry};
use gapless_store::{Expect, Store, StoreError};
use gapless_types::{API_VERSION, FieldError, FunctionKey, FunctionSpec, check_name};
use jiff::Timestamp;
use parking_lot::RwLock;
use serde_json::Value;

use crate::Control;

/// Where profiles are in the store.
const PROFILES_PREFIX: &str = "placementprofiles/";
/// The profile of those that name none and are named by none.
const DEFAULT: &str = "default";
/// Profiles there may be.
const PROFILES_MAX: usize = 1_000;

/// The declared profiles.
pub(crate) struct Profiles {
    declared: RwLock<BTreeMap<String, Declared>>,
    built_in: Arc<Profile>,
}

#[derive(Clone)]
struct Declared {
    object: PlacementProfile,
    profile: Arc<Profile>,
}

impl Profiles {
    /// Reads what is stored. A profile that became wrong stops the start: going on
    /// would place by other rules without a word.
    pub(crate) fn restore(store: &dyn Store) -> Result<Self, StoreError> {
        let mut declared = BTreeMap::new();
        for record in store.list(PROFILES_PREFIX)? {
            let wrong = |why: String| StoreError::Failed {
                what: format!("cannot read the stored {}", record.key),
                why,
            };
            let object: PlacementProfile =
                serde_json::from_slice(&record.value).map_err(|why| wrong(why.to_string()))?;
            let name = object.metadata.name.clone();
            let profile = made(&name, &object.spec).map_err(|errors| {
                wrong(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
            })?;
            declared.insert(name, Declared { object, profile });
        }
        let built_in = Arc::new(Profile::default_profile());
        Ok(Profiles { declared: RwLock::new(declared), built_in })
    }

    /// Whether there is a profile of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        name == DEFAULT || self.declared.read().contains_key(name)
    }

    /// The profile that decides for a function.
    pub(crate) fn of(&self, function: &FunctionKey, spec: &FunctionSpec) -> Arc<Profile> {
        let declared = self.declared.read();
        let placement = spec.placement.as_ref();
        let named = placement.and_then(|placement| placement.profile.as_deref());
        let class = placement.and_then(|placement| placement.class.as_deref());
        let key = function.to_string();
        let applies = |is_meant: &dyn Fn(&ProfileSpec) -> bool| {
            declared.values().find(|declared| is_meant(&declared.object.spec))
        };
        let found = match named {
            Some(name) => declared.get(name),
            None => applies(&|spec| spec.applies_to.functions.contains(&key))
                .or_else(|| {
                    applies(&|spec| spec.applies_to.classes.iter().any(|c| Some(&**c) == class))
                })
                .or_else(|| {
                    let namespace = function.namespace();
                    applies(&|spec| spec.applies_to.namespaces.iter().any(|n| n == namespace))
                })
                .or_else(|| declared.get(DEFAULT)),
        };
        found.map_or_else(|| Arc::clone(&self.built_in), |declared| Arc::clone(&declared.profile))
    }
}

fn made(name: &str, spec: &ProfileSpec) -> Result<Arc<Profile>, Vec<FieldError>> {
    let profile = Profile::new(name, spec).map_err(|errors| {
        let errors = errors.into_iter();
        errors.map(|error| FieldError::new(error.field, error.message)).collect::<Vec<_>>()
    })?;
    Ok(Arc::new(profile))
}

/// Reads a profile as people write it.
fn read(name: &str, mut value: Value) -> Result<PlacementProfile, Vec<FieldError>> {
    if let Some(fields) = value.as_object_mut() {
        fields.remove("status");
        let metadata =
            fields.entry("metadata").or_insert_with(|| Value::Object(Default::default()));
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.entry("name").or_insert_with(|| name.into());
        }
    }
    let object: PlacementProfile = serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        vec![FieldError::new(path.trim_start_matches('.'), error.into_inner().to_string())]
    })?;
    let mut errors = Vec::new();
    for (field, found, expected) in [
        ("apiVersion", &object.api_version, API_VERSION),
        ("kind", &object.kind, "PlacementProfile"),
        ("metadata.name", &object.metadata.name, name),
    ] {
        if found != expected {
            let message = format!("found {found:?}, expected {expected:?}");
            errors.push(FieldError::new(field, message));
        }
    }
    if let Err(error) = check_name(&object.metadata.name) {
        errors.push(FieldError::new("metadata.name", error.to_string()));
    }
    if errors.is_empty() { Ok(object) } else { Err(errors) }
}

impl Control {
    /// Declares a profile. Says whether it is new. Blocks while the disk works.
    pub(crate) fn declare_profile(
        &self,
        name: &str,
        value: Value,
    ) -> Result<(PlacementProfile, bool), Box<Status>> {
        let invalid = |errors: Vec<FieldError>| Box::new(Status::invalid(name, &errors));
        let mut object = read(name, value).map_err(invalid)?;
        let profile = made(name, &object.spec).map_err(invalid)?;
        let before = self.profiles().declared.read().get(name).cloned();
        let is_new = before.is_none();
        if is_new && self.profiles().declared.read().len() >= PROFILES_MAX {
            let message = format!("there are {PROFILES_MAX} profiles already; delete one");
            return Err(Box::new(Status::failure(403, "Forbidden", message)));
        }
        object.metadata.namespace.clear();
        object.metadata.creation_timestamp = before.map_or_else(
            || format!("{:.0}", Timestamp::now()),
            |before| before.object.metadata.creation_timestamp,
        );
        object.status = None;
        let bytes = serde_json::to_vec(&object).expect("a profile is representable in JSON");
        let key = format!("{PROFILES_PREFIX}{name}");
        self.store().put(&key, &bytes, Expect::Any).map_err(|error| failed(&error))?;
        let declared = Declared { object, profile };
        self.profiles().declared.write().insert(name.to_owned(), declared);
        self.apply_profiles();
        Ok((self.profile_object(name).expect("declared above"), is_new))
    }

    /// Deletes a profile that no function names. Blocks while the disk works.
    pub(crate) fn delete_profile(&self, name: &str) -> Result<PlacementProfile, Box<Status>> {
        let object = self.profile_object(name).ok_or_else(|| Box::new(no_profile(name)))?;
        if let Some(user) = self.functions().lock().iter().find_map(|(key, declared)| {
            let placement = declared.latest.spec.placement.as_ref()?;
            (placement.profile.as_deref() == Some(name)).then(|| key.to_string())
        }) {
            let message =
                format!("function {user} names it in spec.placement.profile: change that first");
            return Err(Box::new(Status::failure(409, "Conflict", message)));
        }
        let key = format!("{PROFILES_PREFIX}{name}");
        self.store().delete(&key, Expect::Any).map_err(|error| failed(&error))?;
        self.profiles().declared.write().remove(name);
        self.apply_profiles();
        Ok(object)
    }

    /// Has every known revision placed by the profile that now is its.
    fn apply_profiles(&self) {
        for state in self.revisions() {
            let revision = &state.revision;
            let profile = self.profiles().of(&revision.function, &revision.spec);
            self.nodes().set_profile(state.shape, profile);
        }
    }

    /// A profile with its status. `default` exists also undeclared.
    pub(crate) fn profile_object(&self, name: &str) -> Option<PlacementProfile> {
        let declared = self.profiles().declared.read().get(name).cloned();
        let Declared { mut object, profile } = match declared {
            Some(declared) => declared,
            None if name == DEFAULT => Declared {
                object: PlacementProfile {
                    api_version: API_VERSION.to_owned(),
                    kind: "PlacementProfile".to_owned(),
                    metadata: ObjectMeta { name: DEFAULT.to_owned(), ..ObjectMeta::default() },
                    spec: ProfileSpec::default(),
                    status: None,
                },
                profile: Arc::clone(&self.profiles().built_in),
            },
            None => return None,
        };
        object.status = Some(self.profile_status(&profile));
        Some(object)
    }

    /// Every profile.
    pub(crate) fn profile_objects(&self) -> Vec<PlacementProfile> {
        let mut names: Vec<String> = self.profiles().declared.read().keys().cloned().collect();
        if !names.iter().any(|name| name == DEFAULT) {
            names.insert(0, DEFAULT.to_owned());
        }
        names.iter().filter_map(|name| self.profile_object(name)).collect()
    }

    fn profile_status(&self, profile: &Arc<Profile>) -> ProfileStatus {
        let states = self.revisions();
        let is_its = |function: &FunctionKey, spec: &FunctionSpec| {
            self.profiles().of(function, spec).name() == profile.name()
        };
        let mut its = states.iter().filter(|s| is_its(&s.revision.function, &s.revision.spec));
        let example = its.next().map(|state| state.shape);
        let functions = its.count() as u32 + u32::from(example.is_some());
        let measured = example.and_then(|shape| self.nodes().view_for(shape));
        let conflicts = profile.conflicts().into_iter().map(|(one, other)| ProfileConflict {
            policy: one.to_owned(),
            against: other.to_owned(),
            correlation: measured
                .as_ref()
                .and_then(|(view, shape)| plain::correlation(view, shape, one, other))
                .or_else(|| {
                    let (state, shape) = reference(profile);
                    plain::correlation(&state, &shape, one, other)
                }),
        });
        let policies = profile.policies().map(|(name, weight)| ProfilePolicy {
            policy: name.to_owned(),
            summary: registry::find(name).map_or("", |entry| entry.summary).to_owned(),
            weight,
        });
        ProfileStatus { policies: policies.collect(), conflicts: conflicts.collect(), functions }
    }
}

/// `404`.
pub(crate) fn no_profile(name: &str) -> Status {
    let message =
        format!("there is no placement profile {name:?}; `gapless get profiles` lists them");
    Status::failure(404, "NotFound", message)
}

fn failed(error: &StoreError) -> Box<Status> {
    Box::new(Status::failure(500, "InternalError", error.to_string()))
}
