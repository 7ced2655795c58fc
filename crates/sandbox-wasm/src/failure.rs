//! From what wasmtime says to what people are told.

use gapless_proto::{CallError, StartFailure};
use gapless_types::{Fault, Reason};
use wasmtime::{PoolConcurrencyLimitError, Trap};
use wasmtime_wasi::I32Exit;

use crate::terms::Terms;

/// Ends a guest that reached its deadline.
#[derive(Debug, thiserror::Error)]
#[error("the invocation took longer than its timeout")]
pub(crate) struct TimedOut;

/// Ends a guest whose instance is being stopped.
#[derive(Debug, thiserror::Error)]
#[error("the instance was stopped while it served the request")]
pub(crate) struct Stopped;

/// Why a guest ended without an answer, or in the middle of one.
pub(crate) enum GuestFailure {
    /// The store or instance could not be made.
    NotInstantiated(wasmtime::Error),
    /// The guest trapped, exited or was ended.
    Died {
        error: wasmtime::Error,
        /// Whether it had asked for more memory than it may have.
        memory_was_refused: bool,
    },
    /// The request cannot be handed to the guest.
    BadRequest(wasmtime::Error),
}

/// The cause, without the layers around it and without a backtrace.
pub(crate) fn first_line(error: &wasmtime::Error) -> String {
    let text = match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    text.lines().next().unwrap_or_default().trim().to_owned()
}

/// A refused or failed call. The seat always survives: the next request gets
/// another store.
pub(crate) fn call_error(reason: Reason, message: impl Into<String>) -> CallError {
    CallError { reason, message: message.into(), instance_is_dead: false, is_unsent: false }
}

/// The call of a guest that ran out of time.
pub(crate) fn timed_out(terms: &Terms) -> CallError {
    let seconds = terms.timeout.as_secs_f64();
    call_error(Reason::Timeout, format!("the function did not answer within {seconds} s"))
}

/// The call of a guest whose instance was stopped.
pub(crate) fn stopped() -> CallError {
    let mut error = call_error(Reason::InstanceDied, Stopped.to_string());
    error.instance_is_dead = true;
    error
}

/// A component that returned, or said itself that it failed, instead of answering.
pub(crate) fn no_answer(said: Option<wasmtime::Error>) -> CallError {
    let message = match said {
        Some(error) => {
            format!("the component answered with the error {}", first_line(&error))
        }
        None => "the component returned without setting a response".to_owned(),
    };
    call_error(Reason::BadResponse, message)
}

impl GuestFailure {
    pub(crate) fn into_call_error(self, terms: &Terms) -> CallError {
        match self {
            GuestFailure::NotInstantiated(error) => not_instantiated(&error, terms),
            GuestFailure::BadRequest(error) => call_error(Reason::BadRequest, first_line(&error)),
            GuestFailure::Died { error, .. } if error.is::<TimedOut>() => timed_out(terms),
            GuestFailure::Died { error, .. } if error.is::<Stopped>() => stopped(),
            GuestFailure::Died { error, memory_was_refused } => {
                call_error(Reason::InstanceDied, died(&error, memory_was_refused, terms))
            }
        }
    }
}

fn not_instantiated(error: &wasmtime::Error, terms: &Terms) -> CallError {
    if error.is::<TimedOut>() {
        return timed_out(terms);
    }
    if error.is::<Stopped>() {
        return stopped();
    }
    if error.is::<PoolConcurrencyLimitError>() {
        let mut error = call_error(Reason::NoCapacity, "this node runs as many guests as it may");
        error.is_unsent = true;
        return error;
    }
    call_error(Reason::InstanceDied, format!("the component does not start: {}", first_line(error)))
}

fn died(error: &wasmtime::Error, memory_was_refused: bool, terms: &Terms) -> String {
    if let Some(I32Exit(status)) = error.downcast_ref() {
        return format!("the component exited with status {status} instead of answering");
    }
    let mut text = format!("the component trapped: {}", first_line(error));
    if memory_was_refused {
        let limit_mib = terms.memory_bytes_max >> 20;
        text.push_str(&format!(
            " (it had asked for more memory than its limit of {limit_mib} MiB, \
             spec.resources.memory)"
        ));
    }
    text
}

/// Why an instance did not start: its first store could not be made.
pub(crate) fn start_failure(error: &wasmtime::Error, terms: &Terms) -> StartFailure {
    if error.is::<PoolConcurrencyLimitError>() {
        return StartFailure {
            fault: Fault::Platform,
            kind: "PoolFull",
            message: "this node runs as many guests as it may".to_owned(),
        };
    }
    let message = match error.is::<TimedOut>() {
        true => {
            let seconds = terms.timeout.as_secs_f64();
            format!("the component's start-up took longer than spec.timeout, {seconds} s")
        }
        false => format!("the component does not start: {}", first_line(error)),
    };
    StartFailure { fault: Fault::Function, kind: "StartUpFailed", message }
}
