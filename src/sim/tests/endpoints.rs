//! Every endpoint over HTTP/1.1 and HTTP/2, honest answers only.

use super::*;

const BOTH: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

#[tokio::test(start_paused = true)]
async fn a_stream_says_what_the_unstreamed_answer_says_in_either_protocol() {
    let mut told = Vec::new();
    for version in BOTH {
        let sim = Sim::new(Settings::default());
        let mut client = Client::connect(&sim, version).await;
        let whole = client
            .call("POST /v1/chat/completions", CHAT)
            .await
            .unwrap();
        assert_eq!(
            (whole.status, whole.header("content-type")),
            (200, "application/json")
        );
        assert!(whole.header("x-request-id").starts_with("req_"));
        assert_eq!(whole.header("openai-version"), "2020-10-01");
        assert!(!whole.header("x-ratelimit-remaining-tokens").is_empty());
        assert!(!whole.header("openai-processing-ms").is_empty());
        let whole = whole.json();

        let stream = client.call("POST /chat/completions", STREAM).await.unwrap();
        assert_eq!(
            stream.header("content-type"),
            "text/event-stream; charset=utf-8"
        );
        assert!(stream.is_whole);
        let said: String = stream
            .text()
            .split("\n\n")
            .filter_map(|event| serde_json::from_str::<Value>(event.strip_prefix("data: ")?).ok())
            .filter_map(|chunk| Some(chunk["choices"][0]["delta"]["content"].as_str()?.to_owned()))
            .collect();
        assert_eq!(whole["choices"][0]["message"]["content"], said.as_str());
        assert_eq!(whole["usage"]["completion_tokens"], 32);
        assert_eq!((sim.stats().calls(), sim.stats().completed()), (2, 2));
        assert_eq!((sim.stats().open(), sim.stats().calls_for("m")), (0, 2));
        told.push(said);
    }
    assert_eq!(told[0], told[1]);
}

#[tokio::test(start_paused = true)]
async fn each_event_is_one_write_and_a_burst_is_fewer() {
    // Role, 32 tokens, finish, [DONE]. Over HTTP/2, where a write is a DATA frame: over HTTP/1.1
    // the client's own buffer splits some.
    for (burst, writes) in [("1", 35), ("8", 5), ("1000", 1)] {
        let sim = Sim::new(Settings::default());
        let mut client = Client::connect(&sim, Version::HTTP_2).await;
        let line = format!("POST /v1/chat/completions\nx-sim-burst: {burst}");
        let got = client.call(&line, STREAM).await.unwrap();
        assert_eq!(got.times.len(), writes, "burst {burst}");
        assert_eq!(got.text().matches("\n\n").count(), 35);
    }
}

