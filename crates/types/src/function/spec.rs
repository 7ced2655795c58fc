//! A function's specification: the fields of `spec`, with their defaults.
//!
//! Every field of the design is named here from the start. Those that the
//! platform does not honour yet are kept as raw values and refused by name in
//! `read.rs`: a field is honoured or refused, never ignored.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use litemap::LiteMap;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::{EnvFrom, EnvValue, Placement, Probe, RolloutSpec, TrafficTarget, traffic};
use crate::{Bytes, CpuMillis, Span};

/// Values by name, in order. Not a `BTreeMap`, whose smallest node has room for eleven:
/// most functions have a few, and every function is kept in memory.
pub type EnvValues = LiteMap<String, EnvValue>;

/// A word out of a few. One that is known takes no memory of its own.
pub type Word = Cow<'static, str>;

/// What a person asks for. Exactly one of `wasm`, `command` and `fake` is set.
/// Everything else has a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FunctionSpec {
    /// A `wasi:http` component: its file, relative to the function's folder, such as
    /// `function.wasm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wasm: Option<String>,
    /// A program that serves HTTP on `$PORT` or `$GAPLESS_SOCKET`, and its arguments; run
    /// in the deployed folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// A model instead of code; only on nodes started with `--fake-nodes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fake: Option<FakeModel>,
    /// `sha256:HEX` of the uploaded component or folder archive; `deploy` sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<String>,
    /// Environment variables, by name: text, or where it is kept. `PORT` and names that
    /// begin with `GAPLESS_` are the platform's.
    #[serde(default, with = "values", skip_serializing_if = "LiteMap::is_empty")]
    #[schemars(with = "BTreeMap<String, EnvValue>")]
    pub env: EnvValues,
    /// Objects whose every key becomes a variable. `env` wins, then the later entry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env_from: Vec<EnvFrom>,
    /// Files an instance finds in the folder `$GAPLESS_FILES`, by relative name: text, or
    /// where it is kept; an object without a key is a folder with a file for every key.
    #[serde(default, with = "values", skip_serializing_if = "LiteMap::is_empty")]
    #[schemars(with = "BTreeMap<String, EnvValue>")]
    pub files: EnvValues,
    /// What one instance may use.
    #[serde(default)]
    pub resources: Resources,
    /// Slots per instance: how many requests it serves at a time. 1 to 1000; 1 when not
    /// given.
    #[serde(default = "one")]
    pub concurrency: u32,
    /// Whether a Wasm instance's memory survives from one request to the next: `false`
    /// when not given. Processes always keep theirs.
    #[serde(default)]
    pub reuse: bool,
    /// How long one invocation may take, from its start in an instance to the head of its
    /// answer, such as `30s` or `2m`. More than 0, at most a week; `30s` when not given.
    #[serde(default = "default_timeout")]
    pub timeout: Span,
    /// Requests that wait for a slot.
    #[serde(default)]
    pub queue: Queue,
    /// How instances are started.
    #[serde(default)]
    pub start: Start,
    /// How many instances there are.
    #[serde(default)]
    pub scale: Scale,
    /// What the function may reach, and where it is reached.
    #[serde(default)]
    pub access: Access,
    /// Where instances may be and had better be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<Box<Placement>>,
    /// Which revision takes which share of the requests. Default: `latest` takes all.
    /// A change of it makes no new revision.
    #[serde(default = "traffic::everything", with = "traffic")]
    #[schemars(with = "Vec<TrafficTarget>")]
    pub traffic: Arc<[TrafficTarget]>,
    /// How a new revision takes over; at once when not given. A change of it makes no
    /// new revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Box<RolloutSpec>>,
    /// The request a new revision must answer before it takes any; when not given, an
    /// instance that becomes ready is enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Box<Probe>>,

    // Named by the design, not honoured yet: refused in `read.rs`.
    #[serde(default, skip_serializing)]
    #[schemars(skip)]
    pub(super) image: Option<Box<Value>>,
    #[serde(default, skip_serializing)]
    #[schemars(skip)]
    pub(super) lambda: Option<Box<Value>>,
    #[serde(default, skip_serializing)]
    #[schemars(skip)]
    pub(super) idempotent: Option<Box<Value>>,
    #[serde(default, skip_serializing)]
    #[schemars(skip)]
    pub(super) sidecars: Option<Box<Value>>,
}

