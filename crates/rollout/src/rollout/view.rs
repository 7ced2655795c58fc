//! What is seen of a rollout.

use gapless_types::{RevisionName, RolloutStatus, Time};

use super::{Candidate, Phase, Rollout, Share};

impl Rollout {
    /// Who takes which share of what `latest` takes: sums to 100, or is empty while no
    /// revision has proven itself.
    pub fn shares(&self) -> Vec<Share> {
        let Some(stable) = &self.stable else { return Vec::new() };
        let new = self.candidate.as_ref().map(|candidate| (candidate, self.percent(candidate)));
        let mut shares = Vec::with_capacity(2);
        let taken = match new {
            Some((candidate, percent @ 1..)) => {
                shares.push(Share { revision: candidate.revision.clone(), percent });
                percent
            }
            _ => 0,
        };
        shares.insert(0, Share { revision: stable.clone(), percent: 100 - taken });
        shares
    }

    fn percent(&self, candidate: &Candidate) -> u32 {
        match (candidate.phase, &self.policy) {
            (Phase::Step { step }, Some(policy)) => {
                // Steps are checked to be below 100; a share is never taken to be more.
                policy.steps.get(step).copied().unwrap_or_default().min(99)
            }
            _ => 0,
        }
    }

    /// The last revision that has proven itself to the end.
    pub fn stable(&self) -> Option<&RevisionName> {
        self.stable.as_ref()
    }

    /// The revision that is on its way.
    pub fn candidate(&self) -> Option<&RevisionName> {
        self.candidate.as_ref().map(|candidate| &candidate.revision)
    }

    /// Since when a revision is on its way that has not passed its probe.
    pub fn tried_since(&self) -> Option<Time> {
        let candidate = self.candidate.as_ref()?;
        let is_tried = matches!(candidate.phase, Phase::Preparing | Phase::Probing { .. });
        is_tried.then_some(candidate.began)
    }

    /// The newest revision, if it was rolled back, and why.
    pub fn rejected(&self) -> Option<(&RevisionName, &str)> {
        self.rejected.as_ref().map(|rejected| (&rejected.revision, &*rejected.reason))
    }

    /// Whether the newest revision takes nothing because a person wanted an earlier one.
    pub fn is_rolled_back_by_hand(&self) -> bool {
        self.rejected.as_ref().is_some_and(|rejected| rejected.is_by_hand)
    }

    /// The revision declared last, whatever became of it.
    pub fn newest(&self) -> Option<&RevisionName> {
        let rejected = self.rejected.as_ref().map(|rejected| &rejected.revision);
        self.candidate().or(rejected).or(self.stable.as_ref())
    }

    /// What a rollback without a name leads to.
    pub fn rollback_target(&self) -> Option<&RevisionName> {
        if self.candidate.is_some() { self.stable.as_ref() } else { self.previous.as_ref() }
    }

    /// The old and the new revision whose outcomes are wanted with the next wake-up.
    pub fn watched(&self) -> Option<(&RevisionName, &RevisionName)> {
        let candidate = self.candidate.as_ref()?;
        let is_stepping = matches!(candidate.phase, Phase::Step { .. });
        is_stepping.then_some((self.stable.as_ref()?, &candidate.revision))
    }

    /// For people. `since` is left to the caller, who knows the calendar.
    pub fn status(&self) -> Option<RolloutStatus> {
        let from = |name: &Option<RevisionName>| {
            name.as_ref().map(|name| name.short().to_owned()).unwrap_or_default()
        };
        let steps = self.policy.as_ref().map_or(0, |policy| policy.steps.len() as u32);
        if let Some(candidate) = &self.candidate {
            let step = match candidate.phase {
                Phase::Step { step } => step as u32 + 1,
                _ => 0,
            };
            return Some(RolloutStatus {
                phase: candidate.phase.as_str().to_owned(),
                from: from(&self.stable),
                to: candidate.revision.short().to_owned(),
                step,
                steps,
                percent: self.percent(candidate),
                since: String::new(),
                reason: candidate.note.clone(),
            });
        }
        let rejected = self.rejected.as_ref()?;
        Some(RolloutStatus {
            phase: "RolledBack".to_owned(),
            from: from(&self.stable),
            to: rejected.revision.short().to_owned(),
            steps,
            reason: rejected.reason.clone(),
            ..RolloutStatus::default()
        })
    }
}
