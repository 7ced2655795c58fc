//! Rollouts from beginning to end, as people know them.

use std::time::Duration;

use gapless_rollout::{Action, Event, Failure, Rollout};
use gapless_types::{Fault, FunctionKey, Outcomes, RevisionName, RolloutSpec, Time};

fn name(generation: u64) -> RevisionName {
    RevisionName::new(&FunctionKey::new("default", "hello").unwrap(), generation)
}

/// A rollout, a clock, and requests that are divided by its shares.
struct Course {
    rollout: Rollout,
    now: Time,
    actions: Vec<Action>,
    stable: Outcomes,
    candidate: Outcomes,
    seed: u64,
}

impl Course {
    /// Generation 1 serves.
    fn serving() -> Self {
        Course {
            rollout: Rollout::serving(name(1)),
            now: Time::from_millis(1_000),
            actions: Vec::new(),
            stable: Outcomes::default(),
            candidate: Outcomes::default(),
            seed: 7,
        }
    }

    fn event(&mut self, event: Event) {
        self.actions.clear();
        self.rollout.on_event(self.now, event, &mut self.actions);
    }

    fn declare(&mut self, generation: u64, policy: Option<RolloutSpec>) {
        let policy = policy.map(Box::new);
        self.event(Event::Declared { revision: name(generation), policy, is_pinned: false });
    }

    /// A revision on its way that is prepared and has passed its probe.
    fn proven(&mut self, generation: u64, policy: Option<RolloutSpec>) {
        self.declare(generation, policy);
        let revision = name(generation);
        assert!(self.actions.contains(&Action::Prepare { revision: revision.clone() }));
        self.event(Event::Prepared { revision: revision.clone(), result: Ok(()) });
        assert!(self.actions.contains(&Action::Probe { revision: revision.clone() }));
        assert_eq!(self.shares(), [(1, 100)]);
        self.event(Event::Probed { revision, result: Ok(()) });
    }

    fn shares(&self) -> Vec<(u64, u32)> {
        let generation =
            |name: &RevisionName| name.short().rsplit_once('-').unwrap().1.parse().unwrap();
        let shares = self.rollout.shares();
        shares.iter().map(|share| (generation(&share.revision), share.percent)).collect()
    }

    fn phase(&self) -> String {
        self.rollout.status().map(|status| status.phase).unwrap_or_default()
    }

    fn reason(&self) -> String {
        self.rollout.status().map(|status| status.reason).unwrap_or_default()
    }

    fn chance(&mut self, of: f64) -> bool {
        // Knuth's MMIX generator; its high bits are good.
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.seed >> 11) as f64 / (1_u64 << 53) as f64) < of
    }

    /// Goes on to the next wake-up, while `per_second` requests come and fail with these
    /// odds and take these times. Returns whether the rollout is still under way.
    fn go_on(&mut self, per_second: f64, fails: (f64, f64), ms: (u64, u64)) -> bool {
        let Some(Action::WakeAt(at)) = self.actions.last().cloned() else { panic!("no wish") };
        let at = at.max(self.now);
        let requests = ((at - self.now).as_secs_f64() * per_second).round() as u64;
        self.now = at;
        let percent = self.shares().get(1).map_or(0, |share| share.1);
        for _ in 0..requests {
            let is_new = self.chance(f64::from(percent) / 100.0);
            let has_failed = self.chance(if is_new { fails.1 } else { fails.0 });
            let outcomes = if is_new { &mut self.candidate } else { &mut self.stable };
            outcomes.requests += 1;
            outcomes.errors += u64::from(has_failed);
            let ms = if is_new { ms.1 } else { ms.0 };
            outcomes.latencies.record(Duration::from_millis(ms));
        }
        let (stable, candidate) = (Box::new(self.stable.clone()), Box::new(self.candidate.clone()));
        self.event(match self.rollout.watched() {
            Some(_) => Event::Outcomes { stable, candidate },
            None => Event::Wake,
        });
        self.rollout.candidate().is_some()
    }
}

fn policy() -> Option<RolloutSpec> {
    Some(RolloutSpec::default())
}

#[test]
fn the_first_revision_takes_everything_once_it_is_proven() {
    let mut course = Course { rollout: Rollout::new(), ..Course::serving() };
    course.declare(1, policy());
    course.event(Event::Prepared { revision: name(1), result: Ok(()) });
    assert_eq!(course.shares(), []);
    course.event(Event::Probed { revision: name(1), result: Ok(()) });
    assert_eq!(course.shares(), [(1, 100)]);
    assert_eq!(course.actions.last(), Some(&Action::WakeAt(Time::NEVER)));
}

