//! What holds whatever happens, in whichever order.

use std::collections::BTreeSet;
use std::time::Duration;

use gapless_rollout::{Action, Event, Failure, Rollout, assign};
use gapless_types::{
    Fault, FunctionKey, Outcomes, Percent, RevisionName, RevisionRef, RolloutSpec, Span, Time,
    TrafficTarget,
};
use proptest::prelude::*;

fn key() -> FunctionKey {
    FunctionKey::new("default", "hello").unwrap()
}

fn name(generation: u64) -> RevisionName {
    RevisionName::new(&key(), generation)
}

fn failure(fault: Fault) -> Failure {
    Failure { fault, message: "it does not work".to_owned() }
}

/// Whom an answer is about: whoever is on its way, or some revision or other.
#[derive(Clone, Copy, Debug)]
enum Whom {
    Candidate,
    Generation(u64),
}

#[derive(Clone, Debug)]
enum Step {
    DeclareNew {
        policy: usize,
        is_pinned: bool,
    },
    DeclareAgain {
        policy: usize,
        is_pinned: bool,
    },
    Prepared {
        whom: Whom,
        fault: Option<Fault>,
    },
    /// Revisions of even generation never pass a probe.
    Probed {
        whom: Whom,
        fault: Fault,
    },
    Outcomes {
        requests: u64,
        errors: u64,
    },
    Pass {
        ms: u64,
    },
    Wake,
    Promote,
    Rollback,
    Retry,
    Restart,
}

fn policy(index: usize) -> Option<RolloutSpec> {
    let with = |steps: &[u32], seconds: u64| RolloutSpec {
        steps: steps.to_vec(),
        interval: Span(Duration::from_secs(seconds)),
        ..RolloutSpec::default()
    };
    [None, Some(with(&[1, 10, 50], 30)), Some(with(&[99], 1)), Some(with(&[5, 6, 7, 8, 9], 300))]
        [index % 4]
        .clone()
}

fn step() -> impl Strategy<Value = Step> {
    let whom = || {
        prop_oneof![
            5 => Just(Whom::Candidate),
            1 => (1..12_u64).prop_map(Whom::Generation),
        ]
    };
    let fault = || prop::sample::select(vec![Fault::Function, Fault::Platform, Fault::Caller]);
    prop_oneof![
        2 => (0..4_usize, prop::bool::weighted(0.2))
            .prop_map(|(policy, is_pinned)| Step::DeclareNew { policy, is_pinned }),
        2 => (0..4_usize, prop::bool::weighted(0.2))
            .prop_map(|(policy, is_pinned)| Step::DeclareAgain { policy, is_pinned }),
        6 => (whom(), prop::option::weighted(0.2, fault()))
            .prop_map(|(whom, fault)| Step::Prepared { whom, fault }),
        6 => (whom(), fault()).prop_map(|(whom, fault)| Step::Probed { whom, fault }),
        8 => (0..3_000_u64, 0..60_u64)
            .prop_map(|(requests, errors)| Step::Outcomes { requests, errors }),
        8 => (0..400_000_u64).prop_map(|ms| Step::Pass { ms }),
        3 => Just(Step::Wake),
        1 => Just(Step::Promote),
        1 => Just(Step::Rollback),
        1 => Just(Step::Retry),
        2 => Just(Step::Restart),
    ]
}

/// A rollout and what its world has seen.
struct World {
    rollout: Rollout,
    now: Time,
    newest: u64,
    policy: usize,
    passed: BTreeSet<RevisionName>,
    stable_seen: Outcomes,
    candidate_seen: Outcomes,
}

impl World {
    fn new() -> Self {
        World {
            rollout: Rollout::new(),
            now: Time::ZERO,
            newest: 0,
            policy: 0,
            passed: BTreeSet::new(),
            stable_seen: Outcomes::default(),
            candidate_seen: Outcomes::default(),
        }
    }

    fn whom(&self, whom: Whom) -> RevisionName {
        match (whom, self.rollout.candidate()) {
            (Whom::Candidate, Some(candidate)) => candidate.clone(),
            (Whom::Candidate, None) => name(1),
            (Whom::Generation(generation), _) => name(generation),
        }
    }

    fn apply(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let before = self.rollout.clone();
        let mut actions = Vec::new();
        let may_retry = match step {
            Step::DeclareAgain { policy, .. } => *policy != self.policy,
            Step::Promote | Step::Retry | Step::Restart => true,
            _ => false,
        };
        if let Some(event) = self.event(step, &mut actions) {
            self.rollout.on_event(self.now, event, &mut actions);
        }
        self.check(&before, &actions, may_retry)
    }

