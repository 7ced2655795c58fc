//! What a workload invokes, before it is driven: a first pass over it.
//!
//! A trace lists many functions that nobody invokes in the part that is replayed;
//! only the others are deployed. What always holds: names are valid, unique and begin
//! with [`PREFIX`]; memory grows with the number of functions only.

use std::collections::HashSet;
use std::time::Duration;

use gapless_workload::{TraceError, Workload};

/// What the name of everything that is deployed begins with.
pub(super) const PREFIX: &str = "replay-";
/// Characters of a name, at the most.
const NAME_LEN_MAX: usize = 63;

/// A function that the workload invokes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Used {
    /// Its index in the workload.
    pub(super) function: u32,
    /// Its name in the workload.
    pub(super) traced: String,
    /// Its name in the platform.
    pub(super) name: String,
    /// What an instance needs.
    pub(super) bytes: u64,
    /// The longest that a request works.
    pub(super) service_max: Duration,
}

/// What a workload invokes.
#[derive(Clone, Debug, Default)]
pub(super) struct Survey {
    /// In the order of the workload.
    pub(super) used: Vec<Used>,
    pub(super) invocations: u64,
    /// When the last one arrives.
    pub(super) last_at: Duration,
}

/// Reads the workload to its end.
pub(super) fn survey(mut workload: Workload) -> Result<Survey, TraceError> {
    let mut survey = Survey::default();
    let mut longest: Vec<Option<Duration>> = Vec::new();
    for arrival in workload.by_ref() {
        let arrival = arrival?;
        survey.invocations += 1;
        survey.last_at = arrival.at;
        let function = arrival.function as usize;
        if longest.len() <= function {
            longest.resize(function + 1, None);
        }
        let longest = longest[function].get_or_insert(arrival.service);
        *longest = (*longest).max(arrival.service);
    }
    let mut taken = HashSet::new();
    let functions = workload.functions().iter().zip(longest).enumerate();
    for (index, (profile, longest)) in functions {
        let Some(service_max) = longest else { continue };
        survey.used.push(Used {
            function: u32::try_from(index).unwrap_or(u32::MAX),
            traced: profile.name.clone(),
            name: name(&profile.name, index, &mut taken),
            bytes: profile.memory.0,
            service_max,
        });
    }
    Ok(survey)
}

/// A valid name for function `index`, which the workload calls `traced`.
fn name(traced: &str, index: usize, taken: &mut HashSet<String>) -> String {
    let valid = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let all: String = PREFIX.chars().chain(traced.chars().map(valid)).collect();
    let cut = |room: usize| all[..all.len().min(room)].trim_end_matches('-');
    let mut name = cut(NAME_LEN_MAX).to_owned();
    let is_whole = all.len() <= NAME_LEN_MAX && name.len() > PREFIX.len();
    if !is_whole || taken.contains(&name) {
        let mut tail = format!("-{index}");
        loop {
            name = format!("{}{tail}", cut(NAME_LEN_MAX - tail.len()));
            if !taken.contains(&name) {
                break;
            }
            // Another function is really called so.
            tail.push('x');
        }
    }
    taken.insert(name.clone());
    name
}

#[cfg(test)]
mod tests {
    use gapless_workload::{Input, ReadOptions, read};

    use super::*;

    #[test]
    fn names_are_valid_unique_and_keep_what_they_can() {
        let mut taken = HashSet::new();
        let long = "x".repeat(100);
        let traced = ["f000", "F000", "a.b/c", "", "--", "f000-1", &long, &long, "f000-1"];
        let names: Vec<String> =
            traced.iter().enumerate().map(|(at, traced)| name(traced, at, &mut taken)).collect();
        assert_eq!(names[..3], ["replay-f000", "replay-f000-1", "replay-a-b-c"]);
        assert_eq!(names[5], "replay-f000-1-5");
        for name in &names {
            assert!(gapless_types::check_name(name).is_ok(), "{name}");
            assert!(name.starts_with(PREFIX), "{name}");
        }
        assert_eq!(HashSet::<&String>::from_iter(&names).len(), traced.len());
    }

    #[test]
    fn only_what_is_invoked_counts() {
        let csv =
            "function,workload,mean_ms,minute_1,minute_2\na,x,20,2,0\nb,x,30,0,3\nc,x,5,0,0\n";
        let all = || read(vec![Input::bytes("t.csv", csv)], &ReadOptions::default()).unwrap();
        let survey = super::survey(all()).unwrap();
        assert_eq!((survey.invocations, survey.used.len()), (5, 2));
        let b = &survey.used[1];
        assert_eq!((b.function, b.traced.as_str(), b.name.as_str()), (1, "b", "replay-b"));
        assert_eq!(b.service_max, Duration::from_millis(30));
        let survey = super::survey(all().until(Duration::from_secs(60))).unwrap();
        assert_eq!(survey.used.len(), 1);
        assert!(survey.last_at < Duration::from_secs(60));
    }
}
