//! What a driver's test tells the suite: the guest, what it can do, and how to
//! see what is left behind.

use std::any::Any;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gapless_proto::{ConfigSource, NoConfigs, ResolvedConfig};
use gapless_types::{FunctionKey, FunctionSpec, InstanceId, Revision, RevisionName};
use parking_lot::Mutex;

use crate::{Driver, LogSink, LogStream, PrepareTask, StartTask, Started};

/// How long the suite waits for what must happen. Generous: it ends a test that
/// hangs, and measures nothing.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A part of the probe contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ability {
    /// `POST /echo` streams the body back.
    Echo,
    /// `GET /env/NAME` answers the variable's value, or 404.
    Env,
    /// `GET /file/NAME` answers the content of `$GAPLESS_FILES/NAME`, or 404.
    Files,
    /// `GET /log/TEXT` writes TEXT as a line to stdout and to stderr.
    Log,
    /// `GET /die` ends the *instance* (not only the request) without an answer.
    Die,
    /// `GET /sleep/MS` answers after that many milliseconds.
    Sleep,
    /// `GET /count` counts requests, in a memory that survives from one to the next.
    Count,
}

/// An artifact that must be refused.
#[derive(Clone, Debug)]
pub struct BadArtifact {
    /// What is wrong, for the test's output.
    pub name: &'static str,
    /// The specification it comes with.
    pub spec: FunctionSpec,
    /// The artifact.
    pub artifact: Option<PathBuf>,
    /// What the sentence must contain.
    pub says: Vec<&'static str>,
}

/// Describes a driver's guest to the suite.
#[derive(Clone)]
pub struct Fixture {
    /// The specification that runs the probe. Checks add to its `env`.
    pub spec: FunctionSpec,
    /// The probe's artifact.
    pub artifact: Option<PathBuf>,
    /// What `GET /hello` answers; `None` when the guest answers something of its own.
    pub hello: Option<&'static str>,
    /// What else the guest can do.
    pub abilities: Vec<Ability>,
    /// Artifacts that must be refused.
    pub bad: Vec<BadArtifact>,
    leftovers: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
    kept: Vec<Arc<dyn Any + Send + Sync>>,
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture").field("abilities", &self.abilities).finish_non_exhaustive()
    }
}

impl Fixture {
    /// A guest that answers `hello\n` to `GET /hello` and can do nothing else.
    pub fn new(spec: FunctionSpec, artifact: Option<PathBuf>) -> Self {
        Fixture {
            spec,
            artifact,
            hello: Some("hello\n"),
            abilities: Vec::new(),
            bad: Vec::new(),
            leftovers: Arc::new(Vec::new),
            kept: Vec::new(),
        }
    }

    /// Says what the guest can do.
    #[must_use]
    pub fn with_abilities(mut self, abilities: &[Ability]) -> Self {
        self.abilities.extend_from_slice(abilities);
        self
    }

    /// Says what `GET /hello` answers.
    #[must_use]
    pub fn with_hello(mut self, hello: Option<&'static str>) -> Self {
        self.hello = hello;
        self
    }

    /// Adds an artifact that must be refused.
    #[must_use]
    pub fn with_bad(mut self, bad: BadArtifact) -> Self {
        self.bad.push(bad);
        self
    }

    /// Says how to list what instances left behind (processes, sockets, files),
    /// one line each. What `prepare` keeps for later starts does not count.
    #[must_use]
    pub fn with_leftovers(
        mut self,
        leftovers: impl Fn() -> Vec<String> + Send + Sync + 'static,
    ) -> Self {
        self.leftovers = Arc::new(leftovers);
        self
    }

    /// Keeps something (a temporary folder) as long as the fixture.
    #[must_use]
    pub fn keeping(mut self, kept: impl Any + Send + Sync) -> Self {
        self.kept.push(Arc::new(kept));
        self
    }

