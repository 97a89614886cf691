//! HTTP/2 on either side: callers who speak it, and providers who do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use http::Response;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::harness::dialects::{DOORS, Door};
use crate::harness::gateway::{Gateway, both, provider};
use crate::harness::h2::{self, Asked, Play};
use crate::harness::upstream::{Step, Upstream};
use crate::harness::{Signal, eventually};

#[test]
fn callers_over_http_2_get_the_same_answers_and_errors() {
    let upstream = Upstream::new([]);
    let gateway = Gateway::new(&both(upstream.address));
    for door in DOORS {
        upstream.add(vec![Step::Send(door.answer())]);
        upstream.add(door.stream());
        // The second connection is a fresh one: then it is an error.
        upstream.add(vec![Step::Reset]);
        upstream.add(vec![Step::Reset]);
    }
    h2::block_on(async {
        let mut sender = h2::connect(gateway.address).await;
        for door in DOORS {
            let request = || h2::post(door.path(), &[("content-type", "application/json")]);
            let whole = h2::call(&mut sender, request(), door.body(false))
                .await
                .unwrap();
            assert_eq!(whole.head.status, 200, "{door:?}");
            assert!(whole.head.headers.contains_key("server-timing"));
            let stream = h2::call(&mut sender, request(), door.body(true))
                .await
                .unwrap();
            let text = String::from_utf8_lossy(&stream.body).into_owned();
            if door == Door::Plain {
                assert!(text.contains("event: done"), "{text}");
            } else {
                assert_eq!(whole.body, door.answer_body().as_bytes());
                assert_eq!(text, door.events().concat());
            }
            let failed = h2::call(&mut sender, request(), door.body(false))
                .await
                .unwrap();
            assert_eq!(failed.head.status, 502, "{door:?}");
            let text = String::from_utf8_lossy(&failed.body).into_owned();
            assert!(
                text.contains("closed the connection before its answer"),
                "{text}"
            );
        }
    });
}

#[test]
fn a_caller_that_resets_its_stream_takes_its_call_along_and_no_other() {
    let (gone, go) = (Signal::default(), Signal::default());
    let upstream = Upstream::new([
        vec![Step::Send(Door::Chat.opening(2)), Step::Gone(gone.clone())],
        vec![
            Step::Send(Door::Chat.opening(2)),
            Step::Wait(go.clone()),
            Step::Send(Door::Chat.closing(2)),
        ],
    ]);
    let gateway = Gateway::new(&both(upstream.address));
    h2::block_on(async {
        let mut sender = h2::connect(gateway.address).await;
        let mut open = Vec::new();
        for _ in 0..2 {
            let request = h2::post(Door::Chat.path(), &[]);
            let (answer, mut sending) = sender.send_request(request, false).unwrap();
            sending
                .send_data(Door::Chat.body(true).into(), true)
                .unwrap();
            let mut body = answer.await.unwrap().into_body();
            let first = body.data().await.unwrap().unwrap();
            open.push((sending, body, first.to_vec()));
        }
        let (mut sending, body, _) = open.remove(0);
        sending.send_reset(::h2::Reason::CANCEL);
        drop(body);
        let gone = gone.clone();
        tokio::task::spawn_blocking(move || gone.wait("the provider is told to stop"))
            .await
            .unwrap();
        go.raise();
        let (_, mut body, mut seen) = open.remove(0);
        while let Some(data) = body.data().await {
            let data = data.unwrap();
            let _ = body.flow_control().release_capacity(data.len());
            seen.extend_from_slice(&data);
        }
        assert_eq!(seen, Door::Chat.events().concat().as_bytes());
    });
    let left = "nowait_cancelled_requests_total{endpoint=\"chat\"}";
    assert_eq!(gateway.metric(left), 1.0);
}

/// Settings for a provider that is spoken to in HTTP/2 without TLS.
fn settings(address: std::net::SocketAddr, more: &str) -> String {
    provider("up", "openai", address, "") + "http = \"2\"\n" + more
}

