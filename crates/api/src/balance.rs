//! What the balancer learned and which policies conflict, as the API shows it.

use gapless_placement::balance::Report;
use gapless_placement::conflicts::Pair;
use serde::{Deserialize, Serialize};

/// Where the balancer's report is.
pub fn balance_path() -> String {
    format!("{}/balance", crate::ROOT)
}

/// Where learning is frozen (`PUT`) and thawed (`DELETE`).
pub fn balance_freeze_path() -> String {
    format!("{}/balance/frozen", crate::ROOT)
}

/// Where measured conflicts are.
pub fn conflicts_path() -> String {
    format!("{}/placementpolicies/conflicts", crate::ROOT)
}

/// What the balancer learned.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BalanceReport {
    /// `gapless.dev/v1`.
    pub api_version: String,
    /// `BalanceReport`.
    pub kind: String,
    /// Whether weights are balanced at all.
    pub is_on: bool,
    /// What was learned, when they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
}

/// Which policies pull against which, on the cluster as it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyConflicts {
    /// `gapless.dev/v1`.
    pub api_version: String,
    /// `PolicyConflicts`.
    pub kind: String,
    /// By class of workload.
    pub classes: Vec<ClassConflicts>,
}

/// The pairs of one class of workload.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClassConflicts {
    /// The class.
    pub class: String,
    /// Candidate sets that were looked at.
    pub samples: u32,
    /// Every pair that told nodes apart, the most opposed first.
    pub pairs: Vec<Pair>,
}
