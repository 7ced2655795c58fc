//! The headers a proxy adds and removes.
//!
//! Removed, both ways: what speaks of one connection only (RFC 9110, section
//! 7.6.1), and what `Connection` lists. Added for the function: `Forwarded` (RFC
//! 7239), `X-Forwarded-*`, `traceparent` (W3C Trace Context) if there is none.

use std::net::{IpAddr, SocketAddr};

use gapless_telemetry::TraceParent;
use http::header::{CONNECTION, EXPECT, Entry, FORWARDED, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// How many headers [`for_function`] may add.
const ADDED_MAX: usize = 7;

/// Removes what speaks of one connection only.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // Most heads have none of it, and names are compared faster than looked up.
    if !headers.keys().any(speaks_of_one_hop) {
        return;
    }
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

fn speaks_of_one_hop(name: &HeaderName) -> bool {
    [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TRANSFER_ENCODING, UPGRADE, TE].contains(name)
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
    // Once, and not as it grows.
    headers.reserve(ADDED_MAX);
    let host = headers.get(HOST).cloned();
    let ip = ip_text(client.ip());
    let (open, close) = if client.is_ipv6() { ("\"[", "]\"") } else { ("", "") };
    let mut text = Text::new();
    for part in ["for=".as_bytes(), open.as_bytes(), &ip, close.as_bytes()] {
        text.extend_from_slice(part);
    }
    if let Some(host) = host.as_ref().and_then(|host| host.to_str().ok()) {
        text.extend_from_slice(b";host=\"");
        text.extend(host.bytes().filter(|byte| !matches!(byte, b'"' | b'\\')));
        text.push(b'"');
    }
    text.extend_from_slice(b";proto=http");
    append(headers, FORWARDED, &text);
    append(headers, X_FORWARDED_FOR, &ip);
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
    if let Entry::Vacant(place) = headers.entry(TRACEPARENT)
        && let Ok(value) = HeaderValue::from_bytes(&TraceParent::generate().header())
    {
        place.insert(value);
    }
}

/// A value being put together.
type Text = SmallVec<[u8; 128]>;

/// An address as text. Most are IPv4, and formatting is the dearest part of a head.
fn ip_text(ip: IpAddr) -> Text {
    let IpAddr::V4(ip) = ip else {
        return Text::from_slice(ip.to_string().as_bytes());
    };
    let mut text = Text::new();
    for (index, octet) in ip.octets().into_iter().enumerate() {
        if index > 0 {
            text.push(b'.');
        }
        for (least, divisor) in [(100, 100), (10, 10), (0, 1)] {
            if octet >= least {
                text.push(b'0' + octet / divisor % 10);
            }
        }
    }
    text
}

/// Adds an element to a list header, after what former proxies said. One line, as
/// not everybody joins several.
fn append(headers: &mut HeaderMap, name: HeaderName, element: &[u8]) {
    match headers.entry(name) {
        Entry::Vacant(place) => {
            if let Ok(value) = HeaderValue::from_bytes(element) {
                place.insert(value);
            }
        }
        Entry::Occupied(mut place) => {
            let mut whole = Text::new();
            for former in place.iter().filter(|former| former.to_str().is_ok()) {
                whole.extend_from_slice(former.as_bytes());
                whole.extend_from_slice(b", ");
            }
            whole.extend_from_slice(element);
            if let Ok(value) = HeaderValue::from_bytes(&whole) {
                place.insert(value);
            }
        }
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
    fn addresses_are_written_as_the_library_writes_them() {
        for octets in [[0, 0, 0, 0], [127, 0, 0, 1], [10, 99, 100, 255], [200, 20, 2, 109]] {
            let ip = IpAddr::from(octets);
            assert_eq!(ip_text(ip).as_slice(), ip.to_string().as_bytes());
        }
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
