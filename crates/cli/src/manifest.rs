//! Reads `gapless.yaml`: finds it, parses it, checks it, and says where in the
//! file each mistake is.
//!
//! The checks are those of [`Function::from_value`], the same the API makes.
//! They name fields by path; this module adds the line and column, by reading
//! the document a second time with positions, and only when something is wrong.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use gapless_types::{FieldError, Function};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::{Location, Spanned};

use crate::failure::{Failure, Outcome};

/// The name of the file in a function's folder.
pub(crate) const FILE_NAME: &str = "gapless.yaml";
/// Largest file that is read as a declaration.
const FILE_BYTES_MAX: u64 = 1 << 20;

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
    /// What it declares.
    pub(crate) function: Function,
}

impl Manifest {
    /// Reads the declaration in `path`: a function's folder, or the file itself.
    /// `adjust` may change the document before it is checked.
    pub(crate) fn read(path: &Path, adjust: impl FnOnce(&mut Value)) -> Outcome<Self> {
        let file = locate(path)?;
        let text = read_text(&file)?;
        let mut value = parse(&file, &text)?;
        adjust(&mut value);
        let function =
            Function::from_value(value).map_err(|errors| wrong(&file, &text, &errors))?;
        let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
        let folder = parent.unwrap_or(Path::new(".")).to_owned();
        Ok(Manifest { file, folder, function })
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

fn read_text(file: &Path) -> Outcome<String> {
    let failed = |why: String| Failure::new(format!("cannot read {}", file.display()), why);
    let size = std::fs::metadata(file).map_err(|error| failed(io_words(&error)))?.len();
    if size > FILE_BYTES_MAX {
        return Err(failed(format!("it has {size} bytes; a declaration has less than 1 MiB")));
    }
    let bytes = std::fs::read(file).map_err(|error| failed(io_words(&error)))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        failed(format!("it is not text: byte {at} is not UTF-8"))
    })
}

fn parse(file: &Path, text: &str) -> Outcome<Value> {
    serde_saphyr::from_str(text).map_err(|error| {
        let place = error.location().map(place).unwrap_or_default();
        let what = format!("{}{place} is not valid YAML", file.display());
        // The library's first line says it; those after it draw the place.
        let message = error.without_snippet().to_string();
        let message = message.lines().next().unwrap_or_default().to_owned();
        Failure::new(what, plain(&message)).help(
            "mind the indentation (spaces, no tabs), one declaration in a file, \
             and quotes around text that holds ': ' or '#'",
        )
    })
}

/// The library's sentence, without its place, which is said already, and without
/// its advice to programmers.
fn plain(message: &str) -> &str {
    if message.starts_with("multiple YAML documents") {
        return "it holds several documents; a file declares one function";
    }
    let ends = [" at line ", ", set ", "; use "];
    let cut = ends.iter().filter_map(|end| message.find(end)).min();
    message[..cut.unwrap_or(message.len())].trim_end_matches([',', ':', ' '])
}

fn wrong(file: &Path, text: &str, errors: &[FieldError]) -> Failure {
    let tree: Option<Spanned<Tree>> = serde_saphyr::from_str(text).ok();
    let describe = |error: &FieldError| {
        let found = tree.as_ref().and_then(|tree| find(tree, &error.path));
        let place = found.map(place).unwrap_or_default();
        let field = if error.path.is_empty() { String::new() } else { format!("{}: ", error.path) };
        format!("{}{place}: {field}{}", file.display(), error.message)
    };
    let causes: Vec<String> = errors.iter().map(describe).collect();
    let what = format!("{} does not declare a function", file.display());
    let count = match errors.len() {
        1 => "one field is wrong".to_owned(),
        several => format!("{several} fields are wrong"),
    };
    let is_empty = errors.iter().any(|error| error.path.is_empty());
    let is_quoting =
        errors.iter().any(|error| error.path.contains(".env.") && error.message.contains("string"));
    let failure = Failure::new(what, count).causes(causes);
    match (is_empty, is_quoting) {
        (true, _) => failure.help(EXAMPLE),
        (_, true) => failure.help("a variable's value is text: put it in quotes, such as \"80\""),
        _ => failure,
    }
}

fn place(location: Location) -> String {
    match location.line() {
        0 => String::new(),
        line => format!(":{line}:{}", location.column()),
    }
}

fn io_words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "it does not exist".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

/// A document with the position of everything in it.
#[derive(Debug)]
enum Tree {
    Map(BTreeMap<String, Spanned<Tree>>, BTreeMap<String, Location>),
    List(Vec<Spanned<Tree>>),
    Leaf,
}

/// Where the field `path` is; its nearest parent when it is absent.
fn find(tree: &Spanned<Tree>, path: &str) -> Option<Location> {
    let mut here = tree;
    let mut found = None;
    for part in path.split(['.', '[', ']']).filter(|part| !part.is_empty()) {
        let next = match &here.value {
            Tree::Map(values, keys) => {
                let key = keys.get(part);
                found = key.copied().or(found);
                values.get(part)
            }
            Tree::List(items) => part.parse().ok().and_then(|index: usize| items.get(index)),
            Tree::Leaf => None,
        };
        let Some(next) = next else { break };
        if matches!(here.value, Tree::List(_)) {
            found = Some(next.referenced);
        }
        here = next;
    }
    found
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let (mut values, mut keys) = (BTreeMap::new(), BTreeMap::new());
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            keys.insert(key.value.clone(), key.referenced);
            values.insert(key.value, map.next_value()?);
        }
        Ok(Tree::Map(values, keys))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_none<E: de::Error>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        Tree::deserialize(deserializer)
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
        assert!(text.contains("is not valid YAML"), "{text}");
        let tab = error("kind: Function\nspec:\n\twasm: a\n");
        assert!(tab.contains("gapless.yaml:3:"), "{tab}");
        let two = error(&format!("{HEAD}spec: {{wasm: a.wasm}}\n---\n{HEAD}"));
        assert!(two.contains("several documents"), "{two}");
        let twice = error("kind: Function\nkind: Function\n");
        assert!(twice.contains("gapless.yaml:2:1 is not valid YAML: duplicate"), "{twice}");
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
        assert!(text.contains("help: a variable's value is text"), "{text}");
    }
}
