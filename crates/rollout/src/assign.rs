//! What `spec.traffic` and a rollout come to: which revision takes which share, and
//! where tags lead.

use gapless_types::{FunctionKey, Percent, RevisionName, RevisionRef, TrafficTarget};

use crate::Rollout;

/// A revision to be routed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// The revision.
    pub revision: RevisionName,
    /// Its share.
    pub weight: Percent,
    /// Whether it has (some of) it as `latest`.
    pub is_latest: bool,
}

/// Everything to be routed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// Revisions, each once. Their shares sum to 100%, unless no revision was ever
    /// declared.
    pub targets: Vec<Assigned>,
    /// Tags and the target each leads to.
    pub tags: Vec<(String, RevisionName)>,
}

/// Divides a function's requests as `spec.traffic` says, the share of `latest` as its
/// rollout does.
///
/// While no revision has proven itself, `latest` is the newest, so that requests wait
/// for it. The revision on its way is always among the targets, with no share at first,
/// so that it can be probed. A tag of `latest` leads to the newest that has proven
/// itself to the end; one that is to lead to a new revision from the start names it.
pub fn assign(function: &FunctionKey, traffic: &[TrafficTarget], rollout: &Rollout) -> Assignment {
    let mut assignment = Assignment::default();
    let newest = rollout.newest();
    let latest = rollout.stable().or(newest);
    for target in traffic {
        let led_to = match &target.revision {
            RevisionRef::Latest => {
                assignment.add_latest(target.percent, rollout);
                latest.cloned()
            }
            named => named.named(function).inspect(|name| {
                assignment.add(name, Percent::whole(target.percent), false);
            }),
        };
        if let (Some(tag), Some(revision)) = (&target.tag, led_to) {
            assignment.tags.push((tag.clone(), revision));
        }
    }
    if let Some(candidate) = rollout.candidate() {
        assignment.add(candidate, Percent::ZERO, false);
    }
    assignment
}

impl Assignment {
    fn add_latest(&mut self, percent: u32, rollout: &Rollout) {
        let shares = rollout.shares();
        // Percents of percents are whole hundredths of a percent.
        for share in &shares {
            let weight = Percent::from_hundredths(percent * share.percent);
            self.add(&share.revision, weight, true);
        }
        if let (true, Some(newest)) = (shares.is_empty(), rollout.newest()) {
            self.add(newest, Percent::whole(percent), true);
        }
    }

    fn add(&mut self, revision: &RevisionName, weight: Percent, is_latest: bool) {
        let is_its = |target: &&mut Assigned| target.revision == *revision;
        match self.targets.iter_mut().find(is_its) {
            Some(target) => {
                let sum = target.weight.hundredths() + weight.hundredths();
                target.weight = Percent::from_hundredths(sum);
                target.is_latest |= is_latest;
            }
            None => self.targets.push(Assigned { revision: revision.clone(), weight, is_latest }),
        }
    }
}
