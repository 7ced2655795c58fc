//! Watches: every change, in order, once, also across a restart.

use std::collections::BTreeMap;
use std::time::Duration;

use gapless_declared::{
    DeleteOptions, ListOptions, ObjectKey, Selection, Watch, WatchOptions, Watched,
};
use gapless_objects::selector::LabelSelector;
use jiff::Timestamp;
use serde_json::json;

use crate::world::{World, code, event, merge, name, version};

fn watch(world: &World, labels: &str, after: Option<u64>) -> Watch {
    let labels = LabelSelector::parse(labels).unwrap();
    let selection = Selection { labels, ..Default::default() };
    let options = WatchOptions { after, ..Default::default() };
    world.objects.watch(&world.things, selection, &options).unwrap()
}

async fn delete(world: &World, name: &str) {
    let key = ObjectKey::new("default", name);
    let (options, now) = (DeleteOptions::default(), Timestamp::now());
    world.objects.delete(&world.things, &key, &options, now).await.unwrap();
}

#[tokio::test]
async fn what_enters_and_leaves_the_selection_is_added_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path());
    let first = world.create("a", json!({"tier": "web"}), 1).await;
    world.create("b", json!({"tier": "job"}), 1).await;
    let mut fresh = watch(&world, "tier=web", None);
    assert_eq!(event(&mut fresh).await, ("ADDED", "a".to_owned(), version(&first)));
    let from = world.revision();
    let label = |tier: &str| merge(&json!({"metadata": {"labels": {"tier": tier}}}));
    world.thing("b", label("web")).await.unwrap();
    world.thing("b", merge(&json!({"spec": {"size": 2}}))).await.unwrap();
    world.thing("b", label("job")).await.unwrap();
    world.thing("b", merge(&json!({"spec": {"size": 3}}))).await.unwrap();
    delete(&world, "b").await;
    delete(&world, "a").await;
    let mut resumed = watch(&world, "tier=web", Some(from));
    for watch in [&mut fresh, &mut resumed] {
        let told = [event(watch).await, event(watch).await, event(watch).await, event(watch).await];
        let expected =
            [("ADDED", "b", 1), ("MODIFIED", "b", 2), ("DELETED", "b", 3), ("DELETED", "a", 6)]
                .map(|(kind, name, after)| (kind, name.to_owned(), from + after));
        assert_eq!(told, expected);
    }
    // What is not selected moves a watch on as well: it can resume from there.
    assert_eq!(resumed.version(), world.revision());
}

#[tokio::test]
async fn a_bookmark_ends_what_existed_and_says_how_far_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path());
    world.create("a", json!({}), 1).await;
    let options = WatchOptions { marks_initial_end: true, ..Default::default() };
    let mut watch = world.objects.watch(&world.things, Selection::default(), &options).unwrap();
    assert_eq!(event(&mut watch).await.0, "ADDED");
    let Some(Watched::Bookmark { version, is_initial_end: true }) = watch.next().await else {
        panic!("the end of what existed")
    };
    assert_eq!(version, world.revision());
    // Progress is also made by what is written elsewhere.
    let elsewhere = gapless_store::Write::put("others/x", "1", gapless_store::Expect::Absent);
    let revision = world.objects.store().commit(vec![elsewhere]).await.unwrap();
    let waited = tokio::time::timeout(Duration::from_millis(50), watch.next()).await;
    assert!(waited.is_err(), "{waited:?}");
    assert_eq!(watch.version(), revision);
}

#[tokio::test]
async fn a_watch_from_too_long_ago_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path());
    world.create("a", json!({}), 1).await;
    let from = world.revision();
    world.create("b", json!({}), 1).await;
    world.create("c", json!({}), 1).await;
    world.objects.store().compact(world.revision()).await.unwrap();
    let options = WatchOptions { after: Some(from), ..Default::default() };
    let begun = world.objects.watch(&world.things, Selection::default(), &options);
    assert_eq!(code(&begun.unwrap_err()), (410, "Expired"));
}

/// What a client knows from a list and a watch.
#[derive(Default)]
struct Known {
    objects: BTreeMap<String, u64>,
    seen: u64,
}

impl Known {
    fn list(world: &World) -> Self {
        let all = ListOptions::default();
        let listed = world.objects.list(&world.things, &Selection::default(), &all).unwrap();
        let objects = listed.items.iter().map(|item| (name(item).to_owned(), version(item)));
        Known { objects: objects.collect(), seen: listed.version }
    }

    /// An event must be newer than all before, and fit what is known.
    fn take(&mut self, (kind, name, version): (&str, String, u64)) {
        assert!(version > self.seen, "{kind} {name} at {version} again after {}", self.seen);
        self.seen = version;
        let before = match kind {
            "DELETED" => self.objects.remove(&name),
            _ => self.objects.insert(name.clone(), version),
        };
        assert_eq!(before.is_none(), kind == "ADDED", "{kind} {name} at {version}");
    }

    async fn follow(&mut self, watch: &mut Watch, until: u64) {
        while self.seen < until {
            self.take(event(watch).await);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_resumed_under_writers_and_restarts_has_no_gap_and_no_duplicate() {
    let folder = tempfile::tempdir().unwrap();
    let mut known = Known::list(&World::open(folder.path()));
    for round in 0..5_i64 {
        let world = World::open(folder.path());
        let writers: Vec<_> =
            (0..8).map(|writer| tokio::spawn(write(world.clone(), writer, round))).collect();
        // A few at a time, and then from where it was, while all of them write.
        let mut taken = 0;
        while taken < 100 {
            let mut watch = watch(&world, "", Some(known.seen));
            for _ in 0..9 {
                known.take(event(&mut watch).await);
                taken += 1;
            }
        }
        futures::future::join_all(writers).await.into_iter().for_each(Result::unwrap);
        // The rest of this round is left to the next process, but for the last.
        if round == 4 {
            let until = world.revision();
            known.follow(&mut watch(&world, "", Some(known.seen)), until).await;
            assert_eq!(known.objects, Known::list(&world).objects);
        }
    }
}

/// Creates, changes and deletes things of its own: 60 writes.
async fn write(world: World, writer: i64, round: i64) {
    for index in 0..20 {
        let name = format!("w{writer}-r{round}-{index}");
        world.create(&name, json!({}), index).await;
        world.thing(&name, merge(&json!({"spec": {"size": 1000 + index}}))).await.unwrap();
        match index % 2 {
            0 => delete(&world, &name).await,
            _ => {
                world.thing(&name, merge(&json!({"spec": {"colour": "red"}}))).await.unwrap();
            }
        }
    }
}
