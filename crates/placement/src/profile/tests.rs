use super::*;

fn errors(spec: ProfileSpec) -> Vec<String> {
    Profile::new("test", &spec).unwrap_err().iter().map(ToString::to_string).collect()
}

fn of(policies: &[(&str, f64)]) -> ProfileSpec {
    let policies = policies.iter().map(|(name, weight)| PolicySpec::new(name, *weight));
    ProfileSpec { policies: policies.collect(), ..ProfileSpec::default() }
}

#[test]
fn the_default_profile_is_sound() {
    let profile = Profile::default_profile();
    assert_eq!(profile.conflicts(), []);
    assert!(profile.policies().count() > 30);
}

#[test]
fn every_policy_can_be_chosen_alone_or_with_a_score() {
    for entry in POLICIES {
        let mut spec = of(&[("spot-risk", 1.0)]);
        if entry.name != "spot-risk" {
            let weight = (entry.phase == Phase::Score).then_some(2.0);
            let name = entry.name.to_owned();
            spec.policies.push(PolicySpec { policy: name, weight, ..PolicySpec::default() });
        }
        Profile::new("test", &spec).unwrap_or_else(|errors| panic!("{}: {errors:?}", entry.name));
        for other in entry.opposes.iter().chain(entry.overrules) {
            assert!(registry::find(other).is_some(), "{} names {other}", entry.name);
        }
    }
    let mut names: Vec<&str> = POLICIES.iter().map(|entry| entry.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), POLICIES.len());
}

#[test]
fn weights_that_are_none_are_refused_by_field() {
    for weight in [-1.0, f64::NAN, f64::INFINITY, 1001.0] {
        let found = errors(of(&[("least-allocated", 1.0), ("image-locality", weight)]));
        assert!(found[0].starts_with("spec.policies[1].weight: found "), "{found:?}");
    }
    let found = errors(of(&[("least-allocated", 0.0)]));
    assert!(found[0].contains("no score weighs anything"), "{found:?}");
}

#[test]
fn unknown_names_are_refused_with_the_nearest() {
    let found = errors(of(&[("least-alocated", 1.0)]));
    let expected = "spec.policies[0].policy: there is no policy \"least-alocated\"; \
                    did you mean least-allocated?";
    assert_eq!(found[0], expected);
    let mut spec = of(&[("least-allocated", 1.0)]);
    spec.policies[0].params.insert("targt".into(), Value::Number(1.0));
    assert!(errors(spec)[0].starts_with("spec.policies[0].params.targt: "));
}

#[test]
fn opposed_scores_alone_are_refused_and_reported_otherwise() {
    let found = errors(of(&[("least-allocated", 1.0), ("most-allocated", 1.0)]));
    assert!(found[0].contains("least-allocated and most-allocated want the opposite"), "{found:?}");
    let spec = of(&[("least-allocated", 1.0), ("most-allocated", 1.0), ("spot-risk", 1.0)]);
    let profile = Profile::new("test", &spec).unwrap();
    assert_eq!(profile.conflicts(), [("least-allocated", "most-allocated")]);
}

#[test]
fn a_cycle_of_precedence_is_refused_with_its_path() {
    let mut spec = of(&[("warm-first", 1.0), ("least-allocated", 1.0), ("spot-risk", 1.0)]);
    spec.policies[0].before = vec!["least-allocated".into()];
    let profile = Profile::new("test", &spec).unwrap();
    let weight = |name| profile.policies().find(|(n, _)| *n == name).unwrap().1;
    assert!(weight("warm-first") >= TIER_STEPS * weight("least-allocated"));
    spec.policies[1].before = vec!["warm-first".into()];
    let found = errors(spec);
    assert!(found[0].contains("warm-first -> least-allocated"), "{found:?}");
}

#[test]
fn what_guards_a_resource_stays_on() {
    let mut spec = of(&[("least-allocated", 1.0)]);
    spec.without = vec!["resource-fit".into()];
    assert!(errors(spec.clone())[0].starts_with("spec.without[0]: resource-fit keeps"));
    spec.without = vec!["trust-partition".into()];
    let profile = Profile::new("test", &spec).unwrap();
    assert!(profile.policies().all(|(name, _)| name != "trust-partition"));
}
