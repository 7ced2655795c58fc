//! Reading answers: any split of the bytes gives the same answer, and whatever is
//! not an answer gives an error, never a panic and never an endless wait.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use gapless_proto::{Body, BodyError, CallError, Endpoint, Request};
use gapless_types::Reason;
use http::{HeaderMap, Method, Version};
use http_body_util::BodyExt as _;
use http_body_util::channel::Channel;
use proptest::prelude::*;
use tokio::time::Instant;

use super::Pool;
use super::decode::{Decoder, Piece};
use super::head::{Framing, HEAD_BYTES_MAX, Head, HeadReader, Malformed};
use super::outgoing::Outgoing;

/// What came of an answer's bytes once the connection ended.
#[derive(Debug, Default, PartialEq)]
struct Read {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
    trailers: HeaderMap,
    /// Behind the answer.
    left: Vec<u8>,
    stays: bool,
}

/// Reads one answer from bytes that come in `parts`, and then the connection's end.
fn read<'a>(
    parts: impl IntoIterator<Item = &'a [u8]>,
    method: &Method,
) -> Result<Option<Read>, Malformed> {
    let (mut input, mut reader) = (BytesMut::new(), HeadReader::default());
    let mut head: Option<(Head, Decoder)> = None;
    let mut whole = Read::default();
    for part in parts {
        input.extend_from_slice(part);
        if head.is_none() {
            head = reader.take(&mut input, method)?.map(|head| {
                let decoder = Decoder::new(head.framing);
                (head, decoder)
            });
        }
        if let Some((_, decoder)) = &mut head {
            drain(decoder, &mut input, &mut whole)?;
        }
    }
    let Some((head, mut decoder)) = head else {
        return Ok(None);
    };
    decoder.end()?;
    whole.status = head.response.status().as_u16();
    whole.headers = head.response.headers().clone();
    (whole.left, whole.stays) = (input.to_vec(), head.stays);
    Ok(Some(whole))
}

fn drain(decoder: &mut Decoder, input: &mut BytesMut, whole: &mut Read) -> Result<(), Malformed> {
    loop {
        let before = (input.len(), *decoder);
        match decoder.next(input)? {
            Piece::Data(data) => {
                assert!(!data.is_empty());
                whole.body.extend_from_slice(&data);
            }
            Piece::Trailers(trailers) => whole.trailers = trailers,
            Piece::End | Piece::More => return Ok(()),
        }
        assert_ne!(before, (input.len(), *decoder), "no step forward");
    }
}

fn at_once(answer: &[u8]) -> Result<Option<Read>, Malformed> {
    read([answer], &Method::GET)
}

fn good(answer: &str) -> Read {
    at_once(answer.as_bytes()).unwrap_or_else(|error| panic!("{answer:?}: {error}")).unwrap()
}

#[test]
fn the_end_of_a_body_is_known_in_three_ways() {
    let exact = good("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-a: 1\r\n\r\nhelloNEXT");
    assert_eq!((exact.body.as_slice(), exact.left.as_slice()), (&b"hello"[..], &b"NEXT"[..]));
    assert!(exact.stays && exact.headers["x-a"] == "1");
    let chunked = good(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n\
         5\r\nhello\r\n1;name=\"value\"\r\n \r\n00A ; x\r\n0123456789\r\n0\r\nx-sum: 42\r\n\
         content-length: 9\r\n\r\nNEXT",
    );
    assert_eq!(chunked.body, b"hello 0123456789");
    assert_eq!((chunked.trailers.len(), &chunked.trailers["x-sum"]), (1, &"42".parse().unwrap()));
    assert!(chunked.stays && chunked.left == b"NEXT");
    let to_end = good("HTTP/1.1 200 OK\r\n\r\nto the end");
    assert!(to_end.body == b"to the end" && !to_end.stays);
}

#[test]
fn answers_without_a_body_have_none_whatever_they_say() {
    let says = "content-length: 5\r\n\r\n";
    for start in ["HTTP/1.1 204 No Content", "HTTP/1.1 304 Not Modified"] {
        let answer = good(&format!("{start}\r\n{says}"));
        assert!(answer.body.is_empty() && answer.stays);
    }
    let head = format!("HTTP/1.1 200 OK\r\n{says}");
    let answer = read([head.as_bytes()], &Method::HEAD).unwrap().unwrap();
    assert!(answer.body.is_empty() && answer.stays && answer.headers["content-length"] == "5");
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    assert!(read([&chunked[..]], &Method::HEAD).unwrap().unwrap().stays);
}

#[test]
fn a_connection_stays_as_its_version_and_header_say() {
    let stays = |start: &str| good(&format!("{start}\r\ncontent-length: 0\r\n\r\n")).stays;
    assert!(stays("HTTP/1.1 200 OK"));
    assert!(!stays("HTTP/1.1 200 OK\r\nconnection: x, Close"));
    assert!(!stays("HTTP/1.0 200 OK"));
    assert!(stays("HTTP/1.0 200 OK\r\nconnection: keep-alive"));
}

