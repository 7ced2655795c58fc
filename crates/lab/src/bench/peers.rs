//! What the platform is compared with: `wasmtime serve`, nginx as a reverse
//! proxy, and the program itself without anything in front of it.
//!
//! Each is a child process on a free loopback port, stopped when dropped. One
//! that is not installed is skipped, and the note says how to get it.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::child::ChildProcess;

/// How long a peer may take until it listens.
const LISTENS_WITHIN: Duration = Duration::from_secs(20);
/// Idle connections each nginx worker keeps to the program.
const NGINX_KEEPALIVE: usize = 64;

/// Where the peers are.
#[derive(clap::Args, Clone, Debug, Default)]
// Flattened into another `Args`, whose group has the same name.
#[group(skip)]
pub(super) struct Args {
    /// The wasmtime program to compare with [default: the one in PATH]
    #[arg(long, value_name = "PATH", env = "GAPLESS_WASMTIME")]
    pub(super) wasmtime: Option<PathBuf>,
}

/// A running peer.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    /// Before the folder, so that it is gone when the folder goes.
    _child: ChildProcess,
    _folder: Option<TempDir>,
}

/// How to get what is missing.
pub(super) const GET_WASMTIME: &str = "skipped `wasmtime serve`: there is no wasmtime; \
    `cargo install wasmtime-cli --version 48.0.8 --locked`, or say where with --wasmtime PATH";
/// How to get what is missing.
pub(super) const GET_NGINX: &str =
    "skipped nginx: it is not installed; `apt-get install nginx-light`";
/// How to get what is missing.
pub(super) const GET_WRK: &str = "skipped: wrk is not installed; `apt-get install wrk`";

/// `wasmtime serve` with a component, if there is a wasmtime.
pub(super) async fn wasmtime(args: &Args, component: &[u8]) -> Result<Option<Peer>> {
    let Some(program) = args.wasmtime.clone().or_else(|| find("wasmtime")) else {
        return Ok(None);
    };
    let folder = tempfile::Builder::new().prefix("gapless-lab-").tempdir()?;
    let file = folder.path().join("component.wasm");
    std::fs::write(&file, component)?;
    let address = free_address()?;
    let mut command = Command::new(program);
    command.args(["serve", "--addr", &address.to_string()]).arg(file);
    start(command, address, Some(folder)).await.map(Some)
}

/// nginx in front of `upstream`, if there is an nginx.
pub(super) async fn nginx(upstream: SocketAddr) -> Result<Option<Peer>> {
    let Some(program) = find("nginx") else {
        return Ok(None);
    };
    let folder = tempfile::Builder::new().prefix("gapless-lab-").tempdir()?;
    let place = folder.path().display();
    let address = free_address()?;
    let text = format!(
        "daemon off;\npid {place}/pid;\nerror_log stderr crit;\nworker_processes auto;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n access_log off;\n keepalive_requests 1000000000;\n\
         client_body_temp_path {place}/body;\n proxy_temp_path {place}/proxy;\n\
         fastcgi_temp_path {place}/fastcgi;\n uwsgi_temp_path {place}/uwsgi;\n\
         scgi_temp_path {place}/scgi;\n\
         upstream program {{ server {upstream}; keepalive {NGINX_KEEPALIVE};\n\
         keepalive_requests 1000000000; }}\n\
         server {{ listen {address};\n location / {{ proxy_pass http://program;\n\
         proxy_http_version 1.1; proxy_set_header Connection \"\"; }} }}\n}}\n"
    );
    let configuration = folder.path().join("nginx.conf");
    std::fs::write(&configuration, text)?;
    let mut command = Command::new(program);
    command.arg("-p").arg(folder.path()).arg("-c").arg(configuration);
    start(command, address, Some(folder)).await.map(Some)
}

/// The probe program, of this command's own session: for loads that nothing is compared with.
pub(super) async fn probe() -> Result<Peer> {
    let address = free_address()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("probe").env("PORT", address.port().to_string()).env_remove("GAPLESS_SOCKET");
    start(command, address, None).await
}

/// Starts a peer and waits until it listens.
async fn start(mut command: Command, address: SocketAddr, folder: Option<TempDir>) -> Result<Peer> {
    let name = command.as_std().get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = ChildProcess::start(&mut command)?;
    let until = Instant::now() + LISTENS_WITHIN;
    while TcpStream::connect(address).await.is_err() {
        if let Some(status) = child.ended()? {
            bail!("{name} ended with {status} before it listened");
        }
        if Instant::now() > until {
            bail!("{name} does not listen on {address}");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(Peer { address, _child: child, _folder: folder })
}

/// A loopback port that is free now.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// A program in PATH, or where Debian keeps servers.
pub(crate) fn find(program: impl AsRef<OsStr>) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join(program.as_ref())).find(|file| file.is_file())
}
