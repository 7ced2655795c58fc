//! A distribution known at some points: percentiles as papers and traces give them.
//!
//! Between two points the value is interpolated, on a logarithmic scale where the
//! values are spread over orders of magnitude (durations, rates, memory) and
//! linearly where zero is a value (coefficients of variation).

/// How values between two points are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Straight between the values.
    Linear,
    /// Straight between their logarithms; every value is above zero.
    Log,
}

/// Points `(share of the population at or below, value)`, both non-decreasing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Curve<'a> {
    points: &'a [(f64, f64)],
    scale: Scale,
}

impl<'a> Curve<'a> {
    /// The curve through `points`, which are sorted and at least two.
    pub(crate) fn new(points: &'a [(f64, f64)], scale: Scale) -> Self {
        debug_assert!(points.len() >= 2);
        debug_assert!(points.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1));
        debug_assert!(scale == Scale::Linear || points.iter().all(|point| point.1 > 0.0));
        Curve { points, scale }
    }

    /// The value that a share `p` of the population is at or below.
    pub(crate) fn quantile(&self, p: f64) -> f64 {
        let above = self.points.partition_point(|point| point.0 < p);
        if above == 0 {
            return self.points[0].1;
        }
        let Some(&(p1, v1)) = self.points.get(above) else {
            return self.points[self.points.len() - 1].1;
        };
        let (p0, v0) = self.points[above - 1];
        // `p1 >= p > p0`, so the span is above zero.
        self.between(v0, v1, (p - p0) / (p1 - p0))
    }

    /// The mean of the population.
    pub(crate) fn mean(&self) -> f64 {
        self.mean_between(0.0, 1.0)
    }

    /// The mean of the part of the population from share `low` to share `high`.
    pub(crate) fn mean_between(&self, low: f64, high: f64) -> f64 {
        debug_assert!(low < high);
        let sum: f64 = self
            .points
            .windows(2)
            .filter_map(|pair| {
                let (from, to) = (pair[0].0.max(low), pair[1].0.min(high));
                (from < to).then(|| {
                    // A step has no width, so both ends are inside one piece.
                    let end = |p: f64| {
                        let part = (p - pair[0].0) / (pair[1].0 - pair[0].0);
                        self.between(pair[0].1, pair[1].1, part)
                    };
                    (to - from) * self.piece_mean(end(from), end(to))
                })
            })
            .sum();
        sum / (high - low)
    }

    fn between(&self, v0: f64, v1: f64, part: f64) -> f64 {
        match self.scale {
            Scale::Linear => v0 + (v1 - v0) * part,
            Scale::Log => (v0.ln() + (v1.ln() - v0.ln()) * part).exp(),
        }
    }

    fn piece_mean(&self, v0: f64, v1: f64) -> f64 {
        match self.scale {
            // The mean of a log-linear piece is the logarithmic mean of its ends.
            Scale::Log if v1 > v0 * (1.0 + 1e-9) => (v1 - v0) / (v1 / v0).ln(),
            _ => (v0 + v1) / 2.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POINTS: &[(f64, f64)] = &[(0.0, 1.0), (0.5, 10.0), (0.5, 20.0), (1.0, 2000.0)];

    #[test]
    fn quantiles_are_interpolated_and_steps_are_kept() {
        let curve = Curve::new(POINTS, Scale::Log);
        assert!((curve.quantile(0.5) - 10.0).abs() < 1e-9);
        assert!((curve.quantile(0.5 + 1e-12) - 20.0).abs() < 1e-6);
        assert!((curve.quantile(0.25) - 10f64.sqrt()).abs() < 1e-9);
        assert_eq!((curve.quantile(-1.0), curve.quantile(2.0)), (1.0, 2000.0));
    }

    #[test]
    fn the_mean_is_that_of_its_samples() {
        for scale in [Scale::Linear, Scale::Log] {
            let curve = Curve::new(POINTS, scale);
            let steps = 100_000;
            let sum: f64 =
                (0..steps).map(|i| curve.quantile((f64::from(i) + 0.5) / f64::from(steps))).sum();
            let sampled = sum / f64::from(steps);
            assert!((curve.mean() / sampled - 1.0).abs() < 1e-3, "{scale:?}");
            let halves = curve.mean_between(0.0, 0.3) * 0.3 + curve.mean_between(0.3, 1.0) * 0.7;
            assert!((curve.mean() / halves - 1.0).abs() < 1e-9, "{scale:?}");
        }
    }
}
