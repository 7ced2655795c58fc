//! Against a stub that answers each connection with prepared bytes.

use gapless_api::PlatformInfo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// Answers each connection in turn with one of `answers`; returns the client
/// and what was asked.
async fn stub(answers: Vec<String>) -> (Client, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let (asked, rx) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.windows(4).any(|window| window == b"\r\n\r\n") {
                if stream.read_buf(&mut head).await.unwrap() == 0 {
                    break;
                }
            }
            asked.send(String::from_utf8(head).unwrap()).unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (client, rx)
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn an_object_is_read() {
    let (client, mut asked) = stub(vec![answer("200 OK", r#"{"name":"x"}"#)]).await;
    let value: serde_json::Value = client.get("read x", "/apis/x").await.unwrap();
    assert_eq!(value["name"], "x");
    let head = asked.recv().await.unwrap();
    assert!(head.starts_with("GET /apis/x HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("host: 127.0.0.1:{}", client.port())), "{head}");
}

#[tokio::test]
async fn a_refusal_says_what_the_platform_said() {
    let status = Status::failure(404, "NotFound", "there is no function default/x");
    let body = serde_json::to_string(&status).unwrap();
    let (client, _asked) = stub(vec![answer("404 Not Found", &body)]).await;
    let failure = client.get::<PlatformInfo>("function x", "/x").await.unwrap_err();
    assert!(failure.is_not_found());
    assert_eq!(failure.to_string(), "error: function x: there is no function default/x");
}

#[tokio::test]
async fn another_server_is_recognised() {
    let (client, _asked) =
        stub(vec![answer("404 Not Found", "<html>nginx</html>"), answer("200 OK", "<html>")]).await;
    let failure = client.get::<PlatformInfo>("cannot ask", "/x").await.unwrap_err();
    assert!(!failure.is_not_found());
    assert!(failure.to_string().contains("is that address the API of gapless?"), "{failure}");
    let failure = client.get::<PlatformInfo>("cannot ask", "/x").await.unwrap_err();
    assert!(failure.to_string().contains("answered something unexpected"), "{failure}");
}

#[tokio::test]
async fn nobody_there_says_how_to_start_one() {
    // Port 1 is nobody's, and the kernel never gives it out.
    let client = Client::new("http://127.0.0.1:1").unwrap();
    let failure = client.text("cannot ask", "/x").await.unwrap_err().to_string();
    assert!(failure.contains("no gapless answers at http://127.0.0.1:1"), "{failure}");
    assert!(failure.contains("help: start one with `gapless up`"), "{failure}");
}

#[tokio::test]
async fn lines_are_split_wherever_the_pieces_end() {
    let chunks = ["{\"a\"", ":1}\n{\"a\":2}\n", "\n{\"a\":3}"];
    let mut text = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    for chunk in chunks {
        text.push_str(&format!("{:x}\r\n{chunk}\r\n", chunk.len()));
    }
    text.push_str("0\r\n\r\n");
    let (client, _asked) = stub(vec![text]).await;
    let mut lines = client.lines("watch", "/x").await.unwrap();
    let mut seen = Vec::new();
    while let Some(value) = lines.next_object::<serde_json::Value>().await.unwrap() {
        seen.push(value["a"].as_u64().unwrap());
    }
    assert_eq!(seen, [1, 2, 3]);
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_an_error() {
    let text = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc\n".to_owned();
    let (client, _asked) = stub(vec![text]).await;
    let mut lines = client.lines("watch", "/x").await.unwrap();
    assert_eq!(lines.next().await.unwrap().as_deref(), Some("abc"));
    assert!(lines.next().await.is_err());
}

#[test]
fn addresses_are_checked() {
    assert_eq!(Client::new("127.0.0.1:8090").unwrap().url(), "http://127.0.0.1:8090");
    assert_eq!(Client::new("http://[::1]:80/").unwrap().host, "::1");
    assert_eq!(Client::new("http://localhost").unwrap().port(), 80);
    for bad in ["https://x", "http://", "http://a:1/b", "http://a b", "unix:/x"] {
        let failure = Client::new(bad).unwrap_err().to_string();
        assert!(failure.contains("help: give it as http://HOST:PORT"), "{bad}: {failure}");
    }
}
