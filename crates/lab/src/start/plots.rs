//! Plots of the lab, as SVG: latency against request rate, memory against slowdown,
//! and what a faster start is worth.
//!
//! Each curve is simulated here and given back as numbers too, so that a plot never
//! shows what the JSON does not hold.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use gapless_sim::{Config, KeepAlive, Report, Simulation, StartModel};
use gapless_types::StartMode;
use gapless_workload::{Pattern, Workload};
use plotters::prelude::*;
use serde::Serialize;

use super::lab::{Contender, in_parallel};
use super::scenarios::{generated, model, one};

const SIZE: (u32, u32) = (820, 520);
/// Labels of an axis, about.
const LABELS: usize = 12;

/// A plot's curves, as numbers.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Plot {
    pub(crate) name: &'static str,
    x: &'static str,
    y: &'static str,
    curves: Vec<Curve>,
}

/// One planner's points.
#[derive(Clone, Debug, Serialize)]
struct Curve {
    name: String,
    points: Vec<(f64, f64)>,
}

/// What is simulated for a point.
struct Point {
    contender: Contender,
    x: f64,
    config: Config,
    workload: Box<dyn Fn(u64) -> Result<Workload> + Sync>,
}

/// Simulates and draws every plot into `folder`; none if stopped.
pub(super) fn draw(folder: &Path, seeds: u64, stop: &AtomicBool) -> Result<Vec<Plot>> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("--plots: cannot make {}", folder.display()))?;
    let mut plots = Vec::new();
    for make in [rates, front, starts] {
        let Some(plot) = make(seeds, stop)? else { break };
        let path = folder.join(format!("{}.svg", plot.name));
        render(&plot, &path).map_err(|error| anyhow!("cannot draw {}: {error}", path.display()))?;
        eprintln!("  drew {}", path.display());
        plots.push(plot);
    }
    Ok(plots)
}

fn kept(mode: StartMode, seconds: u64) -> Contender {
    Contender { mode, keep_alive: KeepAlive::For(Duration::from_secs(seconds)) }
}

fn learned(worth: u64) -> Contender {
    let keep_alive = KeepAlive::Learned { worth: Duration::from_secs(worth) };
    Contender { mode: StartMode::Planned, keep_alive }
}

fn config(contender: Contender, start: StartModel) -> Config {
    let mut config = Config {
        planner: contender.mode,
        keep_alive: contender.keep_alive,
        start,
        ..Config::default()
    };
    if contender.mode != StartMode::Planned {
        config.starts_at_once = u32::MAX;
    }
    config
}

/// p99 latency of one function against its request rate.
fn rates(seeds: u64, stop: &AtomicBool) -> Result<Option<Plot>> {
    let modes = [StartMode::Planned, StartMode::Sync, StartMode::Window, StartMode::Emergency];
    let mut points = Vec::new();
    for mode in modes {
        let contender = kept(mode, 60);
        for rate in [0.02, 0.1, 0.5, 2.0, 10.0, 50.0, 200.0, 1000.0] {
            let mut config = config(contender, model("contended"));
            config.warm_up = Duration::from_secs(120);
            let span_s = if rate < 1.0 { 36_000 } else { 420 };
            let pattern = Pattern::Poisson { rate_per_s: rate };
            let workload = Box::new(move |seed| one(pattern.clone(), 50, span_s, 1, seed));
            points.push(Point { contender, x: rate, config, workload });
        }
    }
    let plot =
        simulate("latency-rate", points, seeds, stop, |report| (None, report.latency_ms.p99))?;
    Ok(plot.map(|curves| Plot {
        name: "latency-rate",
        x: "requests per second of one function (service 50 ms, start 100 ms)",
        y: "p99 latency, ms",
        curves,
    }))
}

/// Memory against p99 slowdown on a generated day.
fn front(seeds: u64, stop: &AtomicBool) -> Result<Option<Plot>> {
    let mut contenders = Vec::new();
    for seconds in [5, 15, 60, 180, 600, 1800] {
        contenders.push(kept(StartMode::Sync, seconds));
    }
    contenders.extend([30, 100, 300, 1000, 3000, 10_000, 40_000, 150_000, 1_000_000].map(learned));
    for mode in [StartMode::Window, StartMode::Dirigent, StartMode::Emergency] {
        contenders.push(kept(mode, 60));
    }
    let points = contenders.into_iter().map(|contender| {
        let mut config = config(contender, model("reap"));
        (config.nodes, config.warm_up) = (100, Duration::from_secs(3600));
        let workload = Box::new(|seed| generated(400, 400_000, seed));
        Point { contender, x: 0.0, config, workload }
    });
    let plot = simulate("memory-slowdown", points.collect(), seeds, stop, |report| {
        (Some(report.memory_gb_s.total()), report.slowdown.p99)
    })?;
    Ok(plot.map(|curves| Plot {
        name: "memory-slowdown",
        x: "memory held, GiB s (generated day, 400 functions, starts as REAP's)",
        y: "p99 slowdown",
        curves,
    }))
}

