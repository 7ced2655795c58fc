//! A step is looked at: it goes on, ends, or was the last of its revision.

use std::time::Duration;

use gapless_types::{Fault, Outcomes, RolloutSpec, Time};

use super::{Phase, Rollout, Seen};
use crate::Action;
use crate::judge::{Verdict, judge};

/// Looks at what became of requests per interval at the least, and their distance at the
/// most: how long a revision that fails goes unnoticed.
const LOOKS: u32 = 10;
const LOOK_EVERY_MAX: Duration = Duration::from_secs(5);
/// Intervals after which a step that had too few requests, and nothing against it, ends:
/// a function that is hardly called is rolled out by time and by its probe.
const FEW_INTERVALS: u32 = 5;
/// Intervals after which a step in doubt is given up: in doubt the old revision stays.
const DOUBT_INTERVALS: u32 = 10;

impl Rollout {
    pub(super) fn look(
        &mut self,
        now: Time,
        stable: &Outcomes,
        new: &Outcomes,
        actions: &mut Vec<Action>,
    ) {
        let (Some(candidate), Some(policy)) = (&mut self.candidate, &self.policy) else { return };
        let Phase::Step { step } = candidate.phase else { return };
        let seen = candidate.seen.get_or_insert_with(|| {
            let (stable, candidate) = (stable.clone(), new.clone());
            Box::new(Seen { stable, candidate, step_requests: new.requests })
        });
        let requests = match new.requests.checked_sub(seen.step_requests) {
            Some(requests) => requests,
            // The gateway counts anew.
            None => new.requests,
        };
        let verdict = judge(policy, &stable.since(&seen.stable), &new.since(&seen.candidate));
        candidate.due = now + look_every(policy);
        let elapsed = now - candidate.since;
        let interval = policy.interval.0;
        let is_enough = requests >= u64::from(policy.requests_min);
        match verdict {
            Verdict::Bad(reason) => return self.reject(reason, Fault::Function, actions),
            Verdict::Doubtful(reason)
                if elapsed >= interval * DOUBT_INTERVALS && !self.is_pinned =>
            {
                let reason = format!("it was in doubt for too long: {reason}");
                return self.reject(reason, Fault::Function, actions);
            }
            Verdict::Doubtful(reason) => {
                candidate.note = format!("it waits, in doubt: {reason}");
                return;
            }
            Verdict::Good => {}
        }
        let is_over = elapsed >= interval && (is_enough || elapsed >= interval * FEW_INTERVALS);
        if !is_over || self.is_pinned {
            candidate.note = match self.is_pinned {
                true => "spec.traffic names no latest: it stays where it is".to_owned(),
                false => format!(
                    "{requests} requests in this step, of {} (spec.rollout.requestsMin)",
                    policy.requests_min
                ),
            };
            return;
        }
        if step + 1 >= policy.steps.len() {
            return self.promote(actions);
        }
        seen.step_requests = new.requests;
        candidate.enter(Phase::Step { step: step + 1 }, now);
        candidate.due = now + look_every(policy);
        actions.extend([Action::Route, Action::Save]);
    }
}

/// How often a step is looked at.
pub(super) fn look_every(policy: &RolloutSpec) -> Duration {
    (policy.interval.0 / LOOKS).min(LOOK_EVERY_MAX)
}