    /// Whether the guest can; says on stderr that a check is skipped when not.
    pub fn can(&self, ability: Ability) -> bool {
        let can = self.abilities.contains(&ability);
        if !can {
            eprintln!("skipped: this guest lacks {ability:?}");
        }
        can
    }

    /// The probe's first revision.
    pub fn prepare_task(&self) -> PrepareTask {
        prepare_task(&self.spec, self.artifact.clone())
    }

    /// A start of the probe, with what its `spec` declares in plain text.
    pub fn start_task(&self, instance: u64, logs: &Arc<Lines>) -> StartTask {
        StartTask { config: self.config(&NoConfigs), ..self.start_task_plain(instance, logs) }
    }

    /// A start of the probe that is given nothing.
    pub(super) fn start_task_plain(&self, instance: u64, logs: &Arc<Lines>) -> StartTask {
        StartTask {
            instance: InstanceId(instance),
            config: Arc::default(),
            prepare: self.prepare_task(),
            logs: logs.clone(),
        }
    }

    /// What the probe's `spec` declares, with the values of `source`.
    pub fn config(&self, source: &dyn ConfigSource) -> Arc<ResolvedConfig> {
        let function = self.prepare_task().revision.function.clone();
        let config = ResolvedConfig::resolve(&function, &self.spec, source);
        Arc::new(config.unwrap_or_else(|failure| panic!("the probe's configuration: {failure}")))
    }

    /// Starts one instance that must come up.
    pub async fn start(&self, driver: &Arc<dyn Driver>, instance: u64) -> Started {
        self.start_logged(driver, instance, &Lines::new()).await
    }

    /// Starts one instance that must come up and logs to `logs`.
    pub async fn start_logged(
        &self,
        driver: &Arc<dyn Driver>,
        instance: u64,
        logs: &Arc<Lines>,
    ) -> Started {
        let start = driver.start(self.start_task(instance, logs));
        match tokio::time::timeout(PATIENCE, start).await {
            Ok(Ok(started)) => started,
            Ok(Err(failure)) => panic!("the probe did not start: {failure}"),
            Err(_) => panic!("the probe did not start within {PATIENCE:?}"),
        }
    }

    /// Waits until nothing of any instance is left.
    pub async fn assert_nothing_left(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = (self.leftovers)();
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "left behind: {left:#?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Fails when anything of any instance is left now.
    pub fn assert_nothing_left_now(&self) {
        let left = (self.leftovers)();
        assert!(left.is_empty(), "left behind: {left:#?}");
    }
}

/// A task to prepare `spec` as the first revision of `default/probe`.
pub(super) fn prepare_task(spec: &FunctionSpec, artifact: Option<PathBuf>) -> PrepareTask {
    let function = FunctionKey::new("default", "probe").expect("valid names");
    let revision =
        Revision { name: RevisionName::new(&function, 1), function, spec: Arc::new(spec.clone()) };
    PrepareTask { revision: Arc::new(revision), artifact }
}

/// A log sink that keeps every line.
#[derive(Debug, Default)]
pub struct Lines {
    lines: Mutex<Vec<(LogStream, Vec<u8>)>>,
}

impl Lines {
    /// An empty one.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// What came so far, in order.
    pub fn all(&self) -> Vec<(LogStream, Vec<u8>)> {
        self.lines.lock().clone()
    }

    /// What came so far on one stream, as text.
    pub fn of(&self, stream: LogStream) -> Vec<String> {
        let lines = self.lines.lock();
        let of_stream = lines.iter().filter(|(of, _)| *of == stream);
        of_stream.map(|(_, line)| String::from_utf8_lossy(line).into_owned()).collect()
    }

    /// Waits until `enough` says so of what came.
    pub async fn wait_for(&self, what: &str, enough: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !enough(self) {
            assert!(Instant::now() < deadline, "{what} did not come; so far: {:?}", self.all());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

impl LogSink for Lines {
    fn line(&self, stream: LogStream, line: &[u8]) {
        self.lines.lock().push((stream, line.to_vec()));
    }
}