    /// What a step means as an event. Some steps are none.
    fn event(&mut self, step: &Step, actions: &mut Vec<Action>) -> Option<Event> {
        Some(match step {
            Step::DeclareNew { policy, is_pinned } => {
                self.newest += 1;
                self.declare(*policy, *is_pinned)
            }
            Step::DeclareAgain { .. } if self.newest == 0 => return None,
            Step::DeclareAgain { policy, is_pinned } => self.declare(*policy, *is_pinned),
            Step::Prepared { whom, fault } => {
                let result = fault.map_or(Ok(()), |fault| Err(failure(fault)));
                Event::Prepared { revision: self.whom(*whom), result }
            }
            Step::Probed { whom, fault } => {
                let revision = self.whom(*whom);
                let is_odd = revision.as_str().ends_with(['1', '3', '5', '7', '9']);
                if is_odd {
                    self.passed.insert(revision.clone());
                }
                let result = if is_odd { Ok(()) } else { Err(failure(*fault)) };
                Event::Probed { revision, result }
            }
            Step::Outcomes { requests, errors } => {
                let add = |outcomes: &mut Outcomes, requests: u64, errors: u64| {
                    outcomes.requests += requests;
                    outcomes.errors += errors.min(requests);
                };
                add(&mut self.stable_seen, *requests, 0);
                add(&mut self.candidate_seen, requests / 20, *errors);
                Event::Outcomes {
                    stable: Box::new(self.stable_seen.clone()),
                    candidate: Box::new(self.candidate_seen.clone()),
                }
            }
            Step::Pass { ms } => {
                self.now += Duration::from_millis(*ms);
                return None;
            }
            Step::Wake => Event::Wake,
            Step::Promote => Event::Promote,
            Step::Rollback => Event::Rollback { to: None },
            Step::Retry => Event::Retry,
            Step::Restart => {
                let stored = serde_json::to_string(&self.rollout).unwrap();
                let shares = self.rollout.shares();
                self.rollout = serde_json::from_str(&stored).unwrap();
                self.now = Time::ZERO;
                (self.stable_seen, self.candidate_seen) = Default::default();
                assert_eq!(self.rollout.shares(), shares, "a restart moves no share");
                self.rollout.resume(self.now, actions);
                return None;
            }
        })
    }

    fn declare(&mut self, policy_index: usize, is_pinned: bool) -> Event {
        self.policy = policy_index;
        Event::Declared {
            revision: name(self.newest),
            policy: policy(policy_index).map(Box::new),
            is_pinned,
        }
    }

    fn check(
        &self,
        before: &Rollout,
        actions: &[Action],
        may_retry: bool,
    ) -> Result<(), TestCaseError> {
        let rollout = &self.rollout;
        let shares = rollout.shares();
        let sum: u32 = shares.iter().map(|share| share.percent).sum();
        prop_assert_eq!(sum, if rollout.stable().is_some() { 100 } else { 0 });
        for share in &shares {
            prop_assert!(share.percent > 0);
            prop_assert!(self.passed.contains(&share.revision), "{:?} has not passed", share);
        }
        if let Some((rejected, _)) = rollout.rejected() {
            prop_assert!(shares.iter().all(|share| share.revision != *rejected));
            prop_assert!(rollout.candidate().is_none());
        }
        let newest = (self.newest > 0).then(|| name(self.newest));
        prop_assert_eq!(rollout.newest(), newest.as_ref());
        if let (Some((rejected, _)), false) = (before.rejected(), may_retry) {
            prop_assert!(rollout.candidate() != Some(rejected), "it is not tried again");
        }
        if shares != before.shares() || rollout.candidate() != before.candidate() {
            prop_assert!(actions.contains(&Action::Route), "{:?}", actions);
            prop_assert!(actions.contains(&Action::Save) || actions.len() == 2, "{:?}", actions);
        }
        for action in actions {
            if let Action::RolledBack { revision, .. } = action {
                prop_assert!(shares.iter().all(|share| share.revision != *revision));
                let all = shares.first().map(|share| share.percent);
                prop_assert_eq!(all, rollout.stable().map(|_| 100), "the old one has it all");
            }
        }
        self.check_assigned()
    }

