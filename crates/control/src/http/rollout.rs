//! What a person wants of a function's rollout: `POST .../functions/NAME/rollout`.
//!
//! It is no field of the function, because it is no state to be kept: it says what to
//! do now, and the declaration stays as it is. The answer is the function as it is after.

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use gapless_api::Status;
use gapless_declared::ObjectKey;
use gapless_rollout::{Event, Rollout};
use gapless_types::{FieldError, FunctionKey, RevisionName, RevisionRef};
use http::StatusCode;
use serde::Deserialize;

use super::Api;
use super::body;
use super::error::{ApiError, bad_request, path_key};
use super::reads::answer;
use crate::Control;
use crate::kinds::FUNCTIONS;
use crate::status::not_found;

type Names = Result<Path<(String, String)>, PathRejection>;

/// What is wanted.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wish {
    action: Action,
    /// For a rollback: to which revision.
    #[serde(default)]
    to: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Action {
    Rollback,
    Promote,
    Retry,
}

/// Does what is wanted, or says why there is nothing to do.
pub(crate) async fn steer(
    State(api): State<Api>,
    names: Names,
    body: Body,
) -> Result<Response, ApiError> {
    let Path((namespace, name)) = names?;
    let key = path_key(&namespace, &name)?;
    let bytes = body::bytes(body).await?;
    let wish: Wish = serde_json::from_slice(&bytes).map_err(|error| {
        bad_request(format!(
            "the body is not what can be wanted of a rollout, such as \
             {{\"action\": \"rollback\", \"to\": \"{name}-00001\"}}, or promote, or retry: {error}"
        ))
    })?;
    if wish.to.is_some() && wish.action != Action::Rollback {
        let error = FieldError::new("to", "is only for the action rollback");
        return Err(Status::invalid(&name, &[error]).into());
    }
    let control = api.control.clone();
    // A wanted revision is looked up in the store.
    let steered = gapless_rt::spawn_blocking(move || control.steer(&key, &wish));
    steered.await??;
    let kinds = api.control.objects().kinds();
    let functions = kinds.get(FUNCTIONS.group, FUNCTIONS.version, FUNCTIONS.plural);
    let functions = functions.ok_or_else(|| not_found_path(&namespace, &name))?;
    let object = api.control.objects().get(functions, &ObjectKey::new(&namespace, &name), false)?;
    Ok(answer(StatusCode::OK, &object, &[]))
}

fn not_found_path(namespace: &str, name: &str) -> ApiError {
    Status::failure(404, "NotFound", format!("there is no function {namespace}/{name}")).into()
}

impl Control {
    /// Does what a person wants of a function's rollout.
    fn steer(&self, key: &FunctionKey, wish: &Wish) -> Result<(), Box<Status>> {
        let to = match &wish.to {
            Some(to) => Some(self.wanted(key, to)?),
            None => None,
        };
        {
            let functions = self.functions().lock();
            let declared = functions.get(key).ok_or_else(|| not_found(key))?;
            check(key, &declared.rollout, wish.action, to.as_ref())
                .map_err(|why| Box::new(Status::failure(409, "Conflict", why)))?;
        }
        let event = match wish.action {
            Action::Rollback => Event::Rollback { to },
            Action::Promote => Event::Promote,
            Action::Retry => Event::Retry,
        };
        self.on_course(key, event);
        Ok(())
    }

    /// The function's kept revision that is called `to`.
    fn wanted(&self, key: &FunctionKey, to: &str) -> Result<RevisionName, Box<Status>> {
        if self.functions().lock().get(key).is_none() {
            return Err(not_found(key));
        }
        let kept = self.stored_revisions(&ObjectKey::new(key.namespace(), key.name()));
        let named = RevisionRef::Named(to.to_owned()).named(key);
        named.filter(|_| kept.iter().any(|name| name == to)).ok_or_else(|| {
            let message = format!(
                "{to:?} is no revision of {} that is kept; kept are {}",
                key.name(),
                kept.join(", ")
            );
            Box::new(Status::invalid(key.name(), &[FieldError::new("to", message)]))
        })
    }
}

