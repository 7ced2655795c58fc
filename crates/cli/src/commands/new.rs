//! `gapless new NAME --template T`: makes a function's folder from a template.

use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::failure::{Failure, Outcome};
use crate::output;
use crate::templates::{self, Template};

const EXAMPLES: &str = "\
Examples:
  gapless new hello --template python
  gapless new thumbnail --template wasm-rust --dir functions/thumbnail
  gapless new proxy --template http            any program that serves HTTP";

/// Make a new function's folder from a template.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Name of the function
    name: String,
    /// What to begin with
    #[arg(short, long, value_enum)]
    template: Kind,
    /// The folder to make; named after the function by default
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// The templates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A component in Rust: starts in well under a millisecond
    WasmRust,
    /// A program in Python, standard library only
    Python,
    /// A program in JavaScript for Node.js, without dependencies
    Node,
    /// Any program that serves HTTP on $PORT, here a shell script around one
    Http,
}

impl Kind {
    fn template(self) -> Template {
        match self {
            Kind::WasmRust => templates::WASM_RUST,
            Kind::Python => templates::PYTHON,
            Kind::Node => templates::NODE,
            Kind::Http => templates::HTTP,
        }
    }
}

pub(crate) fn run(args: &Args) -> Outcome {
    gapless_types::check_name(&args.name)
        .map_err(|error| Failure::usage("cannot name a function so", error))?;
    let folder = args.dir.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    check_empty(&folder)?;
    let template = args.template.template();
    for file in template.files {
        write(&folder, file.path, &templates::fill(file.text, &args.name), file.is_executable)?;
    }
    let shown = folder.display();
    let mut text = format!("made {shown}:\n");
    for file in template.files {
        text.push_str(&format!("  {shown}/{}\n", file.path));
    }
    text.push_str("next:\n");
    for step in template.steps {
        let step = step.replace("DIR", &shown.to_string());
        text.push_str(&format!("  {}\n", templates::fill(&step, &args.name)));
    }
    output::emit(&text)
}

fn check_empty(folder: &Path) -> Outcome {
    let what = || format!("cannot make {}", folder.display());
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Failure::new(what(), error)),
    };
    match entries.count() {
        0 => Ok(()),
        count => Err(Failure::new(what(), format!("it exists and holds {count} files"))
            .help("choose another folder with --dir, or empty this one; nothing was written")),
    }
}

fn write(folder: &Path, inside: &str, text: &str, is_executable: bool) -> Outcome {
    let path = folder.join(inside);
    let failed = |error| Failure::new(format!("cannot write {}", path.display()), error);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    fs::write(&path, text).map_err(failed)?;
    if is_executable {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&path, mode).map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;

    #[test]
    fn every_template_declares_a_function_of_the_name_given() {
        let dir = tempfile::tempdir().unwrap();
        for kind in Kind::value_variants() {
            let folder = dir.path().join(format!("{kind:?}"));
            let args =
                Args { name: "some-name".to_owned(), template: *kind, dir: Some(folder.clone()) };
            run(&args).unwrap();
            let manifest = Manifest::read(&folder, |_| {}).unwrap();
            assert_eq!(manifest.function.metadata.name, "some-name", "{kind:?}");
            for file in kind.template().files {
                let text = fs::read_to_string(folder.join(file.path)).unwrap();
                assert!(!text.contains("{{"), "{kind:?}/{}: not filled in", file.path);
            }
            assert!(kind.template().steps.iter().any(|step| step.contains("gapless deploy")));
            let again = run(&args).unwrap_err().to_string();
            assert!(again.contains("it exists and holds"), "{again}");
        }
    }
}