#[test]
fn answers_that_only_inform_are_passed_over() {
    let informing = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n";
    let answer = good(&format!("{informing}HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"));
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"hi"[..]));
    assert!(!answer.headers.contains_key("link"));
    let endless = "HTTP/1.1 100 Continue\r\n\r\n".repeat(40);
    assert!(at_once(endless.as_bytes()).is_err());
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let chunk =
        |coded: &str| format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{coded}");
    let field = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
    for bad in [
        field("content-length: 5\r\ntransfer-encoding: chunked"),
        field("transfer-encoding: chunked\r\ncontent-length: 5"),
        field("content-length: 5\r\ncontent-length: 6"),
        field("content-length: 5, 5"),
        field("content-length: +5"),
        field("content-length: 0x5"),
        field("content-length:"),
        field("content-length: 18446744073709551616"),
        field("transfer-encoding: gzip, chunked"),
        field("transfer-encoding: gzip"),
        field("transfer-encoding: chunked\r\ntransfer-encoding: chunked"),
        field("x-folded: one\r\n two"),
        field("x-space : 1"),
        field("x-\u{0}: 1"),
        field("x: \u{0}"),
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        "HTTP/1.1 101 Switching Protocols\r\n\r\n".to_owned(),
        "HTTP/2 200 OK\r\n\r\n".to_owned(),
        "HTTP/1.1 20 OK\r\n\r\n".to_owned(),
        "garbage".to_owned(),
        chunk("5\nhello\r\n0\r\n\r\n"),
        chunk("5\r\nhello\n0\r\n\r\n"),
        chunk("5\r\nhello0\r\n\r\n"),
        chunk("-5\r\nhello\r\n0\r\n\r\n"),
        chunk("\r\nhello"),
        chunk("5x\r\nhello\r\n0\r\n\r\n"),
        chunk("5;a\rb\r\nhello\r\n0\r\n\r\n"),
        chunk("11111111111111111\r\n"),
        chunk(&format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(2000))),
        chunk("0\r\nbad trailer\r\n\r\n"),
        chunk(&format!("0\r\nx: {}", "x".repeat(20_000))),
    ] {
        let outcome = at_once(bad.as_bytes());
        assert!(matches!(outcome, Err(Malformed(_))), "{bad:?}: {outcome:?}");
    }
    assert_eq!(good(&field("content-length: 0\r\ncontent-length: 0")).headers.len(), 1);
}

#[test]
fn a_head_has_bounds() {
    let lines = |count: usize| "x: y\r\n".repeat(count);
    assert_eq!(good(&format!("HTTP/1.1 200 OK\r\n{}\r\n", lines(128))).headers.len(), 128);
    assert!(at_once(format!("HTTP/1.1 200 OK\r\n{}\r\n", lines(129)).as_bytes()).is_err());
    let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(HEAD_BYTES_MAX));
    assert!(at_once(endless.as_bytes()).is_err());
    let dribbled = read(endless.as_bytes().chunks(1), &Method::GET);
    assert!(dribbled.is_err());
}

#[test]
fn what_breaks_off_is_no_answer() {
    for (answer, is_begun) in [
        ("", false),
        ("HTTP/1.1 200 OK\r\ncontent-le", false),
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", true),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", true),
    ] {
        let outcome = at_once(answer.as_bytes());
        assert_eq!(outcome.is_err(), is_begun, "{answer:?}: {outcome:?}");
        assert!(!matches!(outcome, Ok(Some(_))));
    }
}

fn written(request: http::request::Builder, body: Body) -> String {
    let request: Request = request.body(body).unwrap();
    let mut output = Vec::new();
    Outgoing::begin(&request, &mut output);
    String::from_utf8(output).unwrap()
}

#[test]
fn a_request_says_how_its_body_ends_whatever_its_headers_said() {
    let ask = |method: &str| http::Request::builder().method(method).uri("/a?b=c");
    assert_eq!(written(ask("GET"), Body::Empty), "GET /a?b=c HTTP/1.1\r\n\r\n");
    assert_eq!(
        written(ask("POST").header("x", "y"), Body::Empty),
        "POST /a?b=c HTTP/1.1\r\nx: y\r\ncontent-length: 0\r\n\r\n"
    );
    let lying = ask("PUT").header("content-length", "999").header("transfer-encoding", "chunked");
    assert_eq!(
        written(lying.version(Version::HTTP_2), Body::from("hello")),
        "PUT /a?b=c HTTP/1.1\r\ncontent-length: 5\r\n\r\n"
    );
    let (_sender, unknown) = Channel::<Bytes, BodyError>::new(1);
    assert_eq!(
        written(ask("POST"), Body::boxed(unknown)),
        "POST /a?b=c HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
    );
}

