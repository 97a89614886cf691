//! Every fault, over both protocols where it exists in both.

use std::io::Read as _;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// What one faulty call looks like from outside.
async fn strike(version: Version, fault: &str, body: &str) -> (Arc<Sim>, hyper::Result<Got>) {
    let sim = Sim::new(Settings::default());
    let mut client = Client::connect(&sim, version).await;
    let line = format!("POST /v1/chat/completions\nte: trailers\nx-sim-fault: {fault}");
    let got = client.call(&line, body).await;
    (sim, got)
}

fn events(got: &Got) -> usize {
    got.text().matches("\n\n").count()
}

const ONE: Version = Version::HTTP_11;
const TWO: Version = Version::HTTP_2;

#[tokio::test(start_paused = true)]
async fn statuses_come_in_the_providers_form() {
    for version in [ONE, TWO] {
        for (fault, status, wait, kind) in [
            ("429@7", 429, "7", "requests"),
            ("503", 503, "1", "server_error"),
            ("status=500", 500, "", "server_error"),
            ("404", 404, "", "invalid_request_error"),
        ] {
            let (sim, got) = strike(version, fault, STREAM).await;
            let got = got.unwrap();
            assert_eq!(
                (got.status, got.header("retry-after")),
                (status, wait),
                "{fault}"
            );
            assert_eq!(got.json()["error"]["type"], kind);
            assert_eq!((sim.stats().faults(), sim.stats().completed()), (1, 1));
        }
    }
    let sim = Sim::new(Settings::default());
    let mut client = Client::connect(&sim, ONE).await;
    let line = "POST /v1/messages\nanthropic-version: 2023-06-01\nx-sim-fault: 529@3";
    let body = r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"x"}]}"#;
    let got = client.call(line, body).await.unwrap();
    assert_eq!((got.status, got.header("retry-after")), (529, "3"));
    assert_eq!(got.json()["error"]["type"], "overloaded_error");
}

