//! The state machine of one function's rollouts.

use std::time::Duration;

use gapless_types::{Fault, Outcomes, RevisionName, RolloutSpec, Time};
use serde::{Deserialize, Serialize};

use crate::{Action, Event, Failure};

mod by_hand;
mod steps;
mod view;

use steps::look_every;

/// How long a revision has to be prepared and to pass its probe (Knative's progress
/// deadline: 600 s).
const READY_WITHIN: Duration = Duration::from_secs(600);
/// Probes that may fail by the function's fault. One alone may be a glitch
/// (knative/serving issue 14660).
const PROBES_MAX: u32 = 3;
/// How long after a failed probe the next is made; doubles.
const PROBE_AGAIN: Duration = Duration::from_secs(1);
/// One function's rollouts: who takes which share of what `latest` takes, and what
/// comes next. What is serialised is what survives a restart; see [`Rollout::resume`].
/// What most functions never have is boxed: there is one of these for every function.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    policy: Option<Box<RolloutSpec>>,
    /// The last revision that has proven itself to the end.
    stable: Option<RevisionName>,
    /// The one before.
    previous: Option<RevisionName>,
    /// The one on its way.
    candidate: Option<Box<Candidate>>,
    /// The newest, if it was rolled back.
    rejected: Option<Box<Rejected>>,
    is_pinned: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    revision: RevisionName,
    phase: Phase,
    /// A person has promoted it: no steps.
    is_promoted: bool,
    /// When it began, and when its phase or step did.
    #[serde(skip)]
    began: Time,
    #[serde(skip)]
    since: Time,
    /// When a probe is due or outcomes are to be looked at; never, while a probe runs.
    #[serde(skip, default = "never")]
    due: Time,
    #[serde(skip)]
    seen: Option<Box<Seen>>,
    /// What it waits for, for people.
    #[serde(skip)]
    note: String,
}

fn never() -> Time {
    Time::NEVER
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Phase {
    Preparing,
    Probing {
        failures: u32,
    },
    /// It has passed its probe and is held back.
    Held,
    Step {
        step: usize,
    },
}

/// Counts to be subtracted.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    /// Both revisions' when the rollout was first looked at.
    stable: Outcomes,
    candidate: Outcomes,
    /// The new one's requests when the step began.
    step_requests: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rejected {
    revision: RevisionName,
    reason: String,
    fault: Fault,
    /// Whether a person wanted it so.
    #[serde(default)]
    is_by_hand: bool,
}

/// A revision's share of what `latest` takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The revision.
    pub revision: RevisionName,
    /// In percent, 1 to 100.
    pub percent: u32,
}

impl Rollout {
    /// A function of which nothing is declared yet.
    pub fn new() -> Self {
        Rollout::default()
    }

    /// A function whose `stable` revision has served before rollouts were kept.
    pub fn serving(stable: RevisionName) -> Self {
        Rollout { stable: Some(stable), ..Rollout::default() }
    }

    /// Feeds one event; pushes what is to be done.
    pub fn on_event(&mut self, now: Time, event: Event, actions: &mut Vec<Action>) {
        match event {
            Event::Declared { revision, policy, is_pinned } => {
                self.declared(now, revision, policy, is_pinned, actions);
            }
            Event::Prepared { revision, result } => self.prepared(now, &revision, result, actions),
            Event::Probed { revision, result } => self.probed(now, &revision, result, actions),
            Event::Outcomes { stable, candidate } => {
                self.look(now, &stable, &candidate, actions);
            }
            Event::Wake => self.wake(now, actions),
            Event::Promote => self.promote_by_hand(now, actions),
            Event::Rollback { to } => self.roll_back_by_hand(to, actions),
            Event::Retry => {
                if let Some(rejected) = self.rejected.take() {
                    self.begin(now, rejected.revision, actions);
                }
            }
        }
        actions.push(Action::WakeAt(self.due()));
    }

