//! `gapless invoke NAME`: one call through the gateway, as any client would make
//! it, with both bodies streamed.
//!
//! The gateway's address comes from the API; the function is named by the host
//! name of its URL, so its path is what was asked for. A refusal by the platform
//! is told by its reason, an answer of the function by its status.

use std::io::{IsTerminal, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use futures::StreamExt;
use gapless_api::{PlatformInfo, ROOT};
use http::{HeaderName, HeaderValue, Method, Request, Response, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use serde_json::Value;
use tokio_util::io::ReaderStream;

use crate::args::{ApiArgs, NamespaceArgs, check_name, span};
use crate::client::{self, Client, RequestBody};
use crate::failure::{Failure, Outcome};
use crate::output;

/// The header that says why the platform refused a call.
const REASON_HEADER: &str = "x-gapless-reason";

const EXAMPLES: &str = "\
Examples:
  gapless invoke hello
  gapless invoke hello -d '{\"name\": \"world\"}'
  gapless invoke thumbnail -d @photo.jpg -p '/?width=200' > small.jpg
  cat words.txt | gapless invoke search -d -
  gapless invoke hello -i -H 'accept: text/plain'   show headers and timing on stderr";

/// Call a function through the gateway and print its answer.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Name of the function
    name: String,
    #[command(flatten)]
    namespace: NamespaceArgs,
    /// Body of the request: text, @FILE, or - for standard input
    #[arg(short, long, value_name = "DATA", allow_hyphen_values = true)]
    data: Option<String>,
    /// Method; POST with a body, else GET
    #[arg(short = 'X', long, value_name = "METHOD")]
    method: Option<Method>,
    /// Header, as 'name: value'; may be given several times
    #[arg(short = 'H', long = "header", value_name = "HEADER", value_parser = header_line)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Path and query
    #[arg(short, long, default_value = "/")]
    path: String,
    /// Show status, headers and timing on stderr
    #[arg(short, long)]
    include: bool,
    /// How long the whole call may take, such as 10s; as long as the platform allows by default
    #[arg(long, value_name = "SPAN", value_parser = span)]
    timeout: Option<Duration>,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

impl Args {
    /// The namespace, once it is known.
    fn namespace(&self) -> &str {
        self.namespace.namespace.as_deref().unwrap_or_default()
    }
}

fn header_line(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("give it as 'name: value'")?;
    let name = name.trim().parse().map_err(|_| format!("{name:?} is not a header's name"))?;
    let value = value.trim().parse().map_err(|_| format!("{value:?} is not a header's value"))?;
    Ok((name, value))
}

pub(crate) async fn run(mut args: Args) -> Outcome {
    check_name(&args.name)?;
    args.namespace.namespace = Some(args.namespace.of(&args.api)?);
    let what = format!("cannot call function {}/{}", args.namespace(), args.name);
    let api = args.api.client()?;
    let info: PlatformInfo = api.get(&what, &format!("{ROOT}/info")).await?;
    let gateway = Client::new(&info.gateway)?;
    let request = prepare(&args, &gateway)?;
    let call = call(&what, &args, &gateway, request);
    client::within(args.timeout, call).await.unwrap_or_else(|| {
        let span = args.timeout.unwrap_or_default().as_secs_f64();
        Err(Failure::new(&what, format!("no complete answer within {span} s"))
            .help("give it longer with --timeout, or see what it does with `gapless logs -f`"))
    })
}

fn prepare(args: &Args, gateway: &Client) -> Outcome<Request<RequestBody>> {
    let (body, kind) = match args.data.as_deref() {
        None => (client::no_body(), None),
        Some("-") => (stream(tokio::io::stdin()), Some("application/octet-stream")),
        Some(data) => match data.strip_prefix('@') {
            Some(file) => (file_body(Path::new(file))?, Some("application/octet-stream")),
            None => (client::full_body(data.to_owned()), Some(kind_of(data))),
        },
    };
    let slash = if args.path.starts_with('/') { "" } else { "/" };
    let path: http::Uri = format!("{slash}{}", args.path).parse().map_err(|error| {
        Failure::usage(format!("wrong path {:?}", args.path), error)
            .help("percent-encode what is not allowed in a path, such as a blank: %20")
    })?;
    let with_body = args.data.is_some();
    let method = args.method.clone().unwrap_or(if with_body { Method::POST } else { Method::GET });
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = path;
    let headers = request.headers_mut();
    let host = format!("{}.{}.localhost:{}", args.name, args.namespace(), gateway.port());
    let host = host.parse().map_err(|error| Failure::usage("wrong name", error))?;
    headers.insert(header::HOST, host);
    let version = concat!("gapless/", env!("CARGO_PKG_VERSION"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(version));
    if let Some(kind) = kind {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    let mut given: Vec<&HeaderName> = Vec::new();
    for (name, value) in &args.headers {
        // The first of a name replaces what is sent by default; more of it are added.
        match given.contains(&name) {
            true => drop(headers.append(name, value.clone())),
            false => drop(headers.insert(name, value.clone())),
        }
        given.push(name);
    }
    Ok(request)
}

fn kind_of(data: &str) -> &'static str {
    let is_json = serde_json::from_str::<serde::de::IgnoredAny>(data).is_ok();
    if is_json { "application/json" } else { "text/plain; charset=utf-8" }
}

fn file_body(path: &Path) -> Outcome<RequestBody> {
    let failed = |error| Failure::usage(format!("cannot read {}", path.display()), error);
    let mut file = std::fs::File::open(path).map_err(failed)?;
    // A folder opens but does not read.
    file.read(&mut []).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_dir() {
        return Err(Failure::usage(format!("cannot read {}", path.display()), "it is a folder"));
    }
    Ok(stream(tokio::fs::File::from_std(file)))
}

fn stream(reader: impl tokio::io::AsyncRead + Send + 'static) -> RequestBody {
    let pieces = ReaderStream::with_capacity(reader, 64 * 1024);
    StreamBody::new(pieces.map(|piece| piece.map(Frame::data))).boxed_unsync()
}

async fn call(what: &str, args: &Args, gateway: &Client, request: Request<RequestBody>) -> Outcome {
    let begun = Instant::now();
    let response = gateway.send(request).await?;
    let first_byte = begun.elapsed();
    if args.include {
        eprint!("{}", head(&response));
    }
    let status = response.status();
    let reason = response.headers().get(REASON_HEADER);
    let reason = reason.and_then(|reason| reason.to_str().ok()).map(str::to_owned);
    if let Some(reason) = reason.filter(|_| !status.is_success()) {
        let retry = response.headers().get(header::RETRY_AFTER);
        let retry = retry.and_then(|retry| retry.to_str().ok()).map(str::to_owned);
        let body = client::collect(response.into_body()).await.unwrap_or_default();
        return Err(refusal(what, status, &reason, retry, &body, args));
    }
    print(response.into_body()).await?;
    if args.include {
        let ms = |span: Duration| output::millis(span.as_secs_f64() * 1_000.0);
        eprintln!("first byte after {}, last after {}", ms(first_byte), ms(begun.elapsed()));
    }
    if status.is_success() || status.is_redirection() || status.is_informational() {
        return Ok(());
    }
    let what = format!("function {}/{} answered", args.namespace(), args.name);
    Err(Failure::new(what, status))
}

fn head(response: &Response<Incoming>) -> String {
    let mut text = format!("{:?} {}\n", response.version(), response.status());
    for (name, value) in response.headers() {
        text.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
    }
    text.push('\n');
    text
}

async fn print(mut body: Incoming) -> Outcome {
    let mut out = std::io::stdout().lock();
    let mut ends_line = true;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Failure::new("the answer broke off", error)
                .help("`gapless logs` may say why the function stopped")
        })?;
        if let Some(data) = frame.data_ref() {
            out.write_all(data)?;
            out.flush()?;
            ends_line = data.last().map_or(ends_line, |byte| *byte == b'\n');
        }
    }
    if !ends_line && out.is_terminal() {
        // Not part of the answer: so that the prompt stands on a line of its own.
        eprintln!();
    }
    Ok(())
}

