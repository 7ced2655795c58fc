//! Deploys what a workload invokes, and removes it again.
//!
//! A function without a folder is the provided one: the program `gapless probe`, which
//! answers `GET /work?us=N` after sleeping for N microseconds. It is started by the
//! platform by this program's own path, so both must be on one machine. A folder is
//! deployed by `gapless deploy`. What always holds: everything that may have been
//! deployed is named before it is begun, so it can be removed however far it came.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use gapless_types::{Bytes, Function, Span};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::task::JoinSet;

use super::memory::Watched;
use super::survey::Used;
use crate::api::{Api, Code, NAMESPACE};
use crate::load::{Connection, Target};

/// Connections to the API that deploy at the same time.
const AT_ONCE: usize = 8;
/// Folders that are deployed at the same time, each by a process.
const FOLDERS_AT_ONCE: usize = 4;
/// An instance needs at least this much, whatever the trace says.
const BYTES_MIN: u64 = 32 << 20;
/// The most that a declaration may say.
const BYTES_MAX: u64 = 1 << 50;
/// A request may take so much longer than the trace says.
const TIMEOUT_SLACK: Duration = Duration::from_secs(30);
const TIMEOUT_MAX: Duration = Duration::from_secs(6 * 86_400);
/// Functions named in an error.
const NAMED_MAX: usize = 10;
/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// How the provided function is declared.
#[derive(Clone, Debug)]
pub(super) struct Declared {
    pub(super) start_mode: Option<String>,
    pub(super) keep_alive: Option<String>,
    pub(super) instances_max: u32,
    pub(super) queue_size: u32,
    pub(super) queue_wait: Duration,
}

impl Declared {
    fn spec(&self, used: &Used) -> Value {
        let bytes = Bytes(used.bytes.clamp(BYTES_MIN, BYTES_MAX));
        let timeout = used.service_max.saturating_add(TIMEOUT_SLACK).min(TIMEOUT_MAX);
        let mut spec = json!({
            "concurrency": 1,
            "timeout": Span(timeout).to_string(),
            "queue": {"size": self.queue_size, "wait": Span(self.queue_wait).to_string()},
            "scale": {"max": self.instances_max},
            // It sleeps.
            "resources": {"cpu": "10m", "memory": bytes.to_string()},
        });
        if let Some(mode) = &self.start_mode {
            spec["start"] = json!({"mode": mode});
        }
        if let Some(keep_alive) = &self.keep_alive {
            spec["scale"]["keepAlive"] = json!(keep_alive);
        }
        spec
    }
}

/// What is deployed.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// The provided function, for each.
    Provided(Declared),
    /// The folders below this one.
    Folders(PathBuf),
}

/// The provided function's code.
fn provided() -> Result<Code> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let readme: &[u8] = b"The program is not in this folder: it is the command's.\n";
    Code::command(&[&program.to_string_lossy(), "probe"], &[("README", readme)])
}

/// The folder of each function; an error names those that have none.
pub(super) fn folders(root: &Path, functions: &[Used]) -> Result<()> {
    if !root.is_dir() {
        bail!("--functions {}: it is not a folder", root.display());
    }
    let is_missing =
        |used: &&Used| !is_folder_name(&used.traced) || !root.join(&used.traced).is_dir();
    let missing: Vec<&str> =
        functions.iter().filter(is_missing).map(|used| used.traced.as_str()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let more = match missing.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let named = missing[..missing.len().min(NAMED_MAX)].join(", ");
    bail!(
        "--functions {}: no folder for {named}{more}; each function of the trace that is invoked \
         needs one of its name",
        root.display()
    );
}

fn is_folder_name(name: &str) -> bool {
    !name.contains('/') && !matches!(name, "" | "." | "..")
}

/// Deploys `functions` and waits until they are ready, telling how far it is.
pub(super) async fn deploy(
    (api, url): (SocketAddr, &str),
    functions: &[Used],
    what: &What,
) -> Result<Vec<Watched>> {
    let work = Arc::new(Work {
        api,
        url: url.to_owned(),
        functions: functions.to_vec(),
        next: AtomicUsize::new(0),
        watched: Mutex::default(),
    });
    let mut running = JoinSet::new();
    match what {
        What::Provided(declared) => {
            let code = provided()?;
            Api::open(api).await?.upload(&code).await?;
            for _ in 0..AT_ONCE.min(functions.len()) {
                running.spawn(work.clone().deploy_provided(code.clone(), declared.clone()));
            }
        }
        What::Folders(root) => {
            for _ in 0..FOLDERS_AT_ONCE.min(functions.len()) {
                running.spawn(work.clone().deploy_folders(root.clone()));
            }
        }
    }
    let mut tick = tokio::time::interval(PROGRESS_EVERY);
    tick.tick().await;
    loop {
        tokio::select! {
            ended = running.join_next() => match ended {
                Some(ended) => ended??,
                None => break,
            },
            _ = tick.tick() => {
                eprintln!("  {} of {} are ready", work.watched.lock().len(), functions.len());
            }
        }
    }
    let mut watched = std::mem::take(&mut *work.watched.lock());
    watched.sort_by_key(|watched| watched.function);
    Ok(watched)
}

/// What those that deploy share.
struct Work {
    api: SocketAddr,
    url: String,
    functions: Vec<Used>,
    next: AtomicUsize,
    watched: Mutex<Vec<Watched>>,
}

impl Work {
    fn next(&self) -> Option<&Used> {
        self.functions.get(self.next.fetch_add(1, Ordering::Relaxed))
    }

    async fn deploy_provided(self: Arc<Self>, code: Code, declared: Declared) -> Result<()> {
        let mut api = Api::open(self.api).await?;
        while let Some(used) = self.next() {
            let deployed = async {
                api.declare(&used.name, &code, declared.spec(used)).await?;
                api.wait_until_ready(&used.name).await
            };
            deployed.await.with_context(|| format!("function {} of the trace", used.traced))?;
            let bytes = used.bytes.clamp(BYTES_MIN, BYTES_MAX);
            self.is_ready(used, bytes, 1);
        }
        Ok(())
    }

    async fn deploy_folders(self: Arc<Self>, root: PathBuf) -> Result<()> {
        while let Some(used) = self.next() {
            let deployed = async {
                deploy_folder(&root.join(&used.traced), &used.name, &self.url).await?;
                read(self.api, &used.name).await
            };
            let deployed = deployed.await;
            let function =
                deployed.with_context(|| format!("function {} of the trace", used.traced))?;
            let spec = function.spec;
            self.is_ready(used, spec.resources.memory.0, spec.concurrency);
        }
        Ok(())
    }

    fn is_ready(&self, used: &Used, bytes: u64, concurrency: u32) {
        let (name, function) = (used.name.clone(), used.function);
        self.watched.lock().push(Watched { name, function, bytes, concurrency });
    }
}

/// Deploys a folder as people do.
async fn deploy_folder(folder: &Path, name: &str, url: &str) -> Result<()> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut command = Command::new(program);
    command.arg("deploy").arg(folder).args(["--namespace", NAMESPACE, "--name", name]);
    command.args(["--api", url]).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.context("cannot run `gapless deploy`")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim().strip_prefix("error: ").unwrap_or(said.trim()).to_owned();
        bail!("{}: {said}", folder.display());
    }
    Ok(())
}