    /// Goes on after a restart. What was under way begins anew: preparing, a probe, the
    /// time and the counts of a step. A revision that was rolled back by the platform's
    /// own fault is tried again. Revisions with shares are the caller's to prepare; that
    /// the new one cannot be is to be said by [`Event::Prepared`].
    pub fn resume(&mut self, now: Time, actions: &mut Vec<Action>) {
        actions.push(Action::Route);
        if let Some(candidate) = &mut self.candidate {
            (candidate.began, candidate.since, candidate.seen) = (now, now, None);
            match candidate.phase {
                Phase::Preparing | Phase::Probing { .. } => {
                    let revision = candidate.revision.clone();
                    candidate.enter(Phase::Preparing, now);
                    actions.push(Action::Prepare { revision });
                }
                Phase::Held => candidate.due = Time::NEVER,
                Phase::Step { .. } => candidate.due = now,
            }
            self.settle(now, actions);
        } else if self.rejected.as_ref().is_some_and(|it| it.fault == Fault::Platform)
            && let Some(rejected) = self.rejected.take()
        {
            self.begin(now, rejected.revision, actions);
        }
        actions.push(Action::WakeAt(self.due()));
    }

    fn due(&self) -> Time {
        let Some(candidate) = &self.candidate else { return Time::NEVER };
        match candidate.phase {
            Phase::Preparing | Phase::Probing { .. } => {
                candidate.due.min(candidate.began + READY_WITHIN)
            }
            Phase::Held | Phase::Step { .. } => candidate.due,
        }
    }

    fn declared(
        &mut self,
        now: Time,
        revision: RevisionName,
        policy: Option<Box<RolloutSpec>>,
        is_pinned: bool,
        actions: &mut Vec<Action>,
    ) {
        let is_policy_new = self.policy != policy;
        if is_policy_new || self.is_pinned != is_pinned {
            (self.policy, self.is_pinned) = (policy, is_pinned);
            actions.extend([Action::Route, Action::Save]);
        }
        if self.candidate() == Some(&revision) {
            return self.settle(now, actions);
        }
        if self.rejected.as_ref().is_some_and(|rejected| rejected.revision == revision) {
            if is_policy_new {
                self.begin(now, revision, actions);
            }
            return;
        }
        if self.stable.as_ref() == Some(&revision) {
            self.rejected = None;
            return self.supersede(actions);
        }
        self.begin(now, revision, actions);
    }

    /// A revision is on its way, the newest.
    fn begin(&mut self, now: Time, revision: RevisionName, actions: &mut Vec<Action>) {
        self.supersede(actions);
        self.rejected = None;
        let mut candidate = Candidate {
            revision: revision.clone(),
            phase: Phase::Preparing,
            is_promoted: false,
            began: now,
            since: now,
            due: Time::NEVER,
            seen: None,
            note: String::new(),
        };
        candidate.enter(Phase::Preparing, now);
        self.candidate = Some(Box::new(candidate));
        actions.extend([Action::Route, Action::Save, Action::Prepare { revision }]);
    }

    fn supersede(&mut self, actions: &mut Vec<Action>) {
        if let Some(candidate) = self.candidate.take() {
            let revision = candidate.revision;
            actions.extend([Action::Route, Action::Save, Action::Superseded { revision }]);
        }
    }

    fn prepared(
        &mut self,
        now: Time,
        revision: &RevisionName,
        result: Result<(), Failure>,
        actions: &mut Vec<Action>,
    ) {
        let Some(candidate) = self.candidate.as_mut().filter(|it| it.revision == *revision) else {
            return;
        };
        let is_awaited = candidate.phase == Phase::Preparing;
        match result {
            Ok(()) if is_awaited => {
                candidate.enter(Phase::Probing { failures: 0 }, now);
                let revision = revision.clone();
                actions.extend([Action::Route, Action::Save, Action::Probe { revision }]);
            }
            // After a restart it must be prepared again while it has its share already.
            Err(failure) if is_awaited || failure.fault == Fault::Function => {
                self.reject(failure.message, failure.fault, actions);
            }
            _ => {}
        }
    }

    fn probed(
        &mut self,
        now: Time,
        revision: &RevisionName,
        result: Result<(), Failure>,
        actions: &mut Vec<Action>,
    ) {
        let Some(candidate) = self.candidate.as_mut().filter(|it| it.revision == *revision) else {
            return;
        };
        // While the next is waited for, none is under way.
        let Phase::Probing { failures } = candidate.phase else { return };
        if candidate.due != Time::NEVER {
            return;
        }
        let Err(Failure { fault, message }) = result else {
            candidate.enter(Phase::Held, now);
            actions.push(Action::Save);
            return self.settle(now, actions);
        };
        // What else is at fault, such as a full queue, is bounded by the time there is.
        let failures = failures + u32::from(fault == Fault::Function);
        if failures >= PROBES_MAX {
            let reason = format!("{message} ({failures} probes failed)");
            return self.reject(reason, fault, actions);
        }
        candidate.phase = Phase::Probing { failures };
        candidate.due = now + PROBE_AGAIN * (1 << failures.saturating_sub(1));
        candidate.note = format!("the last probe failed, and is made again: {message}");
    }

