//! `gapless replay`: sends a trace to a running platform. The work is `gapless-lab`'s;
//! this finds the platform and says how to use it.

use std::net::SocketAddr;
use std::process::ExitCode;

use gapless_api::{PlatformInfo, ROOT};
use gapless_lab::Interrupted;
use gapless_lab::replay::Place;

use crate::args::ApiArgs;
use crate::client::Client;
use crate::failure::{Failure, Outcome};

const EXAMPLES: &str = "\
Examples:
  gapless up                                                        in another terminal
  gapless replay --trace traces/azure2019-244fn.csv --speed 10
  gapless replay --trace traces/azure2019-244fn.csv --for 30s --json
  gapless replay --trace day.csv --speed 60 --start-mode sync --keep-alive 10s
  gapless replay --trace day.csv --functions my-functions

Requests are sent when the trace says, whatever becomes of them, and each works as long
as the trace says. Functions are deployed before, as replay-NAME, and deleted after it.
docs/replay.md says what is measured and how.";

/// Send a trace.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    lab: gapless_lab::replay::Args,
    /// Where to send requests to, instead of the gateway that the API names
    #[arg(long, value_name = "URL")]
    gateway: Option<String>,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

/// Runs it. Whether it came to its end and every answer was right.
pub(crate) async fn run(args: ReplayArgs) -> Outcome<ExitCode> {
    let place = place(&args).await?;
    let error = match gapless_lab::replay::run(args.lab, place).await {
        Ok(true) => return Ok(ExitCode::SUCCESS),
        Ok(false) => return Ok(ExitCode::FAILURE),
        Err(error) => error,
    };
    let failure = Failure::new("the replay did not finish", format!("{error:#}"));
    let Some(interrupted) = error.downcast_ref::<Interrupted>() else {
        return Err(failure);
    };
    eprintln!("{failure}");
    Ok(ExitCode::from(interrupted.exit_code))
}

/// The platform, which must answer.
async fn place(args: &ReplayArgs) -> Outcome<Place> {
    let what = "cannot replay";
    let client = args.api.client()?;
    let info: PlatformInfo = client.get(what, &format!("{ROOT}/info")).await?;
    let gateway = args.gateway.as_deref().unwrap_or(&info.gateway);
    let api_url = args.api.url()?;
    let (api, gateway) = (resolve(&api_url).await?, resolve(gateway).await?);
    Ok(Place { api, api_url, gateway })
}

/// The address that a URL names.
async fn resolve(url: &str) -> Outcome<SocketAddr> {
    let port = Client::new(url)?.port();
    let authority = url.trim_start_matches("http://").trim_end_matches('/');
    let wrong = |why: &str| Failure::new(format!("cannot find {url}"), why);
    let with_port = match authority.rsplit_once(':') {
        Some((_, digits)) if digits.parse() == Ok(port) => authority.to_owned(),
        _ => format!("{authority}:{port}"),
    };
    let found = tokio::net::lookup_host(with_port).await;
    let mut found = found.map_err(|error| wrong(&error.to_string()))?;
    found.next().ok_or_else(|| wrong("it has no address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_url_names_an_address() {
        let at = async |url: &str| resolve(url).await.map(|address| address.to_string()).ok();
        assert_eq!(at("http://127.0.0.1:8080").await.as_deref(), Some("127.0.0.1:8080"));
        assert_eq!(at("127.0.0.1:8080").await.as_deref(), Some("127.0.0.1:8080"));
        assert_eq!(at("http://127.0.0.1/").await.as_deref(), Some("127.0.0.1:80"));
        assert_eq!(at("http://[::1]:90").await.as_deref(), Some("[::1]:90"));
        assert_eq!(at("https://127.0.0.1").await, None);
    }
}
