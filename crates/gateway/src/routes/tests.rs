//! Which host and path is found, and what a change of a route leaves behind.

use super::*;
use gapless_types::{FunctionSpec, Route as OwnRoute};

fn route(namespace: &str, name: &str, generation: u64, host: Option<&str>) -> FunctionRoute {
    let function = FunctionKey::new(namespace, name).unwrap();
    let mut spec = FunctionSpec::with_defaults();
    spec.access.route = host.map(|host| Box::new(OwnRoute { host: host.into(), path: "/".into() }));
    let revision =
        Revision { name: RevisionName::new(&function, generation), function, spec: spec.into() };
    FunctionRoute::single(Arc::new(revision), RouteReadiness::Ready)
}

fn found(routes: &Routes, host: &str, path: &str) -> Option<(String, usize)> {
    let found = routes.find(host, path)?;
    let (current, _) = found.route.choose(None);
    let function = current.targets[0].revision.function.to_string();
    let tag = found.tag.map(|tag| format!("{tag} of ")).unwrap_or_default();
    Some((tag + &function, found.prefix_len))
}

#[test]
fn functions_answer_to_host_path_and_their_own_host() {
    let routes = Routes::default();
    routes.set(route("default", "hello", 1, None));
    routes.set(route("shop", "cart", 1, Some("Cart.Example.com")));
    let hello = Some(("default/hello".to_owned(), 0));
    assert_eq!(found(&routes, "hello.default.localhost:8080", "/"), hello);
    assert_eq!(found(&routes, "HELLO.Default.LOCALHOST", "/x"), hello);
    let by_path = Some(("default/hello".to_owned(), 17));
    assert_eq!(found(&routes, "127.0.0.1:8080", "/fn/default/hello"), by_path);
    assert_eq!(found(&routes, "127.0.0.1:8080", "/fn/default/hello/a/b"), by_path);
    assert_eq!(found(&routes, "[::1]:8080", "/fn/default/hello/"), by_path);
    let cart = Some(("shop/cart".to_owned(), 0));
    assert_eq!(found(&routes, "cart.example.com:80", "/"), cart);
}

#[test]
fn nothing_else_answers() {
    let routes = Routes::default();
    routes.set(route("default", "hello", 1, None));
    for (host, path) in [
        ("other.default.localhost", "/"),
        ("hello.localhost", "/"),
        ("localhost", "/"),
        ("example.com", "/"),
        ("localhost", "/fn/default"),
        ("localhost", "/fn/default/helloo"),
        ("localhost", "/fn//hello"),
        ("", "/"),
    ] {
        assert_eq!(found(&routes, host, path), None, "{host} {path}");
    }
    let long = "x".repeat(4000);
    assert_eq!(found(&routes, &long, &format!("/fn/{long}/{long}")), None);
}

#[test]
fn another_revision_replaces_the_former_and_moves_the_host() {
    let routes = Routes::default();
    assert!(routes.set(route("default", "a", 1, Some("one.example"))).is_empty());
    assert!(routes.set(route("default", "a", 1, Some("one.example"))).is_empty(), "again");
    let dropped = routes.set(route("default", "a", 2, Some("two.example")));
    assert_eq!(names(&dropped), ["a-00001"]);
    assert_eq!(found(&routes, "one.example", "/"), None);
    assert!(found(&routes, "two.example", "/").is_some());
    let key = FunctionKey::new("default", "a").unwrap();
    assert_eq!(names(&routes.remove(&key)), ["a-00002"]);
    assert_eq!(found(&routes, "two.example", "/"), None);
    assert!(routes.remove(&key).is_empty());
}

fn names(dropped: &[Dropped]) -> Vec<&str> {
    dropped.iter().map(|(name, _)| name.short()).collect()
}

