//! How two texts differ, line by line, as `diff -u` shows it.
//!
//! The longest common subsequence of lines, by the table of its lengths: objects have
//! hundreds of lines, so its square fits. What begins and ends alike is not in it.

use std::fmt::Write;

/// Lines shown around a change.
const CONTEXT: usize = 3;
/// Most cells of the table; texts that differ in more are shown as replaced.
const CELLS_MAX: usize = 16 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edit {
    Keep,
    Remove,
    Add,
}

/// The difference of two texts; empty when there is none.
pub(crate) fn diff(from: &str, to: &str, from_name: &str, to_name: &str) -> String {
    if from == to {
        return String::new();
    }
    let (old, new): (Vec<&str>, Vec<&str>) = (from.lines().collect(), to.lines().collect());
    let edits = edits(&old, &new);
    let mut text = format!("--- {from_name}\n+++ {to_name}\n");
    for (begin, end) in hunks(&edits) {
        hunk(&mut text, &edits, (begin, end), &old, &new);
    }
    text
}

fn edits(old: &[&str], new: &[&str]) -> Vec<Edit> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[head..], &new[head..]);
    let tail = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[..old.len() - tail], &new[..new.len() - tail]);
    let mut edits = vec![Edit::Keep; head];
    if old.len().saturating_mul(new.len()) > CELLS_MAX {
        edits.extend(std::iter::repeat_n(Edit::Remove, old.len()));
        edits.extend(std::iter::repeat_n(Edit::Add, new.len()));
    } else {
        middle(old, new, &mut edits);
    }
    edits.extend(std::iter::repeat_n(Edit::Keep, tail));
    edits
}

fn middle(old: &[&str], new: &[&str], edits: &mut Vec<Edit>) {
    let width = new.len() + 1;
    // Of the rest of both texts from line `a` and line `b`.
    let mut common = vec![0_u32; (old.len() + 1) * width];
    for a in (0..old.len()).rev() {
        for b in (0..new.len()).rev() {
            common[a * width + b] = match old[a] == new[b] {
                true => common[(a + 1) * width + b + 1] + 1,
                false => common[(a + 1) * width + b].max(common[a * width + b + 1]),
            };
        }
    }
    let (mut a, mut b) = (0, 0);
    while a < old.len() || b < new.len() {
        if a < old.len() && b < new.len() && old[a] == new[b] {
            edits.push(Edit::Keep);
            (a, b) = (a + 1, b + 1);
        } else if b == new.len()
            || (a < old.len() && common[(a + 1) * width + b] >= common[a * width + b + 1])
        {
            edits.push(Edit::Remove);
            a += 1;
        } else {
            edits.push(Edit::Add);
            b += 1;
        }
    }
}

/// Ranges of edits: changes with what is around them.
fn hunks(edits: &[Edit]) -> Vec<(usize, usize)> {
    let mut hunks: Vec<(usize, usize)> = Vec::new();
    for (at, _) in edits.iter().enumerate().filter(|(_, edit)| **edit != Edit::Keep) {
        let (begin, end) = (at.saturating_sub(CONTEXT), (at + 1 + CONTEXT).min(edits.len()));
        match hunks.last_mut() {
            Some((_, last)) if begin <= *last => *last = end,
            _ => hunks.push((begin, end)),
        }
    }
    hunks
}

fn hunk(text: &mut String, edits: &[Edit], range: (usize, usize), old: &[&str], new: &[&str]) {
    let count = |edits: &[Edit], not: Edit| edits.iter().filter(|edit| **edit != not).count();
    let (before, within) = (&edits[..range.0], &edits[range.0..range.1]);
    let (mut a, mut b) = (count(before, Edit::Add), count(before, Edit::Remove));
    let (from, to) = (count(within, Edit::Add), count(within, Edit::Remove));
    // An empty range is named by the line before it.
    let (from_line, to_line) = (a + usize::from(from > 0), b + usize::from(to > 0));
    let _ = writeln!(text, "@@ -{from_line},{from} +{to_line},{to} @@");
    for edit in within {
        let _ = match edit {
            Edit::Keep => writeln!(text, " {}", old[a]),
            Edit::Remove => writeln!(text, "-{}", old[a]),
            Edit::Add => writeln!(text, "+{}", new[b]),
        };
        a += usize::from(*edit != Edit::Add);
        b += usize::from(*edit != Edit::Remove);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_shown_with_what_is_around_it() {
        let from = "a\nb\nc\nd\ne\nf\ng\nh\ni\n";
        let to = "a\nb\nc\nd\nE\nf\ng\nh\ni\n";
        let expected = "--- x\n+++ y\n@@ -2,7 +2,7 @@\n b\n c\n d\n-e\n+E\n f\n g\n h\n";
        assert_eq!(diff(from, to, "x", "y"), expected);
        assert_eq!(diff(from, from, "x", "y"), "");
    }

    #[test]
    fn what_is_new_or_gone_is_told_by_empty_ranges() {
        assert_eq!(diff("", "a\n", "x", "y"), "--- x\n+++ y\n@@ -0,0 +1,1 @@\n+a\n");
        assert_eq!(diff("a\n", "", "x", "y"), "--- x\n+++ y\n@@ -1,1 +0,0 @@\n-a\n");
    }

    #[test]
    fn changes_far_apart_are_hunks_of_their_own_and_apply() {
        let lines = |change: fn(usize) -> Option<String>| {
            (0..40).filter_map(change).map(|line| line + "\n").collect::<String>()
        };
        let from = lines(|n| Some(n.to_string()));
        let to = lines(|n| (n != 3).then(|| if n == 30 { "x".to_owned() } else { n.to_string() }));
        let text = diff(&from, &to, "x", "y");
        assert_eq!(text.matches("@@ -").count(), 2, "{text}");
        assert!(text.contains("@@ -1,7 +1,6 @@"), "{text}");
        assert!(text.contains("@@ -28,7 +27,7 @@"), "{text}");
    }
}
