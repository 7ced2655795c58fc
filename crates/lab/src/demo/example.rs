//! The functions of the demo: the folders in `examples/`, carried by this program
//! so that the demo works from anywhere, and their expected answers.
//!
//! A function is deployed as its own `gapless.yaml` says, and called as its own
//! `expected.json` says; nothing about it is written here a second time.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use crate::api::{Code, sha256_hex};
use crate::load::{Answer, Check, Target};
use crate::platform::Platform;

/// A function of the demo, as a row of [`EXAMPLES`].
#[derive(Debug)]
pub(super) struct Example {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    /// Its folder: `gapless.yaml`, the code, what its requests send.
    files: &'static [(&'static str, &'static [u8])],
    /// Its `expected.json`. The first case is the one that is called many times.
    expected: &'static str,
    /// The program it needs besides, and how to get it.
    pub(super) needs: Option<(&'static str, &'static str)>,
}

macro_rules! folder {
    ($folder:literal, $($file:literal),+) => {
        &[$(($file, include_bytes!(concat!("../../../../examples/", $folder, "/", $file)))),+]
    };
}

/// The functions, in the order they are shown.
pub(super) const EXAMPLES: &[Example] = &[
    Example {
        name: "search",
        what: "finds words in a book (Wasm component)",
        files: folder!("search", "gapless.yaml", "search.wasm", "opticks.txt"),
        expected: include_str!("../../../../examples/search/expected.json"),
        needs: None,
    },
    Example {
        name: "thumbnail",
        what: "makes a photograph small (Wasm component)",
        files: folder!("thumbnail", "gapless.yaml", "thumbnail.wasm", "photo.jpg", "NOTICE"),
        expected: include_str!("../../../../examples/thumbnail/expected.json"),
        needs: None,
    },
    Example {
        name: "wordcount",
        what: "counts words (Python program)",
        files: folder!("wordcount-python", "gapless.yaml", "server.py", "text.txt"),
        expected: include_str!("../../../../examples/wordcount-python/expected.json"),
        needs: Some(("python3", "apt-get install python3")),
    },
];

/// What `expected.json` holds.
#[derive(Debug, Deserialize)]
struct Expectations {
    cases: Vec<Case>,
}

/// A request and the answer it must get.
#[derive(Debug, Deserialize)]
pub(super) struct Case {
    pub(super) name: String,
    request: Request,
    answer: Expected,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Request {
    method: String,
    path: String,
    content_type: Option<String>,
    body_file: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Expected {
    status: u16,
    content_type: String,
    bytes: usize,
    sha256: String,
    /// The body again, for people who read the file.
    #[serde(rename = "text")]
    _text: Option<String>,
}

impl Example {
    /// Its cases, one at the least.
    pub(super) fn cases(&self) -> Result<Vec<Case>> {
        let Expectations { cases } = serde_json::from_str(self.expected)?;
        match cases.is_empty() {
            true => bail!("{} expects nothing", self.name),
            false => Ok(cases),
        }
    }

    /// Its declared specification.
    pub(super) fn spec(&self) -> Result<Value> {
        let manifest = std::str::from_utf8(self.file("gapless.yaml")?)?;
        let mut function: Value = serde_saphyr::from_str(manifest)?;
        Ok(function["spec"].take())
    }

    /// Its code, as `gapless deploy` would upload it.
    pub(super) fn code(&self) -> Result<Code> {
        let spec = self.spec()?;
        if let Some(file) = spec["wasm"].as_str() {
            return Ok(Code::wasm(self.file(file)?));
        }
        let words = spec["command"].as_array().context("neither wasm nor command")?;
        let command: Option<Vec<&str>> = words.iter().map(Value::as_str).collect();
        Code::command(&command.context("a command of strings")?, self.files)
    }

    /// The request of `case`, for the function that is deployed as `name`.
    pub(super) fn target(&self, platform: &Platform, name: &str, case: &Case) -> Result<Target> {
        let request = &case.request;
        let body = match &request.body_file {
            Some(file) => self.file(file)?,
            None => b"",
        };
        let host = platform.host(name);
        let mut fields = vec![("host", host.as_str())];
        fields.extend(request.content_type.as_deref().map(|text| ("content-type", text)));
        let address = platform.gateway();
        Ok(Target::with_fields(address, &fields, &request.method, &request.path, body))
    }

    fn file(&self, name: &str) -> Result<&'static [u8]> {
        let found = self.files.iter().find(|(file, _)| *file == name);
        found.map(|(_, bytes)| *bytes).with_context(|| format!("{} has no {name}", self.name))
    }
}

impl Case {
    /// Accepts the expected answer and no other.
    pub(super) fn check(&self) -> Check {
        let (name, expected) = (self.name.clone(), self.answer.clone());
        Arc::new(move |answer: &Answer<'_>| {
            let is_right = answer.status == expected.status
                && answer.content_type == expected.content_type
                && answer.body.len() == expected.bytes
                && sha256_hex(answer.body) == expected.sha256;
            match is_right {
                true => Ok(()),
                false => Err(format!(
                    "{name}: {}, {} bytes of {:?}; expected {}, {} bytes of {:?}, SHA-256 {}",
                    answer.describe(),
                    answer.body.len(),
                    answer.content_type,
                    expected.status,
                    expected.bytes,
                    expected.content_type,
                    expected.sha256,
                )),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer<'a>(status: u16, content_type: &'a str, body: &'a [u8]) -> Answer<'a> {
        Answer {
            status,
            body,
            content_type,
            server_timing: "",
            start: "",
            instance: "",
            first_byte_at: std::time::Instant::now(),
        }
    }

    #[test]
    fn every_example_has_its_code_and_its_cases() {
        for example in EXAMPLES {
            example.code().unwrap();
            let cases = example.cases().unwrap();
            assert_eq!(cases[0].answer.status, 200, "{}", example.name);
            for case in cases {
                if let Some(file) = &case.request.body_file {
                    example.file(file).unwrap();
                }
            }
        }
    }

    #[test]
    fn an_answer_that_differs_in_anything_is_wrong() {
        let body = b"laser\n";
        let case = Case {
            name: "a case".to_owned(),
            request: Request {
                method: "GET".to_owned(),
                path: "/".to_owned(),
                content_type: None,
                body_file: None,
            },
            answer: Expected {
                status: 200,
                content_type: "text/plain".to_owned(),
                bytes: body.len(),
                sha256: sha256_hex(body),
                _text: None,
            },
        };
        let check = case.check();
        assert_eq!(check(&answer(200, "text/plain", body)), Ok(()));
        assert!(check(&answer(500, "text/plain", body)).unwrap_err().contains("a case"));
        assert!(check(&answer(200, "text/html", body)).is_err());
        assert!(check(&answer(200, "text/plain", b"laser!")).is_err());
        assert!(check(&answer(200, "text/plain", b"")).is_err());
    }
}
