//! Providers that refuse, reset, stall, talk nonsense or give up, before their
//! answer has begun to reach the caller: each gets a status of its own, in the
//! caller's dialect.

use crate::harness::dialects::{DOORS, Door};
use crate::harness::gateway::{Gateway, both, provider};
use crate::harness::upstream::{
    Script, Step, Upstream, answer, answer_head, chunk, json_answer, stream_head,
};
use crate::harness::{Signal, eventually};

/// What a provider does, and what its caller is told.
struct Case {
    name: &'static str,
    streams: &'static [bool],
    script: fn(Door) -> Script,
    status: u16,
    code: &'static str,
    words: &'static str,
}

const EITHER: &[bool] = &[false, true];

const CASES: &[Case] = &[
    Case {
        name: "resets before the head",
        streams: EITHER,
        script: |_| vec![Step::Reset],
        status: 502,
        code: "upstream_unreachable",
        words: "closed the connection before its answer",
    },
    Case {
        name: "closes before the head",
        streams: EITHER,
        script: |_| vec![Step::Close],
        status: 502,
        code: "upstream_unreachable",
        words: "closed the connection before its answer",
    },
    Case {
        name: "closes in the head",
        streams: EITHER,
        script: |_| vec![Step::send("HTTP/1.1 200 OK\r\ncontent-le"), Step::Close],
        status: 502,
        code: "upstream_unreachable",
        words: "closed the connection before its answer",
    },
    Case {
        name: "sends junk",
        streams: EITHER,
        script: |_| vec![Step::send("220 mail.test ESMTP ready\r\n\r\n"), Step::Close],
        status: 502,
        code: "upstream_unreachable",
        words: "what is not HTTP/1.1",
    },
    Case {
        name: "sends a head of junk headers",
        streams: EITHER,
        script: |_| {
            vec![
                Step::send("HTTP/1.1 200 OK\r\nno colon here\r\n\r\n"),
                Step::Close,
            ]
        },
        status: 502,
        code: "upstream_unreachable",
        words: "what is not HTTP/1.1",
    },
    Case {
        name: "sends ten thousand headers",
        streams: EITHER,
        script: |_| {
            let many: String = (0..10_000).map(|n| format!("x-{n}: {n}\r\n")).collect();
            vec![
                Step::send(format!("HTTP/1.1 200 OK\r\n{many}\r\n")),
                Step::Close,
            ]
        },
        status: 502,
        code: "upstream_unreachable",
        words: "what is not HTTP/1.1",
    },
    Case {
        name: "announces two lengths",
        streams: EITHER,
        script: |_| {
            let head = [("content-length", "1"), ("content-length", "2")];
            vec![Step::Send(answer_head(200, &head)), Step::send("{}")]
        },
        status: 502,
        code: "upstream_unreachable",
        words: "what is not HTTP/1.1",
    },
    Case {
        name: "switches protocols",
        streams: EITHER,
        script: |_| {
            let head = [("upgrade", "websocket"), ("connection", "upgrade")];
            vec![Step::Send(answer_head(101, &head))]
        },
        status: 502,
        code: "upstream_unreachable",
        words: "switched protocols unasked",
    },
    Case {
        name: "announces more than it sends",
        streams: &[false],
        script: |door| {
            let body = door.answer_body();
            let length = (body.len() + 1).to_string();
            let mut all = answer_head(
                200,
                &[
                    ("content-type", "application/json"),
                    ("content-length", &length),
                ],
            );
            all.extend_from_slice(body.as_bytes());
            vec![Step::Send(all), Step::Close]
        },
        status: 502,
        code: "upstream_protocol",
        words: "ended its answer before its announced end",
    },
    Case {
        name: "ends a chunked answer half way",
        streams: &[false],
        script: |door| {
            let mut all = answer_head(
                200,
                &[
                    ("content-type", "application/json"),
                    ("transfer-encoding", "chunked"),
                ],
            );
            all.extend_from_slice(&chunk(&door.answer_body()[..20]));
            vec![Step::Send(all), Step::Close]
        },
        status: 502,
        code: "upstream_protocol",
        words: "ended its answer before its announced end",
    },
    Case {
        name: "sends chunks that are none",
        streams: &[false],
        script: |_| {
            let mut all = answer_head(
                200,
                &[
                    ("content-type", "application/json"),
                    ("transfer-encoding", "chunked"),
                ],
            );
            all.extend_from_slice(b"zz\r\n{}\r\n");
            vec![Step::Send(all), Step::Close]
        },
        status: 502,
        code: "upstream_protocol",
        words: "reading the answer of",
    },
    Case {
        name: "answers with a web page",
        streams: &[false],
        script: |_| {
            let page = "<html>please sign in</html>";
            vec![Step::Send(answer(
                200,
                &[("content-type", "text/html")],
                page,
            ))]
        },
        status: 502,
        code: "upstream_protocol",
        words: "",
    },
    Case {
        name: "ends a stream before its first event",
        streams: &[true],
        script: |_| vec![Step::Send(stream_head()), Step::send("0\r\n\r\n")],
        status: 502,
        code: "upstream_protocol",
        words: "ended before its terminal event",
    },
    Case {
        name: "resets a stream before its first event",
        streams: &[true],
        script: |_| vec![Step::Send(stream_head()), Step::Close],
        status: 502,
        code: "upstream_protocol",
        words: "",
    },
];

