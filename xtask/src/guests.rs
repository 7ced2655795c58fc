//! Wasm guests.

/// Placeholder until the guests land.
pub(crate) fn run(_check: bool) -> anyhow::Result<()> {
    anyhow::bail!("not there yet")
}