/// Whether there is something to do; otherwise why not.
fn check(
    key: &FunctionKey,
    rollout: &Rollout,
    action: Action,
    to: Option<&RevisionName>,
) -> Result<(), String> {
    let name = key.name();
    let stable = rollout.stable().map_or("nothing", RevisionName::short);
    match (action, rollout.candidate(), rollout.rejected()) {
        (Action::Rollback, ..) => check_rollback(name, rollout, to),
        (Action::Promote, None, None) => {
            Err(format!("there is nothing to promote: {stable} takes everything already"))
        }
        (Action::Retry, None, Some(_)) | (Action::Promote, ..) => Ok(()),
        (Action::Retry, Some(candidate), _) => {
            let candidate = candidate.short();
            Err(format!("there is nothing to try again: {candidate} is on its way already"))
        }
        (Action::Retry, None, None) => Err(format!(
            "there is nothing to try again: no revision of {name} was rolled back, {stable} serves"
        )),
    }
}

fn check_rollback(name: &str, rollout: &Rollout, to: Option<&RevisionName>) -> Result<(), String> {
    let Some(to) = to.or_else(|| rollout.rollback_target()) else {
        return Err(match rollout.rejected() {
            Some((rejected, why)) => {
                let rejected = rejected.short();
                format!("there is nothing to roll back: {rejected} was rolled back already ({why})")
            }
            None => format!(
                "there is nothing to roll back to: {name} has no earlier revision that served"
            ),
        });
    };
    let is_rejected = rollout.rejected().is_some_and(|(rejected, _)| rejected == to);
    let to_name = to.short();
    if is_rejected {
        return Err(format!("{to_name} was rolled back itself; retry or promote tries it again"));
    }
    if rollout.candidate() == Some(to) {
        return Err(format!("{to_name} is the newest and on its way; promote lets it take over"));
    }
    if rollout.stable() == Some(to) && rollout.candidate().is_none() {
        return Err(format!("{to_name} takes everything already"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use gapless_rollout::Event;
    use gapless_types::Time;

    use super::*;

    fn key() -> FunctionKey {
        FunctionKey::new("default", "hello").unwrap()
    }

    fn revision(number: u64) -> RevisionName {
        RevisionName::new(&key(), number)
    }

    fn feed(rollout: &mut Rollout, event: Event) {
        rollout.on_event(Time::ZERO, event, &mut Vec::new());
    }

    /// A function whose second revision is on its way.
    fn on_its_way() -> Rollout {
        let mut rollout = Rollout::serving(revision(1));
        let declared = Event::Declared { revision: revision(2), policy: None, is_pinned: false };
        feed(&mut rollout, declared);
        rollout
    }

    #[test]
    fn what_changes_nothing_is_refused_with_why() {
        let only = Rollout::serving(revision(1));
        let why = |rollout: &Rollout, action, to: Option<&RevisionName>| {
            check(&key(), rollout, action, to).unwrap_err()
        };
        assert!(why(&only, Action::Rollback, None).contains("no earlier revision"));
        assert!(why(&only, Action::Rollback, Some(&revision(1))).contains("already"));
        assert!(why(&only, Action::Promote, None).contains("hello-00001 takes everything"));
        assert!(why(&only, Action::Retry, None).contains("no revision of hello was rolled back"));
        let new = on_its_way();
        assert!(why(&new, Action::Retry, None).contains("hello-00002 is on its way"));
        assert!(why(&new, Action::Rollback, Some(&revision(2))).contains("promote"));
    }

    #[test]
    fn what_changes_something_is_done() {
        let mut rollout = on_its_way();
        for action in [Action::Rollback, Action::Promote] {
            assert_eq!(check(&key(), &rollout, action, None), Ok(()));
        }
        feed(&mut rollout, Event::Rollback { to: None });
        assert_eq!(rollout.rejected().map(|(name, _)| name), Some(&revision(2)));
        for action in [Action::Promote, Action::Retry] {
            assert_eq!(check(&key(), &rollout, action, None), Ok(()));
        }
        let again = check(&key(), &rollout, Action::Rollback, None).unwrap_err();
        assert!(again.contains("hello-00002 was rolled back already"), "{again}");
    }
}
