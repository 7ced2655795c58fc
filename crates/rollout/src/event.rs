//! What a rollout is told, and what it wants done.

use gapless_types::{Fault, Outcomes, RevisionName, RolloutSpec, Time};

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The function as it is declared now; saying it again changes nothing.
    Declared {
        /// The newest revision.
        revision: RevisionName,
        /// `spec.rollout`.
        policy: Option<Box<RolloutSpec>>,
        /// Whether `spec.traffic` names revisions only and not `latest`. A new revision is
        /// prepared and probed all the same, and then held.
        is_pinned: bool,
    },
    /// Preparing a revision ended.
    Prepared {
        /// The revision.
        revision: RevisionName,
        /// Whether it can run.
        result: Result<(), Failure>,
    },
    /// A probe ended.
    Probed {
        /// The revision.
        revision: RevisionName,
        /// Whether it served.
        result: Result<(), Failure>,
    },
    /// What became of the requests of the two revisions in [`Rollout::watched`]: the
    /// counts as the gateways have them, which only grow.
    ///
    /// [`Rollout::watched`]: crate::Rollout::watched
    Outcomes {
        /// Of the old revision.
        stable: Box<Outcomes>,
        /// Of the new one.
        candidate: Box<Outcomes>,
    },
    /// The time that was asked for has come.
    Wake,
    /// A person wants the new revision to take everything now: without further steps,
    /// though not without its probe. A revision that was rolled back is tried again.
    Promote,
    /// A person wants an earlier revision back.
    Rollback {
        /// Which, one that served before; when not given, the one before the newest.
        to: Option<RevisionName>,
    },
    /// A person wants a revision that was rolled back to be tried again, with its steps.
    Retry,
}

/// Why a revision could not be prepared or did not pass its probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Whose fault it is. Only the function's counts against a revision; for the rest it
    /// is probed again as long as there is time.
    pub fault: Fault,
    /// A sentence for people.
    pub message: String,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Shares or the candidate have changed: state the function's route anew.
    Route,
    /// What is to survive a restart has changed: store it. The route need not wait for
    /// it: an older state goes on from an earlier point.
    Save,
    /// Prepare this revision and say what came of it.
    Prepare {
        /// The revision.
        revision: RevisionName,
    },
    /// Try this revision by one instance and say what came of it. It is routed to, with
    /// no share.
    Probe {
        /// The revision.
        revision: RevisionName,
    },
    /// The revision takes everything.
    Promoted {
        /// The revision.
        revision: RevisionName,
    },
    /// The revision takes nothing any more.
    RolledBack {
        /// The revision.
        revision: RevisionName,
        /// Why: a sentence for people.
        reason: String,
    },
    /// A newer revision was declared before this one had taken over.
    Superseded {
        /// The revision.
        revision: RevisionName,
    },
    /// Come back at this time; replaces the former wish. [`Time::NEVER`] is none.
    WakeAt(Time),
}