#[tokio::test(start_paused = true)]
async fn before_the_head_there_is_no_answer() {
    for version in [ONE, TWO] {
        for fault in ["refuse", "reset", "hangup", "reset-head", "junk"] {
            for body in [CHAT, STREAM] {
                let (sim, got) = strike(version, fault, body).await;
                assert!(got.is_err(), "{version:?} {fault}");
                until(|| sim.stats().open() == 0).await;
                assert_eq!((sim.stats().faults(), sim.stats().calls()), (1, 1));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn on_http_2_a_reset_stream_leaves_its_connection_alone() {
    for (fault, reason) in [
        ("refuse", h2::Reason::REFUSED_STREAM),
        ("reset", h2::Reason::INTERNAL_ERROR),
    ] {
        let sim = Sim::new(Settings::default());
        let mut client = Client::connect(&sim, TWO).await;
        let line = format!("POST /v1/chat/completions\nx-sim-fault: {fault}");
        let error = client.call(&line, CHAT).await.err().unwrap();
        let source = std::error::Error::source(&error).unwrap();
        assert_eq!(
            source.downcast_ref::<h2::Error>().unwrap().reason(),
            Some(reason)
        );
        assert_eq!(
            client
                .call("POST /v1/chat/completions", CHAT)
                .await
                .unwrap()
                .status,
            200
        );
        assert_eq!(sim.stats().connections(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn streams_break_behind_the_event_they_were_told_to() {
    for version in [ONE, TWO] {
        for at in [0usize, 1, 3] {
            let (sim, got) = strike(version, &format!("reset@{at}"), STREAM).await;
            let got = got.unwrap();
            assert_eq!(
                (events(&got), got.is_whole),
                (at, false),
                "{version:?} reset@{at}"
            );
            assert_eq!(sim.stats().completed(), 0);

            let (sim, got) = strike(version, &format!("truncate@{at}"), STREAM).await;
            let got = got.unwrap();
            assert_eq!(
                (events(&got), got.is_whole),
                (at, true),
                "{version:?} truncate@{at}"
            );
            assert!(!got.text().contains("[DONE]"));
            assert_eq!((sim.stats().completed(), sim.stats().cancelled()), (0, 0));

            let (_, got) = strike(version, &format!("error@{at}"), STREAM).await;
            let got = got.unwrap();
            assert_eq!((events(&got), got.is_whole), (at + 1, true));
            let last = got.text().trim_end().rsplit("\n\n").next().unwrap();
            assert!(last.starts_with(r#"data: {"error":{"message":"#), "{last}");

            let (_, got) = strike(version, &format!("malformed@{at}"), STREAM).await;
            let got = got.unwrap();
            assert_eq!((events(&got), got.is_whole), (36, true));
            let event = got.text().split("\n\n").nth(at).unwrap();
            assert!(serde_json::from_str::<Value>(event.strip_prefix("data: ").unwrap()).is_err());

            let (_, got) = strike(version, &format!("oversized@{at}"), STREAM).await;
            let got = got.unwrap();
            assert_eq!((events(&got), got.is_whole), (36, true));
            assert!(got.text().split("\n\n").nth(at).unwrap().len() > 2 << 20);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn error_events_have_the_form_of_their_stream() {
    let rows = [
        (
            "/v1/responses",
            r#"{"model":"m","stream":true,"input":"x"}"#,
            r#"{"type":"error","code":"server_error""#,
            r#""sequence_number":2}"#,
        ),
        (
            "/v1/messages",
            r#"{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"x"}]}"#,
            r#"{"type":"error","error":{"details":null,"type":"overloaded_error""#,
            r#""}"#,
        ),
    ];
    for (path, body, start, end) in rows {
        let sim = Sim::new(Settings::default());
        let mut client = Client::connect(&sim, ONE).await;
        let line = format!("POST {path}\nanthropic-version: 2023-06-01\nx-sim-fault: error@2");
        let got = client.call(&line, body).await.unwrap();
        let last = got.text().trim_end().rsplit("\n\n").next().unwrap();
        let data = last.strip_prefix("event: error\ndata: ").unwrap();
        assert!(data.starts_with(start) && data.ends_with(end), "{data}");
        assert!(serde_json::from_str::<Value>(data).is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn stalls_last_until_the_client_has_had_enough() {
    for version in [ONE, TWO] {
        for (fault, body, came) in [
            ("stall", CHAT, None),
            ("stall@0", STREAM, Some(0)),
            ("stall@2", STREAM, Some(2)),
        ] {
            let sim = Sim::new(Settings::default());
            let mut client = Client::connect(&sim, version).await;
            let line = format!("POST /v1/chat/completions\nx-sim-fault: {fault}");
            let hour = Duration::from_secs(3600);
            let head = timeout(hour, client.send(request(&line, body))).await;
            match came {
                None => assert!(head.is_err()),
                Some(count) => {
                    let mut body = head.unwrap().unwrap().into_body();
                    for _ in 0..count {
                        body.frame().await.unwrap().unwrap();
                    }
                    assert!(timeout(hour, body.frame()).await.is_err());
                }
            }
            drop(client);
            until(|| sim.stats().cancelled() == 1).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn unstreamed_answers_break_too() {
    for version in [ONE, TWO] {
        let sim = Sim::new(Settings::default());
        let mut client = Client::connect(&sim, version).await;
        let full = client
            .call("POST /v1/chat/completions", CHAT)
            .await
            .unwrap()
            .body
            .len();
        let rows = [
            ("reset@1", full / 2, false),
            ("truncate@1", full / 2, true),
            ("reset@0", 0, false),
        ];
        for (fault, length, is_whole) in rows {
            let got = strike(version, fault, CHAT).await.1.unwrap();
            assert_eq!(
                (got.body.len(), got.is_whole),
                (length, is_whole),
                "{version:?} {fault}"
            );
        }
        let got = strike(version, "malformed@0", CHAT).await.1.unwrap();
        assert!(got.is_whole && serde_json::from_slice::<Value>(&got.body).is_err());
        assert_eq!(
            strike(version, "error@0", CHAT).await.1.unwrap().status,
            500
        );
        let got = strike(version, "wrong-length", CHAT).await.1.unwrap();
        assert_eq!((got.body.len(), got.is_whole), (full, false), "{version:?}");
        assert_eq!(got.header("content-length"), (full + 100).to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn odd_but_lawful_answers_are_whole() {
    for version in [ONE, TWO] {
        let honest = strike(version, "none", STREAM).await.1.unwrap();
        let names = |got: &Got| got.text().len();
        for fault in [
            "drip@5",
            "trailers",
            "gzip",
            "early-hints",
            "goaway",
            "close-idle@10",
        ] {
            let got = strike(version, fault, STREAM).await.1.unwrap();
            assert!(got.is_whole, "{version:?} {fault}");
            match fault {
                "drip@5" => {
                    assert_eq!(names(&got), names(&honest));
                    let pieces = names(&got) / 5;
                    assert!(got.times.len() >= pieces);
                    assert!(*got.times.last().unwrap() >= Duration::from_millis(9 * pieces as u64));
                }
                "trailers" => assert_eq!(got.trailers.unwrap()["x-sim-trailer"], "1"),
                "gzip" => {
                    assert_eq!(got.header("content-encoding"), "gzip");
                    let mut text = String::new();
                    flate2::read::GzDecoder::new(&*got.body)
                        .read_to_string(&mut text)
                        .unwrap();
                    assert_eq!(text.len(), names(&honest));
                    assert!(got.times.len() > 30);
                }
                _ => assert_eq!(names(&got), names(&honest), "{version:?} {fault}"),
            }
        }
        let got = strike(version, "gzip", CHAT).await.1.unwrap();
        let json: Value =
            serde_json::from_reader(flate2::read::GzDecoder::new(&*got.body)).unwrap();
        assert_eq!(json["object"], "chat.completion");
    }
}

#[tokio::test(start_paused = true)]
async fn connections_end_as_told() {
    for version in [ONE, TWO] {
        for (fault, wait) in [("goaway", 0), ("close-idle@50", 60)] {
            let sim = Sim::new(Settings::default());
            let mut client = Client::connect(&sim, version).await;
            let line = format!("POST /v1/chat/completions\nx-sim-fault: {fault}");
            assert!(client.call(&line, STREAM).await.unwrap().is_whole);
            tokio::time::sleep(Duration::from_millis(wait)).await;
            until(|| sim.stats().connections_open.load(Relaxed) == 0).await;
            assert!(
                client
                    .call("POST /v1/chat/completions", CHAT)
                    .await
                    .is_err()
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn below_http_the_bytes_are_what_was_ordered() {
    for (fault, start, is_more) in [
        ("junk", "\u{0}", false),
        ("reset-head", "HTTP/1.1 200 OK\r\n", false),
        (
            "early-hints",
            "HTTP/1.1 103 Early Hints\r\nlink: </sim>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\n",
            true,
        ),
        ("refuse", "", false),
    ] {
        let sim = Sim::new(Settings::default());
        let (mut ours, theirs) = tokio::io::duplex(64 << 10);
        tokio::spawn(sim.clone().serve(theirs));
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: sim\r\nconnection: close\r\n\
             x-sim-fault: {fault}\r\ncontent-length: {}\r\n\r\n{CHAT}",
            CHAT.len()
        );
        ours.write_all(head.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        ours.read_to_end(&mut bytes).await.unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.starts_with(start), "{fault}: {text}");
        assert_eq!(text.ends_with('}'), is_more, "{fault}: {text}");
        if fault == "reset-head" {
            assert_eq!(bytes.len(), 20);
        }
    }
}

#[tokio::test]
async fn on_a_socket_a_reset_is_a_reset() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let sim = Sim::new(Settings::default());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(listen(listener, sim, async { drop(stopped.await) }));
    for (fault, came) in [("reset", 0), ("reset-head", 20), ("reset@2", 100)] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: sim\r\nx-sim-fault: {fault}\r\n\
             content-length: {}\r\n\r\n{STREAM}",
            STREAM.len()
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        let error = socket.read_to_end(&mut bytes).await.expect_err(fault);
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{fault}");
        assert!(bytes.len() >= came, "{fault}: {}", bytes.len());
    }
    stop.send(()).unwrap();
    serving.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn chance_hangs_up_on_connections() {
    let settings = Settings {
        faults: vec!["hangup:1".parse().unwrap()],
        ..Settings::default()
    };
    let sim = Sim::new(settings);
    let (mut ours, theirs) = tokio::io::duplex(64);
    sim.clone().serve(theirs).await;
    assert_eq!(ours.read(&mut [0; 8]).await.unwrap(), 0);
    assert_eq!((sim.stats().faults(), sim.stats().calls()), (1, 0));
}
