//! Which policies cannot be together. Two relations, stated by the policies:
//! *opposes* (two scores want the opposite, such as packing and spreading) and
//! *overrules* (beside the one, the other has no effect). A profile may add an
//! order of its own, `before`.
//!
//! Refused: two opposed scores and no third to decide; a cycle in which each
//! policy takes the effect of, or comes before, the next. Anything else is legal,
//! and opposed pairs in it are reported.

use super::{Chosen, ProfileError};
use crate::registry::{self, Phase};

pub(super) fn check(chosen: &[Chosen<'_>], errors: &mut Vec<ProfileError>) {
    let weighs = |c: &&Chosen<'_>| c.entry.phase == Phase::Score && c.weight > 0.0;
    let scores: Vec<&str> = chosen.iter().filter(weighs).map(|c| c.entry.name).collect();
    if scores.len() == 2
        && let [(one, other)] = opposed(&scores)[..]
    {
        let message = format!(
            "{one} and {other} want the opposite and nothing else decides: \
             drop one of them, or add a score that is neither"
        );
        errors.push(ProfileError::new("spec.policies", message));
    }
    if let Some(cycle) = cycle(chosen) {
        let message = format!(
            "{} form a cycle: each takes precedence over the next, so none has an effect; \
             drop one of them",
            cycle.join(" -> ")
        );
        errors.push(ProfileError::new("spec.policies", message));
    }
}

/// The opposed pairs among these policies.
pub(super) fn opposed(names: &[&'static str]) -> Vec<(&'static str, &'static str)> {
    let mut pairs = Vec::new();
    for (index, one) in names.iter().enumerate() {
        for other in &names[index + 1..] {
            let opposes = |a: &str, b: &str| {
                registry::find(a).is_some_and(|entry| entry.opposes.contains(&b))
            };
            if opposes(one, other) || opposes(other, one) {
                pairs.push((*one, *other));
            }
        }
    }
    pairs
}

/// A cycle of precedence, as the names on it, if there is one.
fn cycle(chosen: &[Chosen<'_>]) -> Option<Vec<String>> {
    let next = |index: usize| {
        let this = &chosen[index];
        let before = this.spec.map_or(&[][..], |spec| &spec.before);
        let is_after = |name: &str| {
            this.entry.overrules.contains(&name) || before.iter().any(|before| before == name)
        };
        chosen.iter().enumerate().filter(move |(_, other)| is_after(other.entry.name))
    };
    // 0: not seen, 1: on the path, 2: done. At most one visit per policy.
    let mut seen = vec![0_u8; chosen.len()];
    for start in 0..chosen.len() {
        let mut path = vec![(start, next(start).map(|(i, _)| i).collect::<Vec<_>>())];
        if seen[start] != 0 {
            continue;
        }
        seen[start] = 1;
        while let Some((index, left)) = path.last_mut() {
            let Some(other) = left.pop() else {
                seen[*index] = 2;
                path.pop();
                continue;
            };
            if seen[other] == 1 {
                let on_path = path.iter().map(|(index, _)| *index);
                let mut names: Vec<String> = on_path
                    .skip_while(|index| *index != other)
                    .map(|index| chosen[index].entry.name.to_owned())
                    .collect();
                names.push(chosen[other].entry.name.to_owned());
                return Some(names);
            }
            if seen[other] == 0 {
                seen[other] = 1;
                path.push((other, next(other).map(|(i, _)| i).collect()));
            }
        }
    }
    None
}
