//! Whole runs through the public interface.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use gapless_sim::{Config, KeepAlive, Report, SimError, Simulation, StartModel};
use gapless_types::{Bytes, StartMode};
use gapless_workload::{Generator, Pattern, ServiceTime, Shape, Workload};

const MS: fn(u64) -> Duration = Duration::from_millis;

fn run(config: Config, mut workload: Workload) -> Report {
    let simulation = Simulation::new(config).unwrap();
    simulation.run(&mut workload, &AtomicBool::new(false), |_| {}).unwrap()
}

fn poisson(rate_per_s: f64, service_ms: u64) -> Shape {
    Shape::new(Pattern::Poisson { rate_per_s }, ServiceTime::Exponential { mean: MS(service_ms) })
        .lasting(Duration::from_secs(120))
}

fn config(planner: StartMode) -> Config {
    Config { planner, start: StartModel::fixed(MS(100)), ..Config::default() }
}

#[test]
fn every_request_has_one_outcome_under_every_planner() {
    for planner in StartMode::PLANNERS {
        let failing = Config {
            start_failures: 0.1,
            node_failures: Duration::from_secs(40),
            queue_wait: Duration::from_secs(5),
            nodes: 3,
            ..config(planner)
        };
        let generated = Generator::new(50).lasting(Duration::from_secs(600)).with_invocations(5000);
        let report = run(failing, generated.workload().unwrap());
        let ended = report.served + report.sheds + report.timeouts + report.failed;
        assert_eq!(ended, report.invocations, "{report:?}");
        assert!(report.served > report.invocations / 2 && report.failed > 0, "{report:?}");
        assert!(report.starts_failed > 0);
    }
}

#[test]
fn the_same_seed_gives_the_same_report_and_another_another() {
    let report = |seed| {
        let config = Config { seed, ..Config::default() };
        run(config, poisson(50.0, 20).seeded(seed).workload().unwrap())
    };
    assert_eq!(report(1), report(1));
    assert_ne!(report(1).latency_ms, report(2).latency_ms);
}

#[test]
fn a_lone_request_takes_its_start_and_its_service() {
    for planner in StartMode::PLANNERS {
        let report = run(config(planner), shape_of(1).workload().unwrap());
        // A window autoscaler wants one at 70%, which makes two.
        let is_window = matches!(planner, StartMode::Window | StartMode::Dirigent);
        assert_eq!((report.served, report.starts), (1, 1 + u64::from(is_window)), "{planner:?}");
        assert!((149.0..152.0).contains(&report.latency_ms.max), "{planner:?} {report:?}");
        assert_eq!(report.cold_ratio, 1.0);
    }
}

fn shape_of(concurrent: u32) -> Shape {
    let (at, spread) = (Duration::ZERO, Duration::ZERO);
    let burst = Pattern::Burst { concurrent, at, spread, every: None };
    Shape::new(burst, ServiceTime::Fixed(MS(50)))
}

#[test]
fn memory_is_what_instances_held() {
    // One instance of a GiB, ready after 100 ms, busy for 50 ms, kept for ten seconds.
    let mut shape = shape_of(1);
    shape.memory = Bytes(1 << 30);
    let keep_alive = KeepAlive::For(Duration::from_secs(10));
    let config = Config { keep_alive, stop: Duration::ZERO, ..config(StartMode::Sync) };
    let memory = run(config, shape.workload().unwrap()).memory_gb_s;
    assert!((memory.used - 0.05).abs() < 0.001, "{memory:?}");
    assert!((memory.idle - 10.1).abs() < 0.01, "{memory:?}");
}

#[test]
fn a_sync_burst_starts_one_each_and_contention_makes_them_late() {
    let alone = run(config(StartMode::Sync), shape_of(200).workload().unwrap());
    assert_eq!(alone.starts, 200);
    let start = StartModel { each: 0.2, ..StartModel::fixed(MS(100)) };
    let wide = Config { starts_at_once: 1000, start, ..config(StartMode::Sync) };
    let contended = run(wide, shape_of(200).workload().unwrap());
    // Ten on each of twenty nodes: 100 + 9 * 20 ms.
    assert!((320.0..340.0).contains(&contended.latency_ms.p50), "{contended:?}");
    assert!(alone.latency_ms.p50 < 152.0);
}

#[test]
fn a_cluster_that_is_full_refuses_and_serves_what_it_can() {
    let mut shape = shape_of(100);
    shape.memory = Bytes(1 << 30);
    let config = Config {
        nodes: 1,
        memory: Bytes(4 << 30),
        queue_wait: Duration::from_secs(1),
        ..config(StartMode::Planned)
    };
    let report = run(config, shape.workload().unwrap());
    assert_eq!(report.invocations, 100);
    assert!(report.served >= 70 && report.starts == 4, "{report:?}");
}

#[test]
fn idle_instances_make_room_for_functions_that_have_none() {
    let pattern = Pattern::Alternating { gap: Duration::from_secs(1) };
    let mut shape = Shape::new(pattern, ServiceTime::Fixed(MS(50))).over(8);
    (shape.memory, shape.span) = (Bytes(1 << 30), Duration::from_secs(400));
    // Four of eight fit, and nothing goes by itself.
    let config = Config {
        nodes: 1,
        memory: Bytes(4 << 30),
        keep_alive: KeepAlive::For(Duration::from_secs(36_000)),
        ..config(StartMode::Planned)
    };
    let report = run(config, shape.workload().unwrap());
    assert_eq!(report.served, report.invocations, "{report:?}");
    assert!(report.latency_ms.max < 300.0, "{report:?}");
}

#[test]
fn what_cannot_be_run_is_refused_with_its_name_and_a_way_out() {
    let wrong = |config: Config| Simulation::new(config).unwrap_err().to_string();
    assert!(wrong(Config { nodes: 0, ..Config::default() }).starts_with("nodes: found 0"));
    assert!(
        wrong(Config { start_failures: 2.0, ..Config::default() }).starts_with("start-failures")
    );
    let mut shape = shape_of(1);
    shape.memory = Bytes(100 << 30);
    let simulation = Simulation::new(Config::default()).unwrap();
    let stop = AtomicBool::new(false);
    let error = simulation.run(&mut shape.workload().unwrap(), &stop, |_| {}).unwrap_err();
    assert!(matches!(error, SimError::TooLarge { .. }), "{error}");
    assert!(error.to_string().contains("needs 102400 MiB"), "{error}");
    let error = "fast".parse::<StartModel>().unwrap_err().to_string();
    assert!(error.contains("gapless-wasm") && error.contains("120ms"), "{error}");
}

#[test]
fn an_interrupted_run_says_that_it_is_partial() {
    let simulation = Simulation::new(Config::default()).unwrap();
    let stop = AtomicBool::new(true);
    let mut workload = poisson(500.0, 20).workload().unwrap();
    let report = simulation.run(&mut workload, &stop, |_| {}).unwrap();
    assert!(report.is_partial && report.served > 0 && report.simulated_s < 120.0, "{report:?}");
}
