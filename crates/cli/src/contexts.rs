//! Platforms that have names: `$XDG_CONFIG_HOME/gapless/contexts.yaml`, or
//! `~/.config/gapless/contexts.yaml` (XDG Base Directory Specification).
//!
//! The current context says which platform a command talks to, and in which namespace,
//! unless `--api` or `GAPLESS_API` names a platform: then the file counts for nothing,
//! because a context's namespace is one of its own platform.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Outcome};

/// What the file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contexts {
    /// The name of the one in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    #[serde(default)]
    pub(crate) contexts: Vec<Context>,
}

/// A platform with a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Context {
    pub(crate) name: String,
    /// Where its API is.
    pub(crate) api: String,
    /// The namespace when `-n` names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<String>,
}

impl Contexts {
    /// Reads the file; there is nothing in it when it does not exist.
    pub(crate) fn read() -> Outcome<Contexts> {
        let Some(path) = path() else { return Ok(Contexts::default()) };
        let what = || format!("cannot read {}", path.display());
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Contexts::default());
            }
            Err(error) => return Err(Failure::new(what(), error)),
        };
        serde_saphyr::from_str(&text).map_err(|error| {
            Failure::new(what(), error).help("correct it, or remove it and add contexts again")
        })
    }

    /// Writes the file, whole or not at all.
    pub(crate) fn write(&self) -> Outcome {
        let path = path().ok_or_else(|| {
            Failure::new("cannot keep contexts", "neither XDG_CONFIG_HOME nor HOME is set")
        })?;
        let folder = path.parent().map(PathBuf::from).unwrap_or_default();
        let failed =
            |error: std::io::Error| Failure::new(format!("cannot write {}", path.display()), error);
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let text = serde_saphyr::to_string(self)
            .map_err(|error| Failure::new("cannot keep contexts", error))?;
        let file = tempfile::NamedTempFile::new_in(&folder).map_err(failed)?;
        std::fs::write(file.path(), text).map_err(failed)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
        Ok(())
    }

    /// The one in use.
    pub(crate) fn current(&self) -> Outcome<Option<&Context>> {
        let Some(current) = &self.current else { return Ok(None) };
        self.find(current).map(Some)
    }

    /// The context called `name`.
    pub(crate) fn find(&self, name: &str) -> Outcome<&Context> {
        self.contexts.iter().find(|context| context.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.contexts.iter().map(|one| one.name.as_str()).collect();
            let why = match names.is_empty() {
                true => "there is none yet".to_owned(),
                false => format!("there are {}", names.join(", ")),
            };
            Failure::new(format!("there is no context {name:?}"), why)
                .help("`gapless context add NAME --api URL` adds one")
        })
    }
}

fn path() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let config = variable("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let config = config.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".config")));
    config.map(|config| config.join("gapless").join("contexts.yaml"))
}