/// Sends so many calls at once over one connection of a caller, and returns
/// the statuses and bodies.
fn at_once(gateway: &Gateway, count: usize, stream: bool) -> Vec<(u16, String)> {
    h2::block_on(async {
        let sender = h2::connect(gateway.address).await;
        let mut calls = JoinSet::new();
        for _ in 0..count {
            let mut sender = sender.clone();
            calls.spawn(async move {
                let request = h2::post(Door::Chat.path(), &[]);
                let body = Door::Chat.body(stream);
                let answer = h2::call(&mut sender, request, body).await.unwrap();
                let text = String::from_utf8(answer.body).unwrap();
                (answer.head.status.as_u16(), text)
            });
        }
        calls.join_all().await
    })
}

fn done(goodbye: bool) -> oneshot::Receiver<bool> {
    let (tell, told) = oneshot::channel();
    let _ = tell.send(goodbye);
    told
}

fn answers(asked: Asked) {
    asked.answer(200, "application/json", Door::Chat.answer_body());
}

#[test]
fn a_provider_of_one_stream_at_a_time_gets_more_connections_and_nobody_an_error() {
    let connections = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&connections);
    // Each waits for all: only with a connection each do they come at once.
    let together = Arc::new(tokio::sync::Barrier::new(12));
    let play: Play = Arc::new(move |asked| {
        seen.fetch_max(asked.connection + 1, Ordering::SeqCst);
        let together = Arc::clone(&together);
        tokio::spawn(async move {
            together.wait().await;
            answers(asked);
        });
        done(false)
    });
    let gateway = Gateway::new(&settings(h2::provider(1, play), ""));
    for (status, body) in at_once(&gateway, 12, false) {
        assert_eq!((status, body.as_str()), (200, Door::Chat.answer_body()));
    }
    assert!(connections.load(Ordering::SeqCst) >= 12);
}

#[test]
fn a_provider_that_says_goodbye_after_every_answer_costs_nobody_an_error() {
    let asked_for = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked_for);
    let play: Play = Arc::new(move |asked| {
        count.fetch_add(1, Ordering::SeqCst);
        answers(asked);
        done(true)
    });
    let gateway = Gateway::new(&settings(h2::provider(10, play), ""));
    for _ in 0..5 {
        for (status, body) in at_once(&gateway, 20, false) {
            assert_eq!(status, 200, "{body}");
        }
    }
    assert!(asked_for.load(Ordering::SeqCst) >= 100);
    assert_eq!(gateway.metric("nowait_requests_in_flight"), 0.0);
}

#[test]
fn a_stream_that_a_provider_resets_is_its_callers_error_alone() {
    let first = Arc::new(AtomicBool::new(true));
    let play: Play = Arc::new(move |asked: Asked| {
        let is_first = first.swap(false, Ordering::SeqCst);
        tokio::spawn(async move {
            let mut respond = asked.respond;
            let head = Response::builder().header("content-type", "text/event-stream");
            let mut sending = respond
                .send_response(head.body(()).unwrap(), false)
                .unwrap();
            for event in &Door::Chat.events()[..2] {
                sending
                    .send_data(Bytes::from_static(event.as_bytes()), false)
                    .unwrap();
            }
            if is_first {
                // What was sent has to be on its way, or the reset overtakes it.
                let mut body = asked.request.into_body();
                while let Some(Ok(_)) = body.data().await {}
                tokio::task::yield_now().await;
                sending.send_reset(::h2::Reason::INTERNAL_ERROR);
                return;
            }
            let rest = Door::Chat.events()[2..].concat();
            sending.send_data(rest.into(), true).unwrap();
        });
        done(false)
    });
    let gateway = Gateway::new(&settings(h2::provider(100, play), ""));
    let answers = at_once(&gateway, 20, true);
    let whole = Door::Chat.events().concat();
    let failed: Vec<_> = answers.iter().filter(|(_, body)| *body != whole).collect();
    let [(status, body)] = &failed[..] else {
        panic!("{failed:?}")
    };
    assert!(body.contains("\"code\":\"upstream_"), "{status} {body}");
    assert!(!body.contains("[DONE]"), "{body}");
}

