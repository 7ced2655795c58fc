//! How a command fails: what, why, and what to do about it.
//!
//! Every command returns [`Failure`]; `main` prints it once, as
//! `error: WHAT: WHY` and `help: WHAT TO DO`, and ends with its exit code
//! (1 failed, 2 used wrongly). Nothing else writes `error:`.

use std::fmt;
use std::io;
use std::process::ExitCode;

use gapless_api::Status;

/// What a command returns.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    why: String,
    /// Further causes, one a line.
    causes: Vec<String>,
    help: Option<String>,
    kind: Kind,
    /// The HTTP status of the API's answer; 0 when it was none.
    code: u16,
}

/// What a failure means to the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It was tried and did not work.
    Failed,
    /// It cannot be tried as it was asked.
    Usage,
    /// Whoever read the output has gone: nothing is wrong, nothing is left to say.
    ReaderGone,
    /// The object asked for does not exist.
    NotFound,
    /// Somebody else owns what was to be set, or has changed it meanwhile.
    Conflict,
}

impl Failure {
    /// `what` did not work because of `why`.
    pub(crate) fn new(what: impl Into<String>, why: impl fmt::Display) -> Self {
        Failure {
            what: what.into(),
            why: why.to_string(),
            causes: Vec::new(),
            help: None,
            kind: Kind::Failed,
            code: 0,
        }
    }

    /// The command was used wrongly.
    pub(crate) fn usage(what: impl Into<String>, why: impl fmt::Display) -> Self {
        Failure { kind: Kind::Usage, ..Failure::new(what, why) }
    }

    /// The API's answer to an attempt at `what`.
    pub(crate) fn refused(what: &str, status: &Status) -> Self {
        let kind = match status.code {
            404 => Kind::NotFound,
            409 => Kind::Conflict,
            _ => Kind::Failed,
        };
        let mut failure =
            Failure { kind, code: status.code, ..Failure::new(what, &status.message) };
        if !status.details.causes.is_empty() {
            failure.why = "the platform refused it".to_owned();
            let causes = status.details.causes.iter();
            failure.causes =
                causes.map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        }
        failure
    }

    /// Adds what to do about it.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds causes, printed one a line.
    pub(crate) fn causes(mut self, causes: Vec<String>) -> Self {
        self.causes = causes;
        self
    }

    /// Whether the object asked for does not exist.
    pub(crate) fn is_not_found(&self) -> bool {
        self.kind == Kind::NotFound
    }

    /// Whether somebody else owns what was to be set, or has changed it meanwhile.
    pub(crate) fn is_conflict(&self) -> bool {
        self.kind == Kind::Conflict
    }

    /// The same, of a command whose exit code 1 is an answer: it failed to give one.
    pub(crate) fn untold(self) -> Self {
        Failure { kind: Kind::Usage, ..self }
    }

    /// Whether what was asked for is too old to be told (`410`).
    pub(crate) fn is_gone(&self) -> bool {
        self.code == 410
    }

    /// Whether the API refused it, so that asking again does not help.
    pub(crate) fn is_refusal(&self) -> bool {
        (400..500).contains(&self.code)
    }

    /// What the shell is told.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self.kind {
            Kind::ReaderGone => ExitCode::SUCCESS,
            Kind::Failed | Kind::NotFound | Kind::Conflict => ExitCode::from(1),
            Kind::Usage => ExitCode::from(2),
        }
    }

    /// Whether there is anything to print.
    pub(crate) fn is_silent(&self) -> bool {
        self.kind == Kind::ReaderGone
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}: {}", self.what, self.why)?;
        for cause in &self.causes {
            write!(f, "\n  {cause}")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\nhelp: {help}")?;
        }
        Ok(())
    }
}

/// Writing the command's own output failed.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::BrokenPipe => Kind::ReaderGone,
            _ => Kind::Failed,
        };
        Failure { kind, ..Failure::new("cannot write the output", error) }
    }
}

#[cfg(test)]
mod tests {
    use gapless_types::FieldError;

    use super::*;

    #[test]
    fn a_failure_says_what_why_and_what_to_do() {
        let failure = Failure::new("cannot start", "port in use").help("choose another");
        assert_eq!(failure.to_string(), "error: cannot start: port in use\nhelp: choose another");
    }

    #[test]
    fn a_refused_object_names_each_field() {
        let errors = [FieldError::new("spec.a", "is wrong"), FieldError::new("spec.b", "too")];
        let failure = Failure::refused("deploy x", &Status::invalid("x", &errors));
        let expected =
            "error: deploy x: the platform refused it\n  spec.a: is wrong\n  spec.b: too";
        assert_eq!(failure.to_string(), expected);
        assert!(!failure.is_not_found());
        assert!(Failure::refused("x", &Status::failure(404, "NotFound", "none")).is_not_found());
    }

    #[test]
    fn a_reader_who_left_is_no_error() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(failure.is_silent());
        assert!(!Failure::from(io::Error::other("disk full")).is_silent());
    }
}
