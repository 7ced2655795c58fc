//! What the benches and the demo deploy, and the few calls of the API that takes.
//!
//! They go over the load generator's own connection: it is there, it is small,
//! and the command's client is made for people, with its messages and progress.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use gapless_api::{artifact_path, function_path};
use gapless_types::{Condition, Function};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::load::{Connection, Target};

/// How long a function may take to be ready after its deploy.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Pause between looks at a function that is not ready. A look costs the API a
/// few microseconds, and nothing is measured meanwhile.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(5);
/// The namespace of what is deployed.
pub(crate) const NAMESPACE: &str = "default";

/// Code to deploy.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    bytes: Arc<[u8]>,
    digest: String,
    /// `spec` says it by this: `wasm`, `command` or `fake`, and its value.
    kind: (&'static str, Value),
}

impl Code {
    /// A component.
    pub(crate) fn wasm(bytes: &[u8]) -> Self {
        Code::new(bytes.into(), ("wasm", json!("function.wasm")))
    }

    /// A program that is run in a folder with `files`.
    pub(crate) fn command(command: &[&str], files: &[(&str, &[u8])]) -> Result<Self> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, Path::new(name), *bytes)?;
        }
        Ok(Code::new(archive.into_inner()?.into(), ("command", json!(command))))
    }

    /// A model: no code at all.
    pub(crate) fn fake(start_ms: u32, service_ms: u32) -> Self {
        let model = json!({"start": format!("{start_ms}ms"), "service": format!("{service_ms}ms")});
        Code { bytes: [].into(), digest: String::new(), kind: ("fake", model) }
    }

    fn new(bytes: Arc<[u8]>, kind: (&'static str, Value)) -> Self {
        let digest = format!("sha256:{}", sha256_hex(&bytes));
        Code { bytes, digest, kind }
    }
}

/// The SHA-256 of `bytes`, as hexadecimal digits.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One connection to the API.
#[derive(Debug)]
pub(crate) struct Api {
    address: SocketAddr,
    connection: Connection,
}

impl Api {
    /// Connects.
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        Ok(Api { address, connection: Connection::open(address).await? })
    }

    async fn call(&mut self, method: &str, path: &str, body: &[u8]) -> Result<Vec<u8>> {
        let target = Target::new(self.address, "localhost", method, path, body);
        if self.connection.is_over() {
            self.connection = Connection::open(self.address).await?;
        }
        let answer = self.connection.call(&target.request).await;
        let answer = answer.with_context(|| format!("{method} {path}"))?;
        match answer.status {
            200..300 => Ok(answer.body.to_vec()),
            _ => bail!("{method} {path}: {}", answer.describe()),
        }
    }

    /// Stores the code, if there is any.
    pub(crate) async fn upload(&mut self, code: &Code) -> Result<()> {
        if !code.digest.is_empty() {
            self.call("PUT", &artifact_path(&code.digest), &code.bytes).await?;
        }
        Ok(())
    }

    /// Declares function `name`: `spec` with the code's fields.
    pub(crate) async fn declare(&mut self, name: &str, code: &Code, mut spec: Value) -> Result<()> {
        let fields = spec.as_object_mut().context("spec is an object")?;
        fields.insert(code.kind.0.to_owned(), code.kind.1.clone());
        if !code.digest.is_empty() {
            fields.insert("artifact".to_owned(), json!(code.digest));
        }
        let function = json!({
            "apiVersion": gapless_types::API_VERSION, "kind": "Function",
            "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec,
        });
        let body = serde_json::to_vec(&function)?;
        self.call("PUT", &function_path(NAMESPACE, name), &body).await?;
        Ok(())
    }

    /// Waits until function `name` is ready. Fails if it cannot become so.
    pub(crate) async fn wait_until_ready(&mut self, name: &str) -> Result<()> {
        let path = function_path(NAMESPACE, name);
        let until = Instant::now() + READY_WITHIN;
        loop {
            let body = self.call("GET", &path, b"").await?;
            let function: Function = serde_json::from_slice(&body)?;
            let status = function.status.unwrap_or_default();
            let ready = status.condition("Ready");
            match ready.map(|ready: &Condition| ready.status.as_str()) {
                Some("True") => return Ok(()),
                Some("False") => {
                    let message = ready.map_or("", |ready| &ready.message);
                    bail!("function {name} failed: {message}");
                }
                _ if Instant::now() > until => bail!("function {name} does not become ready"),
                _ => tokio::time::sleep(LOOK_AGAIN_AFTER).await,
            }
        }
    }

    /// Where function `name`'s instance listens; waits until it has one. For functions
    /// whose program listens on TCP and whose minimum is one.
    pub(crate) async fn address_of(&mut self, name: &str) -> Result<SocketAddr> {
        let path = format!("/apis/{}/namespaces/{NAMESPACE}/instances", gapless_types::API_VERSION);
        let until = Instant::now() + READY_WITHIN;
        loop {
            let list: Value = serde_json::from_slice(&self.call("GET", &path, b"").await?)?;
            let statuses = list["items"].as_array().into_iter().flatten().map(|i| &i["status"]);
            let its = |status: &&Value| status["function"] == name && status["phase"] == "Ready";
            if let Some(endpoint) = statuses.filter(its).find_map(|s| s["endpoint"].as_str()) {
                let address = endpoint.strip_prefix("tcp:").context("it is not on TCP")?;
                return Ok(address.parse()?);
            }
            if Instant::now() > until {
                bail!("function {name} has no instance");
            }
            tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        }
    }

    /// Removes function `name`.
    pub(crate) async fn delete(&mut self, name: &str) -> Result<()> {
        self.call("DELETE", &function_path(NAMESPACE, name), b"").await.map(drop)
    }

    /// The sum of a metric over its labels, of the samples that have `label`.
    pub(crate) async fn metric(&mut self, name: &str, label: &str) -> Result<f64> {
        let body = self.call("GET", "/metrics", b"").await?;
        Ok(metric_sum(&String::from_utf8_lossy(&body), name, label))
    }
}

/// The sum of the samples of `name` in Prometheus text that have `label`.
fn metric_sum(text: &str, name: &str, label: &str) -> f64 {
    let samples = text.lines().filter_map(|line| line.strip_prefix(name));
    let samples = samples.filter(|rest| rest.starts_with(['{', ' ']) && rest.contains(label));
    samples.filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_summed_over_their_labels_only() {
        let text = "# TYPE a_total counter\na_total{s=\"x\"} 2\na_total{s=\"y z\"} 3\n\
            a_total_other 7\nb 1\n";
        assert_eq!(metric_sum(text, "a_total", ""), 5.0);
        assert_eq!(metric_sum(text, "a_total", "s=\"x\""), 2.0);
        assert_eq!(metric_sum(text, "b", ""), 1.0);
        assert_eq!(metric_sum(text, "c", ""), 0.0);
    }

    #[test]
    fn an_archive_holds_its_files() {
        let code = Code::command(&["python3", "main.py"], &[("main.py", b"pass\n")]).unwrap();
        let mut archive = tar::Archive::new(&*code.bytes);
        let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(entry.path().unwrap().to_str(), Some("main.py"));
        let mut text = String::new();
        std::io::Read::read_to_string(&mut entry, &mut text).unwrap();
        assert_eq!(text, "pass\n");
        assert_eq!(code.digest.len(), "sha256:".len() + 64);
    }
}
