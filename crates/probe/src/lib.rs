//! A tiny HTTP/1.1 server: the program behind tests and benches of process
//! functions, and the "static HTTP binary" of the cold and warm benches.
//!
//! It must be quick, because what a bench measures is the platform around it:
//! nothing but std, listening is the first thing it does, a response is one
//! write from a buffer that is reused. It is not a web server: it knows the
//! paths below and trusts that whoever starts it is on this machine.
//!
//! | request | answer |
//! |---|---|
//! | `GET /hello` | `hello` |
//! | `POST /echo` | the body, streamed back |
//! | `GET /env/NAME` | the variable's value, or 404 |
//! | `GET /file/NAME` | the content of `$GAPLESS_FILES/NAME`, or 404 |
//! | `GET /log/TEXT` | writes TEXT as a line to stdout and to stderr |
//! | `GET /die` | none: exits with status 3 |
//! | `GET /spin` | none: burns a core forever |
//! | `GET /memory/MIB` | allocates, touches and keeps that much memory |
//! | `GET /sleep/MS` | after that many milliseconds |
//! | `GET /work?us=N` | `worked N`, after sleeping that many microseconds |
//! | `GET /count` | how many requests this process has seen |
//! | `GET /garbage` | bytes that are not HTTP |
//! | `GET /instance` | its process id |

mod accept;
mod connection;
mod head;
mod routes;

pub use accept::Listener;

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixListener;
use std::time::SystemTime;

/// Listens on the Unix socket `$GAPLESS_SOCKET` if that is set, else on
/// `127.0.0.1:$PORT`, and serves until the process is ended. With `$PROBE_STAMP`
/// set, says on stdout when it began to listen, in nanoseconds of Unix time.
pub fn serve_from_env() -> io::Result<()> {
    let listener = match (std::env::var_os("GAPLESS_SOCKET"), std::env::var("PORT")) {
        (Some(socket), _) => Listener::Unix(UnixListener::bind(socket)?),
        (None, Ok(port)) => {
            let port = port
                .parse::<u16>()
                .map_err(|_| io::Error::other(format!("PORT is {port:?}, not a port number")))?;
            Listener::Tcp(TcpListener::bind((Ipv4Addr::LOCALHOST, port))?)
        }
        (None, Err(_)) => {
            return Err(io::Error::other("set GAPLESS_SOCKET to a path, or PORT to a port number"));
        }
    };
    if std::env::var_os("PROBE_STAMP").is_some() {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        println!("listening {}", since.as_nanos());
    }
    serve(listener)
}

/// Serves until the process is ended.
pub fn serve(listener: Listener) -> io::Result<()> {
    accept::run(listener)
}