/// Reads a word.
fn word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Word, D::Error> {
    let text = String::deserialize(deserializer)?;
    let known = ["auto", "cold", "fifo"].into_iter().find(|known| *known == text);
    Ok(known.map_or(Word::Owned(text), Word::Borrowed))
}

/// Reads and writes values by name as any map.
mod values {
    use super::{BTreeMap, Deserialize, Deserializer, EnvValue, EnvValues, Serializer};

    pub(super) fn serialize<S: Serializer>(
        values: &EnvValues,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(values.iter())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<EnvValues, D::Error> {
        let read = BTreeMap::<String, EnvValue>::deserialize(deserializer)?;
        let mut values = EnvValues::with_capacity(read.len());
        values.extend(read);
        Ok(values)
    }
}

fn one() -> u32 {
    1
}

fn default_timeout() -> Span {
    Span(Duration::from_secs(30))
}

/// Which kind of code a function has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Code<'a> {
    /// A `wasi:http` component.
    Wasm,
    /// A program and its arguments.
    Command(&'a [String]),
    /// A model of an instance.
    Fake(FakeModel),
}

impl FunctionSpec {
    /// A specification with `code` and every default.
    pub fn with_defaults() -> Self {
        let mut spec: FunctionSpec =
            serde_json::from_value(Value::Object(serde_json::Map::new())).expect("all defaulted");
        spec.concurrency = one();
        spec
    }

    /// Whether both are the same revision: equal in all but `traffic` and `rollout`,
    /// which say who serves and not what is served.
    pub fn is_same_revision(&self, other: &FunctionSpec) -> bool {
        if self.traffic == other.traffic && self.rollout == other.rollout {
            return self == other;
        }
        let (traffic, rollout) = (self.traffic.clone(), self.rollout.clone());
        *self == FunctionSpec { traffic, rollout, ..other.clone() }
    }

    /// The function's code. A validated specification has exactly one kind.
    pub fn code(&self) -> Code<'_> {
        match (&self.wasm, &self.command, &self.fake) {
            (_, Some(command), _) => Code::Command(command),
            (_, _, Some(model)) => Code::Fake(*model),
            _ => Code::Wasm,
        }
    }
}

/// A model of an instance, for tests at a scale no machine here has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FakeModel {
    /// How long an instance takes to start, such as `5ms`.
    pub start: Span,
    /// How long it takes to answer a request, such as `20ms`.
    pub service: Span,
}

/// What one instance may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resources {
    /// Processor share that is reserved for placement, in cores, such as `250m` or `1.5`.
    /// `1m` to 1000; `100m` when not given.
    #[serde(default = "default_cpu")]
    pub cpu: CpuMillis,
    /// Memory limit, enforced, in bytes, such as `128Mi` or `1Gi`. At most 1024Ti;
    /// `128Mi` when not given.
    #[serde(default = "default_memory")]
    pub memory: Bytes,
}

fn default_cpu() -> CpuMillis {
    CpuMillis(100)
}

fn default_memory() -> Bytes {
    Bytes(128 << 20)
}

impl Default for Resources {
    fn default() -> Self {
        Resources { cpu: default_cpu(), memory: default_memory() }
    }
}

/// Requests that wait for a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Queue {
    /// How many may wait; one more is refused with 429. 0 to 100000; 1000 when not given.
    #[serde(default = "default_queue_size")]
    pub size: u32,
    /// How long one may wait, such as `10s`; after that it is refused with 503. `10s` when
    /// not given.
    #[serde(default = "default_queue_wait")]
    pub wait: Span,
    /// In which order they are served. `fifo`, which is also the default.
    #[serde(default = "default_order", deserialize_with = "word")]
    pub order: Word,
}

fn default_queue_size() -> u32 {
    1000
}

fn default_queue_wait() -> Span {
    Span(Duration::from_secs(10))
}

fn default_order() -> Word {
    Word::Borrowed("fifo")
}

impl Default for Queue {
    fn default() -> Self {
        Queue { size: default_queue_size(), wait: default_queue_wait(), order: default_order() }
    }
}