#[tokio::test(start_paused = true)]
async fn time_passes_as_ordered() {
    let sim = Sim::new(Settings::default());
    let mut client = Client::connect(&sim, Version::HTTP_11).await;
    let orders = "x-sim-ttft: 200ms\nx-sim-gap: 5ms\nx-sim-tokens: 64";
    let start = tokio::time::Instant::now();
    let line = format!("POST /v1/chat/completions\n{orders}");
    let got = client.call(&line, STREAM).await.unwrap();
    let near = |duration: Duration, millis: u64| {
        let difference = duration.as_millis().abs_diff(u128::from(millis));
        assert!(difference <= 1, "{duration:?} is not {millis} ms");
    };
    near(got.times[0], 200);
    near(*got.times.last().unwrap(), 200 + 63 * 5);

    // Unstreamed, the head comes when everything has been said.
    let start_whole = tokio::time::Instant::now();
    let response = client.send(request(&line, CHAT)).await.unwrap();
    near(start_whole.elapsed(), 200 + 63 * 5);
    drop(response.into_body().collect().await.unwrap());

    // An early head does not wait for the first event.
    let early = format!("{line}\nx-sim-early-head: 1");
    let start_early = tokio::time::Instant::now();
    let response = client.send(request(&early, STREAM)).await.unwrap();
    near(start_early.elapsed(), 0);
    drop(response.into_body().collect().await.unwrap());
    near(start_early.elapsed(), 200 + 63 * 5);
    assert!(start.elapsed() < Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn every_endpoint_answers() {
    let anthropic = "anthropic-version: 2023-06-01";
    let messages =
        r#"{"model":"echo","max_tokens":9,"messages":[{"role":"user","content":"hi there"}]}"#;
    let rows = [
        (
            "POST /v1/completions",
            r#"{"model":"echo","prompt":"hi there"}"#,
            "/choices/0/text",
            "hi there",
        ),
        (
            "POST /v1/responses",
            r#"{"model":"sim/echo","input":"hi there"}"#,
            "/output/0/content/0/text",
            "hi there",
        ),
        ("POST /v1/messages", messages, "/content/0/text", "hi there"),
        ("POST /messages?beta=true", messages, "/type", "message"),
        (
            "POST /v1/messages/count_tokens",
            r#"{"model":"m","messages":[{"role":"user","content":"hi there"}]}"#,
            "/input_tokens",
            "5",
        ),
        (
            "POST /v1/embeddings",
            r#"{"model":"embed","input":"x"}"#,
            "/usage/prompt_tokens",
            "1",
        ),
        ("GET /v1/models", "", "/data/0/id", "sim"),
        ("GET /v1/models", "", "/has_more", "false"),
        ("GET /models/echo", "", "/id", "echo"),
        ("PATCH /v1/echo/a?b=c", "body", "/query", "b=c"),
        ("PUT /v1/echo", "body", "/body/length", "4"),
        (
            "POST /v1/upload/x",
            "abc",
            "/sha256",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
    ];
    for version in BOTH {
        let sim = Sim::new(Settings::default());
        let mut client = Client::connect(&sim, version).await;
        for (line, body, pointer, expected) in rows {
            let line = format!("{line}\n{anthropic}");
            let got = client.call(&line, body).await.unwrap();
            assert_eq!(got.status, 200, "{line}: {}", got.text());
            let value = got.json();
            let found = value
                .pointer(pointer)
                .unwrap_or_else(|| panic!("{line}: {value}"));
            let found = found
                .as_str()
                .map_or_else(|| found.to_string(), str::to_owned);
            assert_eq!(found, expected, "{line}");
        }
        let got = client.call("GET /v1/models", "").await.unwrap().json();
        assert_eq!(
            (&got["object"], &got["data"][0]["object"]),
            (&"list".into(), &"model".into())
        );
    }
}

#[tokio::test(start_paused = true)]
async fn downloads_are_as_long_as_asked_and_the_same_every_time() {
    let sim = Sim::new(Settings::default());
    let mut client = Client::connect(&sim, Version::HTTP_11).await;
    for bytes in [0usize, 10, 64 << 10, 200_000] {
        let line = format!("GET /v1/download/{bytes}");
        let first = client.call(&line, "").await.unwrap();
        let again = client.call(&line, "").await.unwrap();
        assert!(first.is_whole && first.body == again.body);
        assert_eq!(first.body.len(), bytes);
        assert_eq!(first.header("content-length"), bytes.to_string());
    }
    until(|| sim.stats().completed() == 8).await;
}

#[tokio::test(start_paused = true)]
async fn refusals_have_the_providers_form() {
    let version = "anthropic-version: 2023-06-01";
    let key = "x-api-key: right";
    let rows = [
        (
            "POST /v1/chat/completions",
            "{",
            400,
            "/error/type",
            "invalid_request_error",
        ),
        (
            "POST /v1/chat/completions",
            r#"{"model":"m"}"#,
            400,
            "/error/param",
            "messages",
        ),
        ("POST /v1/nothing", "{}", 404, "/error/code", "unknown_url"),
        (
            "GET /v1/chat/completions",
            "",
            405,
            "/error/code",
            "method_not_supported",
        ),
        (
            "GET /v1/models/gone",
            "",
            404,
            "/error/code",
            "model_not_found",
        ),
        (
            "POST /v1/messages",
            "{}",
            400,
            "/error/type",
            "invalid_request_error",
        ),
        (
            "POST /v1/embeddings",
            "[]",
            400,
            "/error/type",
            "invalid_request_error",
        ),
        (
            "POST /v1/upload\nx-sim-fault: boom",
            "",
            400,
            "/error/code",
            "invalid_value",
        ),
    ];
    let sim = Sim::new(Settings {
        api_keys: vec!["right".to_owned()],
        ..Settings::default()
    });
    let mut client = Client::connect(&sim, Version::HTTP_11).await;
    for (line, body, status, pointer, expected) in rows {
        let got = client.call(&format!("{line}\n{key}"), body).await.unwrap();
        assert_eq!(got.status, status, "{line}");
        assert_eq!(got.json().pointer(pointer).unwrap(), expected, "{line}");
    }
    // Anthropic wants its version, and its errors repeat the request's id.
    let messages = r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"x"}]}"#;
    let got = client
        .call(&format!("POST /v1/messages\n{key}"), messages)
        .await
        .unwrap();
    assert_eq!((got.status, &got.json()["type"]), (400, &"error".into()));
    assert_eq!(got.json()["request_id"], got.header("request-id"));
    let line = format!("POST /v1/messages\n{key}\n{version}");
    assert_eq!(client.call(&line, messages).await.unwrap().status, 200);
    // Keys, either way of sending them.
    for (header, status) in [
        ("authorization: Bearer right", 200),
        ("authorization: Bearer wrong", 401),
        ("x-api-key: right", 200),
        ("x-nothing: 1", 401),
    ] {
        let line = format!("POST /v1/chat/completions\n{header}");
        assert_eq!(
            client.call(&line, CHAT).await.unwrap().status,
            status,
            "{header}"
        );
    }
    assert_eq!(sim.stats().refused.load(Relaxed), 11);
}

