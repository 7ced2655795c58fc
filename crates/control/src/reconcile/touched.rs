//! Tells those who watch functions that instances changed: soon, and each function once
//! for all that happened to it meanwhile. A start and a stop are half a dozen changes,
//! and what is told is the function as it is then.

use std::sync::Arc;
use std::time::Duration;

use gapless_declared::ObjectKey;

use crate::Control;

/// How long changes are gathered: what people do not notice.
const TOLD_WITHIN: Duration = Duration::from_millis(20);

/// Tells what is marked, for ever.
pub(crate) async fn tell_touched(control: &Arc<Control>) {
    let marks = &control.reconcilers.touched;
    loop {
        marks.rung().await;
        let until = control.clock().now() + TOLD_WITHIN;
        control.clock().sleep_until(until).await;
        for key in marks.take(usize::MAX) {
            // Whoever watched may have left.
            let _ = control.touched.send(ObjectKey::new(key.namespace(), key.name()));
        }
    }
}