/// How instances are started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Start {
    /// Which planner decides when another instance is started. `auto` when not given.
    #[serde(default)]
    pub mode: StartMode,
    /// Which kind of start: `auto` or `cold`. `auto` when not given.
    #[serde(default = "auto_text", deserialize_with = "word")]
    pub kind: Word,
}

fn auto_text() -> Word {
    Word::Borrowed("auto")
}

impl Default for Start {
    fn default() -> Self {
        Start { mode: StartMode::Auto, kind: auto_text() }
    }
}

/// Which start planner decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StartMode {
    /// The platform's choice: `planned` today.
    #[default]
    Auto,
    /// A start is made when it would serve those who wait enough sooner to pay for itself.
    Planned,
    /// A queued request takes whichever slot frees first.
    Async,
    /// A request that finds no slot gets an instance of its own and waits for it.
    Sync,
    /// Knative's autoscaler: concurrency averaged over windows, every two seconds.
    Window,
    /// Dirigent's: the same windows over what is in flight every two seconds.
    Dirigent,
    /// PulseNet's: an instance for a single request at once, beside a window autoscaler.
    Emergency,
}

impl StartMode {
    /// Every planner, without `auto`.
    pub const PLANNERS: [StartMode; 6] = [
        StartMode::Planned,
        StartMode::Async,
        StartMode::Sync,
        StartMode::Window,
        StartMode::Dirigent,
        StartMode::Emergency,
    ];

    /// Its word in a specification.
    pub fn as_str(self) -> &'static str {
        match self {
            StartMode::Auto => "auto",
            StartMode::Planned => "planned",
            StartMode::Async => "async",
            StartMode::Sync => "sync",
            StartMode::Window => "window",
            StartMode::Dirigent => "dirigent",
            StartMode::Emergency => "emergency",
        }
    }
}

impl std::str::FromStr for StartMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut all = StartMode::PLANNERS.into_iter().chain([StartMode::Auto]);
        all.find(|mode| mode.as_str() == text).ok_or_else(|| {
            let words = StartMode::PLANNERS.map(StartMode::as_str).join(", ");
            format!("no start planner is called {text:?}; there are {words}")
        })
    }
}

/// How many instances there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scale {
    /// Instances kept even when idle. 0 to 10000, at most `max`; 0 when not given.
    #[serde(default)]
    pub min: u32,
    /// Instances at the most. 1 to 10000; 100 when not given.
    #[serde(default = "default_max")]
    pub max: u32,
    /// How long an idle instance stays after its last request, such as `5m`, or `auto`:
    /// learned from when instances are needed again. `auto` when not given.
    #[serde(default)]
    pub keep_alive: KeepAlive,
    /// Target of slots in use per instance. `auto`, which is also the default.
    #[serde(default = "auto_text", deserialize_with = "word")]
    pub concurrency_target: Word,
}

fn default_max() -> u32 {
    100
}

impl Default for Scale {
    fn default() -> Self {
        Scale {
            min: 0,
            max: default_max(),
            keep_alive: KeepAlive::Auto,
            concurrency_target: auto_text(),
        }
    }
}

/// How long an idle instance stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeepAlive {
    /// The platform's choice: learned from when instances are needed again.
    #[default]
    Auto,
    /// This long after its last request.
    For(Span),
}

impl JsonSchema for KeepAlive {
    fn schema_name() -> Cow<'static, str> {
        "KeepAlive".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "auto, or a length of time such as 5m.",
            "pattern": "^(auto|([0-9]+(\\.[0-9]+)?(h|m|s|ms|us))+)$",
        })
    }
}

impl Serialize for KeepAlive {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            KeepAlive::Auto => serializer.serialize_str("auto"),
            KeepAlive::For(span) => span.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for KeepAlive {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "auto" => Ok(KeepAlive::Auto),
            other => other.parse().map(KeepAlive::For).map_err(serde::de::Error::custom),
        }
    }
}

/// What the function may reach, and where it is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Access {
    /// Hosts a component may call, as `HOST:PORT`, `HOST` or `*.DOMAIN:PORT`; none when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// An address of its own, besides the platform's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Box<Route>>,
}

/// An address of the function's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Route {
    /// Host name, without port.
    pub host: String,
    /// Path prefix. `/`, the whole host, which is also the default.
    #[serde(default = "root_path")]
    pub path: String,
}

fn root_path() -> String {
    "/".to_owned()
}