#[test]
fn an_answer_that_fails_before_it_begins_is_a_status_in_the_callers_dialect() {
    let upstream = Upstream::new([]);
    let gateway = Gateway::new(&both(upstream.address));
    for case in CASES {
        for door in DOORS {
            for stream in case.streams {
                upstream.add((case.script)(door));
                let reply = gateway.call(door.call(*stream));
                let shown = format!("{}, {door:?}, stream {stream}", case.name);
                assert_eq!(reply.status, case.status, "{shown}: {}", reply.text());
                let said = door.assert_error(&reply, case.status, case.code);
                assert!(said.contains(case.words), "{shown}: {said}");
                assert_eq!(reply.head.get("x-nowait-attempts"), Some("1"), "{shown}");
                let line = gateway.line_of(&reply);
                assert_eq!(line["error"], case.code, "{shown}: {line}");
                assert_eq!(line["status"], case.status, "{shown}: {line}");
            }
        }
    }
    let counted: usize = CASES.iter().map(|case| 3 * case.streams.len()).sum();
    assert_eq!(upstream.seen().len(), counted, "nothing is sent twice");
    let errors: f64 = ["upstream_unreachable", "upstream_protocol"]
        .map(|code| gateway.metric(&format!("nowait_errors_total{{code=\"{code}\"}}")))
        .iter()
        .sum();
    assert_eq!(errors, counted as f64);
    assert_eq!(gateway.metric("nowait_requests_in_flight"), 0.0);
}

#[test]
fn a_provider_that_can_not_be_reached_is_named() {
    let closed = Upstream::closed_port();
    let refusing = Gateway::new(&both(closed));
    let nowhere = Gateway::new(
        "[providers.up]\ndialect = \"openai\"\nbase_url = \"http://nowhere.invalid/v1\"\n\
         [providers.claude]\ndialect = \"anthropic\"\nbase_url = \"http://nowhere.invalid\"\n\
         [generate]\nmodel = \"up/m\"\n",
    );
    for (gateway, host, words) in [
        (&refusing, closed.to_string(), "connection refused"),
        (&nowhere, "nowhere.invalid".to_owned(), ""),
    ] {
        for door in DOORS {
            for stream in EITHER {
                let reply = gateway.call(door.call(*stream));
                let said = door.assert_error(&reply, 502, "upstream_unreachable");
                assert!(said.contains(&host), "{said}");
                assert!(said.contains(words), "{said}");
                assert!(reply.head.get("x-nowait-provider").is_some());
            }
        }
    }
}

#[test]
fn a_connection_that_closed_while_idle_costs_its_next_caller_nothing() {
    for step in [Step::Reset, Step::Close] {
        let upstream = Upstream::new([
            vec![Step::Send(Door::Chat.answer())],
            // The second request finds the door shut, unanswered.
            vec![step],
            vec![Step::Send(Door::Chat.answer())],
        ]);
        let gateway = Gateway::new(&both(upstream.address));
        let mut client = gateway.client();
        for attempts in ["1", "2"] {
            client.send(Door::Chat.call(false));
            let reply = client.reply();
            assert_eq!(reply.status, 200, "{}", reply.text());
            assert_eq!(reply.head.get("x-nowait-attempts"), Some(attempts));
        }
        let seen = upstream.wait_for(3);
        assert_eq!(seen[1].body, seen[2].body, "the same again");
        assert_eq!(seen[1].get("x-request-id"), seen[2].get("x-request-id"));
        assert_eq!(upstream.connections(), 2);
        assert_eq!(gateway.metric("nowait_resends_total{upstream=\"up\"}"), 1.0);
    }
}

