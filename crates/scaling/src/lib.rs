//! How many instances a revision should have: a pure state machine per revision.
//!
//! [`Fleet`] takes demand, facts about instances and the passing of time, and
//! says which to start and which to take back. Control drives it; the simulator
//! drives the same.
//!
//! ```text
//!            Start            Ready            Retire             Stop
//!   (wanted) -----> starting ------> ready ----------> retiring ------> stopping
//!                      | CancelStart                    Released           | Gone
//!                      v                                                   v
//!                  (forgotten)  <----------- Gone, from any phase --------'
//! ```
//!
//! What always holds (`tests/invariants.rs` checks it on random histories):
//! never more than `max` instances are starting or ready; while starts are
//! blocked nothing is started, and after a block one start at a time until one
//! succeeds; a block that was told is told to be over when its time has come; a closed fleet starts nothing, and says [`Action::Closed`] once.
//!
//! Demand counts the instances the gateway has, idle ones included, so a fall
//! in demand takes back only starts that nobody needs any more. Ready instances
//! go one by one, when the gateway reports them idle for their keep-alive.

mod backoff;
mod event;
mod fleet;
mod instances;

pub use event::{Action, Block, Config, Event};
pub use fleet::Fleet;
