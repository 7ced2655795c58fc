//! Placement profiles: declared, kept, and who uses which.
//!
//! A function uses the profile it names; else the one that names it, its class, or
//! its namespace, in this order; else `default`, which may be declared too. A change
//! counts from the next placement on; what is placed stays.

use std::collections::BTreeMap;
use std::sync::Arc;

use gapless_api::{PlacementProfile, ProfileConflict, ProfilePolicy, ProfileStatus};
use gapless_declared::Followed;
use gapless_placement::registry::{self, Phase};
use gapless_placement::{Profile, ProfileSpec, plain, reference};
use gapless_rt::Clock;
use gapless_store::Record;
use gapless_types::{FieldError, FunctionKey, FunctionSpec};
use parking_lot::RwLock;
use serde_json::Value;

use crate::Control;
use crate::followed::FollowedTo;

/// The profile of those that name none and are named by none.
pub(crate) const DEFAULT: &str = "default";
/// Profiles there may be.
pub(crate) const PROFILES_MAX: usize = 1_000;

/// The declared profiles.
pub(crate) struct Profiles {
    declared: RwLock<BTreeMap<String, Declared>>,
    built_in: Arc<Profile>,
    followed: Arc<FollowedTo>,
}

#[derive(Clone)]
struct Declared {
    object: PlacementProfile,
    profile: Arc<Profile>,
}

impl Profiles {
    /// None declared yet: they come from the store.
    pub(crate) fn new(clock: Clock, built_in: Profile) -> Self {
        Profiles {
            declared: RwLock::default(),
            built_in: Arc::new(built_in),
            followed: Arc::new(FollowedTo::new(clock)),
        }
    }

    /// How far the store was followed.
    pub(crate) fn followed(&self) -> &Arc<FollowedTo> {
        &self.followed
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.declared.read().len()
    }

    /// Whether there is a profile of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        name == DEFAULT || self.declared.read().contains_key(name)
    }

    /// A stored profile. One that is wrong (it was checked by another version) is left out
    /// with a word: placement goes on by `default`.
    fn stored(&self, record: &Record) -> Option<(String, Declared)> {
        let value: Result<Value, _> = serde_json::from_slice(&record.value);
        let name = record.key.rsplit('/').next().unwrap_or_default();
        match value.map(|value| read(name, value)) {
            Ok(Ok((object, mut profile))) => {
                // As nobody changed it, it is the one whose weights are balanced.
                if name == DEFAULT && object.spec == ProfileSpec::default() {
                    profile = Arc::clone(&self.built_in);
                }
                Some((name.to_owned(), Declared { object, profile }))
            }
            Ok(Err(errors)) => {
                let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
                tracing::error!(
                    profile = name,
                    errors = errors.join("; "),
                    "a stored profile is wrong"
                );
                None
            }
            Err(error) => {
                tracing::error!(profile = name, %error, "a stored profile cannot be read");
                None
            }
        }
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

/// Reads a profile as people write it, and makes it.
pub(crate) fn read(
    name: &str,
    mut value: Value,
) -> Result<(PlacementProfile, Arc<Profile>), Vec<FieldError>> {
    if let Some(fields) = value.as_object_mut() {
        fields.remove("status");
        let metadata =
            fields.entry("metadata").or_insert_with(|| Value::Object(Default::default()));
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.entry("name").or_insert_with(|| name.into());
        }
    }
    let object = PlacementProfile::from_value(value)?;
    let profile = made(name, &object.spec)?;
    Ok((object, profile))
}

impl Control {
    /// A function that names this profile.
    pub(crate) fn user_of_profile(&self, name: &str) -> Option<String> {
        self.functions().lock().iter().find_map(|(key, declared)| {
            let placement = declared.spec.placement.as_ref()?;
            (placement.profile.as_deref() == Some(name)).then(|| key.to_string())
        })
    }

    /// What the store says of profiles takes effect.
    pub(crate) fn follow_profiles(&self, followed: Followed) {
        let profiles = self.profiles();
        let revision = match followed {
            Followed::All(records, revision) => {
                let mut declared = profiles.declared.write();
                declared.clear();
                declared.extend(records.iter().filter_map(|record| profiles.stored(record)));
                revision
            }
            Followed::Changed(event) => {
                let mut declared = profiles.declared.write();
                match event.record() {
                    Some(record) => declared.extend(profiles.stored(&record)),
                    None => {
                        declared.remove(event.key.rsplit('/').next().unwrap_or_default());
                    }
                }
                event.revision
            }
        };
        self.apply_profiles();
        profiles.followed.set(revision);
    }

    /// Has every known revision placed by the profile that now is its.
    fn apply_profiles(&self) {
        for state in self.revisions() {
            let revision = &state.revision;
            let profile = self.profiles().of(&revision.function, &revision.spec);
            self.nodes().set_profile(state.shape, profile);
        }
    }

    /// What is observed of a profile.
    pub(crate) fn status_of_profile(&self, name: &str) -> Option<ProfileStatus> {
        let profile = self.profiles().declared.read().get(name).map(|p| Arc::clone(&p.profile))?;
        Some(self.profile_status(&profile))
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
        let mut conflicts: Vec<ProfileConflict> = profile
            .conflicts()
            .into_iter()
            .map(|(one, other)| ProfileConflict {
                policy: one.to_owned(),
                against: other.to_owned(),
                correlation: measured
                    .as_ref()
                    .and_then(|(view, shape)| plain::correlation(view, shape, one, other))
                    .or_else(|| {
                        let (state, shape) = reference(profile);
                        plain::correlation(&state, &shape, one, other)
                    }),
            })
            .collect();
        for pair in crate::balance::fights(profile, measured.as_ref()) {
            let is_it = |c: &ProfileConflict| {
                [&c.policy, &c.against].iter().all(|name| [&pair.one, &pair.other].contains(name))
            };
            if !conflicts.iter().any(is_it) {
                let correlation = Some(pair.correlation);
                conflicts.push(ProfileConflict {
                    policy: pair.one,
                    against: pair.other,
                    correlation,
                });
            }
        }
        // The balanced profile holds scores that weigh nothing by default.
        let counts = |(name, weight): &(&str, f32)| {
            *weight > 0.0 || registry::find(name).is_some_and(|e| e.phase != Phase::Score)
        };
        let policies = profile.policies().filter(counts).map(|(name, weight)| ProfilePolicy {
            policy: name.to_owned(),
            summary: registry::find(name).map_or("", |entry| entry.summary).to_owned(),
            weight,
        });
        ProfileStatus { policies: policies.collect(), conflicts, functions }
    }
}