#[tokio::test(start_paused = true)]
async fn a_body_over_the_limit_is_refused() {
    let sim = Sim::new(Settings {
        max_body: 10,
        ..Settings::default()
    });
    let mut client = Client::connect(&sim, Version::HTTP_2).await;
    let got = client
        .call("POST /v1/chat/completions", CHAT)
        .await
        .unwrap();
    assert_eq!(
        (got.status, &got.json()["error"]["code"]),
        (413, &"request_too_large".into())
    );
}

#[tokio::test(start_paused = true)]
async fn statistics_tell_what_came_and_can_be_reset() {
    let sim = Sim::new(Settings::default());
    let mut client = Client::connect(&sim, Version::HTTP_2).await;
    client
        .call("POST /v1/chat/completions", STREAM)
        .await
        .unwrap();
    client
        .call("POST /v1/embeddings", r#"{"model":"e","input":["a","b"]}"#)
        .await
        .unwrap();
    until(|| sim.stats().completed() == 2).await;
    let stats = client.call("GET /sim/stats", "").await.unwrap().json();
    for (pointer, expected) in [
        ("/calls", 2),
        ("/streamed", 1),
        ("/completed", 2),
        ("/cancelled", 0),
        ("/open", 0),
        ("/tokens_out", 32),
        ("/texts_embedded", 2),
        ("/connections", 1),
        ("/connections_h2", 1),
        ("/connections_open", 1),
        ("/endpoints/chat", 1),
        ("/models/m", 1),
        ("/models/e", 1),
    ] {
        assert_eq!(
            stats.pointer(pointer).unwrap(),
            expected,
            "{pointer}: {stats}"
        );
    }
    client.call("POST /sim/reset", "").await.unwrap();
    let stats = client.call("GET /stats", "").await.unwrap().json();
    assert_eq!(
        (&stats["calls"], &stats["connections_open"]),
        (&0.into(), &1.into())
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_is_counted() {
    for version in BOTH {
        for order in ["x-sim-gap: 1s", "x-sim-ttft: 10s", "x-sim-fault: stall"] {
            let sim = Sim::new(Settings::default());
            let mut client = Client::connect(&sim, version).await;
            let line = format!("POST /v1/chat/completions\n{order}");
            let call = client.call(&line, STREAM);
            let left = timeout(Duration::from_secs(2), call).await;
            assert!(left.is_err());
            assert_eq!((sim.stats().open(), sim.stats().cancelled()), (1, 0));
            drop(client);
            until(|| sim.stats().cancelled() == 1).await;
            assert_eq!(
                (sim.stats().open(), sim.stats().completed()),
                (0, 0),
                "{version:?} {order}"
            );
        }
    }
}

#[tokio::test]
async fn a_listener_stops_when_told_and_lets_streams_finish() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let sim = Sim::new(Settings::default());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(listen(listener, sim.clone(), async { drop(stopped.await) }));
    let socket = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http1::handshake::<_, Full<Bytes>>(TokioIo::new(socket))
        .await
        .unwrap();
    tokio::spawn(connection);
    let line = "POST /v1/chat/completions\nx-sim-gap: 2ms";
    let response = sender.send_request(request(line, STREAM)).await.unwrap();
    stop.send(()).unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(body.ends_with(b"data: [DONE]\n\n"));
    serving.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
