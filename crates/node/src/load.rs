//! [`LoadMeter`]: the measured use of this machine, from what the kernel counts
//! (proc(5): `/proc/stat`, `/proc/meminfo`). Placement prefers nodes by what they
//! use, not by what was reserved; it reads the latest of these.

use gapless_placement::Load;

/// How much of the mean a new reading makes up: about a minute of readings every
/// five seconds.
const READING_SHARE: f32 = 0.15;

/// Use between readings, and how steady it is.
#[derive(Debug, Default)]
pub struct LoadMeter {
    before: Option<(u64, u64)>,
    mean: f32,
    variance: f32,
}

impl LoadMeter {
    /// Reads the kernel's counters. `None` where it has none, and at the first reading.
    pub fn read(&mut self) -> Option<Load> {
        let stat = std::fs::read_to_string("/proc/stat").ok()?;
        let memory = std::fs::read_to_string("/proc/meminfo").ok()?;
        self.take(&stat, &memory)
    }

    fn take(&mut self, stat: &str, memory: &str) -> Option<Load> {
        let (busy, total) = busy_and_total(stat)?;
        let (busy_before, total_before) = self.before.replace((busy, total))?;
        let span = total.saturating_sub(total_before).max(1) as f32;
        let cpu = (busy.saturating_sub(busy_before) as f32 / span).clamp(0.0, 1.0);
        // West (1979): exponentially weighted mean and variance.
        let off = cpu - self.mean;
        self.mean += READING_SHARE * off;
        self.variance = (1.0 - READING_SHARE) * (self.variance + READING_SHARE * off * off);
        let (all, available) = (kib(memory, "MemTotal:")?, kib(memory, "MemAvailable:")?);
        let memory = 1.0 - available as f32 / all.max(1) as f32;
        Some(Load { cpu: self.mean, memory, cpu_deviation: self.variance.sqrt() })
    }
}

/// Time the processors worked, and all time, in ticks.
fn busy_and_total(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    // user nice system idle iowait irq softirq steal; guest time is in user.
    let ticks: Vec<u64> = line.split_whitespace().take(8).map_while(|n| n.parse().ok()).collect();
    let total: u64 = ticks.iter().sum();
    let idle = ticks.get(3)? + ticks.get(4)?;
    Some((total - idle, total))
}

fn kib(memory: &str, key: &str) -> Option<u64> {
    let line = memory.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn use_is_what_was_busy_between_readings() {
        let memory = "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 250 kB\n";
        let mut meter = LoadMeter::default();
        assert_eq!(meter.take("cpu  100 0 0 900 0 0 0 0 0 0\n", memory), None);
        let load = meter.take("cpu  200 0 0 900 0 0 0 0 0 0\n", memory).unwrap();
        assert!((load.cpu - READING_SHARE).abs() < 1e-6, "a first step towards all busy");
        assert_eq!(load.memory, 0.75);
        for busy in 3..60 {
            meter.take(&format!("cpu  {busy}00 0 0 900 0 0 0 0 0 0\n"), memory);
        }
        let load = meter.take("cpu  6000 0 0 900 0 0 0 0 0 0\n", memory).unwrap();
        assert!(load.cpu > 0.99 && load.cpu_deviation < 0.1, "{load:?}");
        assert_eq!(meter.take("nonsense", memory), None);
    }
}