/// What a faster start is worth: p99 slowdown against start time.
fn starts(seeds: u64, stop: &AtomicBool) -> Result<Option<Plot>> {
    let mut points = Vec::new();
    for mode in [StartMode::Planned, StartMode::Sync, StartMode::Window] {
        for ms in [0.1, 1.0, 10.0, 100.0, 1000.0, 10_000.0] {
            let contender = kept(mode, 60);
            let start = StartModel::fixed(Duration::from_secs_f64(ms / 1e3));
            let mut config = config(contender, start);
            (config.nodes, config.warm_up) = (100, Duration::from_secs(3600));
            let workload = Box::new(|seed| generated(400, 400_000, seed));
            points.push(Point { contender, x: ms, config, workload });
        }
    }
    let plot = simulate("start-time", points, seeds, stop, |report| (None, report.slowdown.p99))?;
    Ok(plot.map(|curves| Plot {
        name: "start-time",
        x: "start time, ms (generated day, 400 functions, keep-alive 60 s)",
        y: "p99 slowdown",
        curves,
    }))
}

/// Means over seeds, one curve for each planner.
fn simulate(
    name: &str,
    points: Vec<Point>,
    seeds: u64,
    stop: &AtomicBool,
    figure: impl Fn(&Report) -> (Option<f64>, f64),
) -> Result<Option<Vec<Curve>>> {
    eprintln!("plot {name}: {} points, {seeds} seeds", points.len());
    let jobs: Vec<(&Point, u64)> =
        points.iter().flat_map(|point| (0..seeds).map(move |seed| (point, seed))).collect();
    let reports = in_parallel(&jobs, stop, |(point, seed)| {
        let config = Config { seed: *seed, ..point.config.clone() };
        Ok(Simulation::new(config)?.run(&mut (point.workload)(*seed)?, stop, |_| {})?)
    })?;
    let Some(reports) = reports else { return Ok(None) };
    let mut curves: Vec<Curve> = Vec::new();
    for (point, reports) in points.iter().zip(reports.chunks(seeds as usize)) {
        let figures: Vec<(f64, f64)> =
            reports.iter().map(&figure).map(|(x, y)| (x.unwrap_or(point.x), y)).collect();
        let count = figures.len() as f64;
        let sum = figures.iter().fold((0.0, 0.0), |sum, (x, y)| (sum.0 + x, sum.1 + y));
        let mean = (sum.0 / count, sum.1 / count);
        let name = point.contender.mode.as_str();
        match curves.iter_mut().find(|curve| curve.name == name) {
            Some(curve) => curve.points.push(mean),
            None => curves.push(Curve { name: name.to_owned(), points: vec![mean] }),
        }
    }
    Ok(Some(curves))
}

fn render(plot: &Plot, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let all = || plot.curves.iter().flat_map(|curve| &curve.points);
    let span = |of: fn(&(f64, f64)) -> f64, is_from_decade: bool| {
        let low = all().map(of).fold(f64::INFINITY, f64::min).max(1e-6);
        let high = all().map(of).fold(0.0, f64::max).max(low * 2.0);
        // An axis without a power of ten on it would have no labels.
        let low = if is_from_decade { 10f64.powf(low.log10().floor()) } else { low };
        (low / 1.3..high * 1.3).log_scale()
    };
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(span(|point| point.0, false), span(|point| point.1, true))?;
    chart
        .configure_mesh()
        .x_desc(plot.x)
        .y_desc(plot.y)
        .light_line_style(WHITE)
        .x_labels(LABELS)
        .y_labels(LABELS)
        .x_label_formatter(&short)
        .y_label_formatter(&short)
        .draw()?;
    for curve in &plot.curves {
        let color = colour(&curve.name).to_rgba();
        let style = ShapeStyle { color, filled: true, stroke_width: 2 };
        let dots = curve.points.iter().map(|point| Circle::new(*point, 4, style));
        chart.draw_series(dots)?;
        chart
            .draw_series(LineSeries::new(curve.points.iter().copied(), style))?
            .label(&curve.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .position(SeriesLabelPosition::UpperRight)
        .draw()?;
    area.present()?;
    Ok(())
}

/// A planner's colour, the same in every plot.
fn colour(planner: &str) -> RGBColor {
    match planner {
        "planned" => RGBColor(0, 90, 181),
        "sync" => RGBColor(220, 50, 32),
        "window" => RGBColor(26, 133, 63),
        "dirigent" => RGBColor(230, 140, 0),
        "emergency" => RGBColor(128, 60, 160),
        _ => RGBColor(90, 90, 90),
    }
}

/// A figure with few digits.
fn short(value: &f64) -> String {
    match *value {
        value if value >= 1e6 => format!("{} M", value / 1e6),
        value if value >= 1e4 => format!("{} k", value / 1e3),
        value => format!("{value}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_shows_every_curve_by_name() {
        let curve =
            |name: &str, y| Curve { name: name.to_owned(), points: vec![(1.0, y), (10.0, 2.0)] };
        let curves = vec![curve("planned", 1.0), curve("sync", 5.0)];
        let plot = Plot { name: "test", x: "rate", y: "latency", curves };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.svg");
        render(&plot, &path).unwrap();
        let svg = std::fs::read_to_string(&path).unwrap();
        for text in ["planned", "sync", "rate", "latency"] {
            assert!(svg.contains(text), "{text}");
        }
    }
}
