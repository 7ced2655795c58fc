//! The templates of `gapless new`, kept in `templates/` of the repository and
//! part of the binary. `{{name}}` in them stands for the function's name.

/// One template.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Template {
    /// Its files.
    pub(crate) files: &'static [File],
    /// What to type next; DIR stands for the folder.
    pub(crate) steps: &'static [&'static str],
}

/// One file of a template.
#[derive(Clone, Copy, Debug)]
pub(crate) struct File {
    /// Where, within the function's folder.
    pub(crate) path: &'static str,
    /// What is in it.
    pub(crate) text: &'static str,
    /// Whether it is a program.
    pub(crate) is_executable: bool,
}

/// Replaces what stands for the function's name.
pub(crate) fn fill(text: &str, name: &str) -> String {
    text.replace("{{name}}", name)
}

macro_rules! file {
    ($template:literal, $path:literal) => {
        File {
            path: $path,
            text: include_str!(concat!("../../../templates/", $template, "/", $path)),
            is_executable: false,
        }
    };
}

/// A component in Rust.
pub(crate) const WASM_RUST: Template = Template {
    files: &[
        file!("wasm-rust", "gapless.yaml"),
        file!("wasm-rust", "Cargo.toml"),
        file!("wasm-rust", "src/lib.rs"),
        file!("wasm-rust", "README.md"),
        file!("wasm-rust", ".gitignore"),
    ],
    steps: &[
        "rustup target add wasm32-wasip2",
        "(cd DIR && cargo build --release --target wasm32-wasip2)",
        "gapless deploy DIR",
        "gapless invoke {{name}}",
    ],
};

/// A program in Python.
pub(crate) const PYTHON: Template = Template {
    files: &[
        file!("python", "gapless.yaml"),
        file!("python", "server.py"),
        file!("python", "README.md"),
    ],
    steps: &["gapless deploy DIR", "gapless invoke {{name}} -d 'some text'"],
};

/// A program for Node.js.
pub(crate) const NODE: Template = Template {
    files: &[file!("node", "gapless.yaml"), file!("node", "server.js"), file!("node", "README.md")],
    steps: &["gapless deploy DIR", "gapless invoke {{name}} -d 'some text'"],
};

/// Any program.
pub(crate) const HTTP: Template = Template {
    files: &[
        file!("http", "gapless.yaml"),
        File { is_executable: true, ..file!("http", "run.sh") },
        file!("http", "public/index.html"),
        file!("http", "README.md"),
    ],
    steps: &["gapless deploy DIR", "gapless invoke {{name}}"],
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn files_under(folder: &Path, root: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            match path.is_dir() {
                // What building a template leaves behind.
                true if path.ends_with("target") => {}
                true => files_under(&path, root, found),
                false => {
                    found.insert(path.strip_prefix(root).unwrap().display().to_string());
                }
            }
        }
    }

    #[test]
    fn every_file_of_every_template_is_part_of_the_binary() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates");
        let all = [("wasm-rust", WASM_RUST), ("python", PYTHON), ("node", NODE), ("http", HTTP)];
        let mut names: Vec<_> =
            std::fs::read_dir(&root).unwrap().flatten().map(|entry| entry.file_name()).collect();
        names.retain(|name| root.join(name).is_dir());
        assert_eq!(names.len(), all.len(), "{names:?}");
        for (name, template) in all {
            let mut found = BTreeSet::new();
            files_under(&root.join(name), &root.join(name), &mut found);
            found.remove("Cargo.lock");
            let embedded: BTreeSet<String> =
                template.files.iter().map(|file| file.path.to_owned()).collect();
            assert_eq!(embedded, found, "{name}");
        }
    }
}
