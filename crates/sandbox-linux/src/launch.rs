//! What to start: everything the warden needs to know of one instance, worked out
//! before its turn comes.
//!
//! The environment is made from nothing, so nothing of the platform's own leaks:
//! `PATH`, `LANG`, `HOME` and `TMPDIR` (which `spec.env` may replace), `spec.env`,
//! and the platform's word on who the instance is (which it may not): `PORT`,
//! `GAPLESS_SOCKET`, `GAPLESS_FILES` where there are files, `GAPLESS_INSTANCE`, `GAPLESS_FUNCTION`, `GAPLESS_REVISION`,
//! and `K_SERVICE`, `K_CONFIGURATION`, `K_REVISION` of the Knative runtime contract.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use gapless_proto::StartFailure;
use gapless_sandbox::files::{FILES_VARIABLE, FilesFolder};
use gapless_sandbox::{LogSink, StartTask};
use gapless_types::{Code, Sensitive};

use crate::config::LinuxConfig;
use crate::diagnose::function_fault;
use crate::program;
use crate::revisions::Folder;
use crate::run_dir::RunDir;

/// One instance to be started.
pub(crate) struct Launch {
    /// The driver's own number for it.
    pub(crate) key: u64,
    /// The command as its author wrote it, for sentences.
    pub(crate) command: String,
    /// Absolute path of the program.
    pub(crate) program: CString,
    /// Its arguments, with its name.
    pub(crate) arguments: Vec<CString>,
    /// `NAME=value`, all but `PORT`.
    pub(crate) environment: Vec<CString>,
    /// The working directory.
    pub(crate) directory: CString,
    /// Keeps the working directory.
    pub(crate) _folder: Option<Arc<Folder>>,
    /// Private to the instance, to be made and removed.
    pub(crate) scratch: PathBuf,
    /// What `spec.files` asks for.
    pub(crate) files: Option<FilesFolder>,
    /// Where it may listen.
    pub(crate) socket: PathBuf,
    /// `spec.resources.memory`.
    pub(crate) memory_bytes_max: u64,
    /// Takes its output.
    pub(crate) logs: Arc<dyn LogSink>,
    /// When the start began.
    pub(crate) begun: Instant,
}

impl fmt::Debug for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "launch {:x}: {}", self.key, self.command)
    }
}

/// The `PATH` a revision's program is looked for in.
pub(crate) fn search_path<'a>(config: &'a LinuxConfig, declared: Option<&'a OsStr>) -> &'a OsStr {
    declared.unwrap_or(&config.path)
}

/// What was made for a start before it is worked out.
pub(crate) struct Made {
    /// The driver's own number for the instance.
    pub(crate) key: u64,
    /// The deployed folder.
    pub(crate) folder: Option<Arc<Folder>>,
    /// The instance's files.
    pub(crate) files: Option<FilesFolder>,
    /// When the start began.
    pub(crate) begun: Instant,
}

impl Launch {
    /// Works out how to start the task's instance.
    pub(crate) fn new(
        task: &StartTask,
        made: Made,
        config: &LinuxConfig,
        run_dir: &RunDir,
    ) -> Result<Launch, StartFailure> {
        let Made { key, folder, files, begun } = made;
        let spec = &task.prepare.revision.spec;
        let command: &[String] = match spec.code() {
            Code::Command(command) => command,
            Code::Wasm | Code::Fake(_) => &[],
        };
        let Some(name) = command.first() else {
            let message = "spec.command is empty; name the program to run".to_owned();
            return Err(function_fault("NoCommand", message));
        };
        let (scratch, socket) = (run_dir.scratch(key), run_dir.socket(key));
        let resolved = task.config.env.get("PATH").map(Sensitive::expose);
        let path = search_path(config, resolved.map(OsStr::from_bytes));
        let found = program::find(name, folder.as_deref().map(Folder::path), path)?;
        let directory = folder.as_deref().map_or(scratch.as_path(), Folder::path);
        let directory = directory.as_os_str().as_bytes().to_vec();
        let arguments =
            command.iter().map(|argument| no_nul(argument.clone().into_bytes(), "spec.command"));
        Ok(Launch {
            key,
            command: command.join(" "),
            program: no_nul(found.into_os_string().into_vec(), "spec.command")?,
            arguments: arguments.collect::<Result<_, _>>()?,
            environment: environment(task, config, &scratch, &socket, files.as_ref())?,
            directory: no_nul(directory, "the run folder")?,
            _folder: folder,
            scratch,
            files,
            socket,
            memory_bytes_max: spec.resources.memory.0,
            logs: task.logs.clone(),
            begun,
        })
    }
}

fn environment(
    task: &StartTask,
    config: &LinuxConfig,
    scratch: &Path,
    socket: &Path,
    files: Option<&FilesFolder>,
) -> Result<Vec<CString>, StartFailure> {
    let revision = &task.prepare.revision;
    let mut variables: BTreeMap<&str, OsString> = BTreeMap::from([
        ("PATH", config.path.clone()),
        ("LANG", "C.UTF-8".into()),
        ("HOME", scratch.into()),
        ("TMPDIR", scratch.into()),
    ]);
    for (name, value) in &task.config.env {
        if name.is_empty() || name.contains('=') {
            let message = format!("spec.env: {name:?} is not a name for a variable");
            return Err(function_fault("BadEnvironment", message));
        }
        variables.insert(name, OsStr::from_bytes(value.expose()).into());
    }
    if let Some(files) = files {
        variables.insert(FILES_VARIABLE, files.path().into());
    }
    variables.extend([
        ("GAPLESS_SOCKET", socket.into()),
        ("GAPLESS_INSTANCE", task.instance.to_string().into()),
        ("GAPLESS_FUNCTION", revision.function.to_string().into()),
        ("GAPLESS_REVISION", revision.name.as_str().into()),
        ("K_SERVICE", revision.function.name().into()),
        ("K_CONFIGURATION", revision.function.name().into()),
        ("K_REVISION", revision.name.short().into()),
    ]);
    // The warden chooses it when the instance's turn comes.
    variables.remove("PORT");
    let lines = variables.into_iter().map(|(name, value)| {
        let mut line = name.as_bytes().to_vec();
        line.push(b'=');
        line.extend(value.into_vec());
        no_nul(line, "spec.env")
    });
    lines.collect()
}

fn no_nul(bytes: Vec<u8>, place: &str) -> Result<CString, StartFailure> {
    CString::new(bytes).map_err(|error| {
        let text = String::from_utf8_lossy(error.into_vec().as_slice()).into_owned();
        let message = format!("{place}: {text:?} contains a zero byte, which no program can get");
        function_fault("BadEnvironment", message)
    })
}
