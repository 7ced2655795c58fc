//! Objects that files declare: `-f FILE`, `-f DIR`, `-f -`, as often as wanted.
//!
//! A folder's `.yaml`, `.yml` and `.json` files count, in the order of their names;
//! what is in its folders only with `--recursive`.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::failure::{Failure, Outcome};
use crate::manifest;

/// Fields of `metadata` that the platform sets.
const OBSERVED: &[&str] =
    &["creationTimestamp", "generation", "managedFields", "resourceVersion", "uid"];

/// An object that a file declares.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    /// Which file.
    pub(crate) file: String,
    /// What it declares, without what only the platform says.
    pub(crate) value: Value,
}

impl Document {
    /// The text at `pointer`, or none.
    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }
}

/// Files that are read.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct FileArgs {
    /// A file (YAML or JSON, many documents), a folder of such files, or - for standard input
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Read the folders in a folder too
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
}

/// Reads every document.
pub(crate) fn read(args: &FileArgs) -> Outcome<Vec<Document>> {
    let mut documents = Vec::new();
    for path in &args.files {
        for file in files(path, args.recursive)? {
            let name = match file.as_os_str() == "-" {
                true => "standard input".to_owned(),
                false => file.display().to_string(),
            };
            let source = manifest::parse(&name, &bytes(&file)?)?;
            documents.extend(source.objects().iter().map(|declared| {
                let mut value = declared.value.clone();
                keep_declared(&mut value);
                Document { file: name.clone(), value }
            }));
        }
    }
    if documents.is_empty() {
        let names: Vec<String> = args.files.iter().map(|file| file.display().to_string()).collect();
        let why = "no object is declared there";
        return Err(Failure::new(format!("cannot read {}", names.join(", ")), why)
            .help("a file holds objects with apiVersion, kind, metadata and spec"));
    }
    Ok(documents)
}

/// Takes out what the platform says of an object and a file cannot declare, so that what
/// `get -o yaml` prints can be applied.
pub(crate) fn keep_declared(object: &mut Value) {
    let Some(fields) = object.as_object_mut() else { return };
    fields.remove("status");
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        OBSERVED.iter().for_each(|field| drop(metadata.remove(*field)));
    }
}

/// What two states of an object are compared by: all that is declared.
pub(crate) fn comparable(object: &Value) -> Value {
    let mut object = object.clone();
    keep_declared(&mut object);
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|_, value| !value.as_object().is_some_and(Map::is_empty));
    }
    object
}

fn files(path: &Path, is_recursive: bool) -> Outcome<Vec<PathBuf>> {
    let failed =
        |error: std::io::Error| Failure::new(format!("cannot read {}", path.display()), error);
    if path.as_os_str() == "-" || !path.metadata().map_err(failed)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut entries: Vec<PathBuf> = std::fs::read_dir(path)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    entries.sort();
    let mut found = Vec::new();
    for entry in entries {
        if entry.is_dir() {
            // A link to a folder may lead back.
            if is_recursive && !entry.is_symlink() {
                found.extend(files(&entry, true)?);
            }
        } else if entry.extension().is_some_and(|it| it == "yaml" || it == "yml" || it == "json") {
            found.push(entry);
        }
    }
    Ok(found)
}

fn bytes(path: &Path) -> Outcome<Vec<u8>> {
    let failed =
        |error: std::io::Error| Failure::new(format!("cannot read {}", path.display()), error);
    let mut bytes = Vec::new();
    let reader: Box<dyn Read> = match path.as_os_str() == "-" {
        true => Box::new(std::io::stdin()),
        false => Box::new(std::fs::File::open(path).map_err(failed)?),
    };
    // One more than is read, so that the reader says that it is too much.
    reader.take(gapless_manifest::BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_folders_files_are_read_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("b.yaml", "kind: B\n---\nkind: C\n");
        write("a.json", r#"{"kind": "A", "status": {}, "metadata": {"uid": "1", "name": "x"}}"#);
        write("read.me", "not read");
        std::fs::create_dir(dir.path().join("below")).unwrap();
        write("below/d.yml", "kind: D\n");
        let kinds = |recursive| {
            let files = vec![dir.path().to_owned()];
            let documents = read(&FileArgs { files, recursive }).unwrap();
            documents.iter().map(|one| one.text("/kind").to_owned()).collect::<Vec<_>>().concat()
        };
        assert_eq!(kinds(false), "ABC");
        assert_eq!(kinds(true), "ABCD");
        let only = FileArgs { files: vec![dir.path().join("a.json")], recursive: false };
        assert_eq!(read(&only).unwrap()[0].value, json!({"kind": "A", "metadata": {"name": "x"}}));
    }

    #[test]
    fn an_empty_folder_and_a_missing_file_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let args = |path: PathBuf| FileArgs { files: vec![path], recursive: false };
        let empty = read(&args(dir.path().to_owned())).unwrap_err().to_string();
        assert!(empty.contains("no object is declared there"), "{empty}");
        let none = read(&args(dir.path().join("none"))).unwrap_err().to_string();
        assert!(none.contains("none: No such file"), "{none}");
    }
}
