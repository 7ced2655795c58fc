//! The request: what was asked, and its body.

use wasip2::http::types::{IncomingRequest, Method};

use crate::BodyReader;

/// A request.
pub struct Request {
    target: String,
    inner: IncomingRequest,
}

impl Request {
    /// Reads the head of `inner`.
    pub fn new(inner: IncomingRequest) -> Self {
        let target = inner.path_with_query().unwrap_or_else(|| "/".to_owned());
        Request { target, inner }
    }

    /// Whether its method is `POST`.
    pub fn is_post(&self) -> bool {
        matches!(self.inner.method(), Method::Post)
    }

    /// Whether its method is `GET` or `HEAD`.
    pub fn is_get(&self) -> bool {
        matches!(self.inner.method(), Method::Get | Method::Head)
    }

    /// The path with its query, as they were sent.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The path, as it was sent.
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(self.target.as_str(), |(path, _)| path)
    }

    /// The first value of `name` in the query, decoded; `None` when it is not there.
    pub fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        query.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(&key.replace('+', " ")) == name).then(|| decode(&value.replace('+', " ")))
        })
    }

    /// The first value of a header; `None` when it is not there or not text.
    pub fn header(&self, name: &str) -> Option<String> {
        let values = self.inner.headers().get(name);
        values.into_iter().next().and_then(|value| String::from_utf8(value).ok())
    }

    /// The body, to be read piece by piece. It can be taken once.
    pub fn into_body(self) -> BodyReader {
        BodyReader::new(self.inner)
    }
}

/// Undoes percent-encoding. What is not well encoded stays as it is; bytes that
/// are not UTF-8 become U+FFFD.
pub fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex =
            |offset: usize| bytes.get(at + offset).and_then(|byte| char::from(*byte).to_digit(16));
        match (bytes[at], hex(1), hex(2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, _, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn percent_encoding_is_undone_where_it_is_well_formed() {
        assert_eq!(decode("a%20b%C3%A9"), "a bé");
        assert_eq!(decode("100%"), "100%");
        assert_eq!(decode("%zz%4"), "%zz%4");
    }
}