#[test]
fn without_a_policy_the_switch_is_at_once() {
    let mut course = Course::serving();
    course.proven(2, None);
    assert_eq!(course.shares(), [(2, 100)]);
    assert!(course.actions.contains(&Action::Promoted { revision: name(2) }));
}

#[test]
fn a_good_revision_goes_through_its_steps() {
    let mut course = Course::serving();
    course.proven(2, policy());
    let (began, mut seen) = (course.now, vec![course.shares()]);
    while course.go_on(200.0, (0.001, 0.001), (20, 21)) {
        if seen.last() != Some(&course.shares()) {
            seen.push(course.shares());
        }
    }
    assert_eq!(seen, [[(1, 99), (2, 1)], [(1, 90), (2, 10)], [(1, 50), (2, 50)]]);
    assert_eq!(course.shares(), [(2, 100)]);
    let took = course.now - began;
    assert!(took >= Duration::from_secs(90) && took < Duration::from_secs(100), "{took:?}");
}

#[test]
fn a_failing_revision_is_rolled_back_early_and_stays_so() {
    let mut course = Course::serving();
    course.proven(2, policy());
    let began = course.now;
    while course.go_on(200.0, (0.001, 0.5), (20, 20)) {}
    assert!(course.now - began <= Duration::from_secs(15), "within the first step");
    assert_eq!((course.shares(), course.phase().as_str()), (vec![(1, 100)], "RolledBack"));
    assert!(course.reason().contains("failed by its own fault, 1% may"), "{}", course.reason());
    // Nothing brings it back but a change of the declaration.
    course.declare(2, policy());
    course.event(Event::Probed { revision: name(2), result: Ok(()) });
    assert_eq!(course.rollout.candidate(), None);
    let looser = RolloutSpec { error_rate_max: "90%".parse().unwrap(), ..RolloutSpec::default() };
    course.declare(2, Some(looser));
    assert_eq!(course.rollout.candidate(), Some(&name(2)));
}

#[test]
fn a_slow_revision_is_rolled_back() {
    let mut course = Course::serving();
    course.proven(2, policy());
    while course.go_on(200.0, (0.0, 0.0), (20, 50)) {}
    assert_eq!(course.shares(), [(1, 100)]);
    assert!(course.reason().contains("took longer than 41ms"), "{}", course.reason());
}

#[test]
fn a_function_nobody_calls_is_rolled_out_by_time_and_probe() {
    let mut course = Course::serving();
    course.proven(2, policy());
    let began = course.now;
    while course.go_on(0.0, (0.0, 0.0), (0, 0)) {}
    assert_eq!(course.shares(), [(2, 100)]);
    assert_eq!((course.now - began).as_secs(), 3 * 5 * 30, "each step waits five intervals");
}

#[test]
fn in_doubt_the_old_revision_stays() {
    let mut course = Course::serving();
    course.proven(2, policy());
    course.go_on(0.0, (0.0, 0.0), (0, 0));
    // One request, which failed; then none for long.
    (course.candidate.requests, course.candidate.errors) = (1, 1);
    course.stable.requests = 99;
    let began = course.now;
    while course.go_on(0.0, (0.0, 0.0), (0, 0)) {}
    assert_eq!(course.shares(), [(1, 100)]);
    assert_eq!((course.now - began).as_secs(), 10 * 30);
    assert!(course.reason().starts_with("it was in doubt for too long"), "{}", course.reason());
}

#[test]
fn a_probe_may_fail_twice() {
    let failed = || Err(Failure { fault: Fault::Function, message: "exit 1".to_owned() });
    let mut course = Course::serving();
    course.declare(2, policy());
    course.event(Event::Prepared { revision: name(2), result: Ok(()) });
    for seconds in [1, 2] {
        course.event(Event::Probed { revision: name(2), result: failed() });
        let at = course.now + Duration::from_secs(seconds);
        assert_eq!(course.actions.last(), Some(&Action::WakeAt(at)));
        course.now = at;
        course.event(Event::Wake);
        assert!(course.actions.contains(&Action::Probe { revision: name(2) }));
    }
    // What is not its own fault does not count against it.
    let no_room = Failure { fault: Fault::Platform, message: "no room".to_owned() };
    course.event(Event::Probed { revision: name(2), result: Err(no_room) });
    course.now += Duration::from_secs(2);
    course.event(Event::Wake);
    course.event(Event::Probed { revision: name(2), result: failed() });
    assert_eq!((course.shares(), course.phase().as_str()), (vec![(1, 100)], "RolledBack"));
    assert_eq!(course.reason(), "exit 1 (3 probes failed)");
}

