//! Field selectors: `status.node=a,metadata.name!=b`. Which fields a kind can
//! be selected by, its descriptor says.

use serde_json::Value;

use super::{SelectorError, check_length};
use crate::descriptor::{Descriptor, at};

/// All of its terms must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    terms: Vec<Term>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    path: String,
    is_equal: bool,
    value: String,
}

impl FieldSelector {
    /// Reads a selector of objects of one kind.
    pub fn parse(text: &str, kind: &Descriptor) -> Result<Self, SelectorError> {
        check_length(text)?;
        let mut terms = Vec::new();
        for part in split(text).into_iter().filter(|part| !part.is_empty()) {
            let term = Term::parse(part).ok_or_else(|| SelectorError::Field {
                selector: text.to_owned(),
                found: part.to_owned(),
            })?;
            check_known(&term.path, kind)?;
            terms.push(term);
        }
        Ok(FieldSelector { terms })
    }

    /// Whether it means everything.
    pub fn is_everything(&self) -> bool {
        self.terms.is_empty()
    }

    /// The value that `path` must be, if the selector says so: a server can look up
    /// `metadata.name` instead of reading every object.
    pub fn exactly(&self, path: &str) -> Option<&str> {
        let term = self.terms.iter().find(|term| term.path == path && term.is_equal)?;
        Some(&term.value)
    }

    /// Whether `object` is meant. A field that is absent is as good as empty.
    pub fn matches(&self, object: &Value) -> bool {
        self.terms.iter().all(|term| {
            let is_same = match at(object, &term.path) {
                None | Some(Value::Null) => term.value.is_empty(),
                Some(Value::String(text)) => *text == term.value,
                Some(other) => shows(other, &term.value),
            };
            is_same == term.is_equal
        })
    }
}

impl Term {
    fn parse(part: &str) -> Option<Term> {
        let sign = part.find(['=', '!'])?;
        let (path, rest) = part.split_at(sign);
        let (is_equal, value) = if let Some(value) = rest.strip_prefix("!=") {
            (false, value)
        } else if let Some(value) = rest.strip_prefix("==") {
            (true, value)
        } else {
            (true, rest.strip_prefix('=')?)
        };
        let path = path.trim();
        if path.is_empty() {
            return None;
        }
        Some(Term { path: path.to_owned(), is_equal, value: unescape(value.trim())? })
    }
}

/// Whether a number or a flag is written as `text`.
fn shows(value: &Value, text: &str) -> bool {
    value.to_string().as_str() == text
}

/// Splits at commas that no backslash stands before.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut is_escaped) = (0, false);
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b',' => {
                parts.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// Takes `\\`, `\,` and `\=` for what they stand for; nothing else may be escaped.
fn unescape(value: &str) -> Option<String> {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => out.push(chars.next().filter(|next| ['\\', ',', '='].contains(next))?),
            '=' | ',' => return None,
            other => out.push(other),
        }
    }
    Some(out)
}

fn check_known(path: &str, kind: &Descriptor) -> Result<(), SelectorError> {
    let mut known = vec!["metadata.name"];
    if kind.is_namespaced {
        known.push("metadata.namespace");
    }
    known.extend(kind.selectable);
    if known.contains(&path) {
        return Ok(());
    }
    let (field, known) = (path.to_owned(), known.join(", "));
    Err(SelectorError::UnknownField { field, kind: kind.kind, known })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::{EVENT, NAMESPACE};

    fn is_meant(selector: &str) -> bool {
        let event = json!({
            "metadata": {"name": "e", "namespace": "default"},
            "involvedObject": {"kind": "Function", "name": "a,b=c\\"}, "type": "Normal",
        });
        FieldSelector::parse(selector, &EVENT).unwrap().matches(&event)
    }

    #[test]
    fn fields_are_compared() {
        for yes in [
            "",
            "metadata.name=e",
            "metadata.name==e",
            "metadata.name!=f",
            "reason=",
            "involvedObject.kind=Function,metadata.namespace=default",
            "reason!=x",
            "involvedObject.name=a\\,b\\=c\\\\",
        ] {
            assert!(is_meant(yes), "{yes}");
        }
        for no in ["metadata.name=f", "reason=x", "metadata.name=e,type=Warning"] {
            assert!(!is_meant(no), "{no}");
        }
        let selector = FieldSelector::parse("metadata.name=e,type!=x", &EVENT).unwrap();
        assert_eq!(selector.exactly("metadata.name"), Some("e"));
        assert_eq!(selector.exactly("type"), None);
    }

    #[test]
    fn errors_name_the_part_at_fault() {
        for (bad, part) in [
            ("spec.foo=1", "\"spec.foo\""),
            ("metadata.name", "\"metadata.name\""),
            ("type=a=b", "\"type=a=b\""),
            ("type=\\a", "type=\\\\a"),
            ("=x", "\"=x\""),
            ("type!x", "\"type!x\""),
        ] {
            let error = FieldSelector::parse(bad, &EVENT).unwrap_err().to_string();
            assert!(error.contains(part), "{bad}: {error}");
        }
        let error = FieldSelector::parse("metadata.namespace=a", &NAMESPACE).unwrap_err();
        assert!(
            error.to_string().contains("Namespace can be selected by metadata.name"),
            "{error}"
        );
    }
}
