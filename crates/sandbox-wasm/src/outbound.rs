//! Which hosts a guest may call: those `spec.access.hosts` names, nobody else.

use std::sync::Arc;

use gapless_proto::StartFailure;
use gapless_sandbox::LogStream;
use gapless_types::Fault;
use http_body_util::BodyExt;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks, default_send_request};

use crate::terms::Terms;

/// How much of a response the guest may be ahead of the client, in chunks of one
/// write each; small answers then need no waiting at all.
const BODY_AHEAD_CHUNKS: usize = 16;
/// Largest single write to a body.
const BODY_CHUNK_BYTES_MAX: usize = 64 * 1024;

/// The hosts of `spec.access.hosts`.
#[derive(Debug, Default)]
pub(crate) struct AllowedHosts(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    /// Lower case; for a wildcard what must follow the first label, with its dot.
    host: String,
    is_wildcard: bool,
    /// `None` for any port.
    port: Option<u16>,
}

impl AllowedHosts {
    /// Reads `HOST:PORT`, `HOST` (any port) and `*.DOMAIN` with or without a port.
    pub(crate) fn read(entries: &[String]) -> Result<Self, StartFailure> {
        let rule = |(at, entry): (usize, &String)| {
            Rule::read(entry).ok_or_else(|| StartFailure {
                fault: Fault::Function,
                kind: "BadHost",
                message: format!(
                    "spec.access.hosts[{at}]: {entry:?} is not a host; write \"api.example.com\", \
                     \"api.example.com:443\" or \"*.example.com:443\""
                ),
            })
        };
        Ok(AllowedHosts(entries.iter().enumerate().map(rule).collect::<Result<_, _>>()?))
    }

    fn allow(&self, host: &str, port: u16) -> bool {
        self.0.iter().any(|rule| rule.allows(host, port))
    }
}

impl Rule {
    fn read(entry: &str) -> Option<Rule> {
        // An IPv6 literal stands in brackets, as in a URL.
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port.parse().ok()?)),
            _ => (entry, None),
        };
        let (host, is_wildcard) = match host.strip_prefix('*') {
            Some(domain) if domain.starts_with('.') && domain.len() > 1 => (domain, true),
            Some(_) => return None,
            None => (host, false),
        };
        let is_host = !host.is_empty() && !host.contains(['*', '/', '@', ' ']);
        is_host.then(|| Rule { host: host.to_ascii_lowercase(), is_wildcard, port })
    }

    fn allows(&self, host: &str, port: u16) -> bool {
        let host = host.to_ascii_lowercase();
        let host_fits = match self.is_wildcard {
            true => host.len() > self.host.len() && host.ends_with(&self.host),
            false => host == self.host,
        };
        host_fits && self.port.is_none_or(|allowed| allowed == port)
    }
}

/// A store's way out.
pub(crate) struct Outbound {
    terms: Arc<Terms>,
}

impl Outbound {
    pub(crate) fn new(terms: Arc<Terms>) -> Self {
        Outbound { terms }
    }

    fn allows(&self, uri: &http::Uri) -> bool {
        let is_https = uri.scheme() == Some(&http::uri::Scheme::HTTPS);
        let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        let host = uri.host().unwrap_or_default();
        let is_allowed = self.terms.hosts.allow(host, port);
        if !is_allowed {
            let line = format!(
                "refused a request to {host}:{port}: the function may not call it; \
                 add \"{host}:{port}\" to spec.access.hosts"
            );
            self.terms.logs.line(LogStream::Platform, line.as_bytes());
        }
        is_allowed
    }
}

type Finished = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sent = Box<dyn Future<Output = Result<(http::Response<WasiBody>, Finished), Error>> + Send>;

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _finished: Finished,
    ) -> Sent {
        if !self.allows(request.uri()) {
            return Box::new(async { Err(Error::HttpRequestDenied) });
        }
        Box::new(async move {
            let (response, io) = default_send_request(request, options).await?;
            Ok((response.map(BodyExt::boxed_unsync), Box::new(io) as Finished))
        })
    }

    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        BODY_AHEAD_CHUNKS
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK_BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(entries: &[&str]) -> AllowedHosts {
        let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
        AllowedHosts::read(&entries).unwrap()
    }

    #[test]
    fn only_named_hosts_are_allowed() {
        assert!(!hosts(&[]).allow("example.com", 443));
        let allowed = hosts(&["a.example.com:443", "B.example.com", "*.c.com:80", "[::1]:8080"]);
        for (host, port, expected) in [
            ("a.example.com", 443, true),
            ("A.EXAMPLE.com", 443, true),
            ("a.example.com", 80, false),
            ("xa.example.com", 443, false),
            ("b.example.com", 1, true),
            ("x.c.com", 80, true),
            ("x.y.c.com", 80, true),
            ("c.com", 80, false),
            ("xc.com", 80, false),
            ("x.c.com", 81, false),
            ("[::1]", 8080, true),
            ("[::1]", 80, false),
        ] {
            assert_eq!(allowed.allow(host, port), expected, "{host}:{port}");
        }
    }

    #[test]
    fn a_bad_entry_is_named() {
        for bad in ["", "*", "*example.com", "http://x", "a:b", "a.*.com", "a b"] {
            let failure = AllowedHosts::read(&["ok.com".to_owned(), bad.to_owned()]).unwrap_err();
            assert!(failure.message.starts_with("spec.access.hosts[1]: "), "{failure}");
        }
    }
}
