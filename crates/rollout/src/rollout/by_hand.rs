//! What a person decides.

use gapless_types::{Fault, RevisionName, Time};

use super::Rollout;
use crate::Action;

impl Rollout {
    pub(super) fn promote_by_hand(&mut self, now: Time, actions: &mut Vec<Action>) {
        if self.candidate.is_none()
            && let Some(rejected) = self.rejected.take()
        {
            self.begin(now, rejected.revision, actions);
        }
        if let Some(candidate) = &mut self.candidate {
            candidate.is_promoted = true;
            actions.push(Action::Save);
        }
        self.settle(now, actions);
    }

    pub(super) fn roll_back_by_hand(
        &mut self,
        to: Option<RevisionName>,
        actions: &mut Vec<Action>,
    ) {
        let Some(to) = to.or_else(|| self.rollback_target().cloned()) else { return };
        let Some(newest) = self.newest().filter(|newest| **newest != to).cloned() else { return };
        let reason = format!("rolled back by hand to {}", to.short());
        self.candidate = None;
        if self.stable.as_ref() != Some(&to) {
            (self.stable, self.previous) = (Some(to), None);
        }
        self.set_rejected(newest, reason, Fault::Caller, actions);
        if let Some(rejected) = &mut self.rejected {
            rejected.is_by_hand = true;
        }
    }
}