    /// What has passed its probe goes on, if it may.
    fn settle(&mut self, now: Time, actions: &mut Vec<Action>) {
        let Some(candidate) = &mut self.candidate else { return };
        let steps = self.policy.as_ref().map_or(0, |policy| policy.steps.len());
        let is_proven = matches!(candidate.phase, Phase::Held | Phase::Step { .. });
        if !is_proven {
            return;
        }
        let is_held = self.is_pinned && !candidate.is_promoted;
        if self.stable.is_none() || (!is_held && (candidate.is_promoted || steps == 0)) {
            return self.promote(actions);
        }
        match candidate.phase {
            Phase::Held if !is_held => {
                candidate.enter(Phase::Step { step: 0 }, now);
                actions.extend([Action::Route, Action::Save]);
            }
            // The steps have become none, while it is pinned, or fewer.
            Phase::Step { .. } if steps == 0 => {
                candidate.enter(Phase::Held, now);
                actions.extend([Action::Route, Action::Save]);
            }
            Phase::Step { step } if step >= steps => {
                candidate.phase = Phase::Step { step: steps - 1 };
                actions.extend([Action::Route, Action::Save]);
            }
            _ => {}
        }
    }

    fn wake(&mut self, now: Time, actions: &mut Vec<Action>) {
        let Some(candidate) = &mut self.candidate else { return };
        match candidate.phase {
            Phase::Preparing | Phase::Probing { .. } if now >= candidate.began + READY_WITHIN => {
                let within = READY_WITHIN.as_secs() / 60;
                let reason =
                    format!("it did not become ready within {within}m; {}", candidate.note);
                self.reject(reason, Fault::Platform, actions);
            }
            Phase::Probing { .. } if now >= candidate.due => {
                candidate.due = Time::NEVER;
                actions.push(Action::Probe { revision: candidate.revision.clone() });
            }
            Phase::Step { .. } if now >= candidate.due => {
                // Nobody could say what became of requests: look again later.
                candidate.due = self.policy.as_ref().map_or(Time::NEVER, |it| now + look_every(it));
            }
            _ => {}
        }
    }

    fn promote(&mut self, actions: &mut Vec<Action>) {
        let Some(candidate) = self.candidate.take() else { return };
        self.previous = self.stable.replace(candidate.revision.clone());
        let revision = candidate.revision;
        actions.extend([Action::Route, Action::Save, Action::Promoted { revision }]);
    }

    fn reject(&mut self, reason: String, fault: Fault, actions: &mut Vec<Action>) {
        let Some(candidate) = self.candidate.take() else { return };
        let revision = candidate.revision;
        self.set_rejected(revision, reason, fault, actions);
    }

    fn set_rejected(
        &mut self,
        revision: RevisionName,
        reason: String,
        fault: Fault,
        actions: &mut Vec<Action>,
    ) {
        actions.extend([Action::Route, Action::Save]);
        actions.push(Action::RolledBack { revision: revision.clone(), reason: reason.clone() });
        self.rejected = Some(Box::new(Rejected { revision, reason, fault, is_by_hand: false }));
    }
}

impl Candidate {
    fn enter(&mut self, phase: Phase, now: Time) {
        (self.phase, self.since) = (phase, now);
        self.due = if matches!(phase, Phase::Step { .. }) { now } else { Time::NEVER };
        self.note = phase.waits_for().to_owned();
    }
}

impl Phase {
    fn as_str(self) -> &'static str {
        match self {
            Phase::Preparing => "Preparing",
            Phase::Probing { .. } => "Probing",
            Phase::Held => "Held",
            Phase::Step { .. } => "Progressing",
        }
    }

    fn waits_for(self) -> &'static str {
        match self {
            Phase::Preparing => "it is being prepared",
            Phase::Probing { .. } => "it is being probed by one instance",
            Phase::Held => "it has passed its probe; spec.traffic names no latest",
            Phase::Step { .. } => "the step has begun",
        }
    }
}
