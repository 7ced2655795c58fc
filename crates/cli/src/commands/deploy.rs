//! `gapless deploy DIR`: reads the declaration, uploads the code if the platform
//! does not have it, declares the function, and waits until it is ready.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use gapless_api::{artifact_path, function_path};
use gapless_types::{Code, Function, RolloutStatus};
use http::{Method, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;
use tokio_util::io::ReaderStream;

use super::get::follow::{Change, Follow};
use super::get::list_path;
use crate::archive::{self, Artifact};
use crate::args::{ApiArgs, check_name, place, span};
use crate::client::{self, Apply, Client};
use crate::documents;
use crate::failure::{Failure, Outcome};
use crate::manifest::Manifest;
use crate::output;

/// Bytes read from the artifact at a time.
const PIECE_BYTES: usize = 256 * 1024;
/// Who owns the fields that a function's folder declares.
const MANAGER: &str = "gapless-deploy";
/// How long an upload goes on before its progress is shown.
const PROGRESS_AFTER: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "\
Examples:
  gapless deploy hello                      the folder `hello`, with its gapless.yaml
  gapless deploy . --name hello-2           under another name
  gapless deploy hello/other.yaml           another declaration in the same folder
  gapless deploy hello --no-wait

A component (spec.wasm) is uploaded as the file it is. For a program (spec.command)
the whole folder is packed, node_modules included; left out are .git, target,
__pycache__ and whatever .gaplessignore lists, in the syntax of .gitignore. What
the platform has already is not sent again.";

/// Deploy the function in a folder.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The function's folder, or the yaml file in it
    #[arg(value_name = "DIR", default_value = ".")]
    path: PathBuf,
    /// Deploy under this name instead of the declared one
    #[arg(long)]
    name: Option<String>,
    /// Deploy into this namespace instead of the declared one
    #[arg(short, long)]
    namespace: Option<String>,
    /// Wait until the function is ready or has failed (this is the default)
    #[arg(long, overrides_with = "no_wait")]
    wait: bool,
    /// Return once the declaration is stored
    #[arg(long)]
    no_wait: bool,
    /// How long to wait, such as 90s
    #[arg(long, value_name = "SPAN", value_parser = span, default_value = "5m")]
    timeout: Duration,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

pub(crate) async fn run(args: Args) -> Outcome {
    args.name.iter().chain(&args.namespace).try_for_each(|name| check_name(name))?;
    let client = args.api.client()?;
    let namespace = args.api.namespace()?;
    let manifest = Manifest::read(&args.path, |value| adjust(value, &args, &namespace))?;
    let function = &manifest.function;
    let mut document = manifest.document.clone();
    let artifact = match function.spec.code() {
        Code::Wasm => {
            let file = function.spec.wasm.clone().unwrap_or_default();
            Some(archive::file(&manifest.folder.join(file))?)
        }
        Code::Command(_) => Some(archive::folder(&manifest.folder, &manifest.file)?),
        Code::Fake(_) => None,
    };
    let sent = match artifact {
        Some(artifact) => {
            document["spec"]["artifact"] = artifact.digest.as_str().into();
            upload(&client, artifact).await?
        }
        None => "no code to upload".to_owned(),
    };
    let name = function.metadata.name.clone();
    let namespace = function.metadata.namespace.clone();
    let what = format!("cannot deploy function {namespace}/{name}");
    document["metadata"]["name"] = name.as_str().into();
    document["metadata"]["namespace"] = namespace.as_str().into();
    documents::keep_declared(&mut document);
    let path = function_path(&namespace, &name);
    // What the folder says, its owner says: a deployment takes fields from others.
    let options = Apply { manager: MANAGER, is_forced: true, ..Apply::default() };
    let (stored, _): (Function, bool) = client.apply(&what, &path, &document, options).await?;
    eprintln!("{sent}; {namespace}/{name} is declared, generation {}", stored.metadata.generation);
    if args.no_wait {
        return output::emit(&format!("function {namespace}/{name} deployed\n"));
    }
    let ready = wait_until_ready(&client, &stored, args.timeout).await?;
    output::emit(&report(&ready))
}

fn adjust(value: &mut Value, args: &Args, namespace: &str) {
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.entry("namespace").or_insert_with(|| namespace.into());
    }
    let fields = [("name", &args.name), ("namespace", &args.namespace)];
    for (field, wanted) in fields {
        let metadata = value.get_mut("metadata").and_then(Value::as_object_mut);
        if let (Some(wanted), Some(metadata)) = (wanted, metadata) {
            metadata.insert(field.to_owned(), wanted.as_str().into());
        }
    }
}