/// Sends `body` on a kept connection whose instance has just gone, which this
/// thread, not having waited since, cannot know.
async fn sent_to_the_gone(body: Body) -> (CallError, Request) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("instance.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let instance = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0u8; 1024];
        assert!(stream.read(&mut head).unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").unwrap();
        let _ = ended.recv();
    });
    let pool = Pool::new(Endpoint::Unix(path.as_path().into()), 1);
    let until = Instant::now() + Duration::from_secs(60);
    let mut first = Request::default();
    let answer = pool.connect().await.unwrap().send(&mut first, until).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "hi");
    drop(end);
    instance.join().unwrap();
    let kept = pool.idle().expect("nobody has told this thread yet");
    let mut request = http::Request::post("/again").body(body).unwrap();
    let error = kept.send(&mut request, until).await.unwrap_err();
    (error, request)
}

#[tokio::test]
async fn a_request_of_which_nothing_was_sent_is_as_it_was() {
    let (error, request) = sent_to_the_gone(Body::Empty).await;
    assert!(error.is_unsent && !error.instance_is_dead, "{error:?}");
    assert_eq!((request.method(), request.uri().path()), (&Method::POST, "/again"));
    // A piece that was taken cannot be put back, so this one may not be repeated.
    let (error, _) = sent_to_the_gone(Body::from("once")).await;
    assert!(!error.is_unsent && error.reason == Reason::InstanceDied, "{error:?}");
}

/// Whole answers of every kind, some broken.
fn answers() -> impl Strategy<Value = Vec<u8>> {
    let body = proptest::collection::vec(any::<u8>(), 0..300);
    let chunks = proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..80), 0..6);
    let exact = body.clone().prop_map(|body| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nx: y\r\n\r\n", body.len());
        [head.into_bytes(), body].concat()
    });
    let to_end = body.prop_map(|body| [&b"HTTP/1.0 404 no\r\na: b\r\n\r\n"[..], &body].concat());
    let chunked = (chunks, any::<bool>(), any::<bool>()).prop_map(|(chunks, trails, informs)| {
        let mut answer = Vec::new();
        if informs {
            answer.extend_from_slice(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n");
        }
        answer.extend_from_slice(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for chunk in chunks {
            answer.extend_from_slice(format!("{:x};e=1\r\n", chunk.len()).as_bytes());
            answer.extend_from_slice(&chunk);
            answer.extend_from_slice(b"\r\n");
        }
        answer.extend_from_slice(if trails { b"0\r\nx-sum: 1\r\n\r\n" } else { b"0\r\n\r\n" });
        answer
    });
    prop_oneof![exact, to_end, chunked]
}

/// `answer` cut at the places that `cuts` say.
fn parts<'a>(answer: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(answer.len() + 1)).collect();
    places.sort_unstable();
    let ends = places.iter().copied().chain([answer.len()]);
    let starts = [0].into_iter().chain(places.iter().copied());
    starts.zip(ends).map(|(start, end)| &answer[start..end]).collect()
}

proptest! {
    #[test]
    fn any_split_gives_the_same_answer(
        answer in answers(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let whole = at_once(&answer);
        prop_assert!(matches!(whole, Ok(Some(_))), "{whole:?}");
        prop_assert_eq!(&read(parts(&answer, &cuts), &Method::GET), &whole);
        prop_assert_eq!(&read(answer.chunks(1), &Method::GET), &whole);
    }

    /// Whether a broken answer still is one, and which, does not depend on how it was
    /// split. Only when that is found out does.
    #[test]
    fn a_changed_byte_never_panics_and_never_loops(
        answer in answers(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut answer = answer;
        for (place, byte) in changes {
            let place = place.index(answer.len());
            answer[place] = byte;
        }
        let (whole, split) = (at_once(&answer), read(parts(&answer, &cuts), &Method::GET));
        prop_assert_eq!(whole.unwrap_or_default(), split.unwrap_or_default());
    }

    #[test]
    fn garbage_is_no_answer(garbage in proptest::collection::vec(any::<u8>(), 0..600)) {
        let outcome = at_once(&garbage);
        let empty_lines = garbage.iter().take_while(|byte| b"\r\n".contains(byte)).count();
        let begun = &garbage[empty_lines..];
        let could_be = b"HTTP/1.".starts_with(&begun[..begun.len().min(7)]);
        prop_assert!(outcome.is_err() || could_be, "{:?}", outcome);
        let _ = read(garbage.chunks(3), &Method::GET);
    }

    #[test]
    fn chunks_that_are_garbage_end(garbage in proptest::collection::vec(any::<u8>(), 0..600)) {
        let mut input = BytesMut::from(&garbage[..]);
        let mut decoder = Decoder::new(Framing::Chunked);
        let _ = drain(&mut decoder, &mut input, &mut Read::default());
    }
}
