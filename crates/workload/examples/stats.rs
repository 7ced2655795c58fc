//! Prints the statistics of a trace.
//!
//! `cargo run --release -p gapless-workload --example stats -- PATH...`

use std::time::Instant;

use gapless_workload::{Input, ReadOptions, Statistics, open, read};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let options = ReadOptions::default();
    let begin = Instant::now();
    let mut workload = match &paths[..] {
        [path] => open(path, &options)?,
        paths => read(paths.iter().map(Input::path).collect(), &options)?,
    };
    print!("{}", Statistics::of(&mut workload)?);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("VmHWM unknown");
    eprintln!("{:.1} s, {peak}", begin.elapsed().as_secs_f64());
    Ok(())
}