#[test]
fn a_connection_seen_to_close_is_not_used_again() {
    let upstream = Upstream::new([
        vec![Step::Send(Door::Chat.answer()), Step::Close],
        vec![Step::Send(Door::Chat.answer())],
    ]);
    let gateway = Gateway::new(&both(upstream.address));
    assert_eq!(gateway.call(Door::Chat.call(false)).status, 200);
    eventually("the end of the connection is noticed", || {
        gateway.call(crate::harness::client::head("GET", "/metrics", &[]));
        let open = "nowait_pool_connections{upstream=\"up\",state=\"open\"}";
        (gateway.metric(open) == 0.0).then_some(())
    });
    let reply = gateway.call(Door::Chat.call(false));
    assert_eq!(reply.head.get("x-nowait-attempts"), Some("1"));
    assert_eq!(gateway.metric("nowait_resends_total{upstream=\"up\"}"), 0.0);
}

#[test]
fn an_answer_with_less_announced_than_sent_ends_where_it_was_announced() {
    let body = Door::Chat.answer_body();
    let mut long = json_answer(200, body);
    long.extend_from_slice(b"and more that nobody asked for");
    let upstream = Upstream::new([
        vec![Step::Send(long), Step::Wait(Signal::default())],
        vec![Step::Send(Door::Chat.answer())],
    ]);
    let gateway = Gateway::new(&both(upstream.address));
    for _ in 0..2 {
        let reply = gateway.call(Door::Chat.call(false));
        assert_eq!((reply.status, reply.text().as_str()), (200, body));
    }
    assert_eq!(
        upstream.connections(),
        2,
        "such a connection isn't trusted again"
    );
}

#[test]
fn interim_answers_are_passed_over() {
    let upstream = Upstream::new(EITHER.iter().map(|stream| {
        let mut all = answer_head(103, &[("link", "</style.css>; rel=preload")]);
        all.extend_from_slice(&answer_head(102, &[]));
        if *stream {
            all.extend_from_slice(&Door::Chat.opening(5));
            all.extend_from_slice(b"0\r\n\r\n");
        } else {
            all.extend_from_slice(&Door::Chat.answer());
        }
        vec![Step::Send(all)]
    }));
    let gateway = Gateway::new(&both(upstream.address));
    for stream in EITHER {
        let reply = gateway.call(Door::Chat.call(*stream));
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.head.get("link"), None);
    }
}

#[test]
fn an_answer_with_no_length_and_one_of_http_1_0_are_whole_at_the_connections_end() {
    for version in ["1.1", "1.0"] {
        let body = Door::Chat.answer_body();
        let said = format!("HTTP/{version} 200 OK\r\ncontent-type: application/json\r\n\r\n{body}");
        let upstream = Upstream::new([vec![Step::send(said), Step::Close]]);
        let gateway = Gateway::new(&both(upstream.address));
        let reply = gateway.call(Door::Chat.call(false));
        assert_eq!((reply.status, reply.text().as_str()), (200, body));
    }
}

/// A status, its headers, and the body in either dialect.
type Refusal = (
    u16,
    &'static [(&'static str, &'static str)],
    &'static str,
    &'static str,
);