/// A function as the platform has it.
async fn read(api: SocketAddr, name: &str) -> Result<Function> {
    let path = gapless_api::function_path(NAMESPACE, name);
    let mut connection = Connection::open(api).await?;
    let answer = connection.call(&Target::get(api, "localhost", &path).request).await?;
    match answer.status {
        200 => Ok(serde_json::from_slice(answer.body)?),
        _ => bail!("GET {path}: {}", answer.describe()),
    }
}

/// Removes `functions`, also those that were never there. Says what it could not remove.
pub(super) async fn delete(api: SocketAddr, functions: &[Used]) -> Result<()> {
    let mut api = Api::open(api).await?;
    let mut failed = Vec::new();
    for used in functions {
        match api.delete(&used.name).await {
            Err(error) if !format!("{error:#}").contains(": 404 ") => failed.push(error),
            _ => {}
        }
    }
    match failed.into_iter().next() {
        Some(error) => Err(error.context("not everything that was deployed could be deleted")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(traced: &str, bytes: u64) -> Used {
        let service_max = Duration::from_millis(1500);
        let (traced, name) = (traced.to_owned(), format!("replay-{traced}"));
        Used { function: 0, traced, name, bytes, service_max }
    }

    #[test]
    fn the_declaration_is_valid_whatever_the_trace_says() {
        let declared = Declared {
            start_mode: Some("sync".to_owned()),
            keep_alive: Some("5s".to_owned()),
            instances_max: 7,
            queue_size: 10,
            queue_wait: Duration::from_secs(60),
        };
        for bytes in [0, 1, 200 << 20, u64::MAX] {
            let mut spec = declared.spec(&used("a", bytes));
            spec["command"] = json!(["x"]);
            let function = Function::from_value(json!({
                "apiVersion": gapless_types::API_VERSION, "kind": "Function",
                "metadata": {"name": "a"}, "spec": spec,
            }));
            let spec = function.unwrap().spec;
            assert_eq!(spec.resources.memory.0, bytes.clamp(BYTES_MIN, BYTES_MAX));
            assert_eq!((spec.concurrency, spec.scale.max), (1, 7));
            assert_eq!(spec.timeout.0, Duration::from_millis(31_500));
        }
    }

    #[test]
    fn functions_without_a_folder_are_named() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("a")).unwrap();
        assert!(folders(root.path(), &[used("a", 1)]).is_ok());
        let error = folders(root.path(), &[used("a", 1), used("b", 1), used("..", 1)]);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("no folder for b, ..;"), "{error}");
        let many: Vec<Used> = (0..14).map(|at| used(&format!("f{at}"), 1)).collect();
        let error = folders(root.path(), &many).unwrap_err().to_string();
        assert!(error.contains("f9 and 4 more"), "{error}");
        let error = folders(&root.path().join("none"), &many).unwrap_err().to_string();
        assert!(error.contains("not a folder"), "{error}");
    }
}
