//! Label selectors: `app=web,tier in (a, b),!canary` (Kubernetes, "Labels and
//! Selectors"). An empty selector means everything.

use serde_json::{Map, Value};

use super::{SelectorError, check_length};
use crate::meta;

/// All of its requirements must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    requirements: Vec<LabelRequirement>,
}

/// What one label must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelRequirement {
    /// The label's name.
    pub key: String,
    /// The comparison.
    pub operator: LabelOperator,
    /// What it is compared with; empty for presence.
    pub values: Vec<String>,
}

/// How a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelOperator {
    /// The value is one of these: `=`, `==`, `in`.
    In,
    /// The value is none of these, or the label is absent: `!=`, `notin`.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is not there.
    DoesNotExist,
    /// The value is a whole number above this: `>`.
    GreaterThan,
    /// The value is a whole number below this: `<`.
    LessThan,
}

impl LabelSelector {
    /// Reads a selector.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        check_length(text)?;
        Parser { text, rest: text }.selector()
    }

    /// Whether it means everything.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// What must hold.
    pub fn requirements(&self) -> &[LabelRequirement] {
        &self.requirements
    }

    /// Whether `object`'s `metadata.labels` are meant.
    pub fn matches(&self, object: &Value) -> bool {
        if self.requirements.is_empty() {
            return true;
        }
        let labels = object.get("metadata").and_then(|metadata| metadata.get("labels"));
        let labels = labels.and_then(Value::as_object);
        self.requirements.iter().all(|requirement| requirement.matches(labels))
    }
}

impl LabelRequirement {
    fn matches(&self, labels: Option<&Map<String, Value>>) -> bool {
        let value = labels.and_then(|labels| labels.get(&self.key)).and_then(Value::as_str);
        let number = |text: &str| text.parse::<i64>().ok();
        let compare = |holds: fn(i64, i64) -> bool| {
            let bound = self.values.first().and_then(|bound| number(bound));
            matches!((value.and_then(number), bound), (Some(a), Some(b)) if holds(a, b))
        };
        let is_one_of = || value.is_some_and(|value| self.values.iter().any(|one| one == value));
        match self.operator {
            LabelOperator::In => is_one_of(),
            LabelOperator::NotIn => !is_one_of(),
            LabelOperator::Exists => value.is_some(),
            LabelOperator::DoesNotExist => value.is_none(),
            LabelOperator::GreaterThan => compare(|a, b| a > b),
            LabelOperator::LessThan => compare(|a, b| a < b),
        }
    }
}

/// What is left to read of a selector.
struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
}

/// Characters that end a word.
const ENDS: &[char] = &['=', '!', '<', '>', '(', ')', ',', ' ', '\t', '\n', '\r'];

impl<'a> Parser<'a> {
    fn selector(mut self) -> Result<LabelSelector, SelectorError> {
        let mut requirements = Vec::new();
        self.skip_space();
        while !self.rest.is_empty() {
            requirements.push(self.requirement()?);
            self.skip_space();
            if self.rest.is_empty() {
                break;
            }
            if !self.take(",") {
                return Err(self.error("',' or the end"));
            }
            self.skip_space();
            if self.rest.is_empty() {
                return Err(self.error("another requirement after ','"));
            }
        }
        Ok(LabelSelector { requirements })
    }

    fn requirement(&mut self) -> Result<LabelRequirement, SelectorError> {
        if self.take("!") {
            self.skip_space();
            let key = self.key()?;
            return Ok(LabelRequirement {
                key,
                operator: LabelOperator::DoesNotExist,
                values: Vec::new(),
            });
        }
        let key = self.key()?;
        self.skip_space();
        let (operator, values) = self.comparison()?;
        Ok(LabelRequirement { key, operator, values })
    }

    fn comparison(&mut self) -> Result<(LabelOperator, Vec<String>), SelectorError> {
        if self.rest.is_empty() || self.rest.starts_with(',') {
            return Ok((LabelOperator::Exists, Vec::new()));
        }
        let one = [
            ("==", LabelOperator::In),
            ("=", LabelOperator::In),
            ("!=", LabelOperator::NotIn),
            (">", LabelOperator::GreaterThan),
            ("<", LabelOperator::LessThan),
        ];
        for (sign, operator) in one {
            if self.take(sign) {
                self.skip_space();
                let value = self.value()?;
                let is_order =
                    matches!(operator, LabelOperator::GreaterThan | LabelOperator::LessThan);
                if is_order && value.parse::<i64>().is_err() {
                    return Err(self.wrong("label value", &value, "must be a whole number"));
                }
                return Ok((operator, vec![value]));
            }
        }
        let operator = match self.word() {
            "in" => LabelOperator::In,
            "notin" => LabelOperator::NotIn,
            word => return Err(self.error_at(word, OPERATORS)),
        };
        Ok((operator, self.values()?))
    }

