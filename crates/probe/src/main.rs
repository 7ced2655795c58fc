//! `gapless-probe`: the probe as a program of its own.

fn main() -> std::io::Result<()> {
    gapless_probe::serve_from_env()
}
