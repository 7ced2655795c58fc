//! Profiles, explanations and cordons, as the API serves them.

use serde_json::json;

use crate::life::deployed;
use crate::support::{open, revision};

#[tokio::test]
async fn placement_is_declared_explained_and_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = open(folder.path()).await;
    let root = "/apis/gapless.dev/v1";
    // A profile with every mistake, then one that is used.
    let wrong = json!({"apiVersion": "gapless.dev/v1", "kind": "PlacementProfile",
        "metadata": {"name": "packed"},
        "spec": {"policies": [{"policy": "most-allocted"}, {"policy": "spot-risk", "weight": -1}]}});
    let path = format!("{root}/placementprofiles/packed");
    let refused = bench.call("PUT", &path, Some(wrong.to_string().as_bytes())).await;
    assert_eq!(refused.code, 422);
    let causes = refused.json()["details"]["causes"].as_array().unwrap().len();
    assert_eq!(causes, 2);
    let packed = json!({"apiVersion": "gapless.dev/v1", "kind": "PlacementProfile",
        "metadata": {"name": "packed"},
        "spec": {"policies": [{"policy": "most-allocated"}, {"policy": "least-allocated"},
            {"policy": "spot-risk"}]}});
    let declared = bench.call("PUT", &path, Some(packed.to_string().as_bytes())).await;
    assert_eq!(declared.code, 201);
    let conflict = &declared.json()["status"]["conflicts"][0];
    assert!(conflict["correlation"].as_f64().unwrap() < -0.9, "{conflict}");

    deployed(&mut bench, "hello").await;
    bench.demand(&revision("hello", 1), 1, 1);
    bench.expect(&["1 starting", "a: start 1"]).await;
    let path = format!("{root}/namespaces/default/instances/hello-00001-i000001/explain");
    let told = bench.call("GET", &path, None).await.json();
    assert_eq!(told["explanation"]["winner"]["node"], "a", "{told}");
    let path = format!("{root}/namespaces/default/instances/hello-00001-i000009/explain");
    assert_eq!(bench.call("GET", &path, None).await.code, 404);

    let path = format!("{root}/nodes/a");
    let mut node = bench.call("GET", &path, None).await.json();
    node["spec"]["unschedulable"] = json!(true);
    let cordoned = bench.call("PUT", &path, Some(node.to_string().as_bytes())).await;
    assert_eq!(cordoned.json()["status"]["cordoned"], true, "{cordoned:?}");
    let path = format!("{root}/namespaces/default/functions/hello/explain");
    let nowhere = bench.call("GET", &path, None).await.json();
    assert_eq!(nowhere["explanation"]["possible"], 0);
    assert!(nowhere["explanation"]["advice"].as_str().unwrap().contains("cordoned"), "{nowhere}");
    let other = node.to_string().replace("\"a\"", "\"b\"");
    let answer = bench.call("PUT", &format!("{root}/nodes/b"), Some(other.as_bytes())).await;
    assert_eq!(answer.code, 404, "{answer:?}");

    // A function that names a profile keeps it; one that names none that exists is refused.
    let naming = |profile: &str| {
        json!({"apiVersion": "gapless.dev/v1", "kind": "Function", "metadata": {"name": "picky"},
            "spec": {"fake": {"start": "1ms", "service": "1ms"}, "placement": {"profile": profile}}})
        .to_string()
    };
    let path = format!("{root}/namespaces/default/functions/picky");
    let refused = bench.call("PUT", &path, Some(naming("nope").as_bytes())).await;
    assert_eq!(refused.json()["details"]["causes"][0]["field"], "spec.placement.profile");
    assert_eq!(bench.call("PUT", &path, Some(naming("packed").as_bytes())).await.code, 201);
    let profile = format!("{root}/placementprofiles/packed");
    assert_eq!(bench.call("DELETE", &profile, None).await.code, 409);
    bench.call("DELETE", &path, None).await;
    assert_eq!(bench.call("DELETE", &profile, None).await.code, 200);
}