    /// Whatever `spec.traffic` says, everything is assigned and tags lead to targets.
    fn check_assigned(&self) -> Result<(), TestCaseError> {
        let target = |revision: RevisionRef, percent, tag: Option<&str>| TrafficTarget {
            revision,
            percent,
            tag: tag.map(str::to_owned),
        };
        let traffic = [
            target(RevisionRef::Latest, 70, Some("live")),
            target(RevisionRef::Named("hello-00001".to_owned()), 30, None),
            target(RevisionRef::Named("hello-00003".to_owned()), 0, Some("old")),
        ];
        let assignment = assign(&key(), &traffic, &self.rollout);
        let sum: u32 = assignment.targets.iter().map(|it| it.weight.hundredths()).sum();
        let all = if self.newest > 0 { 10_000 } else { 3_000 };
        prop_assert_eq!(sum, all, "{:?}", assignment);
        let names: Vec<_> = assignment.targets.iter().map(|target| &target.revision).collect();
        let unique: BTreeSet<_> = names.iter().collect();
        prop_assert_eq!(unique.len(), names.len());
        for (_, revision) in &assignment.tags {
            prop_assert!(names.contains(&revision));
        }
        if let Some(candidate) = self.rollout.candidate() {
            prop_assert!(names.contains(&candidate), "it can be probed");
        }
        Ok(())
    }

    /// Lets a rollout run to its end, in a world that does what it is asked or, where
    /// `is_silent`, nothing.
    fn run_out(&mut self, is_silent: bool) -> Result<(), TestCaseError> {
        let declared = self.declare(self.policy, false);
        let (mut events, mut asked) = (vec![declared], Vec::new());
        // What was asked for before is answered now, or was lost.
        if let (Some(candidate), false) = (self.rollout.candidate().cloned(), is_silent) {
            events.push(Event::Prepared { revision: candidate.clone(), result: Ok(()) });
            self.answer_probe(&candidate, &mut events);
        }
        let began = self.now;
        for _ in 0..4_000 {
            for event in std::mem::take(&mut events) {
                let before = self.rollout.clone();
                asked.clear();
                self.rollout.on_event(self.now, event, &mut asked);
                self.check(&before, &asked, true)?;
                for action in asked.clone() {
                    match action {
                        Action::Prepare { revision } if !is_silent => {
                            events.push(Event::Prepared { revision, result: Ok(()) });
                        }
                        Action::Probe { revision } if !is_silent => {
                            self.answer_probe(&revision, &mut events);
                        }
                        _ => {}
                    }
                }
            }
            if self.rollout.candidate().is_none() {
                let most = Duration::from_secs(600 + 11 * 5 * 300);
                prop_assert!(self.now - began <= most);
                return Ok(());
            }
            if events.is_empty() {
                let Some(Action::WakeAt(at)) = asked.last() else { panic!("no wish: {asked:?}") };
                prop_assert!(*at < Time::NEVER, "it waits for ever: {:?}", self.rollout);
                self.now = self.now.max(*at);
                events.push(match self.rollout.watched() {
                    Some(_) if !is_silent => Event::Outcomes {
                        stable: Box::new(self.stable_seen.clone()),
                        candidate: Box::new(self.candidate_seen.clone()),
                    },
                    _ => Event::Wake,
                });
            }
        }
        prop_assert!(is_silent, "it does not end: {:?}", self.rollout);
        // Steps are never taken blindly: nobody says what became of requests.
        prop_assert!(self.rollout.watched().is_some());
        Ok(())
    }

    fn answer_probe(&mut self, revision: &RevisionName, events: &mut Vec<Event>) {
        let step = Step::Probed { whom: Whom::Candidate, fault: Fault::Function };
        if self.rollout.candidate() == Some(revision) {
            events.extend(self.event(&step, &mut Vec::new()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn shares_are_whole_and_proven_and_every_rollout_ends(
        steps in prop::collection::vec(step(), 1..120),
        is_silent in prop::bool::weighted(0.2),
    ) {
        let mut world = World::new();
        for step in &steps {
            world.apply(step)?;
        }
        if world.newest > 0 {
            world.run_out(is_silent)?;
        }
    }
}

#[test]
fn weights_of_percents_are_exact() {
    let mut rollout = Rollout::serving(name(1));
    let mut actions = Vec::new();
    let revision = name(3);
    let policy = policy(1);
    for event in [
        Event::Declared {
            revision: revision.clone(),
            policy: policy.map(Box::new),
            is_pinned: false,
        },
        Event::Prepared { revision: revision.clone(), result: Ok(()) },
        Event::Probed { revision: revision.clone(), result: Ok(()) },
    ] {
        rollout.on_event(Time::ZERO, event, &mut actions);
    }
    let traffic = [
        TrafficTarget { revision: RevisionRef::Latest, percent: 80, tag: None },
        TrafficTarget {
            revision: RevisionRef::Named("hello-00001".into()),
            percent: 20,
            tag: Some("old".into()),
        },
    ];
    let assignment = assign(&key(), &traffic, &rollout);
    let weights: Vec<_> = assignment.targets.iter().map(|it| (&it.revision, it.weight)).collect();
    let tenth = Percent::from_hundredths;
    assert_eq!(weights, [(&name(1), tenth(9_920)), (&name(3), tenth(80))]);
    assert_eq!(assignment.tags, [("old".to_owned(), name(1))]);
}
