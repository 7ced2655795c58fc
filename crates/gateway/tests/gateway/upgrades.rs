//! Switching protocols, as WebSocket does.

use gapless_proto::{Body, Endpoint};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::platform::{Platform, request, says, within};

const ASK: &str = "GET /chat HTTP/1.1\r\nhost: hello.default.localhost\r\n\
     connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x\r\n\r\n";

async fn read_head(stream: &mut (impl AsyncBufReadExt + Unpin)) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(stream.read_line(&mut head).await.unwrap() > 0, "ended in {head:?}");
    }
    head.to_ascii_lowercase()
}

/// An instance that agrees and then answers each byte with the next one.
async fn incrementing() -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::Tcp(listener.local_addr().unwrap());
    gapless_rt::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let head = read_head(&mut stream).await;
            assert!(head.contains("connection: upgrade\r\n"), "{head}");
            assert!(head.contains("upgrade: websocket\r\n"), "{head}");
            assert!(head.contains("sec-websocket-key: x\r\n"), "{head}");
            let agreed = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
                 upgrade: websocket\r\nx-chosen: chat\r\n\r\n!";
            stream.write_all(agreed.as_bytes()).await.unwrap();
            while let Ok(byte) = stream.read_u8().await {
                stream.write_u8(byte.wrapping_add(1)).await.unwrap();
            }
        }
    });
    endpoint
}

#[tokio::test]
async fn both_sides_talk_after_the_switch_and_the_slot_is_held_until_they_end() {
    within(async {
        let platform = Platform::start().await;
        let revision = platform.deploy(|_| ());
        platform.ready(&revision, 1, 1, incrementing().await);
        for _ in 0..2 {
            let stream = TcpStream::connect(platform.address).await.unwrap();
            let mut stream = BufReader::new(stream);
            stream.write_all(ASK.as_bytes()).await.unwrap();
            let head = read_head(&mut stream).await;
            assert!(head.starts_with("http/1.1 101 "), "{head}");
            assert!(head.contains("upgrade: websocket\r\n"), "{head}");
            assert!(head.contains("connection: upgrade\r\n"), "{head}");
            assert!(head.contains("x-chosen: chat\r\n"), "{head}");
            assert_eq!(stream.read_u8().await.unwrap(), b'!', "sent along with the head");
            for byte in [b'a', 0xff, 7] {
                stream.write_u8(byte).await.unwrap();
                assert_eq!(stream.read_u8().await.unwrap(), byte.wrapping_add(1));
            }
            assert_eq!(platform.in_flight(), 1);
            drop(stream);
            platform.until(|| platform.in_flight() == 0).await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_instance_may_decline() {
    within(async {
        let platform = Platform::start().await;
        let revision = platform.deploy(|_| ());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        platform.ready(&revision, 1, 1, Endpoint::Tcp(listener.local_addr().unwrap()));
        gapless_rt::spawn(async move {
            let mut stream = BufReader::new(listener.accept().await.unwrap().0);
            read_head(&mut stream).await;
            let declined = "HTTP/1.1 426 Upgrade Required\r\ncontent-length: 2\r\n\r\nno";
            stream.write_all(declined.as_bytes()).await.unwrap();
            let _ = stream.read_u8().await;
        });
        let mut stream = TcpStream::connect(platform.address).await.unwrap();
        stream.write_all(ASK.as_bytes()).await.unwrap();
        let mut text = [0u8; 16];
        stream.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"HTTP/1.1 426 Upg");
        platform.until(|| platform.in_flight() == 0).await;
    })
    .await;
}

#[tokio::test]
async fn a_component_cannot_switch_and_an_offer_of_http2_is_passed_over() {
    within(async {
        let platform = Platform::start().await;
        let revision = platform.deploy(|_| ());
        platform.ready(&revision, 1, 1, says("plain"));
        let ask = |protocol: &str| {
            let mut asked = request("GET", "/", Body::Empty);
            let headers = asked.headers_mut();
            headers.insert("connection", "upgrade, http2-settings".parse().unwrap());
            headers.insert("http2-settings", "AAMAAABkAAQAAP__".parse().unwrap());
            headers.insert("upgrade", protocol.parse().unwrap());
            platform.send(asked)
        };
        let refused = ask("websocket").await;
        assert_eq!(refused.status(), 501);
        assert!(refused.error()["message"].as_str().unwrap().contains("spec.command"));
        let answered = ask("h2c").await;
        assert_eq!((answered.status(), answered.text()), (200, "plain"));
    })
    .await;
}