#[test]
fn a_caller_that_leaves_resets_its_stream_at_the_provider_and_no_other() {
    let (reset, go) = (Signal::default(), Arc::new(tokio::sync::Notify::new()));
    let (told, release) = (reset.clone(), Arc::clone(&go));
    let number = Arc::new(AtomicUsize::new(0));
    let came = Arc::clone(&number);
    let play: Play = Arc::new(move |mut asked: Asked| {
        let (told, release) = (told.clone(), Arc::clone(&release));
        let index = came.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(async move {
            if index == 0 {
                let reason = std::future::poll_fn(|cx| asked.respond.poll_reset(cx)).await;
                assert_eq!(reason.unwrap(), ::h2::Reason::CANCEL);
                told.raise();
                return;
            }
            release.notified().await;
            answers(asked);
        });
        done(false)
    });
    let gateway = Gateway::new(&settings(h2::provider(100, play), ""));
    let mut leaves = gateway.client();
    leaves.send(Door::Chat.call(false));
    eventually("the first is there", || {
        (number.load(Ordering::SeqCst) == 1).then_some(())
    });
    let mut stays = gateway.client();
    stays.send(Door::Chat.call(false));
    eventually("both are there", || {
        (number.load(Ordering::SeqCst) == 2).then_some(())
    });
    drop(leaves);
    reset.wait("the first stream is reset");
    go.notify_one();
    assert_eq!(stays.reply().text(), Door::Chat.answer_body());
}

/// Sends as much as is taken; how much that was, once nobody takes more.
async fn flood(mut asked: Asked, went: Arc<AtomicUsize>, full: Signal) {
    const PIECE: usize = 64 << 10;
    let head = Response::builder().header("content-type", "text/event-stream");
    let head = head.body(()).unwrap();
    let mut sending = asked.respond.send_response(head, false).unwrap();
    let filler = Bytes::from(vec![b'x'; PIECE]);
    sending
        .send_data(Bytes::from_static(b"data: "), false)
        .unwrap();
    while went.load(Ordering::SeqCst) < 64 << 20 {
        sending.reserve_capacity(PIECE);
        let room = std::future::poll_fn(|cx| sending.poll_capacity(cx));
        let wait = std::time::Duration::from_millis(200);
        match tokio::time::timeout(wait, room).await {
            Ok(Some(Ok(room))) => {
                let size = room.min(PIECE);
                went.fetch_add(size, Ordering::SeqCst);
                sending.send_data(filler.slice(..size), false).unwrap();
            }
            Ok(_) => return,
            Err(_) => full.raise(),
        }
    }
}

/// Whoever the caller is, what it doesn't read stays with the provider, and
/// the other calls on the same connection to that provider don't notice.
#[test]
fn a_caller_that_does_not_read_holds_back_its_own_stream_and_no_other() {
    for caller_speaks_two in [false, true] {
        let (went, full) = (Arc::new(AtomicUsize::new(0)), Signal::default());
        let (told, counted) = (full.clone(), Arc::clone(&went));
        let connections = Arc::new(AtomicUsize::new(0));
        let (seen, first) = (Arc::clone(&connections), Arc::new(AtomicBool::new(true)));
        let play: Play = Arc::new(move |asked| {
            seen.fetch_max(asked.connection + 1, Ordering::SeqCst);
            if first.swap(false, Ordering::SeqCst) {
                tokio::spawn(flood(asked, Arc::clone(&counted), told.clone()));
            } else {
                answers(asked);
            }
            done(false)
        });
        let gateway = Gateway::new(&settings(h2::provider(100, play), ""));
        let look = || {
            full.wait("the provider can't send any more");
            let held = went.load(Ordering::SeqCst);
            assert!(held < 24 << 20, "{held} bytes are held");
            for _ in 0..20 {
                let reply = gateway.call(Door::Chat.call(false));
                assert_eq!(reply.text(), Door::Chat.answer_body());
            }
            assert_eq!(
                connections.load(Ordering::SeqCst),
                1,
                "all on one connection"
            );
        };
        if caller_speaks_two {
            h2::block_on(async {
                let mut sender = h2::connect(gateway.address).await;
                let request = h2::post(Door::Chat.path(), &[]);
                let (answer, mut sending) = sender.send_request(request, false).unwrap();
                sending
                    .send_data(Door::Chat.body(true).into(), true)
                    .unwrap();
                let unread = answer.await.unwrap();
                look();
                drop(unread);
            });
        } else {
            let mut client = gateway.client();
            client.send(Door::Chat.call(true));
            assert_eq!(client.answer().status, 200);
            look();
        }
    }
}

