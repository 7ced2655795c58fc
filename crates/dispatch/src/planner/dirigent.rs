//! `dirigent`: Dirigent's autoscaler (SOSP'24). It kept Knative's windows and
//! their settings, and decides every two seconds per function; data planes push
//! what is in flight every two seconds, so its average is one of samples and not
//! of all of the time (eth-easl/dirigent, `internal/control_plane/autoscaling`).
//! What Dirigent made fast is the path from a decision to a sandbox, which is the
//! environment's part; PulseNet (arXiv 2505.24551, section 3.2) found delays of up
//! to 4 s left in it, from the window.

use std::time::Duration;

use super::window::{KNATIVE, Sampling, Settings, Window};

/// The planner.
pub(super) fn planner() -> Window {
    let sampling = Sampling::Latest(Duration::from_secs(2));
    Window::new(Settings { sampling, zero_grace: Duration::ZERO, ..KNATIVE })
}