#[test]
fn a_providers_own_refusal_passes_as_it_is() {
    let cases: &[Refusal] = &[
        (
            401,
            &[("www-authenticate", "Bearer")],
            r#"{"error" : {"message":"Incorrect API key provided: sk-a***z","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#,
            r#"{"type" : "error","error":{"type":"authentication_error","message":"invalid x-api-key"},"request_id":"req_theirs"}"#,
        ),
        (
            429,
            &[
                ("retry-after", "7"),
                ("retry-after-ms", "6500"),
                ("x-ratelimit-remaining-requests", "0"),
                ("x-ratelimit-reset-tokens", "6m0s"),
                ("anthropic-ratelimit-requests-limit", "50"),
            ],
            r#"{"error":{"message":"Rate limit reached","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#,
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"too many"}}"#,
        ),
        (
            500,
            &[("x-should-retry", "false")],
            "oh no\r\n",
            "<html>500</html>",
        ),
        (
            529,
            &[("retry-after", "1")],
            r#"{"error":{"message":"overloaded"}}"#,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
        ),
        (404, &[], "", ""),
    ];
    let upstream = Upstream::new([]);
    let gateway = Gateway::new(&both(upstream.address));
    for (status, headers, openai, anthropic) in cases {
        for stream in EITHER {
            for (door, body) in [
                (Door::Chat, openai),
                (Door::Messages, anthropic),
                (Door::Plain, openai),
            ] {
                let mut all = headers.to_vec();
                all.push(("content-type", "application/json; charset=x"));
                all.push(("request-id", "req_theirs"));
                upstream.add(vec![Step::Send(answer(*status, &all, body))]);
                let reply = gateway.call(door.call(*stream));
                assert_eq!(reply.status, *status, "{door:?}");
                assert_eq!(
                    reply.head.get("x-nowait-upstream-request-id"),
                    Some("req_theirs")
                );
                let limits = headers.iter().filter(|(name, _)| {
                    door != Door::Plain
                        || name.contains("ratelimit")
                        || name.contains("retry-after")
                });
                for (name, value) in limits {
                    assert_eq!(reply.head.get(name), Some(*value), "{door:?} {status}");
                }
                if door != Door::Plain {
                    assert_eq!(reply.text(), **body, "{door:?} {status}");
                    assert_eq!(
                        reply.head.get("content-type"),
                        Some("application/json; charset=x")
                    );
                    continue;
                }
                assert_eq!(
                    reply.head.get("content-type"),
                    Some("application/problem+json")
                );
                let problem = reply.json();
                assert_eq!(problem["status"], *status);
                let detail = problem["detail"].as_str().expect("words");
                assert!(detail.starts_with("up refused the call"), "{detail}");
            }
        }
    }
    assert_eq!(
        gateway.metric("nowait_errors_total{code=\"upstream_protocol\"}"),
        0.0
    );
}

#[test]
fn one_failing_provider_is_nothing_to_another() {
    let well = Upstream::always(Door::Chat.answer());
    let stalled = Upstream::new([]);
    let go = Signal::default();
    for _ in 0..8 {
        stalled.add(vec![Step::Wait(go.clone()), Step::Close]);
    }
    let gateway = Gateway::new(&format!(
        "{}{}",
        provider("well", "openai", well.address, ""),
        provider("stalled", "openai", stalled.address, "")
    ));
    let body = |name: &str| format!(r#"{{"model":"{name}/m","messages":[]}}"#);
    let path = Door::Chat.path();
    let mut waiting: Vec<_> = (0..8)
        .map(|_| {
            let mut client = gateway.client();
            client.send(crate::harness::client::post(path, &[], body("stalled")));
            client
        })
        .collect();
    stalled.wait_for(8);
    for _ in 0..8 {
        assert_eq!(gateway.post(path, &body("well")).status, 200);
    }
    go.raise();
    for client in &mut waiting {
        Door::Chat.assert_error(&client.reply(), 502, "upstream_unreachable");
    }
}

/// An edge that refuses a large body does so before it has read it, and hangs
/// up: its answer counts, not that it took no more of the body.
#[test]
fn a_refusal_that_comes_while_the_body_is_being_sent_is_passed_on() {
    let said = r#"{"error":{"message":"too large for us"}}"#;
    let upstream = Upstream::new((0..4).map(|_| {
        let headers = [
            ("connection", "close"),
            ("content-type", "application/json"),
        ];
        vec![
            Step::Unread,
            Step::Send(answer(413, &headers, said)),
            Step::Close,
        ]
    }));
    let gateway = Gateway::new(&both(upstream.address));
    let filler = "x".repeat(8 << 20);
    for (door, model) in [(Door::Chat, "up/m"), (Door::Messages, "claude/m")] {
        for stream in EITHER {
            let body = format!(r#"{{"model":"{model}","stream":{stream},"x":"{filler}"}}"#);
            let reply = gateway.post(door.path(), &body);
            assert_eq!(
                (reply.status, reply.text().as_str()),
                (413, said),
                "{door:?}"
            );
            assert_eq!(reply.head.get("x-nowait-attempts"), Some("1"));
        }
    }
}
