//! Empties deleted namespaces: everything in one goes, then what holds it, then itself.

use std::sync::Arc;

use gapless_declared::{
    Change, DeleteOptions, ListOptions, ObjectKey, Selection, Source, WriteOptions, store_prefix,
};
use gapless_objects::kinds::NAMESPACE;
use jiff::Timestamp;
use serde_json::Value;

use super::{AGAIN_AFTER, EVERY};
use crate::Control;
use crate::kinds::CONTENTS;

/// Objects that are deleted in one go.
const BATCH_MAX: usize = 256;

/// Empties what is marked, for ever; and now and then looks at every namespace.
pub(crate) async fn reap_namespaces(control: &Arc<Control>) {
    loop {
        for name in control.reconcilers.namespaces.take(usize::MAX) {
            if !reap(control, &name).await {
                let mut at = control.clock().now();
                at += AGAIN_AFTER;
                control.clock().sleep_until(at).await;
                control.reconcilers.namespaces.mark(&name);
            }
        }
        let marks = &control.reconcilers.namespaces;
        if marks.is_empty() && control.clock().timeout(EVERY, marks.rung()).await.is_none() {
            mark_deleted(control);
        }
    }
}

fn mark_deleted(control: &Arc<Control>) {
    let records = control.store().list_all(&store_prefix(&NAMESPACE, None)).unwrap_or_default();
    for record in records {
        let object: Value = serde_json::from_slice(&record.value).unwrap_or_default();
        if object["metadata"]["deletionTimestamp"].is_string()
            && let Some((_, name)) = record.key.split_once('/')
        {
            control.reconcilers.namespaces.mark(&name.to_owned());
        }
    }
}

/// Empties one namespace, a bounded number of objects at a time. Whether it is gone.
async fn reap(control: &Arc<Control>, name: &str) -> bool {
    let objects = control.objects();
    let stored = objects.kinds().iter().filter(|resource| {
        let descriptor = resource.descriptor();
        descriptor.is_namespaced
            && matches!(resource.source(), Source::Stored)
            && descriptor.allows("delete")
    });
    for resource in stored {
        loop {
            let selection = Selection { namespace: Some(name.to_owned()), ..Default::default() };
            let page = ListOptions { limit: Some(BATCH_MAX), ..Default::default() };
            let Ok(listed) = objects.list(resource, &selection, &page) else { return false };
            if listed.items.is_empty() {
                break;
            }
            let mut has_gone = false;
            for item in &listed.items {
                let key = ObjectKey::new(name, crate::kinds::text(item, "/metadata/name"));
                let options = DeleteOptions::default();
                let deleted = objects.delete(resource, &key, &options, Timestamp::now());
                has_gone |= deleted.await.is_ok_and(|deleted| deleted.is_gone);
            }
            if !has_gone {
                return false;
            }
        }
    }
    let Some(namespaces) = control.resource(&NAMESPACE) else { return false };
    let release = Change::Make(Box::new(|object| {
        let mut new = object.clone();
        if let Some(all) = new["metadata"]["finalizers"].as_array_mut() {
            all.retain(|one| one != CONTENTS);
        }
        Ok(new)
    }));
    let options = WriteOptions { manager: "gapless".to_owned(), ..Default::default() };
    let key = ObjectKey::new("", name);
    let released = objects.change(&namespaces, &key, &release, &options, Timestamp::now()).await;
    match released {
        Ok(_) => true,
        Err(refusal) => refusal.status().code == 404,
    }
}
