//! Prints how near the generator comes to the published distributions.
//!
//! `cargo run --release -p gapless-workload --example fit -- [FUNCTIONS] [DAYS] [SEED] [INVOCATIONS]`
//!
//! Without INVOCATIONS, rates are as published.

use std::time::{Duration, Instant};

use gapless_workload::Generator;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let numbers: Vec<u64> =
        std::env::args().skip(1).map(|a| a.parse()).collect::<Result<_, _>>()?;
    let number = |index: usize, default| numbers.get(index).copied().unwrap_or(default);
    let days = u32::try_from(number(1, 1))?;
    let mut generator = Generator::new(u32::try_from(number(0, 10_000))?)
        .lasting(Duration::from_secs(86_400) * days)
        .seeded(number(2, 1));
    if let Some(invocations) = numbers.get(3) {
        generator = generator.with_invocations(*invocations);
    }
    let begin = Instant::now();
    println!("{}", generator.fit()?);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("VmHWM unknown");
    eprintln!("{:.1} s, {peak}", begin.elapsed().as_secs_f64());
    Ok(())
}
