//! Which revision takes which share of a function's requests: `spec.traffic`.
//!
//! The shape is that of a Knative route's traffic block (Knative Serving API
//! specification, `TrafficTarget`). A lone entry takes everything, an entry with
//! nothing but a tag takes nothing; both are filled in when the list is read, so
//! that what is read back says what holds.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, LazyLock};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::FieldError;
use crate::{FunctionKey, RevisionName};

/// What stands between a tag and a function's name in a host name. No function's
/// name contains it.
pub const TAG_SEPARATOR: &str = "---";
/// Most entries of `spec.traffic`.
const TARGETS_MAX: usize = 32;
/// Longest DNS label (RFC 1035, section 2.3.4).
const LABEL_LEN_MAX: usize = 63;
/// Digits of a generation in a revision's name, at the least.
const GENERATION_DIGITS_MIN: usize = 5;

/// One entry of `spec.traffic`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrafficTarget {
    /// Which revision; `latest` when not given.
    #[schemars(default)]
    pub revision: RevisionRef,
    /// Share of the requests, in percent, 0 to 100. The list's sum is 100. When not
    /// given: 100 for a lone entry, 0 for one with a tag.
    #[schemars(default)]
    pub percent: u32,
    /// A DNS label that, as `TAG---NAME`, is a host name and a path of this revision
    /// alone, whatever its percent; none when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

impl TrafficTarget {
    /// Everything to the latest revision.
    pub fn everything() -> Self {
        TrafficTarget { revision: RevisionRef::Latest, percent: 100, tag: None }
    }
}

/// A revision as people name it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum RevisionRef {
    /// `latest`: the newest that has proven itself. During a rollout, its share is
    /// divided between the one before and the new one.
    #[default]
    Latest,
    /// This one, such as `hello-00002`.
    Named(String),
}

impl RevisionRef {
    /// The revision of `function` that is named; `None` for `latest` and for a name
    /// that is none of the function's.
    pub fn named(&self, function: &FunctionKey) -> Option<RevisionName> {
        let RevisionRef::Named(short) = self else { return None };
        let generation = generation_of(short, function.name())?;
        Some(RevisionName::new(function, generation))
    }
}

impl fmt::Display for RevisionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RevisionRef::Latest => f.write_str("latest"),
            RevisionRef::Named(short) => f.write_str(short),
        }
    }
}

impl Serialize for RevisionRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for RevisionRef {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RevisionRef".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

impl<'de> Deserialize<'de> for RevisionRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(if text == "latest" { RevisionRef::Latest } else { RevisionRef::Named(text) })
    }
}

/// The generation in `short`, if it is the canonical name of a revision of `function`.
fn generation_of(short: &str, function: &str) -> Option<u64> {
    let digits = short.strip_prefix(function)?.strip_prefix('-')?;
    let generation: u64 = digits.parse().ok()?;
    let is_canonical = digits.len() == GENERATION_DIGITS_MIN
        || (digits.len() > GENERATION_DIGITS_MIN && !digits.starts_with('0'));
    (is_canonical && generation > 0 && digits.bytes().all(|b| b.is_ascii_digit()))
        .then_some(generation)
}

/// An entry as it is written.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    #[serde(default)]
    revision: RevisionRef,
    #[serde(default)]
    percent: Option<u32>,
    #[serde(default)]
    tag: Option<String>,
}

/// Everything to the latest revision: what most functions say, and share.
pub(super) fn everything() -> Arc<[TrafficTarget]> {
    static EVERYTHING: LazyLock<Arc<[TrafficTarget]>> =
        LazyLock::new(|| [TrafficTarget::everything()].into());
    Arc::clone(&EVERYTHING)
}

/// Reads the list and fills in what was left out.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Arc<[TrafficTarget]>, D::Error> {
    let written = Vec::<Written>::deserialize(deserializer)?;
    let when_absent = if written.len() == 1 { 100 } else { 0 };
    let fill = |Written { revision, percent, tag }| TrafficTarget {
        revision,
        percent: percent.unwrap_or(when_absent),
        tag,
    };
    let read: Vec<TrafficTarget> = written.into_iter().map(fill).collect();
    let everything = everything();
    Ok(if read == *everything { everything } else { read.into() })
}

pub(super) fn serialize<S: Serializer>(
    targets: &[TrafficTarget],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(targets)
}

/// Checks `spec.traffic` of the function called `name`.
pub(super) fn check(targets: &[TrafficTarget], name: &str, errors: &mut Vec<FieldError>) {
    if targets.is_empty() || targets.len() > TARGETS_MAX {
        let message = format!(
            "has {} entries, allowed are 1 to {TARGETS_MAX}; leave it out for \
             [{{revision: latest, percent: 100}}]",
            targets.len()
        );
        return errors.push(FieldError::new("spec.traffic", message));
    }
    let (mut tags, mut untagged) = (BTreeSet::new(), BTreeSet::new());
    let already = errors.len();
    for (index, target) in targets.iter().enumerate() {
        let path = |field: &str| format!("spec.traffic[{index}].{field}");
        if let RevisionRef::Named(short) = &target.revision
            && generation_of(short, name).is_none()
        {
            let message = format!(
                "{short:?} is no revision of {name}; use latest, or a name such as {name}-00001 \
                 (`gapless get revisions` lists them)"
            );
            errors.push(FieldError::new(path("revision"), message));
        }
        if target.percent > 100 {
            let message = format!("found {}, allowed is 0 to 100", target.percent);
            errors.push(FieldError::new(path("percent"), message));
        }
        match &target.tag {
            Some(tag) => check_tag(tag, name, tags.insert(tag), path("tag"), errors),
            None if target.percent == 0 => {
                let message = "is 0 and there is no tag, so nothing would lead to it; give it a \
                               percent or a tag, or remove the entry";
                errors.push(FieldError::new(path("percent"), message));
            }
            None if !untagged.insert(target.revision.to_string()) => {
                let message = format!(
                    "{} has an entry without tag already; add up the percents",
                    target.revision
                );
                errors.push(FieldError::new(path("revision"), message));
            }
            None => {}
        }
    }
    let sum: u64 = targets.iter().map(|target| u64::from(target.percent)).sum();
    if sum != 100 && errors.len() == already {
        let message = format!("the percents sum to {sum}, and must sum to 100");
        errors.push(FieldError::new("spec.traffic", message));
    }
}

fn check_tag(tag: &str, name: &str, is_new: bool, path: String, errors: &mut Vec<FieldError>) {
    let len = tag.len() + TAG_SEPARATOR.len() + name.len();
    let message = if crate::check_name(tag).is_err() {
        format!(
            "{tag:?} is not a DNS label: use lower-case letters, digits and '-', beginning and \
             ending with a letter or digit"
        )
    } else if len > LABEL_LEN_MAX {
        format!(
            "{tag}{TAG_SEPARATOR}{name} has {len} characters and, as part of a host name, may \
             have {LABEL_LEN_MAX}; choose a tag of at most {}",
            LABEL_LEN_MAX.saturating_sub(TAG_SEPARATOR.len() + name.len())
        )
    } else if !is_new {
        format!("{tag:?} is there twice; a tag leads to one revision")
    } else {
        return;
    };
    errors.push(FieldError::new(path, message));
}
