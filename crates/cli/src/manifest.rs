//! Reads `gapless.yaml`: finds it, parses it, checks it, and says where in the
//! file each mistake is.
//!
//! How a text is read is [`gapless_manifest`]'s, what a function may be is
//! [`Function::from_value`]'s, both the same as for the API.

use std::path::{Path, PathBuf};

use gapless_manifest::{Declared, Format, Source};
use gapless_types::{FieldError, Function};
use serde_json::Value;

use crate::failure::{Failure, Outcome};

/// The name of the file in a function's folder.
pub(crate) const FILE_NAME: &str = "gapless.yaml";

const EXAMPLE: &str = "a function's folder holds a gapless.yaml such as\n\
    \n    apiVersion: gapless.dev/v1\
    \n    kind: Function\
    \n    metadata: {name: hello}\
    \n    spec:\
    \n      command: [\"python3\", \"server.py\"]\n\
    \n`gapless new NAME --template python` makes one";

/// A declared function and where it was found.
#[derive(Debug)]
pub(crate) struct Manifest {
    /// The file.
    pub(crate) file: PathBuf,
    /// The function's folder: the file's.
    pub(crate) folder: PathBuf,
    /// What it declares, as it is written.
    pub(crate) document: Value,
    /// What it declares, with every default.
    pub(crate) function: Function,
}

impl Manifest {
    /// Reads the declaration in `path`: a function's folder, or the file itself.
    /// `adjust` may change the document before it is checked.
    pub(crate) fn read(path: &Path, adjust: impl FnOnce(&mut Value)) -> Outcome<Self> {
        let file = locate(path)?;
        let source = read(&file)?;
        let declared = match source.objects() {
            [declared] => declared,
            [] => return Err(wrong(&file, None, &empty())),
            _ => {
                let what = format!("{} does not declare a function", file.display());
                let why = "it holds several documents; a folder has one function";
                return Err(Failure::new(what, why).help(
                    "give each function a folder, or declare what has code already by \
                     `gapless apply -f`",
                ));
            }
        };
        let mut value = declared.value.clone();
        adjust(&mut value);
        let function = Function::from_value(value.clone())
            .map_err(|errors| wrong(&file, Some((&source, declared)), &errors))?;
        let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
        let folder = parent.unwrap_or(Path::new(".")).to_owned();
        Ok(Manifest { file, folder, document: value, function })
    }
}

fn locate(path: &Path) -> Outcome<PathBuf> {
    let metadata = std::fs::metadata(path).map_err(|error| {
        let failure = Failure::new(format!("cannot read {}", path.display()), io_words(&error));
        failure.help("name the function's folder, or the yaml file in it")
    })?;
    if !metadata.is_dir() {
        return Ok(path.to_owned());
    }
    let file = path.join(FILE_NAME);
    match file.try_exists() {
        Ok(true) => Ok(file),
        Ok(false) => {
            let what = format!("no {FILE_NAME} in {}", path.display());
            let other = path.join("gapless.yml");
            if other.exists() {
                return Err(Failure::new(what, "there is a gapless.yml")
                    .help(format!("rename it, or `gapless deploy {}`", other.display())));
            }
            Err(Failure::new(what, "the file does not exist").help(EXAMPLE))
        }
        Err(error) => {
            Err(Failure::new(format!("cannot read {}", file.display()), io_words(&error)))
        }
    }
}

/// Reads the declarations in a file.
fn read(file: &Path) -> Outcome<Source> {
    let failed = |why: String| Failure::new(format!("cannot read {}", file.display()), why);
    let size = std::fs::metadata(file).map_err(|error| failed(io_words(&error)))?.len();
    if size > gapless_manifest::BYTES_MAX as u64 {
        return Err(failed(format!("it has {size} bytes; a declaration has a few thousand")));
    }
    let bytes = std::fs::read(file).map_err(|error| failed(io_words(&error)))?;
    parse(&file.display().to_string(), &bytes)
}

/// Reads the declarations in a text called `name`.
pub(crate) fn parse(name: &str, bytes: &[u8]) -> Outcome<Source> {
    gapless_manifest::read(bytes, Format::Either).map_err(|error| {
        let place = error.place.map_or_else(String::new, |place| format!(":{place}"));
        Failure::new(format!("{name}{place} cannot be read"), &error.message).help(error.help)
    })
}

fn empty() -> Vec<FieldError> {
    Function::from_value(Value::Null).err().unwrap_or_default()
}

fn wrong(file: &Path, found: Option<(&Source, &Declared)>, errors: &[FieldError]) -> Failure {
    let name = file.display().to_string();
    let describe = |error: &FieldError| match found {
        Some((source, declared)) => source.describe(&name, declared, error),
        None => format!("{name}: {}", error.message),
    };
    let what = format!("{name} does not declare a function");
    let count = match errors.len() {
        1 => "one field is wrong".to_owned(),
        several => format!("{several} fields are wrong"),
    };
    let failure = Failure::new(what, count).causes(errors.iter().map(describe).collect());
    if errors.iter().any(|error| error.path.is_empty()) { failure.help(EXAMPLE) } else { failure }
}

