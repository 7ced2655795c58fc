//! Reads a request's head from the bytes of a connection.

/// What a request's head says, as far as the probe cares.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) is_head: bool,
    pub(crate) is_post: bool,
    /// Without the query.
    pub(crate) path: String,
    /// What follows the path's question mark.
    pub(crate) query: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) body: Length,
    pub(crate) expects_continue: bool,
    pub(crate) keeps_alive: bool,
}

/// How a body's end is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// That many bytes; none when absent.
    Known(u64),
    /// By its last chunk.
    Chunked,
}

/// Where the head ends in `bytes`, behind its empty line.
pub(crate) fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// Reads a whole head. `None` when it is not HTTP/1.
pub(crate) fn parse(bytes: &[u8]) -> Option<Head> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut lines = text.split("\r\n");
    let mut request_line = lines.next()?.split(' ');
    let (method, target, version) =
        (request_line.next()?, request_line.next()?, request_line.next()?);
    if !version.starts_with("HTTP/1.") || request_line.next().is_some() {
        return None;
    }
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    let mut head = Head {
        is_head: method == "HEAD",
        is_post: method == "POST",
        path: path.to_owned(),
        query,
        content_type: None,
        body: Length::Known(0),
        expects_continue: false,
        keeps_alive: version != "HTTP/1.0",
    };
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            if head.body != Length::Chunked {
                head.body = Length::Known(value.parse().ok()?);
            }
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            if !value.eq_ignore_ascii_case("chunked") {
                return None;
            }
            head.body = Length::Chunked;
        } else if name.eq_ignore_ascii_case("content-type") {
            head.content_type = Some(value.to_owned());
        } else if name.eq_ignore_ascii_case("expect") {
            head.expects_continue = value.eq_ignore_ascii_case("100-continue");
        } else if name.eq_ignore_ascii_case("connection") {
            let says = |word| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word));
            head.keeps_alive = !says("close") && (head.keeps_alive || says("keep-alive"));
        }
    }
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_says_path_length_and_what_comes_after() {
        let bytes = b"POST /echo?x=1 HTTP/1.1\r\nhost: h\r\nContent-Length: 12\r\n\
                      Content-Type: text/css\r\nExpect: 100-continue\r\n\r\nbody";
        let end = end_of_head(bytes).unwrap();
        assert_eq!(&bytes[end..], b"body");
        let head = parse(&bytes[..end]).unwrap();
        assert_eq!((head.path.as_str(), head.body), ("/echo", Length::Known(12)));
        assert_eq!(head.query.as_deref(), Some("x=1"));
        assert_eq!(head.content_type.as_deref(), Some("text/css"));
        assert!(head.is_post && head.expects_continue && head.keeps_alive);
    }

    #[test]
    fn keep_alive_follows_version_and_header() {
        let keeps = |text: &str| parse(text.as_bytes()).unwrap().keeps_alive;
        assert!(keeps("GET / HTTP/1.1\r\n\r\n"));
        assert!(!keeps("GET / HTTP/1.0\r\n\r\n"));
        assert!(keeps("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
        assert!(!keeps("GET / HTTP/1.1\r\nConnection: x, close\r\n\r\n"));
    }

    #[test]
    fn what_is_not_http_is_refused() {
        for bad in [
            "hello\r\n\r\n",
            "GET /\r\n\r\n",
            "GET / HTTP/2\r\n\r\n",
            "GET / HTTP/1.1\r\nno colon\r\n\r\n",
            "GET / HTTP/1.1\r\ncontent-length: many\r\n\r\n",
        ] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