    fn values(&mut self) -> Result<Vec<String>, SelectorError> {
        self.skip_space();
        if !self.take("(") {
            return Err(self.error("'(' and values"));
        }
        let mut values = Vec::new();
        loop {
            self.skip_space();
            values.push(self.value()?);
            self.skip_space();
            if self.take(")") {
                return Ok(values);
            }
            if !self.take(",") {
                return Err(self.error("',' or ')'"));
            }
        }
    }

    fn key(&mut self) -> Result<String, SelectorError> {
        let word = self.word();
        if word.is_empty() {
            return Err(self.error("a label name, or '!' and one"));
        }
        match meta::label_name_error(word) {
            Some(rule) => Err(self.wrong("label name", word, rule)),
            None => Ok(word.to_owned()),
        }
    }

    fn value(&mut self) -> Result<String, SelectorError> {
        let word = self.word();
        match meta::label_value_error(word) {
            Some(rule) => Err(self.wrong("label value", word, rule)),
            None => Ok(word.to_owned()),
        }
    }

    fn word(&mut self) -> &'a str {
        let end = self.rest.find(ENDS).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn take(&mut self, sign: &str) -> bool {
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn error(&self, expected: &'static str) -> SelectorError {
        let next: String = self.rest.chars().take(20).collect();
        self.error_at(&next, expected)
    }

    fn error_at(&self, found: &str, expected: &'static str) -> SelectorError {
        SelectorError::Label { selector: self.text.to_owned(), found: found.to_owned(), expected }
    }

    fn wrong(&self, what: &'static str, found: &str, expected: &'static str) -> SelectorError {
        let (selector, found) = (self.text.to_owned(), found.to_owned());
        SelectorError::LabelSyntax { selector, what, found, expected }
    }
}

const OPERATORS: &str = "in, notin, =, ==, !=, > or <";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn is_meant(selector: &str, labels: Value) -> bool {
        LabelSelector::parse(selector).unwrap().matches(&json!({"metadata": {"labels": labels}}))
    }

    #[test]
    fn selectors_mean_what_the_documentation_says() {
        let labels = json!({"app": "web", "tier": "a", "n": "5", "empty": ""});
        for yes in [
            "",
            "app=web",
            "app==web",
            "app = web",
            "app!=db",
            "x!=y",
            "app",
            "!x",
            "! x",
            "tier in (a,b)",
            "tier in ( a , b )",
            "tier notin (c)",
            "x notin (a)",
            "n>4",
            "n<6",
            "app=web,tier in (a),!x",
            "empty=",
            "empty in ()",
            "gapless.dev/x!=1",
        ] {
            assert!(is_meant(yes, labels.clone()), "{yes}");
        }
        for no in ["app=db", "!app", "x", "tier notin (a,b)", "n>5", "x>1", "app>1", "app=web,x"] {
            assert!(!is_meant(no, labels.clone()), "{no}");
        }
        assert!(LabelSelector::parse("a notin (b)").unwrap().matches(&json!({})));
    }

    #[test]
    fn errors_name_the_part_at_fault() {
        for (bad, part) in [
            ("a b", "\"b\""),
            ("a in b", "\"b\""),
            ("a in (b", "\"\""),
            ("a=b,", "\"\""),
            ("=b", "\"=b\""),
            ("-a=b", "\"-a\""),
            ("a=b c", "\"c\""),
            ("a=/", "\"/\""),
            ("a>x", "\"x\""),
            (",", "\",\""),
            ("a in (x;y)", "\"x;y\""),
        ] {
            let error = LabelSelector::parse(bad).unwrap_err().to_string();
            assert!(error.contains(part), "{bad}: {error}");
        }
        assert!(LabelSelector::parse(&"a,".repeat(20_000)).is_err());
    }
}