fn io_words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "it does not exist".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(yaml: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE_NAME), yaml).unwrap();
        let failure = Manifest::read(dir.path(), |_| {}).unwrap_err().to_string();
        failure.replace(&dir.path().display().to_string(), "DIR")
    }

    const HEAD: &str = "apiVersion: gapless.dev/v1\nkind: Function\nmetadata: {name: hello}\n";

    #[test]
    fn a_good_file_is_read_from_its_folder_and_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(FILE_NAME);
        std::fs::write(&file, format!("{HEAD}spec:\n  wasm: a.wasm\n")).unwrap();
        for path in [dir.path(), &file] {
            let manifest = Manifest::read(path, |_| {}).unwrap();
            assert_eq!(manifest.function.metadata.name, "hello");
            assert_eq!(manifest.folder, dir.path());
        }
        let adjusted = Manifest::read(&file, |value| value["metadata"]["name"] = "other".into());
        assert_eq!(adjusted.unwrap().function.metadata.name, "other");
    }

    #[test]
    fn a_missing_file_says_what_it_should_hold() {
        let dir = tempfile::tempdir().unwrap();
        let text = Manifest::read(dir.path(), |_| {}).unwrap_err().to_string();
        assert!(text.contains("no gapless.yaml in"), "{text}");
        assert!(text.contains("apiVersion: gapless.dev/v1"), "{text}");
        let text = Manifest::read(&dir.path().join("nope"), |_| {}).unwrap_err().to_string();
        assert!(text.contains("nope: it does not exist"), "{text}");
        std::fs::write(dir.path().join("gapless.yml"), "").unwrap();
        let text = Manifest::read(dir.path(), |_| {}).unwrap_err().to_string();
        assert!(text.contains("there is a gapless.yml"), "{text}");
    }

    #[test]
    fn bad_yaml_names_line_and_column() {
        let text = error("kind: Function\nspec: [1, 2\nmetadata: {}\n");
        assert!(text.contains("DIR/gapless.yaml:"), "{text}");
        assert!(text.contains("cannot be read"), "{text}");
        let tab = error("kind: Function\nspec:\n\twasm: a\n");
        assert!(tab.contains("gapless.yaml:3:"), "{tab}");
        let two = error(&format!("{HEAD}spec: {{wasm: a.wasm}}\n---\n{HEAD}"));
        assert!(two.contains("several documents"), "{two}");
        let twice = error("kind: Function\nkind: Function\n");
        assert!(twice.contains("gapless.yaml:2:1 cannot be read: duplicate"), "{twice}");
        assert!(!twice.contains("Policy"), "{twice}");
    }

    #[test]
    fn a_wrong_field_names_its_line_and_path() {
        let text = error(&format!("{HEAD}spec:\n  wasm: a.wasm\n  scale:\n    mx: 3\n"));
        let expected = "gapless.yaml:7:5: spec.scale.mx: there is no such field; did you mean max?";
        assert!(text.contains(expected), "{text}");
        let text = error(&format!("{HEAD}spec: {{wasm: a.wasm, scale: {{min: 9, max: 3}}}}\n"));
        assert!(text.contains("gapless.yaml:4:30: spec.scale.min: 9 is more"), "{text}");
        let text = error(&format!("{HEAD}spec:\n  command: [python3, 3]\n"));
        assert!(text.contains("gapless.yaml:5:22: spec.command[1]:"), "{text}");
    }

    #[test]
    fn a_missing_field_names_the_parent_and_all_errors_are_told() {
        let text =
            error(&format!("{HEAD}spec:\n  wasm: a.wasm\n  timeout: 0s\n  concurrency: 0\n"));
        assert!(text.contains("2 fields are wrong"), "{text}");
        assert!(text.contains(":6:3: spec.timeout"), "{text}");
        assert!(text.contains(":7:3: spec.concurrency"), "{text}");
        let text = error("apiVersion: gapless.dev/v1\nkind: Function\nspec: {wasm: a.wasm}\n");
        assert!(text.contains("metadata: is missing"), "{text}");
    }

    #[test]
    fn an_empty_file_and_an_unquoted_number_are_explained() {
        assert!(error("").contains("apiVersion: gapless.dev/v1"), "{}", error(""));
        let text = error(&format!("{HEAD}spec:\n  wasm: a.wasm\n  env: {{QUALITY: 80}}\n"));
        assert!(text.contains(":6:9: spec.env.QUALITY"), "{text}");
        assert!(text.contains("in quotes"), "{text}");
    }
}
