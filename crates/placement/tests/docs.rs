//! `docs/policies.md` and the registry name the same policies, with the same weights.

use gapless_placement::registry::{POLICIES, Phase};

#[test]
fn every_policy_has_its_row() {
    let page = include_str!("../../../docs/policies.md");
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    for policy in POLICIES {
        let row = rows.iter().find(|row| row.starts_with(&format!("| `{}` |", policy.name)));
        let row = row.unwrap_or_else(|| panic!("docs/policies.md has no row for {}", policy.name));
        if policy.phase == Phase::Score {
            let weight = policy.default_weight.map_or(String::new(), |weight| weight.to_string());
            assert_eq!(row.split('|').nth(2).map(str::trim), Some(&*weight), "{}", policy.name);
        }
        for opposed in policy.opposes {
            let told =
                opposed.replace("least-allocated", "least-").replace("most-allocated", "most-");
            assert!(
                row.contains(opposed) || row.contains(&told),
                "{} against {opposed}",
                policy.name
            );
        }
    }
    assert_eq!(rows.len(), POLICIES.len(), "rows without a policy");
}