fn report(function: &Function) -> String {
    let metadata = &function.metadata;
    let status = function.status.clone().unwrap_or_default();
    let place = place(&metadata.namespace);
    format!(
        "function {}/{} is ready, revision {}\n  {}\n  {}\n{}call it: gapless invoke {}{place}\n",
        metadata.namespace,
        metadata.name,
        status.revision,
        status.url,
        status.path_url,
        status.rollout.as_ref().map_or_else(String::new, |rollout| rolling_out(function, rollout)),
        metadata.name
    )
}

/// What is left of the deployment when the new revision takes over step by step.
fn rolling_out(function: &Function, rollout: &RolloutStatus) -> String {
    let (to, name) = (&rollout.to, &function.metadata.name);
    let place = place(&function.metadata.namespace);
    match rollout.phase.as_str() {
        "Progressing" => format!(
            "  {to} is taking over: {}% now, step {} of {}; it rolls back by itself if it does worse\n  \
             see it: gapless traffic {name}{place}; hurry it: gapless promote {name}{place}; \
             take it back: gapless rollback {name}{place}\n",
            rollout.percent, rollout.step, rollout.steps
        ),
        "Held" => format!(
            "  {to} is held: spec.traffic names other revisions only; \
             let it take requests: gapless traffic {name}{place} {to}=10 ...\n"
        ),
        _ => String::new(),
    }
}

/// Sends the artifact unless the platform has it. Returns what was done, for people.
async fn upload(client: &Client, artifact: Artifact) -> Outcome<String> {
    for path in &artifact.left_out {
        eprintln!("left out {}: neither a file, a folder nor a link", path.display());
    }
    let size = output::bytes(artifact.size_bytes);
    let files = match artifact.files {
        0 | 1 => String::new(),
        several => format!(" in {several} files"),
    };
    let path = artifact_path(&artifact.digest);
    let what = "cannot upload the code";
    if client.exists(what, &path).await? {
        return Ok(format!("code unchanged ({size}{files})"));
    }
    let bar = progress(artifact.size_bytes);
    let file = tokio::fs::File::from_std(artifact.file);
    let begun = Instant::now();
    let shown = bar.clone();
    let pieces = ReaderStream::with_capacity(file, PIECE_BYTES).map(move |piece| {
        let piece: Bytes = piece?;
        shown.inc(piece.len() as u64);
        if shown.is_hidden() && begun.elapsed() > PROGRESS_AFTER && std::io::stderr().is_terminal()
        {
            shown.set_draw_target(ProgressDrawTarget::stderr());
        }
        Ok::<_, std::io::Error>(Frame::data(piece))
    });
    let mut request = client::request(Method::PUT, &path, StreamBody::new(pieces).boxed_unsync());
    let octets = http::HeaderValue::from_static("application/octet-stream");
    request.headers_mut().insert(header::CONTENT_TYPE, octets);
    request.headers_mut().insert(header::CONTENT_LENGTH, artifact.size_bytes.into());
    let sent = client.upload(what, request).await;
    bar.finish_and_clear();
    sent?;
    Ok(format!("uploaded {size}{files}"))
}

