//! The distributions that the generator is fitted to.
//!
//! Source of all of them, unless said: Shahrad et al., "Serverless in the Wild"
//! (USENIX ATC 2020), the curves "ATC" of the figures that its authors published
//! with the data set Azure Functions 2019 (Microsoft, CC BY 4.0). Curves were
//! measured in the published images, pixel by pixel, so a share is good to about
//! 0.005. Figures 6 and 8 are by application and are used for functions here, as
//! most applications (54%) have a single function.

use crate::function::Trigger;

/// Figure 5a, and its tail from the slope of figure 5b at a mean of 8,100 a day: the
/// share of functions with at most that many invocations per day.
pub(super) const RATE: &[(f64, f64)] = &[
    (0.0, 0.0714),
    (0.067, 0.0714),
    (0.119, 0.2),
    (0.2, 0.5),
    (0.268, 0.9),
    (0.275, 1.0),
    (0.342, 1.0),
    (0.412, 2.0),
    (0.42, 2.0),
    (0.456, 3.0),
    (0.505, 5.0),
    (0.546, 8.0),
    (0.564, 10.0),
    (0.595, 15.0),
    (0.625, 24.0),
    (0.645, 24.0),
    (0.675, 40.0),
    (0.683, 48.0),
    (0.695, 48.0),
    (0.705, 60.0),
    (0.729, 96.0),
    (0.741, 96.0),
    (0.785, 200.0),
    (0.8, 288.0),
    (0.836, 288.0),
    (0.867, 500.0),
    (0.894, 1_000.0),
    (0.905, 1_440.0),
    (0.928, 1_440.0),
    (0.946, 3_000.0),
    (0.957, 5_000.0),
    (0.969, 1e4),
    (0.98, 2e4),
    (0.9865, 4e4),
    (0.993, 1e5),
    (0.9968, 3e5),
    (0.99856, 8.5e5),
    (0.99928, 1.7e6),
    (0.99967, 3.5e6),
    (0.99986, 7.1e6),
    (0.99993, 1.25e7),
    (0.999967, 2e7),
    (0.9999992, 1.8e8),
    (1.0, 2.5e8),
];

/// Figure 5b: the share of invocations of the most invoked share of functions.
pub(super) const TOP_SHARE: &[(f64, f64)] =
    &[(0.001, 0.635), (0.01, 0.916), (0.02, 0.958), (0.1, 0.995)];

/// Timers by period: invocations per day, and the share of all functions. The steps
/// of figure 5a, and so many with 10 s and 1 s as bring timers to their 2.0% of the
/// invocations.
pub(super) const TIMERS: &[(f64, f64)] = &[
    (1.0, 0.040),
    (2.0, 0.008),
    (24.0, 0.020),
    (48.0, 0.012),
    (96.0, 0.012),
    (288.0, 0.036),
    (1_440.0, 0.023),
    (8_640.0, 0.004),
    (86_400.0, 0.0009),
];

/// Figure 2, all of the paper's data: share of functions and of invocations, in percent.
pub(super) const TRIGGERS: &[(Trigger, f64, f64)] = &[
    (Trigger::Http, 55.0, 35.9),
    (Trigger::Queue, 15.2, 33.5),
    (Trigger::Event, 2.2, 24.7),
    (Trigger::Orchestration, 6.9, 2.3),
    (Trigger::Timer, 15.6, 2.0),
    (Trigger::Storage, 2.8, 0.7),
    (Trigger::Others, 2.2, 1.0),
];

/// Figure 6, "only timers": the share with at most that coefficient of variation of
/// the gaps between invocations.
pub(super) const CV_TIMER: &[(f64, f64)] = &[
    (0.0, 0.0),
    (0.45, 0.0),
    (0.5, 0.03),
    (0.61, 0.1),
    (0.731, 0.25),
    (0.845, 0.5),
    (0.89, 0.75),
    (0.932, 1.0),
    (0.966, 1.5),
    (0.979, 2.0),
    (0.989, 3.0),
    (0.995, 4.0),
    (1.0, 6.0),
];

/// Figure 6, "no timers". The figure ends at 10; beyond it 30 is assumed as the most.
pub(super) const CV_OTHER: &[(f64, f64)] = &[
    (0.0, 0.0),
    (0.11, 0.0),
    (0.12, 0.03),
    (0.146, 0.1),
    (0.181, 0.25),
    (0.233, 0.5),
    (0.284, 0.75),
    (0.349, 1.0),
    (0.456, 1.5),
    (0.55, 2.0),
    (0.683, 3.0),
    (0.763, 4.0),
    (0.812, 5.0),
    (0.846, 6.0),
    (0.888, 8.0),
    (0.914, 10.0),
    (1.0, 30.0),
];

/// Figure 7, "average": the share of functions whose mean duration is at most that
/// many seconds.
pub(super) const DURATION_S: &[(f64, f64)] = &[
    (0.0, 0.001),
    (0.0125, 0.01),
    (0.0385, 0.02),
    (0.09, 0.05),
    (0.147, 0.1),
    (0.242, 0.2),
    (0.301, 0.3),
    (0.389, 0.5),
    (0.449, 0.7),
    (0.516, 1.0),
    (0.64, 2.0),
    (0.701, 3.0),
    (0.769, 5.0),
    (0.839, 10.0),
    (0.89, 20.0),
    (0.9175, 30.0),
    (0.949, 60.0),
    (0.971, 120.0),
    (0.991, 300.0),
    (0.997, 600.0),
    (1.0, 1_800.0),
];

/// Figure 7, "minimum", of a day's durations of each function, in seconds.
pub(super) const DURATION_MIN_S: &[(f64, f64)] = &[
    (0.0, 0.001),
    (0.0985, 0.01),
    (0.197, 0.02),
    (0.311, 0.05),
    (0.395, 0.1),
    (0.491, 0.2),
    (0.543, 0.3),
    (0.61, 0.5),
    (0.699, 1.0),
    (0.776, 2.0),
    (0.85, 5.0),
    (0.894, 10.0),
    (0.93, 20.0),
    (1.0, 600.0),
];

/// Figure 7, "maximum", likewise.
pub(super) const DURATION_MAX_S: &[(f64, f64)] = &[
    (0.0, 0.001),
    (0.021, 0.02),
    (0.066, 0.1),
    (0.181, 0.5),
    (0.271, 1.0),
    (0.39, 2.0),
    (0.461, 3.0),
    (0.555, 5.0),
    (0.671, 10.0),
    (0.765, 20.0),
    (0.817, 30.0),
    (0.885, 60.0),
    (0.935, 120.0),
    (0.975, 300.0),
    (0.989, 600.0),
    (1.0, 3_600.0),
];

/// The share of invocations of functions whose mean is at most a second (FaaSRail,
/// on the first day of Azure Functions 2019).
pub(super) const INVOCATIONS_UP_TO_1_S: f64 = 0.8;

/// Figure 8, "average": the share of applications with at most that many MB.
pub(super) const MEMORY_MB: &[(f64, f64)] = &[
    (0.0, 60.0),
    (0.015, 90.0),
    (0.093, 100.0),
    (0.173, 110.0),
    (0.3, 120.0),
    (0.42, 130.0),
    (0.505, 140.0),
    (0.557, 150.0),
    (0.598, 160.0),
    (0.631, 170.0),
    (0.69, 180.0),
    (0.77, 190.0),
    (0.828, 200.0),
    (0.886, 220.0),
    (0.918, 250.0),
    (0.945, 300.0),
    (0.973, 400.0),
    (0.983, 500.0),
    (0.993, 700.0),
    (0.997, 1_000.0),
    (1.0, 1_500.0),
];
