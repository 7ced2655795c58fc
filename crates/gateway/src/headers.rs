//! The headers a proxy adds and removes.
//!
//! Removed, both ways: what speaks of one connection only (RFC 9110, section
//! 7.6.1), and what `Connection` lists. Added for the function: `Forwarded` (RFC
//! 7239), `X-Forwarded-*`, `traceparent` (W3C Trace Context) if there is none.

use std::fmt::Write;
use std::net::SocketAddr;

use gapless_telemetry::TraceParent;
use http::header::{CONNECTION, EXPECT, FORWARDED, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Removes what speaks of one connection only.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        remove_listed(headers);
    }
    for name in [KEEP_ALIVE, PROXY_CONNECTION, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
    // `TE: trailers` says that the client reads trailers; it may go on.
    if headers.get(TE).is_some_and(|value| value != "trailers") {
        headers.remove(TE);
    }
}

/// Removes `Connection` and what it lists, save `TE`, which is looked at by itself.
fn remove_listed(headers: &mut HeaderMap) {
    let listed: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.to_str().unwrap_or_default().split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    headers.remove(CONNECTION);
    for name in listed.iter().filter(|name| **name != TE) {
        headers.remove(name);
    }
}

/// Makes a client's headers those that the function gets.
pub(crate) fn for_function(headers: &mut HeaderMap, client: SocketAddr, prefix: Option<&str>) {
    // Our server answers it when the function first reads the body.
    headers.remove(EXPECT);
    let host = headers.get(HOST).cloned();
    let mut text = String::with_capacity(64);
    // Writing into a String cannot fail.
    let _ = match client.ip() {
        std::net::IpAddr::V4(ip) => write!(text, "for={ip}"),
        std::net::IpAddr::V6(ip) => write!(text, "for=\"[{ip}]\""),
    };
    if let Some(host) = host.as_ref().and_then(|host| host.to_str().ok()) {
        text.push_str(";host=\"");
        text.extend(host.chars().filter(|c| !matches!(c, '"' | '\\')));
        text.push('"');
    }
    text.push_str(";proto=http");
    append(headers, FORWARDED, text);
    append(headers, X_FORWARDED_FOR, client.ip().to_string());
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    if let Some(host) = host {
        headers.insert(X_FORWARDED_HOST, host);
    }
    match prefix.map(HeaderValue::from_str) {
        Some(Ok(prefix)) => {
            headers.insert(X_FORWARDED_PREFIX, prefix);
        }
        _ => {
            headers.remove(X_FORWARDED_PREFIX);
        }
    }
    if headers.contains_key(TE) {
        // It speaks of this connection, and must say so (RFC 9110, section 10.1.4).
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    if !headers.contains_key(TRACEPARENT)
        && let Ok(value) = HeaderValue::try_from(TraceParent::generate().header())
    {
        headers.insert(TRACEPARENT, value);
    }
}

/// Adds an element to a list header, after what former proxies said. One line, as
/// not everybody joins several.
fn append(headers: &mut HeaderMap, name: HeaderName, element: String) {
    let former = headers.get_all(&name).into_iter().filter_map(|value| value.to_str().ok());
    let mut whole = former.fold(String::new(), |whole, one| whole + one + ", ");
    if whole.is_empty() {
        whole = element;
    } else {
        whole.push_str(&element);
    }
    if let Ok(value) = HeaderValue::try_from(whole) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn what_speaks_of_one_connection_goes_and_the_rest_stays() {
        let mut headers = map(&[
            ("connection", "close, x-mine"),
            ("x-mine", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("trailer", "x-sum"),
            ("x-yours", "2"),
        ]);
        remove_hop_by_hop(&mut headers);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["te", "trailer", "x-yours"]);
    }

    #[test]
    fn several_lines_of_a_list_are_one_list() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "x-one"),
            ("connection", "x-two, close"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-for", "10.0.0.2"),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        remove_hop_by_hop(&mut headers);
        for_function(&mut headers, "[::1]:4000".parse().unwrap(), None);
        assert!(!headers.contains_key("x-one") && !headers.contains_key("x-two"));
        let all: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
        assert_eq!(all, ["10.0.0.1, 10.0.0.2, ::1"]);
        assert_eq!(headers["forwarded"], "for=\"[::1]\";proto=http");
    }

    #[test]
    fn the_function_learns_who_asked_and_for_which_host() {
        let mut headers = map(&[
            ("host", "hello.default.localhost:8080"),
            ("x-forwarded-for", "10.0.0.9"),
            ("expect", "100-continue"),
        ]);
        for_function(&mut headers, "127.0.0.1:4000".parse().unwrap(), Some("/fn/default/hello"));
        assert_eq!(headers["x-forwarded-for"], "10.0.0.9, 127.0.0.1");
        let forwarded = "for=127.0.0.1;host=\"hello.default.localhost:8080\";proto=http";
        assert_eq!(headers["forwarded"], forwarded);
        assert_eq!(headers["x-forwarded-prefix"], "/fn/default/hello");
        assert!(headers.contains_key("traceparent"));
        assert!(!headers.contains_key("expect"));
    }
}
