//! A platform of our own: `gapless up` as a child process on free loopback ports
//! and a temporary folder.
//!
//! What always holds: the child has stopped and its folder is removed when the
//! [`Platform`] is dropped, however that comes about, and the child stops by
//! itself if this process is killed.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Resource;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;

use crate::api::{Api, Code, NAMESPACE};
use crate::child::ChildProcess;
use crate::load::Target;

/// How long the platform may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Bytes of its first line, at the most.
const LINE_BYTES_MAX: u64 = 4096;

/// Starts by outcome.
const STARTS: &str = "gapless_node_starts_total";

/// A running platform.
#[derive(Debug)]
pub(crate) struct Platform {
    /// Before the folder, so that it has stopped when the folder goes.
    child: ChildProcess,
    gateway: SocketAddr,
    api: SocketAddr,
    /// From the start of the program to its line.
    pub(crate) ready_after: Duration,
    _folder: Option<TempDir>,
}

impl Platform {
    /// Starts one in a folder of its own, with `flags` besides those that say where.
    pub(crate) async fn start(flags: &[&str]) -> Result<Self> {
        let folder = folder()?;
        let mut platform = Platform::start_in(&folder.path().join("data"), flags).await?;
        platform._folder = Some(folder);
        Ok(platform)
    }

    /// Starts one on `data_dir`, which the caller keeps.
    pub(crate) async fn start_in(data_dir: &Path, flags: &[&str]) -> Result<Self> {
        raise_file_limit();
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut command = Command::new(program);
        command.args(["up", "--end-with-parent", "--data-dir"]).arg(data_dir);
        command.args(["--gateway", "127.0.0.1:0", "--api", "127.0.0.1:0"]).args(flags);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let begun = Instant::now();
        let mut child = ChildProcess::start(&mut command)?;
        let out = child.take_stdout().context("the child has no stdout")?;
        let mut line = String::new();
        // It writes no second line, and a closed pipe would not hurt it.
        let mut out = BufReader::new(out.take(LINE_BYTES_MAX));
        let reading = out.read_line(&mut line);
        tokio::time::timeout(READY_WITHIN, reading).await.context("`gapless up` hangs")??;
        let ready_after = begun.elapsed();
        let Some((gateway, api)) = addresses(&line) else {
            let status = child.wait().await?;
            bail!("`gapless up` did not get ready: {status}; it said {:?}", line.trim());
        };
        Ok(Platform { child, gateway, api, ready_after, _folder: None })
    }

    /// Memory of its process that is resident, in MiB.
    pub(crate) fn resident_mib(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next());
        let kib: f64 = kib.context("no VmRSS")?.parse()?;
        Ok(kib / 1024.0)
    }

    /// Processor time that its process has taken, in seconds.
    pub(crate) fn processor_seconds(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // After the name, which ends with the last parenthesis: utime and stime are the
        // fields 14 and 15 (proc_pid_stat(5)).
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
        let ticks: Vec<f64> = fields.skip(11).take(2).filter_map(|n| n.parse().ok()).collect();
        let per_second = rustix::param::clock_ticks_per_second() as f64;
        Ok(ticks.iter().sum::<f64>() / per_second)
    }

    /// The gateway's address.
    pub(crate) fn gateway(&self) -> SocketAddr {
        self.gateway
    }

    /// The API's address.
    pub(crate) fn api_address(&self) -> SocketAddr {
        self.api
    }

    /// The name by which the gateway knows a deployed function.
    pub(crate) fn host(&self, name: &str) -> String {
        format!("{name}.{NAMESPACE}.localhost:{}", self.gateway.port())
    }

    /// `GET path` of a deployed function.
    pub(crate) fn get(&self, name: &str, path: &str) -> Target {
        Target::get(self.gateway, &self.host(name), path)
    }

    /// A connection to the API.
    pub(crate) async fn api(&self) -> Result<Api> {
        Api::open(self.api).await
    }

    /// Uploads `code` and deploys it as `name`, and waits until it is ready.
    pub(crate) async fn deploy(&self, name: &str, code: &Code, spec: Value) -> Result<()> {
        let mut api = self.api().await?;
        api.upload(code).await?;
        api.declare(name, code, spec).await?;
        api.wait_until_ready(name).await
    }

    /// Instances started so far: not those that were dropped before they began.
    pub(crate) async fn starts(&self) -> Result<f64> {
        let mut api = self.api().await?;
        let all = api.metric(STARTS, "").await?;
        Ok(all - api.metric(STARTS, "outcome=\"dropped\"").await?)
    }

    /// Stops it as a person would, with SIGTERM, and waits for that.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let status = self.child.stop().await?;
        match status.success() {
            true => Ok(()),
            false => bail!("`gapless up` ended with {status}"),
        }
    }
}

/// A temporary folder.
pub(crate) fn folder() -> Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("gapless-lab-").tempdir();
    folder.context("cannot make a temporary folder; TMPDIR says where")
}

/// The addresses that the line says: of the gateway and of the API.
fn addresses(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let mut urls = line.split_whitespace().filter_map(|word| word.strip_prefix("http://"));
    let gateway = urls.next()?.parse().ok()?;
    let api = urls.next()?.parse().ok()?;
    Some((gateway, api))
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
    fn the_line_says_both_addresses() {
        let line = "gapless ready: gateway http://127.0.0.1:8080 api http://127.0.0.1:8090\n";
        let (gateway, api) = addresses(line).unwrap();
        assert_eq!((gateway.port(), api.port()), (8080, 8090));
        assert!(addresses("gapless ready: gateway http://127.0.0.1:8080\n").is_none());
        assert!(addresses("").is_none());
    }
}
