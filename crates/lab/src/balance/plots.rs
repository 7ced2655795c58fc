//! Regret over time, as SVG: what each contender has cost more than the oracle until
//! then, summed over the run, mean over cells and seeds.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use plotters::prelude::*;
use serde::Serialize;

use super::compare::{Compared, DEFAULT, FROM_NOTHING, KUBERNETES, ORACLE, OURS};
use super::play::SECONDS;

const SIZE: (u32, u32) = (820, 480);
/// Who is in the plot, in which colour.
const SHOWN: [(&str, RGBColor); 5] = [
    (KUBERNETES, RGBColor(220, 50, 32)),
    (DEFAULT, RGBColor(230, 140, 0)),
    ("random weights", RGBColor(90, 90, 90)),
    (FROM_NOTHING, RGBColor(26, 133, 63)),
    (OURS, RGBColor(0, 90, 181)),
];

/// One contender's regret over time.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Regret {
    pub(crate) contender: &'static str,
    /// `(minutes, regret)`: mean cost above the oracle's, summed over minutes.
    pub(crate) points: Vec<(f64, f64)>,
    #[serde(skip)]
    colour: RGBColor,
}

/// The curves over these cells.
pub(crate) fn curves<'a>(cells: impl Iterator<Item = &'a Compared> + Clone) -> Vec<Regret> {
    let count = cells.clone().count().max(1) as f64;
    let curve = |(contender, colour): (&'static str, RGBColor)| {
        let mut excess: Vec<f64> = Vec::new();
        for cell in cells.clone() {
            let of = |name: &str| cell.rows.iter().find(|row| row.contender == name);
            let (Some(own), Some(oracle)) = (of(contender), of(ORACLE)) else { continue };
            excess.resize(own.over_time.len(), 0.0);
            for (sum, (own, oracle)) in
                excess.iter_mut().zip(own.over_time.iter().zip(&oracle.over_time))
            {
                *sum += (own - oracle) / count;
            }
        }
        let minutes = SECONDS / 60.0 / excess.len().max(1) as f64;
        let mut regret = 0.0;
        let points = excess.iter().enumerate().map(|(at, excess)| {
            regret += excess * minutes;
            ((at + 1) as f64 * minutes, regret)
        });
        Regret { contender, points: std::iter::once((0.0, 0.0)).chain(points).collect(), colour }
    };
    SHOWN.into_iter().map(curve).collect()
}

/// Draws curves into `folder`.
pub(crate) fn draw(folder: &Path, name: &str, about: &str, curves: &[Regret]) -> Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("--plots: cannot make {}", folder.display()))?;
    let path = folder.join(format!("{name}.svg"));
    render(&path, about, curves)
        .map_err(|error| anyhow!("cannot draw {}: {error}", path.display()))?;
    eprintln!("  drew {}", path.display());
    Ok(())
}

fn render(path: &Path, about: &str, curves: &[Regret]) -> Result<(), Box<dyn std::error::Error>> {
    let all = || curves.iter().flat_map(|curve| &curve.points);
    let most = all().map(|point| point.1).fold(1e-3, f64::max);
    let least = all().map(|point| point.1).fold(0.0, f64::min);
    let end = all().map(|point| point.0).fold(1.0, f64::max);
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..end, least * 1.1..most * 1.1)?;
    chart
        .configure_mesh()
        .x_desc(format!("simulated minutes ({about})"))
        .y_desc("regret: cost above the hindsight oracle, summed")
        .light_line_style(WHITE)
        .draw()?;
    for curve in curves {
        let style = ShapeStyle { color: curve.colour.to_rgba(), filled: true, stroke_width: 2 };
        chart
            .draw_series(LineSeries::new(curve.points.iter().copied(), style))?
            .label(curve.contender)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .position(SeriesLabelPosition::UpperLeft)
        .draw()?;
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_names_its_curves() {
        let points = vec![(0.0, 0.0), (1.0, 2.0), (2.0, -0.5)];
        let curve = Regret { contender: OURS, points, colour: RGBColor(0, 90, 181) };
        let folder = tempfile::tempdir().unwrap();
        draw(folder.path(), "regret", "a test", &[curve]).unwrap();
        let svg = std::fs::read_to_string(folder.path().join("regret.svg")).unwrap();
        for text in [OURS, "a test", "regret"] {
            assert!(svg.contains(text), "{text}");
        }
    }
}
