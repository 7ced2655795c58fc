//! Continue tokens: where a list in pages goes on, and at which revision.
//!
//! Opaque to clients (Kubernetes API concepts, "Retrieving large results sets in
//! chunks"); for us a version, a revision and the last key, as JSON in URL-safe text.

use serde::{Deserialize, Serialize};

use crate::key::ObjectKey;
use crate::refusal::{Outcome, bad_request};

/// Longest token that is read.
const TOKEN_BYTES_MAX: usize = 2_048;

#[derive(Debug, Serialize, Deserialize)]
struct Body<'a> {
    v: u32,
    rv: u64,
    ns: &'a str,
    after: &'a str,
}

/// The token of a list that goes on after `key`, at `revision`.
pub(crate) fn write(revision: u64, key: &ObjectKey) -> String {
    let body = Body { v: 1, rv: revision, ns: &key.namespace, after: &key.name };
    let json = serde_json::to_vec(&body).expect("a token is representable in JSON");
    json.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The revision and the last key of a token.
pub(crate) fn read(token: &str) -> Outcome<(u64, ObjectKey)> {
    let wrong = || bad_request("continue is not a token of this platform: list from the start");
    if token.len() > TOKEN_BYTES_MAX || !token.len().is_multiple_of(2) || !token.is_ascii() {
        return Err(wrong());
    }
    let byte = |at: usize| u8::from_str_radix(&token[at..at + 2], 16).ok();
    let bytes: Option<Vec<u8>> = (0..token.len()).step_by(2).map(byte).collect();
    let bytes = bytes.ok_or_else(wrong)?;
    let body: Body<'_> = serde_json::from_slice(&bytes).map_err(|_| wrong())?;
    match body.v {
        1 => Ok((body.rv, ObjectKey::new(body.ns, body.after))),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_as_it_was_written() {
        let key = ObjectKey::new("default", "hello");
        let (revision, read_key) = read(&write(42, &key)).unwrap();
        assert_eq!((revision, read_key), (42, key));
        for wrong in ["", "0", "zz", "7b7d", "é", &"00".repeat(2_000)] {
            assert_eq!(read(wrong).unwrap_err().status().code, 400, "{wrong}");
        }
    }
}
