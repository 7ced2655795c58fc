//! Finds the program a command names.
//!
//! A name with a `/` is a path, relative to the deployed folder. A bare name is
//! looked for in the deployed folder first and in `PATH` after: what was shipped
//! runs the same on every node, whatever is installed there.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use gapless_proto::StartFailure;

use crate::diagnose::function_fault;

/// The program's absolute path.
pub(crate) fn find(
    name: &str,
    folder: Option<&Path>,
    path: &OsStr,
) -> Result<PathBuf, StartFailure> {
    if name.contains('/') {
        let program = folder.unwrap_or(Path::new("/")).join(name);
        return match candidate(&program) {
            Candidate::Program => Ok(program),
            Candidate::NotExecutable => Err(not_executable(name)),
            Candidate::Folder => Err(is_a_folder(name)),
            Candidate::Absent if name.starts_with('/') => Err(not_found(name, "on this node")),
            Candidate::Absent => Err(not_found(name, "in the function's folder")),
        };
    }
    let mut refusal = not_found(name, "in PATH or the function's folder");
    let in_folder = folder.map(|folder| folder.join(name));
    let in_path = std::env::split_paths(path).filter(|directory| directory.is_absolute());
    for program in in_folder.into_iter().chain(in_path.map(|directory| directory.join(name))) {
        match candidate(&program) {
            Candidate::Program => return Ok(program),
            Candidate::NotExecutable => refusal = not_executable(name),
            Candidate::Folder | Candidate::Absent => {}
        }
    }
    Err(refusal)
}

enum Candidate {
    Program,
    NotExecutable,
    Folder,
    Absent,
}

fn candidate(path: &Path) -> Candidate {
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => Candidate::Folder,
        Ok(metadata) if metadata.permissions().mode() & 0o111 == 0 => Candidate::NotExecutable,
        Ok(_) => Candidate::Program,
        Err(_) => Candidate::Absent,
    }
}

fn not_found(name: &str, place: &str) -> StartFailure {
    let message = format!(
        "spec.command: program {name:?} was not found {place}. \
         Ship it in the folder, or install it on every node"
    );
    function_fault("ProgramNotFound", message)
}

fn not_executable(name: &str) -> StartFailure {
    let message = format!(
        "spec.command: {name:?} is not executable. Run `chmod +x {name}` and deploy again, \
         or name its interpreter first, as in [\"python3\", \"server.py\"]"
    );
    function_fault("ProgramNotExecutable", message)
}

fn is_a_folder(name: &str) -> StartFailure {
    let message = format!("spec.command: {name:?} is a folder; name the program in it");
    function_fault("ProgramNotExecutable", message)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn put(folder: &Path, name: &str, mode: u32) {
        fs::write(folder.join(name), "#!/bin/sh\n").unwrap();
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_folder_comes_before_path() {
        let (folder, bin) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        put(folder.path(), "both", 0o755);
        put(bin.path(), "both", 0o755);
        put(bin.path(), "installed", 0o755);
        put(folder.path(), "data", 0o644);
        put(bin.path(), "data", 0o755);
        let find = |name| find(name, Some(folder.path()), bin.path().as_os_str());
        assert_eq!(find("both").unwrap(), folder.path().join("both"));
        assert_eq!(find("./both").unwrap(), folder.path().join("./both"));
        assert_eq!(find("installed").unwrap(), bin.path().join("installed"));
        assert_eq!(find("data").unwrap(), bin.path().join("data"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "script.py", 0o644);
        fs::create_dir(folder.path().join("inner")).unwrap();
        let says = |name: &str, text: &str| {
            let failure = find(name, Some(folder.path()), OsStr::new("/nowhere")).unwrap_err();
            assert!(failure.message.contains(text), "{failure}");
        };
        says("foo", "program \"foo\" was not found in PATH or the function's folder");
        says("./foo", "program \"./foo\" was not found in the function's folder");
        says("/no/foo", "was not found on this node");
        says("script.py", "chmod +x script.py");
        says("./script.py", "chmod +x ./script.py");
        says("./inner", "is a folder");
    }
}
