//! The `kube` crate's watcher against a real platform: it goes on across kills of the
//! server, with neither a gap nor a duplicate, and without listing everything again.

#[allow(dead_code, reason = "up.rs uses the rest of it")]
mod running;

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use futures::StreamExt as _;
use kube::api::{DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Config};
use running::Up;
use rustix::process::Signal;

/// Longest wait for something that is certain to happen.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the server is killed.
const KILLS: usize = 3;
/// Objects made before a kill, and as many after it.
const OBJECTS: usize = 5;

/// What the watcher said.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    /// Everything that exists was listed.
    Listed,
    /// Of the list, or a change.
    Applied(String),
    Deleted(String),
}

/// A watcher of config maps on threads of its own.
struct Following {
    told: Receiver<Told>,
    seen: Vec<Told>,
    runtime: tokio::runtime::Runtime,
    api: Api<DynamicObject>,
}

impl Following {
    fn start(server: &str, config: watcher::Config) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let kind = GroupVersionKind::gvk("", "v1", "ConfigMap");
        let client = Config::new(server.parse().unwrap());
        let client = runtime.block_on(async { Client::try_from(client).unwrap() });
        let api: Api<DynamicObject> =
            Api::namespaced_with(client, "default", &ApiResource::from_gvk(&kind));
        let (sender, told) = channel();
        let events = watcher(api.clone(), config).default_backoff();
        runtime.spawn(async move {
            let name = |object: DynamicObject| object.metadata.name.unwrap_or_default();
            let mut events = std::pin::pin!(events);
            while let Some(event) = events.next().await {
                let told = match event {
                    Ok(Event::Init) => continue,
                    Ok(Event::InitApply(object) | Event::Apply(object)) => {
                        Told::Applied(name(object))
                    }
                    Ok(Event::InitDone) => Told::Listed,
                    Ok(Event::Delete(object)) => Told::Deleted(name(object)),
                    // The server is away: the watcher tries again.
                    Err(_) => continue,
                };
                if sender.send(told).is_err() {
                    return;
                }
            }
        });
        Following { told, seen: Vec::new(), runtime, api }
    }

    /// Waits until it was told this.
    fn until(&mut self, wanted: &Told) {
        while self.seen.last() != Some(wanted) {
            match self.told.recv_timeout(PATIENCE) {
                Ok(told) => self.seen.push(told),
                Err(RecvTimeoutError::Timeout) => panic!("no {wanted:?} after {:?}", self.seen),
                Err(RecvTimeoutError::Disconnected) => panic!("it ended: {:?}", self.seen),
            }
        }
    }

    fn create(&self, name: &str) {
        let kind = GroupVersionKind::gvk("", "v1", "ConfigMap");
        let object = DynamicObject::new(name, &ApiResource::from_gvk(&kind));
        let api = self.api.clone();
        // A task of the runtime: the client's own tasks run there.
        let made = self.runtime.block_on(async move {
            // A connection of the pool may be one to the server that was killed.
            for _ in 0..3 {
                match api.create(&PostParams::default(), &object).await {
                    Ok(_) => return Ok(()),
                    Err(kube::Error::Api(refused)) => return Err(refused.message),
                    Err(_) => {}
                }
            }
            Err("there is no server".to_owned())
        });
        made.unwrap_or_else(|why| panic!("{name}: {why}"));
    }
}

fn goes_on_across_kills(config: watcher::Config) {
    // Short, because sockets below it have short paths.
    let dir = tempfile::Builder::new().prefix("gk-").tempdir_in("/tmp").unwrap();
    let folder = dir.path().join("data");
    let mut up = Up::start(&folder, &[]);
    let address = up.api.trim_start_matches("http://").to_owned();
    let mut following = Following::start(&up.api, config);
    following.until(&Told::Listed);
    let mut expected = Vec::new();
    let mut next = |following: &Following| {
        let name = format!("c{:04}", expected.len());
        following.create(&name);
        expected.push(Told::Applied(name));
    };
    for kill in 0..KILLS {
        // Some that are told before the kill, and some that may not be.
        (0..OBJECTS).for_each(|_| next(&following));
        let told = Told::Applied(format!("c{:04}", 2 * OBJECTS * kill + OBJECTS - 3));
        following.until(&told);
        up.signal(Signal::KILL);
        up.wait();
        up = Up::start_at(&folder, &address, &[]);
        (0..OBJECTS).for_each(|_| next(&following));
        let last = Told::Applied(format!("c{:04}", 2 * OBJECTS * (kill + 1) - 1));
        following.until(&last);
    }
    // What exists at the start is told before the list ends; then every change, once.
    let at = following.seen.iter().position(|told| *told == Told::Listed).unwrap();
    assert_eq!(following.seen[at + 1..], expected);
}

#[test]
fn a_watcher_goes_on_across_killed_servers() {
    goes_on_across_kills(watcher::Config::default());
}

/// What exists comes as events of the watch too (Kubernetes API concepts, "Streaming
/// lists").
#[test]
fn a_watcher_with_a_streaming_list_goes_on_across_killed_servers() {
    goes_on_across_kills(watcher::Config::default().streaming_lists());
}
