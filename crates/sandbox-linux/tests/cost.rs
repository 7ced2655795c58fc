//! Measures what the platform adds to a cold start: everything but the program's own
//! time from exec until it listens.

mod support;

use std::time::{Duration, SystemTime};

use gapless_proto::StartPhase;
use gapless_sandbox::LogStream;
use gapless_sandbox::conformance::Lines;
use support::setup;

const STARTS: u64 = 500;

/// Prints the platform's share of a cold start of the probe, one at a time, on the
/// socket and on the port.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement of the machine, neither right nor wrong: `cargo xtask measure` runs it"]
async fn start_cost() {
    println!("cold start of the probe, us  p50     p99");
    for (name, command) in [
        ("unix socket", vec!["./gapless-probe"]),
        ("port", vec!["env", "-u", "GAPLESS_SOCKET", "./gapless-probe"]),
    ] {
        let mut setup = setup(&command);
        setup.fixture.spec.env.insert("PROBE_STAMP".to_owned(), "1".into());
        setup.driver.prepare(setup.fixture.prepare_task()).await.unwrap();
        let mut rows: [Vec<Duration>; 6] = Default::default();
        for instance in 0..STARTS {
            let logs = Lines::new();
            let begun = SystemTime::now();
            let start = setup.driver.start(setup.fixture.start_task(instance, &logs));
            let started = start.await.unwrap();
            let total = begun.elapsed().unwrap();
            logs.wait_for("the stamp", |logs| !logs.of(LogStream::Stdout).is_empty()).await;
            let stamp = logs.of(LogStream::Stdout)[0].replace("listening ", "");
            let listening = SystemTime::UNIX_EPOCH + Duration::from_nanos(stamp.parse().unwrap());
            let phase = |phase: StartPhase| started.report.phases[phase as usize];
            let (create, boot) = (phase(StartPhase::Create), phase(StartPhase::Boot));
            let own = listening.duration_since(begun + create + boot).unwrap_or_default();
            let stopped = std::time::Instant::now();
            started.sandbox.stop(Duration::from_secs(5)).await;
            let stop = stopped.elapsed();
            for (row, took) in
                rows.iter_mut().zip([total, total.saturating_sub(own), create, boot, own, stop])
            {
                row.push(took);
            }
        }
        let names = ["total", "platform's share", "create", "boot", "exec to listen", "stop"];
        for (row, what) in rows.iter_mut().zip(names) {
            row.sort();
            let at = |part: usize| row[row.len() * part / 100].as_micros();
            println!("{:28} {:5} {:7}", format!("{name}: {what}"), at(50), at(99));
        }
    }
}