/// A route of `default/a` to generations with weights in percent, and whether they are ready.
fn weighted(targets: &[(u64, u32, RouteReadiness)], tags: &[(&str, u64)]) -> FunctionRoute {
    let function = FunctionKey::new("default", "a").unwrap();
    let target = |(generation, percent, readiness): &(u64, u32, RouteReadiness)| {
        let name = RevisionName::new(&function, *generation);
        let spec = FunctionSpec::with_defaults();
        RouteTarget {
            revision: Arc::new(Revision { name, function: function.clone(), spec: spec.into() }),
            weight: Percent::whole(*percent),
            readiness: readiness.clone(),
        }
    };
    let tag = |(tag, generation): &(&str, u64)| RouteTag {
        tag: (*tag).into(),
        revision: RevisionName::new(&function, *generation),
    };
    FunctionRoute {
        targets: targets.iter().map(target).collect(),
        tags: tags.iter().map(tag).collect(),
        function,
    }
}

/// How many of `requests` go to which generation.
fn spread(routes: &Routes, requests: usize) -> Vec<(String, usize)> {
    let route = routes.find("a.default.localhost", "/").unwrap().route;
    let mut counts = std::collections::BTreeMap::new();
    for _ in 0..requests {
        let (current, chosen) = route.choose(None);
        let name = chosen.map_or("nobody", |target| current.targets[target].revision.name.short());
        *counts.entry(name.to_owned()).or_default() += 1;
    }
    counts.into_iter().collect()
}

#[test]
fn a_share_goes_to_those_that_can_run() {
    use RouteReadiness::{Preparing, Ready};
    let failed = || RouteReadiness::Failed("no".into());
    let routes = Routes::default();
    let spread_of = |targets: &[_]| {
        routes.set(weighted(targets, &[]));
        let spread = spread(&routes, 100);
        spread.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(spread_of(&[(1, 90, Ready), (2, 10, Ready)]), "a-00001 90, a-00002 10");
    assert_eq!(spread_of(&[(1, 90, Ready), (2, 10, Preparing)]), "a-00001 100");
    assert_eq!(
        spread_of(&[(1, 90, Preparing), (2, 5, Ready), (3, 5, Ready)]),
        "a-00002 50, a-00003 50"
    );
    assert_eq!(spread_of(&[(1, 50, Preparing), (2, 50, failed())]), "a-00001 100", "they wait");
    assert_eq!(spread_of(&[(1, 100, failed()), (2, 0, Ready)]), "a-00001 100", "and are refused");
    assert_eq!(spread_of(&[(1, 0, Ready)]), "nobody 100");
    assert_eq!(spread_of(&[]), "nobody 100");
}

#[test]
fn a_route_stated_often_splits_as_one_stated_once() {
    let routes = Routes::default();
    let ready = RouteReadiness::Ready;
    let mut canary = 0;
    for _ in 0..1_000 {
        routes.set(weighted(&[(1, 99, ready.clone()), (2, 1, ready.clone())], &[]));
        canary += spread(&routes, 1).iter().filter(|(name, _)| name == "a-00002").count();
    }
    assert_eq!(canary, 10);
}

#[test]
fn a_tag_leads_to_its_revision_whatever_its_share() {
    let routes = Routes::default();
    let ready = RouteReadiness::Ready;
    let targets = [(1, 100, ready.clone()), (2, 0, ready)];
    routes.set(weighted(&targets, &[("live", 1), ("a---b", 2), ("lost", 9)]));
    let tagged = |host: &str, path: &str| {
        let found = routes.find(host, path)?;
        let tag = found.tag.as_deref().expect("a tag");
        let (current, chosen) = found.route.choose(Some(tag));
        let name = chosen.map(|target| current.targets[target].revision.name.short().to_owned());
        Some((name.unwrap_or_else(|| format!("no {tag}")), found.prefix_len))
    };
    let to = |name: &str, prefix_len| Some((name.to_owned(), prefix_len));
    assert_eq!(tagged("LIVE---a.default.localhost:8080", "/x"), to("a-00001", 0));
    assert_eq!(tagged("a---b---a.default.localhost", "/x"), to("a-00002", 0));
    assert_eq!(tagged("localhost", "/fn/default/live---a/x"), to("a-00001", 20));
    assert_eq!(tagged("lost---a.default.localhost", "/"), to("no lost", 0), "it is no target");
    assert_eq!(tagged("x---a.default.localhost", "/"), to("no x", 0));
    assert_eq!(tagged("live---b.default.localhost", "/"), None);
    assert_eq!(found(&routes, "live---a.default.localhost", "/"), to("live of default/a", 0));
}
