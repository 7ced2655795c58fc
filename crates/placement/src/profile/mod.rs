//! [`ProfileSpec`], a placement profile as people declare it, and [`Profile`], the
//! policies made from it. Reading checks everything: an unknown policy, a weight
//! that is no weight, a parameter that is not the policy's, a set that cannot
//! decide. Each error names the field and what is allowed.

mod params;
mod relations;

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use params::{ParamError, Params, Value};

use crate::balance::Weights;
use crate::policy::{ChoiceScore, DomainScore, Filter, Permit, Score};
use crate::registry::{self, Entry, POLICIES, Phase, Plugin};

/// Heaviest a score may be; the sum of all weights stays exact enough in an `f32`.
const WEIGHT_MAX: f64 = 1_000.0;
/// How many steps of a score that comes `before` others are told apart before
/// theirs count: 1/64th of its range.
const TIER_STEPS: f32 = 64.0;

/// A profile as declared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProfileSpec {
    /// Who uses it without naming it.
    #[serde(default, skip_serializing_if = "AppliesTo::is_nobody")]
    pub applies_to: AppliesTo,
    /// Optional filters and permits to leave out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
    /// Scores with weights and parameters; also filters and permits, to set their
    /// parameters or to add a permit. Empty is the default profile's scores.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<PolicySpec>,
}

/// Who uses a profile without naming it. The most particular wins: function, then
/// class, then namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AppliesTo {
    /// Functions of these namespaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// These functions, as `NAMESPACE/NAME`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<String>,
    /// Functions of these classes of workload (`spec.placement.class`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
}

impl AppliesTo {
    fn is_nobody(&self) -> bool {
        *self == AppliesTo::default()
    }
}

/// One policy of a profile.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicySpec {
    /// Its name, such as `least-allocated`.
    pub policy: String,
    /// How much it counts; a score's only. 1 when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// Scores that only decide among nodes that are (nearly) equal by this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<String>,
    /// Its parameters by name; their defaults when not given.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Value>,
}

impl PolicySpec {
    /// A policy with a weight and default parameters.
    pub fn new(policy: &str, weight: f64) -> Self {
        PolicySpec { policy: policy.to_owned(), weight: Some(weight), ..PolicySpec::default() }
    }
}

/// One thing wrong with a profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct ProfileError {
    /// The path, such as `spec.policies[2].weight`.
    pub field: String,
    /// What was found and what is allowed.
    pub message: String,
}

impl ProfileError {
    fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        ProfileError { field: field.into(), message: message.into() }
    }
}

/// A policy with its weight.
#[derive(Debug)]
pub(crate) struct Weighted<T: ?Sized> {
    pub(crate) name: &'static str,
    pub(crate) weight: f32,
    /// Shared by profiles that differ in weights only.
    pub(crate) policy: Arc<T>,
}

impl<T: ?Sized> Weighted<T> {
    fn with(&self, weight: f32) -> Self {
        Weighted { name: self.name, weight, policy: Arc::clone(&self.policy) }
    }
}

/// The policies of a profile, ready to be asked.
#[derive(Debug)]
pub struct Profile {
    name: Arc<str>,
    /// Whether a weight table may give it other weights.
    is_balanced: bool,
    pub(crate) filters: Vec<Weighted<dyn Filter>>,
    pub(crate) scores: Vec<Weighted<dyn Score>>,
    pub(crate) domains: Vec<Weighted<dyn DomainScore>>,
    pub(crate) choices: Vec<Weighted<dyn ChoiceScore>>,
    pub(crate) permits: Vec<Weighted<dyn Permit>>,
}

impl Profile {
    /// Makes a profile, or says everything that is wrong with it.
    pub fn new(name: &str, spec: &ProfileSpec) -> Result<Profile, Vec<ProfileError>> {
        let mut errors = Vec::new();
        let without = check_without(spec, &mut errors);
        let chosen = choose(spec, &without, &mut errors);
        relations::check(&chosen, &mut errors);
        let mut profile = Profile {
            name: name.into(),
            is_balanced: false,
            filters: Vec::new(),
            scores: Vec::new(),
            domains: Vec::new(),
            choices: Vec::new(),
            permits: Vec::new(),
        };
        let factors = tier_factors(&chosen);
        for (chosen, factor) in chosen.iter().zip(factors) {
            profile.add(chosen, factor, &mut errors);
        }
        if errors.is_empty() { Ok(profile) } else { Err(errors) }
    }

    /// The profile of those who name none and are named by none.
    pub fn default_profile() -> Profile {
        Profile::new("default", &ProfileSpec::default()).expect("tested below")
    }

