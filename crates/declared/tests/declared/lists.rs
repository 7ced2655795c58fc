//! Lists: in pages that belong together, whatever is written meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gapless_declared::{ListOptions, Listed, Selection};
use gapless_objects::selector::{FieldSelector, LabelSelector};
use serde_json::json;

use crate::world::{THINGS, World, code, merge, name};

fn list(world: &World, selection: &Selection, options: &ListOptions) -> Listed {
    world.objects.list(&world.things, selection, options).unwrap()
}

fn names(listed: &Listed) -> Vec<String> {
    listed.items.iter().map(|item| name(item).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_show_one_revision_while_others_write() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path());
    for index in 0..60 {
        world.create(&format!("t{index:03}"), json!({}), 0).await;
    }
    let is_done = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (world, is_done) = (world.clone(), Arc::clone(&is_done));
            tokio::spawn(async move {
                let mut count = 0;
                while !is_done.load(Ordering::SeqCst) {
                    let changed = format!("t{:03}", (writer * 13 + count) % 60);
                    let patch = merge(&json!({"spec": {"size": count}}));
                    world.thing(&changed, patch).await.unwrap();
                    world.create(&format!("new{writer}-{count}"), json!({}), 0).await;
                    count += 1;
                }
                count
            })
        })
        .collect();
    for _ in 0..20 {
        let (all, whole) = tokio::task::block_in_place(|| {
            let mut options = ListOptions { limit: Some(7), ..Default::default() };
            let first = list(&world, &Selection::default(), &options);
            let version = first.version;
            let mut all = first.items.clone();
            options.continued = first.continued;
            while options.continued.is_some() {
                let page = list(&world, &Selection::default(), &options);
                assert_eq!(page.version, version);
                assert!(page.items.len() <= 7 && !page.items.is_empty());
                all.extend(page.items);
                options.continued = page.continued;
            }
            let at = ListOptions { at: Some(version), ..Default::default() };
            (all, list(&world, &Selection::default(), &at))
        });
        assert_eq!(all, whole.items, "the pages together are the whole at their revision");
        assert!(all.iter().filter(|item| name(item).starts_with('t')).count() == 60);
    }
    is_done.store(true, Ordering::SeqCst);
    let counts = futures::future::join_all(writers).await;
    assert!(counts.into_iter().map(Result::unwrap).sum::<i64>() > 0);
}

#[tokio::test]
async fn a_page_too_late_is_told_to_begin_again() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path());
    for name in ["a", "b", "c"] {
        world.create(name, json!({}), 0).await;
    }
    let mut options = ListOptions { limit: Some(1), ..Default::default() };
    options.continued = list(&world, &Selection::default(), &options).continued;
    world.create("d", json!({}), 0).await;
    assert_eq!(names(&list(&world, &Selection::default(), &options)), ["b"]);
    world.objects.store().compact(world.revision()).await.unwrap();
    let late = world.objects.list(&world.things, &Selection::default(), &options).unwrap_err();
    assert_eq!(code(&late), (410, "Expired"));
    options.continued = Some("made up".to_owned());
    let wrong = world.objects.list(&world.things, &Selection::default(), &options).unwrap_err();
    assert_eq!(code(&wrong), (400, "BadRequest"));
}

#[tokio::test]
async fn what_is_selected_is_listed_and_pages_count_only_that() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path());
    for index in 0..10 {
        let labels = json!({"odd": (index % 2 == 1).to_string()});
        world.create(&format!("t{index}"), labels, index % 3).await;
    }
    let labels = LabelSelector::parse("odd=true").unwrap();
    let odd = Selection { labels, ..Default::default() };
    assert_eq!(names(&list(&world, &odd, &ListOptions::default())), ["t1", "t3", "t5", "t7", "t9"]);
    let mut options = ListOptions { limit: Some(2), ..Default::default() };
    let mut pages = Vec::new();
    loop {
        let page = list(&world, &odd, &options);
        pages.push(names(&page));
        options.continued = page.continued;
        if options.continued.is_none() {
            break;
        }
    }
    assert_eq!(pages, [vec!["t1", "t3"], vec!["t5", "t7"], vec!["t9"]]);
    let by = |text: &str| Selection {
        fields: FieldSelector::parse(text, &THINGS).unwrap(),
        namespace: Some("default".to_owned()),
        ..Default::default()
    };
    let all = ListOptions::default();
    assert_eq!(names(&list(&world, &by("spec.size=2"), &all)), ["t2", "t5", "t8"]);
    // A name that others begin with is only itself.
    world.create("t10", json!({}), 0).await;
    assert_eq!(names(&list(&world, &by("metadata.name=t1"), &all)), ["t1"]);
    let elsewhere = Selection { namespace: Some("other".to_owned()), ..Default::default() };
    assert!(list(&world, &elsewhere, &all).items.is_empty());
}
