//! Objects in memory: listed and watched like the others, without a write.

use gapless_declared::{ListOptions, Selection, Watch, WatchOptions};
use gapless_objects::selector::LabelSelector;
use serde_json::json;

use crate::world::{World, code, event};

fn listed(world: &World) -> u64 {
    let all = ListOptions::default();
    world.objects.list(&world.spark, &Selection::default(), &all).unwrap().version
}

fn watch(world: &World, labels: &str, after: Option<u64>) -> Watch {
    let labels = LabelSelector::parse(labels).unwrap();
    let selection = Selection { labels, ..Default::default() };
    let options = WatchOptions { after, ..Default::default() };
    world.objects.watch(&world.spark, selection, &options).unwrap()
}

fn told((kind, name, _): (&'static str, String, u64)) -> (&'static str, String) {
    (kind, name)
}

#[tokio::test]
async fn what_happens_between_a_list_and_its_watch_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path());
    world.sparks.light("a", &json!({}));
    let version = listed(&world);
    world.sparks.light("b", &json!({}));
    world.sparks.quench("a");
    let mut watch = watch(&world, "", Some(version));
    assert_eq!(told(event(&mut watch).await), ("ADDED", "b".to_owned()));
    assert_eq!(told(event(&mut watch).await), ("DELETED", "a".to_owned()));
    world.sparks.light("c", &json!({}));
    assert_eq!(told(event(&mut watch).await), ("ADDED", "c".to_owned()));
    assert_eq!(world.revision(), 0, "nothing is written");
}

#[tokio::test]
async fn a_watch_goes_on_where_the_last_one_ended() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path());
    let mut first = watch(&world, "", None);
    world.sparks.light("a", &json!({}));
    let (_, _, version) = event(&mut first).await;
    drop(first);
    world.sparks.light("b", &json!({}));
    let mut second = watch(&world, "", Some(version));
    assert_eq!(told(event(&mut second).await), ("ADDED", "b".to_owned()));
    // A version of a former process, or of before anything was kept.
    let selection = Selection::default();
    let options = WatchOptions { after: Some(1), ..Default::default() };
    let old = world.objects.watch(&world.spark, selection, &options).unwrap_err();
    assert_eq!(code(&old), (410, "Expired"));
}

#[tokio::test]
async fn a_selection_of_live_objects_is_entered_and_left() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path());
    world.sparks.light("a", &json!({"hot": "yes"}));
    let mut watch = watch(&world, "hot=yes", None);
    assert_eq!(told(event(&mut watch).await), ("ADDED", "a".to_owned()));
    world.sparks.light("a", &json!({"hot": "no"}));
    assert_eq!(told(event(&mut watch).await), ("DELETED", "a".to_owned()));
    world.sparks.light("b", &json!({"hot": "no"}));
    world.sparks.quench("b");
    world.sparks.light("a", &json!({"hot": "yes"}));
    assert_eq!(told(event(&mut watch).await), ("ADDED", "a".to_owned()));
}
