//! Every policy there is, one line each. A new policy is a file in its phase's
//! folder and a line here.

use std::sync::Arc;

use crate::policy::{ChoiceScore, DomainScore, Filter, Permit, Policy, Reserve, Score};
use crate::profile::{ParamError, Params};
use crate::{domains, filters, permits, reserves, scores};

/// A policy made from a profile's parameters.
#[derive(Debug)]
pub(crate) enum Plugin {
    Filter(Arc<dyn Filter>),
    Score(Arc<dyn Score>),
    Domain(Arc<dyn DomainScore>),
    Choice(Arc<dyn ChoiceScore>),
    Permit(Arc<dyn Permit>),
}

/// The phase of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Filters.
    Filter,
    /// Scores of every kind.
    Score,
    /// Permits.
    Permit,
}

/// A policy as it is known.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// Its phase.
    pub phase: Phase,
    /// What it does.
    pub summary: &'static str,
    /// Scores that want the opposite.
    pub opposes: &'static [&'static str],
    /// Policies without effect beside it.
    pub overrules: &'static [&'static str],
    /// Its weight in the default profile; `None` when it is not in it. Filters and
    /// permits weigh nothing.
    pub default_weight: Option<f32>,
    /// Whether it guards what must never be overcommitted, and so is always on.
    pub is_essential: bool,
    pub(crate) make: fn(&mut Params) -> Result<Plugin, ParamError>,
}

const fn entry<P: Policy>(
    phase: Phase,
    default_weight: Option<f32>,
    make: fn(&mut Params) -> Result<Plugin, ParamError>,
) -> Entry {
    let (name, summary) = (P::NAME, P::SUMMARY);
    Entry {
        name,
        phase,
        summary,
        opposes: P::OPPOSES,
        overrules: P::OVERRULES,
        default_weight,
        is_essential: P::IS_ESSENTIAL,
        make,
    }
}

/// A filter, on by default.
const fn filter<P: Policy + Filter + 'static>() -> Entry {
    entry::<P>(Phase::Filter, Some(0.0), |p| Ok(Plugin::Filter(Arc::new(P::read(p)?))))
}

/// A score of nodes, with its weight in the default profile.
const fn score<P: Policy + Score + 'static>(default_weight: Option<f32>) -> Entry {
    entry::<P>(Phase::Score, default_weight, |p| Ok(Plugin::Score(Arc::new(P::read(p)?))))
}

/// A score of zones or racks, with its weight in the default profile.
const fn domain<P: Policy + DomainScore + 'static>(default_weight: Option<f32>) -> Entry {
    entry::<P>(Phase::Score, default_weight, |p| Ok(Plugin::Domain(Arc::new(P::read(p)?))))
}

/// A score drawn per decision, with its weight in the default profile.
const fn choice<P: Policy + ChoiceScore + 'static>(default_weight: Option<f32>) -> Entry {
    entry::<P>(Phase::Score, default_weight, |p| Ok(Plugin::Choice(Arc::new(P::read(p)?))))
}

/// A permit.
const fn permit<P: Policy + Permit + 'static>(is_default: bool) -> Entry {
    let weight = if is_default { Some(0.0) } else { None };
    entry::<P>(Phase::Permit, weight, |p| Ok(Plugin::Permit(Arc::new(P::read(p)?))))
}

/// Every policy, in the order in which filters are asked: cheap and telling first.
pub const POLICIES: &[Entry] = &[
    filter::<filters::Health>(),
    filter::<filters::Unschedulable>(),
    filter::<filters::SandboxKind>(),
    filter::<filters::TaintToleration>(),
    filter::<filters::RequiredLabels>(),
    filter::<filters::TenantDedication>(),
    filter::<filters::TrustPartition>(),
    filter::<filters::ResourceFit>(),
    filter::<filters::DiskFit>(),
    filter::<filters::DeviceFit>(),
    filter::<filters::NumaFit>(),
    filter::<filters::Monopoly>(),
    filter::<filters::RequiredAntiAffinity>(),
    score::<scores::LeastAllocated>(Some(1.0)),
    score::<scores::MostAllocated>(None),
    score::<scores::TargetLoadPacking>(None),
    score::<scores::BalancedAllocation>(Some(1.0)),
    score::<scores::PreferredLabels>(Some(2.0)),
    score::<scores::TaintPreference>(Some(1.0)),
    score::<scores::SpreadPerFunction>(Some(1.0)),
    score::<scores::ImageLocality>(Some(1.0)),
    score::<scores::SnapshotLocality>(Some(2.0)),
    score::<scores::WarmFirst>(Some(2.0)),
    score::<scores::BoundedConsistentHash>(None),
    score::<scores::LoadAware>(Some(1.0)),
    score::<scores::LowRiskOvercommit>(None),
    score::<scores::PoolAffinity>(Some(1.0)),
    score::<scores::DataLocality>(Some(1.0)),
    score::<scores::ScarceResourceAvoidance>(Some(1.0)),
    score::<scores::PowerCap>(Some(1.0)),
    score::<scores::TenantAntiAffinity>(None),
    score::<scores::StartStormAvoidance>(Some(2.0)),
    score::<scores::InterferenceAware>(Some(1.0)),
    score::<scores::FailureHistory>(Some(2.0)),
    score::<scores::SpotRisk>(Some(1.0)),
    domain::<domains::TopologySpread>(Some(2.0)),
    domain::<domains::NetworkCost>(Some(1.0)),
    domain::<domains::GroupPack>(None),
    domain::<domains::GroupSpread>(None),
    choice::<scores::PowerOfTwoChoices>(None),
    permit::<permits::Gang>(true),
    permit::<permits::TenantQuota>(false),
];

/// What instances occupy, in the order in which it is taken.
pub(crate) const RESERVES: &[&dyn Reserve] =
    &[&reserves::Resources, &reserves::Devices, &reserves::Numa, &reserves::Census];

/// The policy called `name`.
pub fn find(name: &str) -> Option<&'static Entry> {
    POLICIES.iter().find(|entry| entry.name == name)
}
