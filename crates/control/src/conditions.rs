//! What people are told of a function: its conditions, who takes which share, how many
//! instances there are.
//!
//! Everything but the counts is also stored (`reconcile/status.rs`), so that a watch that
//! resumes learns of it; the counts change with every start, and nothing is stored then.

use gapless_rollout::assign;
use gapless_types::{
    Condition, FunctionKey, FunctionStatus, Outcomes, Percent, RevisionName, TAG_SEPARATOR,
    TrafficStatus,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::Control;
use crate::functions::{Declared, Readiness};
use crate::kinds::text;
use crate::revision::{Health, Trouble};

/// One aspect: status, reason, message.
type Aspect = (&'static str, &'static str, String);

impl Control {
    /// A function's status as it is now. Conditions that say what they said before keep
    /// the time of their last change, which is in what is stored.
    pub(crate) fn status_of(&self, key: &FunctionKey, stored: &Value) -> Option<FunctionStatus> {
        let functions = self.functions().lock();
        let declared = functions.get(key)?;
        let assignment = assign(key, &declared.spec.traffic, &declared.rollout);
        let mut health = Health::default();
        for name in declared.known.keys() {
            let Some(state) = self.revision(name) else { continue };
            let found = state.health();
            health.ready += found.ready;
            health.starting += found.starting;
            let is_routed = |target: &&gapless_rollout::Assigned| {
                target.revision == *name && target.weight > Percent::ZERO
            };
            if assignment.targets.iter().any(|target| is_routed(&target)) {
                health.trouble = health.trouble.or(found.trouble);
            }
        }
        let serving = assignment.targets.iter().max_by_key(|target| target.weight);
        let serving = serving.map_or(&declared.latest, |target| &target.revision);
        let mut status = FunctionStatus {
            observed_generation: declared.metadata.generation,
            revision: serving.short().to_owned(),
            latest_created_revision: declared.latest.short().to_owned(),
            latest_ready_revision: ready_revision(declared),
            ready_instances: health.ready,
            starting_instances: health.starting,
            traffic: self.traffic_of(key, &assignment),
            rollout: declared.rollout.status(),
            ..FunctionStatus::default()
        };
        if let Some(rollout) = &mut status.rollout {
            rollout.since = format!("{:.0}", declared.since);
        }
        (status.url, status.path_url) = self.urls_of(key);
        status.conditions = conditions(declared, serving, &health, stored);
        drop(functions);
        self.add_counts(&assignment, &mut status);
        Some(status)
    }

    /// What the gateway counts of a function's requests. Call it without locks.
    fn add_counts(&self, assignment: &gapless_rollout::Assignment, status: &mut FunctionStatus) {
        let mut all = Outcomes::default();
        self.with_gateway(|gateway| {
            for target in &assignment.targets {
                let its = gateway.outcomes(&target.revision);
                all.requests += its.requests;
                all.cold += its.cold;
                all.queued += its.queued;
            }
        });
        status.queued = all.queued;
        let share = 100.0 * all.cold as f64 / all.requests.max(1) as f64;
        status.cold_share = (all.requests > 0).then(|| format!("{share:.1}%"));
    }

    fn urls_of(&self, key: &FunctionKey) -> (String, String) {
        let (name, namespace) = (key.name(), key.namespace());
        let port = self.config().gateway.port();
        let url = format!("http://{name}.{namespace}.localhost:{port}");
        (url, format!("{}/fn/{namespace}/{name}/", self.gateway_url()))
    }

    fn traffic_of(
        &self,
        key: &FunctionKey,
        assignment: &gapless_rollout::Assignment,
    ) -> Vec<TrafficStatus> {
        let port = self.config().gateway.port();
        let shares = assignment.targets.iter().filter(|target| target.weight > Percent::ZERO);
        let shares = shares.map(|target| TrafficStatus {
            revision: target.revision.short().to_owned(),
            percent: target.weight,
            latest: target.is_latest,
            ..TrafficStatus::default()
        });
        let tags = assignment.tags.iter().map(|(tag, revision)| TrafficStatus {
            revision: revision.short().to_owned(),
            tag: Some(tag.clone()),
            url: Some(format!(
                "http://{tag}{TAG_SEPARATOR}{}.{}.localhost:{port}",
                key.name(),
                key.namespace()
            )),
            ..TrafficStatus::default()
        });
        shares.chain(tags).collect()
    }

    /// Puts a function's status into its object.
    pub(crate) fn show_function(&self, object: &mut Value) {
        let key =
            FunctionKey::new(text(object, "/metadata/namespace"), text(object, "/metadata/name"));
        let Some(status) = key.ok().and_then(|key| self.status_of(&key, &object["status"])) else {
            return;
        };
        object["status"] = serde_json::to_value(status).unwrap_or_default();
    }

    /// Puts a revision's status into its object.
    pub(crate) fn show_revision(&self, object: &mut Value) {
        let namespace = text(object, "/metadata/namespace");
        let Some(name) = crate::status::revision_name(namespace, text(object, "/metadata/name"))
        else {
            return;
        };
        let function =
            name.short().rsplit_once('-').map_or("", |(function, _)| function).to_owned();
        let mut status = json!({ "function": function, "state": "Kept", "percent": 0 });
        let functions = self.functions().lock();
        if let Some((declared, known)) = functions.revision(&name) {
            let (state, message) = match &known.readiness {
                Readiness::Preparing => ("Preparing", String::new()),
                Readiness::Ready => ("Ready", String::new()),
                Readiness::Failed(why) => ("Failed", why.to_string()),
            };
            (status["state"], status["message"]) = (state.into(), message.into());
            if let Some((rejected, why)) = declared.rollout.rejected()
                && *rejected == name
            {
                (status["state"], status["message"]) = ("RolledBack".into(), why.into());
            }
            let key = &known.revision.function;
            let assignment = assign(key, &declared.spec.traffic, &declared.rollout);
            let share = assignment.targets.iter().find(|target| target.revision == name);
            let hundredths = share.map_or(0, |share| share.weight.hundredths());
            status["percent"] = (f64::from(hundredths) / 100.0).into();
        }
        drop(functions);
        let health = self.revision(&name).map(|state| state.health()).unwrap_or_default();
        status["readyInstances"] = health.ready.into();
        status["startingInstances"] = health.starting.into();
        if let Some(Trouble { message, .. }) = health.trouble {
            status["message"] = message.into();
        }
        object["status"] = status;
    }
}

/// The newest revision that has proven itself, if any.
fn ready_revision(declared: &Declared) -> String {
    declared.rollout.stable().map(|name| name.short().to_owned()).unwrap_or_default()
}

fn conditions(
    declared: &Declared,
    serving: &RevisionName,
    health: &Health,
    stored: &Value,
) -> Vec<Condition> {
    let revision = revision_aspect(declared);
    let traffic = traffic_aspect(declared, serving);
    let degraded = degraded_aspect(health);
    let ready = ready_aspect(declared, &revision, &traffic, health);
    [
        ("Ready", ready),
        ("RevisionReady", revision),
        ("TrafficReady", traffic),
        ("Degraded", degraded),
    ]
    .into_iter()
    .map(|(kind, (status, reason, message))| Condition {
        r#type: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        last_transition_time: since(stored, kind, status),
    })
    .collect()
}

/// When a condition's status last changed: as stored if it has not.
fn since(stored: &Value, kind: &str, status: &str) -> String {
    let all = stored["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let same = all.iter().find(|one| one["type"] == kind && one["status"] == status);
    let at = same.and_then(|one| one["lastTransitionTime"].as_str());
    at.map_or_else(|| format!("{:.0}", Timestamp::now()), str::to_owned)
}

/// The newest revision: can it run, and has it proven itself?
fn revision_aspect(declared: &Declared) -> Aspect {
    let new = declared.latest.short();
    let serves = match declared.rollout.stable() {
        Some(stable) if *stable != declared.latest => {
            format!("; {} serves until then", stable.short())
        }
        _ => "; requests wait".to_owned(),
    };
    let known = declared.known.get(&declared.latest).map(|known| &known.readiness);
    if let Some((rejected, why)) = declared.rollout.rejected()
        && *rejected == declared.latest
    {
        // It is as a person wanted it, so nothing is wrong.
        if declared.rollout.is_rolled_back_by_hand() {
            return ("True", "RolledBack", why.to_owned());
        }
        let goes_on = match declared.rollout.stable() {
            Some(stable) => format!(" ({} goes on serving)", stable.short()),
            None => String::new(),
        };
        let reason = match known {
            Some(Readiness::Failed(_)) => "PrepareFailed",
            _ => "RolledBack",
        };
        return ("False", reason, format!("{why}{goes_on}"));
    }
    if declared.rollout.candidate() == Some(&declared.latest)
        && let Some(status) = declared.rollout.status()
    {
        return match status.phase.as_str() {
            "Preparing" => ("Unknown", "Preparing", format!("{new} is being prepared{serves}")),
            "Probing" => ("Unknown", "Probing", format!("{new}: {}{serves}", status.reason)),
            "Held" => ("True", "Held", format!("{new}: {}", status.reason)),
            _ => {
                let percent = status.percent;
                let message = format!("{new} takes {percent}%: {}", status.reason);
                ("True", "RollingOut", message)
            }
        };
    }
    match known {
        Some(Readiness::Preparing) => {
            ("Unknown", "Preparing", format!("{new} is being prepared{serves}"))
        }
        Some(Readiness::Failed(why)) => ("False", "PrepareFailed", why.to_string()),
        Some(Readiness::Ready) | None => ("True", "Ready", format!("{new} can be called")),
    }
}

/// Can what takes requests serve them?
fn traffic_aspect(declared: &Declared, serving: &RevisionName) -> Aspect {
    match declared.known.get(serving).map(|known| &known.readiness) {
        Some(Readiness::Ready) => ("True", "Ready", format!("{} serves", serving.short())),
        Some(Readiness::Preparing) => {
            ("Unknown", "Preparing", format!("{} is being prepared", serving.short()))
        }
        Some(Readiness::Failed(why)) => ("False", "PrepareFailed", why.to_string()),
        None => ("False", "NoRevision", "no revision takes requests".to_owned()),
    }
}

fn degraded_aspect(health: &Health) -> Aspect {
    match &health.trouble {
        Some(trouble) => ("True", trouble.reason(), trouble.message.clone()),
        None => ("False", "AsExpected", "instances start as they are wanted".to_owned()),
    }
}

/// Can it be called, in the version that was declared?
fn ready_aspect(
    declared: &Declared,
    revision: &Aspect,
    traffic: &Aspect,
    health: &Health,
) -> Aspect {
    match (revision.0, traffic.0, &health.trouble) {
        ("True", "True", Some(trouble)) if trouble.is_capacity && health.ready > 0 => {
            ("True", "NoCapacity", trouble.message.clone())
        }
        ("True", "True", Some(trouble)) => ("False", trouble.reason(), trouble.message.clone()),
        ("True", "True", None) => {
            let serving = match declared.rollout.stable() {
                Some(stable) if declared.rollout.is_rolled_back_by_hand() => stable,
                _ => &declared.latest,
            };
            ("True", "Ready", format!("{} can be called", serving.short()))
        }
        ("True", ..) => traffic.clone(),
        _ => revision.clone(),
    }
}
