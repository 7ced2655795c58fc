//! Clock, tasks and shutdown: the only place where time and spawning come from,
//! so that everything else can be driven by a simulator or a test.

mod clock;
mod shutdown;
mod tasks;
mod timer;

pub use clock::Clock;
pub use shutdown::Shutdown;
pub use tasks::{spawn, spawn_blocking};
pub use timer::Timer;
