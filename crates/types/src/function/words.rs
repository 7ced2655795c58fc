//! Turns a deserializer's message into one for people: what was found, what is
//! allowed, and for a misspelt word the nearest one.

/// An error of shape.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) path: String,
    pub(super) message: String,
    pub(super) kind: Kind,
}

/// What kind of error, and of which field.
#[derive(Debug)]
pub(super) enum Kind {
    /// There is no such field.
    Unknown(String),
    /// It is required.
    Missing(String),
    /// It is something else than it must be.
    Wrong,
}

/// Where people look for a field that is elsewhere, or has another name.
const ELSEWHERE: &[(&str, &str)] = &[
    ("spec.min", "spec.scale.min"),
    ("spec.max", "spec.scale.max"),
    ("spec.minScale", "spec.scale.min"),
    ("spec.maxScale", "spec.scale.max"),
    ("spec.replicas", "spec.scale.min"),
    ("spec.keepAlive", "spec.scale.keepAlive"),
    ("spec.cpu", "spec.resources.cpu"),
    ("spec.memory", "spec.resources.memory"),
    ("spec.host", "spec.access.route.host"),
    ("spec.route", "spec.access.route"),
    ("spec.hosts", "spec.access.hosts"),
    ("spec.profile", "spec.placement.profile"),
    ("spec.require", "spec.placement.require"),
    ("spec.prefer", "spec.placement.prefer"),
    ("spec.environment", "spec.env"),
    ("spec.entrypoint", "spec.command"),
    ("spec.containerConcurrency", "spec.concurrency"),
    ("spec.timeoutSeconds", "spec.timeout"),
    ("spec.volumes", "spec.files"),
    ("spec.resources.limits", "spec.resources.memory"),
    ("spec.resources.requests", "spec.resources.cpu"),
    ("name", "metadata.name"),
    ("namespace", "metadata.namespace"),
    ("labels", "metadata.labels"),
    ("env", "spec.env"),
    ("command", "spec.command"),
    ("wasm", "spec.wasm"),
];

/// The known word nearest to `word`, when it is near enough to have been meant.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = |word: &str| word.replace(['_', '-'], "").to_lowercase();
    let word = plain(word);
    let near = known.iter().map(|name| (strsim::osa_distance(&plain(name), &word), *name)).min()?;
    (near.0 <= (word.len() / 3).max(1)).then_some(near.1)
}

/// Explains the deserializer's `message` at `path`.
pub(super) fn explain(path: &str, message: &str) -> Told {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    if message.starts_with("unknown field")
        && let Some((unknown, known)) = quoted.split_first()
    {
        return unknown_field(path, unknown, known);
    }
    if message.starts_with("missing field")
        && let Some(name) = quoted.first()
    {
        let path = within(path, name);
        let kind = Kind::Missing((*name).to_owned());
        return Told { path, message: "is missing".to_owned(), kind };
    }
    let message = if message.starts_with("unknown variant")
        && let Some((unknown, known)) = quoted.split_first()
    {
        unknown_word(unknown, known)
    } else if let Some(name) =
        message.strip_prefix("data did not match any variant of untagged enum ")
    {
        alternatives(name).to_owned()
    } else {
        wrong_type(message)
    };
    Told { path: path.to_owned(), message, kind: Kind::Wrong }
}

fn within(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn unknown_field(path: &str, unknown: &str, known: &[&str]) -> Told {
    let parent = path.strip_suffix(unknown).unwrap_or(path).trim_end_matches('.');
    let path = within(parent, unknown);
    let elsewhere = ELSEWHERE.iter().find(|(found, _)| *found == path);
    let message = match (elsewhere, nearest(unknown, known)) {
        (Some((_, meant)), _) => format!("there is no such field; did you mean {meant}?"),
        (None, Some(near)) => format!("there is no such field; did you mean {near}?"),
        (None, None) if known.is_empty() => "there is no such field; remove it".to_owned(),
        (None, None) => format!("there is no such field; known are {}", known.join(", ")),
    };
    Told { path, message, kind: Kind::Unknown(unknown.to_owned()) }
}

/// "found X, allowed are ..." for a word of a closed list.
pub(super) fn unknown_word(found: &str, known: &[&str]) -> String {
    let allowed = known.join(", ");
    match nearest(found, known) {
        Some(near) => format!("found {found:?}; did you mean {near}? allowed are {allowed}"),
        None => format!("found {found:?}; allowed are {allowed}"),
    }
}

fn alternatives(name: &str) -> &'static str {
    match name {
        "LabelMatch" => {
            "expected a label's value, a list of values, or one of {notIn: [VALUE]}, \
             {exists: true}, {gt: NUMBER}, {lt: NUMBER}"
        }
        "Tolerate" => "expected a taint's key, or {key: KEY, value: VALUE}",
        _ => "is none of the forms that are allowed here",
    }
}

/// `invalid type: integer `3`, expected a string` in other words.
fn wrong_type(message: &str) -> String {
    let rest = message.strip_prefix("invalid type: ").or(message.strip_prefix("invalid value: "));
    let Some((found, expected)) = rest.and_then(|rest| rest.split_once(", expected ")) else {
        return message.to_owned();
    };
    let found = match found.split_once(' ') {
        Some(("integer" | "boolean", value)) => value.trim_matches('`').to_owned(),
        Some(("floating", value)) => {
            value.trim_start_matches("point ").trim_matches('`').to_owned()
        }
        Some(("string", value)) => format!("the text {value}"),
        _ => match found {
            "map" => "a mapping".to_owned(),
            "sequence" => "a list".to_owned(),
            "null" | "unit value" => "nothing".to_owned(),
            other => other.to_owned(),
        },
    };
    let expected = match expected {
        "a string" => "text; put it in quotes",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a mapping",
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" | "u64" | "usize" => "a whole number, 0 or more",
        "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        expected if expected.starts_with("struct ") => "a mapping",
        expected => expected,
    };
    format!("found {found}, expected {expected}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_near() {
        assert_eq!(nearest("mx", &["min", "max"]), Some("max"));
        assert_eq!(nearest("keep_alive", &["keepAlive", "max"]), Some("keepAlive"));
        assert_eq!(nearest("banana", &["min", "max"]), None);
        assert_eq!(nearest("x", &[]), None);
    }

    #[test]
    fn types_are_told_in_words() {
        let told = |message: &str| explain("a", message).message;
        assert_eq!(
            told("invalid type: integer `3`, expected a string"),
            "found 3, expected text; put it in quotes"
        );
        assert_eq!(
            told("invalid value: integer `-1`, expected u32"),
            "found -1, expected a whole number, 0 or more"
        );
        assert_eq!(
            told("invalid type: map, expected a sequence"),
            "found a mapping, expected a list"
        );
        assert_eq!(
            told("unknown variant `plnned`, expected one of `planned`, `async`"),
            "found \"plnned\"; did you mean planned? allowed are planned, async"
        );
    }
}