#[test]
fn a_newer_revision_supersedes_and_traffic_goes_back_to_the_last_good_one() {
    let mut course = Course::serving();
    course.proven(2, policy());
    assert_eq!(course.shares(), [(1, 99), (2, 1)]);
    course.declare(3, policy());
    assert!(course.actions.contains(&Action::Superseded { revision: name(2) }));
    assert_eq!((course.shares(), course.rollout.candidate()), (vec![(1, 100)], Some(&name(3))));
}

#[test]
fn people_promote_roll_back_and_pin() {
    let mut course = Course::serving();
    course.proven(2, policy());
    course.event(Event::Promote);
    assert_eq!(course.shares(), [(2, 100)]);
    course.event(Event::Rollback { to: None });
    assert_eq!((course.shares(), course.phase().as_str()), (vec![(1, 100)], "RolledBack"));
    assert_eq!(course.reason(), "rolled back by hand to hello-00001");
    // Promoting what was rolled back tries it first.
    course.event(Event::Promote);
    assert_eq!(course.shares(), [(1, 100)]);
    course.event(Event::Prepared { revision: name(2), result: Ok(()) });
    course.event(Event::Probed { revision: name(2), result: Ok(()) });
    assert_eq!(course.shares(), [(2, 100)]);

    let declare = |is_pinned| Event::Declared {
        revision: name(3),
        policy: policy().map(Box::new),
        is_pinned,
    };
    course.event(declare(true));
    course.event(Event::Prepared { revision: name(3), result: Ok(()) });
    course.event(Event::Probed { revision: name(3), result: Ok(()) });
    assert_eq!((course.shares(), course.phase().as_str()), (vec![(2, 100)], "Held"));
    assert_eq!(course.actions.last(), Some(&Action::WakeAt(Time::NEVER)));
    course.event(declare(false));
    assert_eq!(course.shares(), [(2, 99), (3, 1)]);
    course.event(Event::Rollback { to: Some(name(1)) });
    assert_eq!((course.shares(), course.rollout.newest()), (vec![(1, 100)], Some(&name(3))));
}

#[test]
fn a_restart_goes_on_from_the_step_it_was_at() {
    let mut course = Course::serving();
    course.proven(2, policy());
    while course.shares() != [(1, 90), (2, 10)] {
        course.go_on(200.0, (0.001, 0.001), (20, 20));
    }
    let stored = serde_json::to_string(&course.rollout).unwrap();
    let mut again = Course { rollout: serde_json::from_str(&stored).unwrap(), ..Course::serving() };
    again.rollout.resume(again.now, &mut again.actions);
    assert_eq!(again.shares(), [(1, 90), (2, 10)]);
    let began = again.now;
    while again.go_on(200.0, (0.001, 0.001), (20, 20)) {}
    assert_eq!(again.shares(), [(2, 100)]);
    assert!(again.now - began >= Duration::from_secs(60), "both steps last their time");
}

/// How many of `courses` rollouts at 20 requests a second are rolled back.
fn rolled_back(courses: u64, fails: (f64, f64)) -> u64 {
    let is_rolled_back = |seed: &u64| {
        let mut course = Course::serving();
        course.seed = *seed;
        course.proven(2, policy());
        while course.go_on(20.0, fails, (20, 20)) {}
        course.rollout.rejected().is_some()
    };
    (0..courses).filter(is_rolled_back).count() as u64
}

/// The figures of docs/function.md. Print them with `--nocapture`.
#[test]
fn good_revisions_pass_and_bad_ones_do_not() {
    for (old, new, least, most) in [
        (0.0, 0.0, 0, 0),
        (0.001, 0.001, 0, 5),
        (0.001, 0.005, 0, 50),
        (0.001, 0.01, 50, 250),
        (0.001, 0.02, 500, 1_000),
        (0.001, 0.05, 990, 1_000),
        (0.001, 0.2, 1_000, 1_000),
        (0.2, 0.2, 0, 200),
    ] {
        let found = rolled_back(1_000, (old, new));
        println!("old {old}, new {new}: {found} of 1000 are rolled back");
        assert!((least..=most).contains(&found), "old {old}, new {new}: {found}");
    }
}
