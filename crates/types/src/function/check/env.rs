//! Checks of `spec.env`, `spec.envFrom` and `spec.files`.

use super::super::{EnvFrom, EnvValue, EnvValues, FunctionSpec, Reference};
use crate::{FieldError, check_key, check_object_name};

/// Most variables a declaration may have.
const ENV_MAX: usize = 1_000;
/// Most bytes of text all variables of a declaration may have together: what a process
/// may be given at its start is bounded by the kernel (`execve(2)`, "Limits on size").
const ENV_BYTES_MAX: usize = 512 << 10;
/// Most objects `spec.envFrom` may name.
const ENV_FROM_MAX: usize = 32;
/// Most files an instance may be given.
const FILES_MAX: usize = 256;
/// Longest name of a file, and of each of its parts (`NAME_MAX` of Linux).
const FILE_NAME_BYTES_MAX: usize = 1_024;
const FILE_PART_BYTES_MAX: usize = 255;

/// Variables that the platform sets: a declaration may not.
pub(crate) const PLATFORM_VARIABLES: [&str; 4] =
    ["PORT", "K_SERVICE", "K_CONFIGURATION", "K_REVISION"];
/// What the platform's own variables begin with.
pub(crate) const PLATFORM_PREFIX: &str = "GAPLESS_";

/// Whether the platform sets this variable itself.
pub fn is_platform_variable(name: &str) -> bool {
    name.starts_with(PLATFORM_PREFIX) || PLATFORM_VARIABLES.contains(&name)
}

pub(super) fn check(spec: &FunctionSpec, errors: &mut Vec<FieldError>) {
    check_env(&spec.env, errors);
    check_env_from(&spec.env_from, errors);
    check_files(&spec.files, errors);
}

fn check_env(env: &EnvValues, errors: &mut Vec<FieldError>) {
    at_most("spec.env", env.len(), ENV_MAX, errors);
    let text = |value: &EnvValue| value.text().map_or(0, str::len);
    let bytes: usize = env.iter().map(|(name, value)| name.len() + text(value) + 2).sum();
    if bytes > ENV_BYTES_MAX {
        let message = format!(
            "has {bytes} bytes, allowed are {ENV_BYTES_MAX}; put long values into spec.files"
        );
        errors.push(FieldError::new("spec.env", message));
    }
    for (name, value) in env {
        let path = format!("spec.env.{name}");
        if name.is_empty() || name.contains(['=', '\0']) {
            let message = "a variable's name must not be empty nor hold '=' or NUL";
            errors.push(FieldError::new(&path, message));
        } else if is_platform_variable(name) {
            errors.push(FieldError::new(&path, "is set by the platform; choose another name"));
        }
        match value {
            EnvValue::Text(text) if text.contains('\0') => {
                errors.push(FieldError::new(&path, "a variable's value must not hold NUL"));
            }
            EnvValue::Text(_) => {}
            EnvValue::Kept(reference) => {
                check_reference(&path, reference, errors);
                if reference.key.is_none() {
                    let (kept, name) = (reference.kept, &reference.name);
                    let message = format!(
                        "names no key; write {{{kept}: {name}/KEY}}, or use spec.envFrom for \
                         every key of it"
                    );
                    errors.push(FieldError::new(&path, message));
                }
            }
        }
    }
}

fn check_env_from(from: &[EnvFrom], errors: &mut Vec<FieldError>) {
    at_most("spec.envFrom", from.len(), ENV_FROM_MAX, errors);
    for (index, entry) in from.iter().enumerate() {
        let path = format!("spec.envFrom[{index}]");
        check_reference(&path, &entry.from, errors);
        if let Some(key) = &entry.from.key {
            let (kept, name) = (entry.from.kept, &entry.from.name);
            let message = format!(
                "takes every key; write {{{kept}: {name}}}, or use spec.env for the key {key}"
            );
            errors.push(FieldError::new(&path, message));
        }
        if entry.prefix.contains(['=', '\0']) {
            let message = "must not hold '=' or NUL";
            errors.push(FieldError::new(format!("{path}.prefix"), message));
        }
    }
}

fn check_files(files: &EnvValues, errors: &mut Vec<FieldError>) {
    at_most("spec.files", files.len(), FILES_MAX, errors);
    for (name, value) in files {
        let path = format!("spec.files.{name}");
        if let Err(message) = check_file_name(name) {
            errors.push(FieldError::new(&path, message));
        }
        if let EnvValue::Kept(reference) = value {
            check_reference(&path, reference, errors);
        }
        if let Some(parent) = parent_in(files, name) {
            let message = format!(
                "is inside {parent:?}, which is a file or folder of its own; choose another name"
            );
            errors.push(FieldError::new(&path, message));
        }
    }
}

/// Another entry that this name would be inside of.
fn parent_in<'a>(files: &'a EnvValues, name: &str) -> Option<&'a str> {
    let ends = name.match_indices('/').map(|(at, _)| at);
    let mut parents = ends.filter_map(|end| files.find_index(&name[..end]).ok());
    parents.next().and_then(|index| files.get_indexed(index)).map(|(parent, _)| &**parent)
}

/// Checks a file's name: a relative path without tricks.
pub(crate) fn check_file_name(name: &str) -> Result<(), String> {
    if name.starts_with('/') {
        let relative = name.trim_start_matches('/');
        return Err(format!(
            "a file's name is relative to the folder $GAPLESS_FILES, which every instance has \
             its own of; write {relative:?}, read at $GAPLESS_FILES/{relative}"
        ));
    }
    let is_part = |part: &str| {
        !matches!(part, "" | "." | "..")
            && part.len() <= FILE_PART_BYTES_MAX
            && !part.contains('\0')
    };
    if name.len() > FILE_NAME_BYTES_MAX || !name.split('/').all(is_part) {
        return Err("is not a file's name: use a relative path such as certs/ca.pem, its parts \
                    not empty, not '.' or '..', and of 255 bytes at the most"
            .to_owned());
    }
    Ok(())
}

fn check_reference(path: &str, reference: &Reference, errors: &mut Vec<FieldError>) {
    let path = format!("{path}.{}", reference.kept);
    if let Err(error) = check_object_name(&reference.name) {
        errors.push(FieldError::new(&path, error.to_string()));
    }
    if let Some(key) = &reference.key
        && let Err(error) = check_key(key)
    {
        errors.push(FieldError::new(&path, error.to_string()));
    }
}

fn at_most(path: &str, found: usize, allowed: usize, errors: &mut Vec<FieldError>) {
    if found > allowed {
        let message = format!("has {found} entries, allowed are {allowed}");
        errors.push(FieldError::new(path, message));
    }
}