    /// The same with every score in it, those that are not in the default profile
    /// without weight: what [`balance`](crate::balance) gives weights to.
    pub fn balanced() -> Profile {
        let scores = POLICIES.iter().filter(|entry| entry.phase == Phase::Score);
        let of =
            |entry: &Entry| PolicySpec::new(entry.name, entry.default_weight.unwrap_or(0.0).into());
        let spec = ProfileSpec { policies: scores.map(of).collect(), ..ProfileSpec::default() };
        let profile = Profile::new("default", &spec).expect("tested below");
        Profile { is_balanced: true, ..profile }
    }

    /// The same policies with other weights.
    pub fn weighted(&self, name: &str, weights: &Weights) -> Profile {
        fn all<T: ?Sized>(list: &[Weighted<T>], weights: &Weights) -> Vec<Weighted<T>> {
            list.iter().map(|w| w.with(weights.of(w.name).unwrap_or(w.weight))).collect()
        }
        Profile {
            name: name.into(),
            is_balanced: self.is_balanced,
            filters: all(&self.filters, weights),
            scores: all(&self.scores, weights),
            domains: all(&self.domains, weights),
            choices: all(&self.choices, weights),
            permits: all(&self.permits, weights),
        }
    }

    /// Whether a weight table may give it other weights.
    pub fn is_balanced(&self) -> bool {
        self.is_balanced
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Every policy in it with its weight (0 for filters and permits), by phase.
    pub fn policies(&self) -> impl Iterator<Item = (&'static str, f32)> + '_ {
        let filters = self.filters.iter().map(|w| (w.name, w.weight));
        let scores = self.scores.iter().map(|w| (w.name, w.weight));
        let domains = self.domains.iter().map(|w| (w.name, w.weight));
        let choices = self.choices.iter().map(|w| (w.name, w.weight));
        let permits = self.permits.iter().map(|w| (w.name, w.weight));
        filters.chain(scores).chain(domains).chain(choices).chain(permits)
    }

    /// Pairs of its scores that want opposite things: legal, since others decide
    /// too, but worth knowing. [`correlation`](crate::plain::correlation) measures how much.
    pub fn conflicts(&self) -> Vec<(&'static str, &'static str)> {
        let weighs = |(_, weight): &(&str, f32)| *weight > 0.0;
        let names: Vec<&str> = self.policies().filter(weighs).map(|(name, _)| name).collect();
        relations::opposed(&names)
    }

    fn add(&mut self, chosen: &Chosen<'_>, factor: f32, errors: &mut Vec<ProfileError>) {
        let mut params = Params::new(chosen.spec.map(|spec| &spec.params));
        let plugin = (chosen.entry.make)(&mut params).map_err(|error| vec![error]);
        let plugin = plugin.and_then(|plugin| match params.unread() {
            unread if unread.is_empty() => Ok(plugin),
            unread => Err(unread),
        });
        let name = chosen.entry.name;
        let weight = chosen.weight * factor;
        match plugin {
            Ok(Plugin::Filter(policy)) => self.filters.push(Weighted { name, weight: 0.0, policy }),
            Ok(Plugin::Score(policy)) => self.scores.push(Weighted { name, weight, policy }),
            Ok(Plugin::Domain(policy)) => self.domains.push(Weighted { name, weight, policy }),
            Ok(Plugin::Choice(policy)) => self.choices.push(Weighted { name, weight, policy }),
            Ok(Plugin::Permit(policy)) => self.permits.push(Weighted { name, weight: 0.0, policy }),
            Err(wrong) => errors.extend(wrong.into_iter().map(|wrong| {
                let path = chosen.path.clone();
                ProfileError::new(format!("{path}.params.{}", wrong.name), wrong.message)
            })),
        }
    }
}

/// A policy that is to be in a profile.
#[derive(Debug)]
struct Chosen<'a> {
    entry: &'static Entry,
    spec: Option<&'a PolicySpec>,
    path: String,
    weight: f32,
}

fn check_without<'a>(spec: &'a ProfileSpec, errors: &mut Vec<ProfileError>) -> Vec<&'a str> {
    for (index, name) in spec.without.iter().enumerate() {
        let path = format!("spec.without[{index}]");
        match registry::find(name) {
            None => errors.push(unknown(&path, name)),
            Some(entry) if entry.is_essential => {
                let message = format!("{name} keeps nodes from being overcommitted; it stays on");
                errors.push(ProfileError::new(path, message));
            }
            Some(entry) if entry.phase == Phase::Score => {
                let message = format!("{name} is a score: leave it out of spec.policies");
                errors.push(ProfileError::new(path, message));
            }
            Some(_) => {}
        }
    }
    spec.without.iter().map(String::as_str).collect()
}