/// The platform's own refusal: its sentence and what to do about its reason.
fn refusal(
    what: &str,
    status: http::StatusCode,
    reason: &str,
    retry: Option<String>,
    body: &[u8],
    args: &Args,
) -> Failure {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = String::from_utf8_lossy(body);
    let message = json["error"]["message"].as_str().unwrap_or(text.trim());
    let name = &args.name;
    let help = match reason {
        "no-such-function" => "`gapless get functions -A` lists what there is".to_owned(),
        "not-ready" | "start-failed" | "bad-response" | "instance-died" => {
            format!("see `gapless describe function {name}` and `gapless logs {name}`")
        }
        "timeout" => "raise spec.timeout in gapless.yaml if it needs longer".to_owned(),
        _ => match retry {
            Some(seconds) => format!("try again in {seconds} s; `gapless top` shows the load"),
            None => "`gapless top` shows the load".to_owned(),
        },
    };
    Failure::new(what, format!("{} ({reason}): {message}", status.as_u16())).help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_curl_reads_them() {
        let (name, value) = header_line("Accept:text/plain").unwrap();
        assert_eq!((name.as_str(), value.as_bytes()), ("accept", &b"text/plain"[..]));
        assert!(header_line("accept").is_err());
        assert!(header_line("a b: c").is_err());
    }

    #[test]
    fn the_kind_of_a_body_is_what_it_looks_like() {
        assert_eq!(kind_of("{\"a\": 1}"), "application/json");
        assert_eq!(kind_of("hello"), "text/plain; charset=utf-8");
    }
}
