//! The YAML reader's sentences in other words: without advice to programmers, and with
//! what to do.

use crate::json::too_deep;
use crate::{Place, ReadError};

const INDENT: &str = "mind the indentation: spaces, no tabs, the same for fields of one mapping";
const QUOTES: &str =
    "put text that holds ': ' or ' #', or begins with one of `@%*&!|>[{`, in quotes";
const ALIASES: &str = "write it out, without so many anchors and aliases";

const UNKNOWN_ANCHOR: &str = "it refers to an anchor that is not there";

/// What a sentence begins with or holds, what is said instead (`None`: the sentence
/// itself), and what to do.
const WORDS: &[(&str, Option<&str>, &str)] = &[
    ("duplicate mapping key", None, "remove one of the two"),
    ("unknown anchor", Some(UNKNOWN_ANCHOR), "define it above by &NAME, or put the text in quotes"),
    (
        "undefined alias",
        Some(UNKNOWN_ANCHOR),
        "define it above by &NAME, or put the text in quotes",
    ),
    ("tab", Some("a tab is used for indentation"), "use spaces"),
    ("alias", Some("its aliases expand to too much"), ALIASES),
    ("anchor", Some("its aliases expand to too much"), ALIASES),
    ("budget", Some("it holds too much"), "split it"),
    ("limit", Some("it holds too much"), "split it"),
    ("mapping values are not allowed", Some("a `: ` is where no key can be"), QUOTES),
    ("unexpected character", None, QUOTES),
    ("did not find expected ',' or", None, "close every bracket, and put commas between items"),
    ("did not find expected key", None, INDENT),
    ("did not find expected '-'", None, INDENT),
];

pub(crate) fn explain(message: &str, text: &str, place: Option<Place>) -> ReadError {
    let message = plain(message);
    let lower = message.to_lowercase();
    if lower.contains("depth") || lower.contains("nest") || lower.contains("recursion") {
        return ReadError { place, ..too_deep() };
    }
    if is_tab(text, place) {
        return ReadError {
            place,
            ..ReadError::new("a tab is used for indentation", "use spaces")
        };
    }
    let found = WORDS.iter().find(|(holds, ..)| lower.contains(holds));
    let (said, help) = match found {
        Some((_, said, help)) => (said.unwrap_or(message), *help),
        None => (message, INDENT),
    };
    ReadError { place, ..ReadError::new(said, help) }
}

/// Without its place, which is told beside it, and without advice to programmers.
fn plain(message: &str) -> &str {
    let message = message.lines().next().unwrap_or_default();
    let ends = [" at line ", ", set ", "; use "];
    let cut = ends.iter().filter_map(|end| message.find(end)).min();
    message[..cut.unwrap_or(message.len())].trim_end_matches([',', ':', ' '])
}

/// Whether the line that could not be read is indented by a tab.
fn is_tab(text: &str, place: Option<Place>) -> bool {
    let Some(place) = place else { return false };
    let line = text.lines().nth(usize::try_from(place.line).unwrap_or(1).saturating_sub(1));
    let indent = line.map(|line| &line[..line.len() - line.trim_start().len()]);
    indent.is_some_and(|indent| indent.contains('\t'))
}