/// Every filter and default permit that is not left out; the scores that are named,
/// or those of the default profile when none is.
fn choose<'a>(
    spec: &'a ProfileSpec,
    without: &[&str],
    errors: &mut Vec<ProfileError>,
) -> Vec<Chosen<'a>> {
    let mut named: BTreeMap<&str, (usize, &PolicySpec)> = BTreeMap::new();
    for (index, policy) in spec.policies.iter().enumerate() {
        let path = format!("spec.policies[{index}].policy");
        if registry::find(&policy.policy).is_none() {
            errors.push(unknown(&path, &policy.policy));
        } else if let Some((first, _)) = named.insert(&policy.policy, (index, policy)) {
            let message = format!("{} is already at spec.policies[{first}]", policy.policy);
            errors.push(ProfileError::new(path, message));
        }
    }
    let is_score = |name: &&str| registry::find(name).is_some_and(|e| e.phase == Phase::Score);
    let names_scores = named.keys().any(is_score);
    let mut chosen = Vec::new();
    for entry in POLICIES {
        let spec = named.get(entry.name);
        let path = spec.map_or_else(String::new, |(index, _)| format!("spec.policies[{index}]"));
        let is_default = match entry.phase {
            Phase::Score => entry.default_weight.is_some() && !names_scores,
            Phase::Filter | Phase::Permit => {
                entry.default_weight.is_some() && !without.contains(&entry.name)
            }
        };
        if spec.is_none() && !is_default {
            continue;
        }
        let spec = spec.map(|(_, spec)| *spec);
        let weight = check_weight(entry, spec, &path, errors);
        check_before(entry, spec, &path, &named, errors);
        chosen.push(Chosen { entry, spec, path, weight });
    }
    let weighs = |c: &Chosen<'_>| c.entry.phase == Phase::Score && c.weight > 0.0;
    if errors.is_empty() && !chosen.iter().any(weighs) {
        let message = "no score weighs anything, so nothing would tell nodes apart";
        errors.push(ProfileError::new("spec.policies", message));
    }
    chosen
}

fn check_weight(
    entry: &Entry,
    spec: Option<&PolicySpec>,
    path: &str,
    errors: &mut Vec<ProfileError>,
) -> f32 {
    let Some(weight) = spec.and_then(|spec| spec.weight) else {
        return if spec.is_some() { 1.0 } else { entry.default_weight.unwrap_or(1.0) };
    };
    if entry.phase != Phase::Score {
        let message = format!("{} is no score and has no weight", entry.name);
        errors.push(ProfileError::new(format!("{path}.weight"), message));
    } else if !(0.0..=WEIGHT_MAX).contains(&weight) {
        let message = format!("found {weight}, allowed is 0 to {WEIGHT_MAX}");
        errors.push(ProfileError::new(format!("{path}.weight"), message));
    }
    weight as f32
}

fn check_before(
    entry: &Entry,
    spec: Option<&PolicySpec>,
    path: &str,
    named: &BTreeMap<&str, (usize, &PolicySpec)>,
    errors: &mut Vec<ProfileError>,
) {
    for (index, other) in spec.map_or(&[][..], |spec| &spec.before).iter().enumerate() {
        let path = format!("{path}.before[{index}]");
        match registry::find(other) {
            None => errors.push(unknown(&path, other)),
            Some(found) if found.phase != Phase::Score || entry.phase != Phase::Score => {
                errors.push(ProfileError::new(path, "only scores come before one another"));
            }
            Some(_) if !named.contains_key(other.as_str()) => {
                let message = format!("{other} is not in spec.policies");
                errors.push(ProfileError::new(path, message));
            }
            Some(_) => {}
        }
    }
}

fn unknown(path: &str, name: &str) -> ProfileError {
    let near = POLICIES.iter().min_by_key(|entry| strsim::osa_distance(entry.name, name));
    let message = match near {
        Some(near) if strsim::osa_distance(near.name, name) <= 1 + name.len() / 3 => {
            format!("there is no policy {name:?}; did you mean {}?", near.name)
        }
        _ => format!("there is no policy {name:?}; docs/policies.md lists them"),
    };
    ProfileError::new(path, message)
}

/// By how much each weight is multiplied, so that a score that comes `before`
/// others outweighs all of them once it differs by a 64th. Assumes no cycle.
fn tier_factors(chosen: &[Chosen<'_>]) -> Vec<f32> {
    let mut factors = vec![1.0_f32; chosen.len()];
    // Each round settles at least one tier; a cycle, refused elsewhere, ends it too.
    for _ in 0..chosen.len() {
        let mut is_settled = true;
        for (index, this) in chosen.iter().enumerate() {
            let before = this.spec.map_or(&[][..], |spec| &spec.before);
            if before.is_empty() || this.weight <= 0.0 {
                continue;
            }
            let after = chosen
                .iter()
                .enumerate()
                .filter(|(_, other)| before.iter().any(|name| name == other.entry.name));
            let below: f32 = after.map(|(other, chosen)| chosen.weight * factors[other]).sum();
            let factor = (below * TIER_STEPS / this.weight).max(1.0);
            if factor > factors[index] * 1.0001 {
                factors[index] = factor.min(1e9);
                is_settled = false;
            }
        }
        if is_settled {
            break;
        }
    }
    factors
}

#[cfg(test)]
mod tests;
