//! What is kept in secrets and configs: environment and files of one instance.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gapless_proto::{ConfigSource, Entries};
use gapless_types::{EnvValue, Kept, Reference, Sensitive};
use http::StatusCode;

use super::fixture::{Ability, Fixture, Lines};
use super::guest::get;
use crate::{Driver, StartTask, Started};

const GRACE: Duration = Duration::from_secs(10);

/// A source with one secret, whose value is its own.
struct Secret(&'static str);

impl ConfigSource for Secret {
    fn entries(&self, kept: Kept, _: &str, name: &str) -> Result<Option<Arc<Entries>>, String> {
        let entries = Entries::from([("token".to_owned(), Sensitive::from(self.0))]);
        Ok((kept == Kept::Secret && name == "api").then(|| Arc::new(entries)))
    }
}

fn secret(key: Option<&str>) -> EnvValue {
    let (name, key) = ("api".to_owned(), key.map(str::to_owned));
    EnvValue::Kept(Box::new(Reference { kept: Kept::Secret, name, key, optional: false }))
}

async fn start(
    driver: &Arc<dyn Driver>,
    fixture: &Fixture,
    instance: u64,
    value: &'static str,
) -> Started {
    let config = fixture.config(&Secret(value));
    let task = StartTask { config, ..fixture.start_task_plain(instance, &Lines::new()) };
    driver.start(task).await.expect("the probe starts")
}

/// A secret's value reaches the guest as a variable; each instance keeps its own.
pub async fn kept_values_reach_the_guest(driver: Arc<dyn Driver>, mut fixture: Fixture) {
    if !fixture.can(Ability::Env) {
        return;
    }
    fixture.spec.env.insert("TOKEN".to_owned(), secret(Some("token")));
    let before = start(&driver, &fixture, 1, "hunter2").await;
    let after = start(&driver, &fixture, 2, "changed since").await;
    for (started, value) in [(&before, "hunter2"), (&after, "changed since")] {
        let answer = get(&started.sandbox.endpoint(), "/env/TOKEN").await.expect("an answer");
        assert_eq!((answer.status, answer.text().trim_end()), (StatusCode::OK, value));
    }
    before.sandbox.stop(GRACE).await;
    after.sandbox.stop(GRACE).await;
    fixture.assert_nothing_left_now();
}

/// Files reach the guest below `$GAPLESS_FILES`, and are gone when it is.
pub async fn files_reach_the_guest(driver: Arc<dyn Driver>, mut fixture: Fixture) {
    if !fixture.can(Ability::Files) {
        return;
    }
    let files = [("motd", "hello".into()), ("a/b", secret(Some("token"))), ("all", secret(None))];
    fixture.spec.files = files.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
    let before = start(&driver, &fixture, 1, "hunter2").await;
    let after = start(&driver, &fixture, 2, "changed since").await;
    for (started, token) in [(&before, "hunter2"), (&after, "changed since")] {
        let endpoint = started.sandbox.endpoint();
        for (name, content) in [("motd", "hello"), ("a/b", token), ("all/token", token)] {
            let answer = get(&endpoint, &format!("/file/{name}")).await.expect("an answer");
            assert_eq!((answer.status, answer.text()), (StatusCode::OK, content.to_owned()));
        }
        let absent = get(&endpoint, "/file/all/nothing").await.expect("an answer");
        assert_eq!(absent.status, StatusCode::NOT_FOUND);
    }
    let folder = get(&before.sandbox.endpoint(), "/env/GAPLESS_FILES").await.expect("an answer");
    before.sandbox.stop(GRACE).await;
    // For a component it is a path of its own world, which is not there either.
    assert!(!Path::new(folder.text().trim_end()).exists(), "{} is left", folder.text());
    drop(after);
    fixture.assert_nothing_left().await;
}
