//! The layer check: a crate imports only from layers below its own, and the
//! pure ones have no clock, no runtime and no I/O.
//!
//! [`LAYERS`] is the one place where a crate's layer is said. A crate that is
//! not named there fails the check, so nobody forgets.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// One layer.
struct Layer {
    name: &'static str,
    crates: &'static [&'static str],
    /// Whether its crates may import each other.
    is_joined: bool,
    /// Whether its crates are pure: no runtime, no clock, no I/O.
    is_pure: bool,
}

/// Lowest first.
const LAYERS: &[Layer] = &[
    Layer { name: "vocabulary", crates: &["types"], is_joined: false, is_pure: true },
    Layer {
        name: "pure cores",
        crates: &["dispatch", "placement", "rollout", "scaling"],
        is_joined: false,
        is_pure: true,
    },
    // Above the cores so that none of them can read a trace, below everything that runs one.
    Layer { name: "experiment data", crates: &["workload"], is_joined: false, is_pure: false },
    Layer {
        name: "contracts",
        crates: &["proto", "api", "objects", "sandbox", "store", "manifest", "knative"],
        is_joined: true,
        is_pure: false,
    },
    Layer {
        name: "capability",
        crates: &["rt", "net", "telemetry", "secret"],
        is_joined: true,
        is_pure: false,
    },
    Layer {
        name: "back ends",
        crates: &["sandbox-wasm", "sandbox-linux", "sandbox-fake", "store-embedded", "probe"],
        is_joined: false,
        is_pure: false,
    },
    Layer { name: "declared state", crates: &["declared"], is_joined: false, is_pure: false },
    Layer {
        name: "services",
        crates: &["gateway", "control", "node"],
        is_joined: false,
        is_pure: false,
    },
    Layer { name: "simulation", crates: &["sim"], is_joined: false, is_pure: false },
    Layer { name: "benches", crates: &["lab"], is_joined: false, is_pure: false },
    Layer { name: "assembly", crates: &["cli"], is_joined: false, is_pure: false },
];

/// What a pure crate's dependencies must not be.
const IMPURE: &[&str] =
    &["tokio", "tokio-util", "hyper", "hyper-util", "mio", "rand", "socket2", "rustix", "libc"];

/// What a pure crate's source must not name.
const IMPURE_PATHS: &[&str] = &[
    "std::net",
    "std::fs",
    "std::thread",
    "std::process",
    "std::env",
    "Instant::now",
    "SystemTime",
];

/// Fails with every import that goes up or sideways, and every impurity.
pub(crate) fn check() -> Result<()> {
    let mut wrong = Vec::new();
    let packages = packages()?;
    let layer_of: BTreeMap<&str, usize> = LAYERS
        .iter()
        .enumerate()
        .flat_map(|(index, layer)| layer.crates.iter().map(move |name| (*name, index)))
        .collect();
    for package in &packages {
        let Some(&layer) = layer_of.get(package.folder.as_str()) else {
            wrong.push(format!(
                "crates/{} is in no layer: add it to xtask/src/layers.rs",
                package.folder
            ));
            continue;
        };
        for dependency in &package.internal {
            if let Some(&below) = layer_of.get(dependency.as_str())
                && (below > layer || (below == layer && !LAYERS[layer].is_joined))
            {
                wrong.push(format!(
                    "crates/{} ({}) imports crates/{dependency} ({})",
                    package.folder, LAYERS[layer].name, LAYERS[below].name
                ));
            }
        }
        if LAYERS[layer].is_pure {
            wrong.extend(impurities(package)?);
        }
    }
    if wrong.is_empty() {
        println!("layers: {} crates, no import goes up", packages.len());
        return Ok(());
    }
    bail!("layers:\n  {}", wrong.join("\n  "))
}

/// One crate of `crates/`.
struct Package {
    folder: String,
    internal: Vec<String>,
    external: Vec<String>,
}

/// The crates of `crates/` with their normal dependencies.
fn packages() -> Result<Vec<Package>> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .output()
        .context("cannot run cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let empty = Vec::new();
    let list = |value: &Value| value.as_array().unwrap_or(&empty).clone();
    let mut packages = Vec::new();
    for package in list(&metadata["packages"]) {
        let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
        let folder = manifest.parent().unwrap_or(Path::new(""));
        if folder.parent().and_then(Path::file_name) != Some("crates".as_ref()) {
            continue;
        }
        let mut found = Package {
            folder: folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            internal: Vec::new(),
            external: Vec::new(),
        };
        for dependency in list(&package["dependencies"]) {
            let name = dependency["name"].as_str().unwrap_or_default();
            match name.strip_prefix("gapless-") {
                // A test may use anything; only what ships is held to the layers.
                _ if dependency["kind"] == "dev" => {}
                Some(internal) => found.internal.push(internal.to_owned()),
                None => found.external.push(name.to_owned()),
            }
        }
        packages.push(found);
    }
    Ok(packages)
}

/// What makes a crate impure: its dependencies and the paths its source names.
fn impurities(package: &Package) -> Result<Vec<String>> {
    let mut wrong: Vec<String> = package
        .external
        .iter()
        .filter(|name| IMPURE.contains(&name.as_str()))
        .map(|name| format!("crates/{} is pure but depends on {name}", package.folder))
        .collect();
    let mut folders = vec![Path::new("crates").join(&package.folder).join("src")];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path)?;
            for (number, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                if let Some(found) = IMPURE_PATHS.iter().find(|impure| code.contains(**impure)) {
                    let place = path.display();
                    wrong.push(format!("{place}:{} is pure but names {found}", number + 1));
                }
            }
        }
    }
    Ok(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crate_is_in_exactly_one_layer() {
        let mut seen = std::collections::BTreeSet::new();
        for name in LAYERS.iter().flat_map(|layer| layer.crates) {
            assert!(seen.insert(name), "{name} is in two layers");
        }
    }
}
