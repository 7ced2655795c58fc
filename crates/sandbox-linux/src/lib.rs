//! Programs that serve HTTP, as Linux processes.
//!
//! A back end behind `gapless_sandbox::Driver`: it unpacks a deployed folder once
//! per revision and starts any program in it that listens on `$PORT` or on the
//! Unix socket `$GAPLESS_SOCKET`.
//!
//! ```text
//!   node ── Driver ──> driver.rs   prepare: unpack.rs, program.rs
//!                         │ orders (orders.rs)              │
//!                      warden.rs: one thread per driver     │ revisions.rs: one
//!                         │ owns every process              │ folder per archive
//!            ┌────────────┼──────────────┐                  v
//!        spawn.rs    readiness.rs   process.rs ── diagnose.rs: the sentence
//!        clone+exec  who listens    its life
//! ```
//!
//! What a program gets: a process group and session of its own; standard input at
//! its end, both outputs captured by line; the working directory is the deployed
//! folder, unpacked without write permission and shared by the revision's
//! instances (a copy per instance would make a start as slow as the folder is
//! large; links would let a write show through); a scratch folder of its own as
//! `HOME` and `TMPDIR`, gone with the instance; an environment of a dozen names
//! (see `launch.rs`) and nothing of the platform's.
//!
//! Limits: `NOFILE`, `CORE` 0, and memory two ways. `RLIMIT_AS` would break every
//! runtime that reserves address space (V8, Go, the JVM reserve gigabytes);
//! `RLIMIT_DATA` counts only private writable memory, still including thread
//! stacks nobody touched, so it is set to the limit plus
//! [`DATA_HEADROOM_BYTES`] and only stops a runaway at once. The limit itself is
//! held by looking: once a second the program's anonymous memory is read, and one
//! that is over is ended with a sentence saying so. Processes, not groups, are
//! counted; that is a cgroup's work.
//!
//! What always holds: a program never outlives the node, not even a killed one
//! (`PR_SET_PDEATHSIG` for the program, `guardian.rs` for what it started); a
//! sandbox that is stopped or dropped leaves no process of its group, no socket
//! and no file; the warden never waits for a program.
//!
//! Not here yet: namespaces, cgroups, images, forked and restored starts. Their
//! seam is `Launch` (what to start) and `Spawner` (how): the warden and
//! everything behind it know a process only by its pidfd and its pipes. As root, a program can
//! write to the shared folder; as anyone else the kernel refuses. A program that
//! starts a session of its own escapes its group until then.
//!
//! Needs Linux 5.9 (`pidfd`, `close_range`).

mod config;
mod diagnose;
mod driver;
mod examine;
mod guardian;
mod launch;
mod logs;
mod orders;
mod ports;
mod process;
mod program;
mod readiness;
mod revisions;
mod run_dir;
mod spawn;
mod unpack;
mod warden;

pub use config::{DATA_HEADROOM_BYTES, LinuxConfig};
pub use driver::LinuxDriver;