/// A refused stream was certainly not acted on: it is sent again, unasked.
#[test]
fn a_stream_that_a_provider_refuses_is_sent_again() {
    let first = Arc::new(AtomicBool::new(true));
    let play: Play = Arc::new(move |mut asked: Asked| {
        if first.swap(false, Ordering::SeqCst) {
            asked.respond.send_reset(::h2::Reason::REFUSED_STREAM);
        } else {
            answers(asked);
        }
        done(false)
    });
    let gateway = Gateway::new(&settings(h2::provider(100, play), ""));
    let reply = gateway.call(Door::Chat.call(false));
    assert_eq!(reply.text(), Door::Chat.answer_body());
    assert_eq!(reply.head.get("x-nowait-attempts"), Some("2"));
}

#[test]
fn trailers_of_a_provider_reach_a_caller_who_takes_them() {
    let play: Play = Arc::new(|mut asked: Asked| {
        let head = Response::builder().body(()).unwrap();
        let mut sending = asked.respond.send_response(head, false).unwrap();
        sending
            .send_data(Bytes::from_static(b"bytes"), false)
            .unwrap();
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-checksum", "1".parse().unwrap());
        sending.send_trailers(trailers).unwrap();
        done(false)
    });
    let gateway = Gateway::new(&settings(h2::provider(100, play), ""));
    let answer = h2::block_on(async {
        let mut sender = h2::connect(gateway.address).await;
        h2::call(&mut sender, h2::post("/up/v1/files", &[]), "x").await
    })
    .unwrap();
    let trailers = answer.trailers.expect("trailers");
    assert_eq!(trailers["x-checksum"], "1");
    assert!(trailers.contains_key("server-timing"));
    assert_eq!(answer.body, b"bytes");
    // A caller of HTTP/1.1 gets the answer all the same.
    let reply = gateway.call(crate::harness::client::post("/up/v1/files", &[], "x"));
    assert_eq!((reply.text().as_str(), reply.whole), ("bytes", true));
}

#[test]
fn too_much_over_http_2_is_refused_stream_by_stream() {
    let upstream = Upstream::new([vec![Step::Send(Door::Chat.answer())]]);
    let gateway = Gateway::with_server("max_body = \"1MiB\"", &both(upstream.address));
    h2::block_on(async {
        let mut sender = h2::connect(gateway.address).await;
        let request = h2::post(Door::Chat.path(), &[]);
        let (answer, mut sending) = sender.send_request(request, false).unwrap();
        sending.send_data(vec![b'x'; 3 << 20].into(), true).unwrap();
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 413);
        let body = answer.into_body().data().await.unwrap().unwrap();
        assert!(String::from_utf8_lossy(&body).contains("request_too_large"));

        let mut request = h2::post(Door::Chat.path(), &[]);
        for n in 0..10_000 {
            let name = http::HeaderName::try_from(format!("x-{n}")).unwrap();
            request.headers_mut().insert(name, n.into());
        }
        match h2::call(&mut sender, request, Door::Chat.body(false)).await {
            Ok(answer) => assert_eq!(answer.head.status, 431),
            Err(refused) => assert!(refused.is_reset() || refused.is_go_away(), "{refused}"),
        }

        let mut sender = h2::connect(gateway.address).await;
        let request = h2::post(Door::Chat.path(), &[]);
        let answer = h2::call(&mut sender, request, Door::Chat.body(false))
            .await
            .unwrap();
        assert_eq!(answer.body, Door::Chat.answer_body().as_bytes());
    });
}
