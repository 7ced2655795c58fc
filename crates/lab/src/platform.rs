//! A platform of our own: `gapless up` as a child process on free loopback ports
//! and a temporary folder, and the few calls of its API that a bench needs.
//!
//! What always holds: the child is killed and its folder removed when the
//! [`Platform`] is dropped, however that comes about. A bench is cancelled by
//! dropping its future, so Ctrl-C takes the same way.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use gapless_api::{artifact_path, function_path};
use gapless_types::{Condition, Function};
use rustix::process::{Pid, Resource, Signal};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::load::{Connection, Target};

/// How long the platform may take to be ready, and a function after its deploy.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long the platform may take to stop when told.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// Pause between looks at a function that is not ready.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(5);
/// The namespace of what is deployed.
const NAMESPACE: &str = "default";

/// A running platform.
#[derive(Debug)]
pub(crate) struct Platform {
    /// Before the folder, so that it is dead when the folder goes.
    child: Child,
    gateway: SocketAddr,
    api: SocketAddr,
    /// From the start of the program to its line.
    pub(crate) ready_after: Duration,
    _folder: TempDir,
}

impl Platform {
    /// Starts one, with `flags` besides those that say where.
    pub(crate) async fn start(flags: &[&str]) -> Result<Self> {
        raise_file_limit();
        let folder = tempfile::Builder::new().prefix("gapless-lab-").tempdir()?;
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut command = Command::new(program);
        command.args(["up", "--gateway", "127.0.0.1:0", "--api", "127.0.0.1:0", "--data-dir"]);
        command.arg(folder.path().join("data")).args(flags);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        // Ctrl-C reaches this program alone, which then ends the platform.
        command.process_group(0);
        let begun = Instant::now();
        let mut child = command.spawn().context("cannot start `gapless up`")?;
        let out = child.stdout.take().context("the child has no stdout")?;
        let mut line = String::new();
        let mut out = BufReader::new(out);
        let reading = out.read_line(&mut line);
        tokio::time::timeout(READY_WITHIN, reading).await.context("`gapless up` hangs")??;
        let ready_after = begun.elapsed();
        // It writes no second line, and a closed pipe would not hurt it.
        let urls: Vec<&str> =
            line.split_whitespace().filter_map(|word| word.strip_prefix("http://")).collect();
        let [gateway, api] = urls[..] else {
            let status = child.wait().await?;
            bail!("`gapless up` is not ready but {status}; it said {:?}", line.trim());
        };
        let (gateway, api) = (gateway.parse()?, api.parse()?);
        Ok(Platform { child, gateway, api, ready_after, _folder: folder })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Memory of its process that is resident, in MiB.
    pub(crate) fn resident_mib(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next());
        let kib: f64 = kib.context("no VmRSS")?.parse()?;
        Ok(kib / 1024.0)
    }

    /// A request of a deployed function.
    pub(crate) fn target(&self, name: &str, method: &str, path: &str, body: &[u8]) -> Target {
        let host = format!("{name}.{NAMESPACE}.localhost:{}", self.gateway.port());
        Target::new(self.gateway, &host, method, path, body)
    }

    /// `GET /` of a deployed function.
    pub(crate) fn get(&self, name: &str) -> Target {
        self.target(name, "GET", "/", b"")
    }

    /// A connection to the API.
    pub(crate) async fn api(&self) -> Result<Api> {
        Ok(Api { address: self.api, connection: Connection::open(self.api).await? })
    }

    /// Uploads `code` and deploys it as `name`, and waits until it is ready.
    pub(crate) async fn deploy(&self, name: &str, code: &Code, spec: Value) -> Result<()> {
        let mut api = self.api().await?;
        api.upload(code).await?;
        api.declare(name, code, spec).await?;
        api.wait_until_ready(name).await
    }

    /// Stops it as a person would, with SIGTERM, and waits for that.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        if let Some(pid) = pid {
            rustix::process::kill_process(pid, Signal::TERM)?;
        }
        let ended = tokio::time::timeout(STOP_WITHIN, self.child.wait()).await;
        let status = ended.context("`gapless up` does not stop when told")??;
        match status.success() {
            true => Ok(()),
            false => bail!("`gapless up` ended with {status}"),
        }
    }
}

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
        let hash = Sha256::digest(&bytes);
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        Code { bytes, digest: format!("sha256:{hex}"), kind }
    }
}

/// One connection to the API.
#[derive(Debug)]
pub(crate) struct Api {
    address: SocketAddr,
    connection: Connection,
}

impl Api {
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

    /// Removes function `name`.
    pub(crate) async fn delete(&mut self, name: &str) -> Result<()> {
        self.call("DELETE", &function_path(NAMESPACE, name), b"").await.map(drop)
    }

    /// The sum of a metric over its labels.
    pub(crate) async fn metric(&mut self, name: &str) -> Result<f64> {
        let body = self.call("GET", "/metrics", b"").await?;
        Ok(metric_sum(&String::from_utf8_lossy(&body), name))
    }
}

/// The sum of the samples of `name` in Prometheus text.
fn metric_sum(text: &str, name: &str) -> f64 {
    let samples = text.lines().filter_map(|line| line.strip_prefix(name));
    let samples = samples.filter(|rest| rest.starts_with(['{', ' ']));
    samples.filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Lets this process and its children have as many files open as they may.
pub(crate) fn raise_file_limit() {
    let mut limit = rustix::process::getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // A burst that does not fit says so itself.
    let _ = rustix::process::setrlimit(Resource::Nofile, limit);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_summed_over_their_labels_only() {
        let text = "# TYPE a_total counter\na_total{s=\"x\"} 2\na_total{s=\"y z\"} 3\n\
            a_total_other 7\nb 1\n";
        assert_eq!(metric_sum(text, "a_total"), 5.0);
        assert_eq!(metric_sum(text, "b"), 1.0);
        assert_eq!(metric_sum(text, "c"), 0.0);
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
