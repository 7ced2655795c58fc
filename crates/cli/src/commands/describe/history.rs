//! What happened to a function and which revisions it has: tables of `describe`.

use std::fmt::Write;

use gapless_api::{List, Revision};
use jiff::Timestamp;
use serde_json::Value;

use crate::output::{Table, age};

/// Events shown, the latest.
const EVENTS_SHOWN: usize = 15;
/// Revisions shown, the newest.
const REVISIONS_SHOWN: usize = 10;

/// A table under a heading, indented.
pub(super) fn section(heading: &str, table: &str) -> String {
    let mut text = format!("\n{heading}:\n");
    for line in table.lines() {
        let _ = writeln!(text, "  {line}");
    }
    text
}

/// The function's revisions, newest first.
pub(super) fn revisions(list: &List<Revision>, now: Timestamp) -> String {
    if list.items.is_empty() {
        return "\nRevisions: none yet\n".to_owned();
    }
    let rows: Vec<Vec<String>> = list
        .items
        .iter()
        .rev()
        .take(REVISIONS_SHOWN)
        .map(|revision| {
            let status = &revision.status;
            vec![
                revision.metadata.name.clone(),
                status.state.clone(),
                format!("{}%", status.percent),
                status.ready_instances.to_string(),
                age(&revision.metadata.creation_timestamp, now),
                status.message.clone(),
            ]
        })
        .collect();
    let header = ["REVISION", "STATE", "SHARE", "INSTANCES", "AGE", "MESSAGE"];
    section(&format!("Revisions ({})", list.items.len()), &Table::render(&header, &rows))
}

/// What happened lately, oldest first.
pub(super) fn events(mut events: Vec<Value>, now: Timestamp) -> String {
    if events.is_empty() {
        return "\nEvents: none in the last hour\n".to_owned();
    }
    let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
    events.sort_by_key(|event| text(event, "lastTimestamp"));
    let rows: Vec<Vec<String>> = events[events.len().saturating_sub(EVENTS_SHOWN)..]
        .iter()
        .map(|event| {
            let count = event["count"].as_u64().unwrap_or(1);
            let times = if count > 1 { format!(" (x{count})") } else { String::new() };
            vec![
                age(&text(event, "lastTimestamp"), now),
                text(event, "type"),
                text(event, "reason"),
                format!("{}{times}", text(event, "message").replace('\n', " ")),
            ]
        })
        .collect();
    section("Events", &Table::render(&["AGE", "TYPE", "REASON", "MESSAGE"], &rows))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_are_in_their_order_and_counted() {
        let now: Timestamp = "2026-01-02T00:01:00Z".parse().unwrap();
        let event = |time: &str, reason: &str, count: u64| json!({"lastTimestamp": time, "type": "Normal", "reason": reason, "message": "m", "count": count});
        let later = event("2026-01-02T00:00:55Z", "Promoted", 3);
        let text = events(vec![later, event("2026-01-02T00:00:30Z", "Ready", 1)], now);
        assert!(text.contains("  30s   Normal   Ready      m\n"), "{text}");
        assert!(text.ends_with("  5s    Normal   Promoted   m (x3)\n"), "{text}");
        assert!(events(Vec::new(), now).contains("none"));
    }
}
