//! Stores a function's status: its conditions, its traffic, the course of its rollout.
//! Not its counts of instances: nothing is stored when one starts.

use std::sync::Arc;

use futures::stream::{self, StreamExt as _};
use gapless_declared::ObjectKey;
use gapless_types::FunctionKey;
use serde_json::Value;

use super::AGAIN_AFTER;
use crate::Control;
use crate::kinds::FUNCTIONS;

/// Functions that are looked at in one go; they share fsyncs.
const BATCH_MAX: usize = 64;
/// Counts, which are shown and not stored.
const COUNTS: &[&str] = &["readyInstances", "startingInstances", "coldShare", "queued"];

/// Stores what is marked, for ever.
pub(crate) async fn settle_statuses(control: &Arc<Control>) {
    let marks = &control.reconcilers.status;
    loop {
        if marks.is_empty() {
            marks.rung().await;
        }
        let keys = marks.take(BATCH_MAX);
        let settled = stream::iter(keys).map(|key| settle(control, key));
        let failed: Vec<FunctionKey> =
            settled.buffer_unordered(BATCH_MAX).filter_map(std::future::ready).collect().await;
        if !failed.is_empty() {
            failed.iter().for_each(|key| marks.mark(key));
            let mut at = control.clock().now();
            at += AGAIN_AFTER;
            control.clock().sleep_until(at).await;
        }
    }
}

/// Stores one function's status. Returns its key if that failed.
async fn settle(control: &Arc<Control>, key: FunctionKey) -> Option<FunctionKey> {
    let functions = control.resource(&FUNCTIONS)?;
    let object = ObjectKey::new(key.namespace(), key.name());
    let settled = control.objects().settle(&functions, &object, |object| {
        let Some((status, course)) = control.to_store(&key, &object["status"]) else {
            return false;
        };
        // What was declared meanwhile is settled when it has taken effect.
        let newer = object.pointer("/status/latestCreatedRevision");
        if newer.is_some_and(|newer| *newer != status["latestCreatedRevision"]) {
            return false;
        }
        if object["status"] == status && object["course"] == course {
            return false;
        }
        (object["status"], object["course"]) = (status, course);
        true
    });
    match settled.await {
        Ok(_) => None,
        Err(refusal) => {
            let why = &refusal.status().message;
            tracing::warn!(function = %key, why, "cannot store a status");
            Some(key)
        }
    }
}

impl Control {
    /// A function's status and the course of its rollout, as they are stored.
    fn to_store(&self, key: &FunctionKey, stored: &Value) -> Option<(Value, Value)> {
        let course = {
            let functions = self.functions().lock();
            serde_json::to_value(&functions.get(key)?.rollout).ok()?
        };
        let mut status = serde_json::to_value(self.status_of(key, stored)?).ok()?;
        if let Some(fields) = status.as_object_mut() {
            COUNTS.iter().for_each(|count| {
                fields.remove(*count);
            });
        }
        Some((status, course))
    }
}