fn progress(size_bytes: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(size_bytes), ProgressDrawTarget::hidden());
    let style = ProgressStyle::with_template(
        "uploading {bar:30} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}",
    );
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Watches the function until its latest generation is ready or has failed.
async fn wait_until_ready(
    client: &Client,
    stored: &Function,
    timeout: Duration,
) -> Outcome<Function> {
    let metadata = &stored.metadata;
    let name = format!("{}/{}", metadata.namespace, metadata.name);
    let path = list_path::<Function>(Some(&metadata.namespace));
    let only = format!("fieldSelector=metadata.name%3D{}", metadata.name);
    let mut last = None;
    let watch = async {
        let mut follow = Follow::new(client.clone(), &path, &only);
        loop {
            let Change::Object { change, object } = follow.next().await? else { continue };
            if change == "DELETED" {
                let why = "somebody deleted it while it was being deployed";
                return Err(Failure::new(format!("function {name} is not ready"), why));
            }
            let function: Function = serde_json::from_value(object)
                .map_err(|error| Failure::new("cannot wait for the function", error))?;
            match judge(&function, metadata.generation) {
                Verdict::Ready => return Ok(function),
                Verdict::Failed(reason, message) => {
                    return Err(Failure::new(format!("function {name} failed"), message)
                        .help(help_for(&reason, &metadata.name, &metadata.namespace)));
                }
                Verdict::Replaced => {
                    let why = "somebody deployed it again in the meantime";
                    return Err(Failure::new(format!("function {name} is not ready"), why));
                }
                Verdict::Pending(message) => last = Some(message),
            }
        }
    };
    match client::within(Some(timeout), watch).await {
        Some(outcome) => outcome,
        None => {
            let last = last.unwrap_or_else(|| "nothing was heard of it".to_owned());
            let why = format!("not within {} s; last known: {last}", timeout.as_secs_f64());
            Err(Failure::new(format!("function {name} is not ready"), why).help(format!(
                "it may still become ready: `gapless describe function {}`",
                metadata.name
            )))
        }
    }
}

/// What a function's status says of its deployment.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Ready,
    Failed(String, String),
    Replaced,
    Pending(String),
}

fn judge(function: &Function, generation: u64) -> Verdict {
    if function.metadata.generation > generation {
        return Verdict::Replaced;
    }
    let Some(status) = &function.status else {
        return Verdict::Pending("no status".to_owned());
    };
    let Some(ready) = status.condition("Ready") else {
        return Verdict::Pending("no status".to_owned());
    };
    if status.observed_generation < generation {
        return Verdict::Pending("the former generation is still served".to_owned());
    }
    match ready.status.as_str() {
        "True" => Verdict::Ready,
        "False" => Verdict::Failed(ready.reason.clone(), ready.message.clone()),
        _ => Verdict::Pending(ready.message.clone()),
    }
}

fn help_for(reason: &str, name: &str, namespace: &str) -> String {
    let place = place(namespace);
    format!(
        "({reason}) see `gapless logs {name}{place}` and `gapless describe function {name}{place}`, \
         then correct it and deploy again"
    )
}

#[cfg(test)]
mod tests {
    use gapless_types::{Condition, FunctionStatus};
    use serde_json::json;

    use super::*;

    fn function(generation: u64, observed: u64, ready: &str) -> Function {
        let mut function = Function::from_value(json!({
            "apiVersion": "gapless.dev/v1", "kind": "Function",
            "metadata": {"name": "hello"}, "spec": {"wasm": "a.wasm"},
        }))
        .unwrap();
        function.metadata.generation = generation;
        function.status = Some(FunctionStatus {
            observed_generation: observed,
            conditions: vec![Condition {
                r#type: "Ready".to_owned(),
                status: ready.to_owned(),
                reason: "Why".to_owned(),
                message: "because".to_owned(),
                last_transition_time: String::new(),
            }],
            ..FunctionStatus::default()
        });
        function
    }

    #[test]
    fn only_the_deployed_generation_counts() {
        assert_eq!(judge(&function(2, 2, "True"), 2), Verdict::Ready);
        assert!(matches!(judge(&function(2, 1, "True"), 2), Verdict::Pending(_)));
        assert!(matches!(judge(&function(2, 1, "False"), 2), Verdict::Pending(_)));
        assert!(matches!(judge(&function(2, 2, "Unknown"), 2), Verdict::Pending(_)));
        assert_eq!(judge(&function(3, 3, "True"), 2), Verdict::Replaced);
        let failed = Verdict::Failed("Why".to_owned(), "because".to_owned());
        assert_eq!(judge(&function(2, 2, "False"), 2), failed);
    }
}
