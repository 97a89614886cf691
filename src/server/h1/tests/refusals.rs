//! Requests that are none, and bodies nobody wants.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_could_be_read_in_two_ways_is_refused_and_nothing_after_it_is_believed() {
    let many: String = (0..257).map(|at| format!("x-{at}: 1\r\n")).collect();
    let long = format!("x: {}\r\n", "y".repeat(MAX_HEAD));
    let target = "a".repeat(65_536);
    for (request, fields, status, words) in [
        (
            "POST /a HTTP/1.1",
            "content-length: 1\r\ntransfer-encoding: chunked\r\n",
            400,
            "both",
        ),
        (
            "POST /a HTTP/1.1",
            "content-length: 1\r\ncontent-length: 1\r\n",
            400,
            "several content-lengths",
        ),
        (
            "POST /a HTTP/1.1",
            "content-length: 1, 1\r\n",
            400,
            "content-length",
        ),
        (
            "POST /a HTTP/1.1",
            "content-length: +1\r\n",
            400,
            "content-length",
        ),
        (
            "POST /a HTTP/1.1",
            "content-length: 1 1\r\n",
            400,
            "content-length",
        ),
        (
            "POST /a HTTP/1.1",
            "content-length:\r\n",
            400,
            "content-length",
        ),
        (
            "POST /a HTTP/1.1",
            "content-length: 18446744073709551616\r\n",
            400,
            "content-length",
        ),
        (
            "POST /a HTTP/1.1",
            "transfer-encoding: gzip, chunked\r\n",
            400,
            "not chunked alone",
        ),
        (
            "POST /a HTTP/1.1",
            "transfer-encoding: chunked, identity\r\n",
            400,
            "not chunked alone",
        ),
        (
            "POST /a HTTP/1.1",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            400,
            "not chunked alone",
        ),
        (
            "POST /a HTTP/1.1",
            "transfer-encoding: xchunked\r\n",
            400,
            "not chunked alone",
        ),
        (
            "POST /a HTTP/1.1",
            "transfer-encoding:\r\n",
            400,
            "not chunked alone",
        ),
        (
            "POST /a HTTP/1.0",
            "transfer-encoding: chunked\r\n",
            400,
            "HTTP/1.0",
        ),
        (
            "POST /a HTTP/1.1",
            "content-length : 1\r\n",
            400,
            "no field's name",
        ),
        (
            "POST /a HTTP/1.1",
            "x: 1\r\n folded: 1\r\n",
            400,
            "no field's name",
        ),
        ("POST /a HTTP/1.1", "x: 1\n", 400, "CR LF"),
        ("POST /a HTTP/1.1", "x: a\0b\r\n", 400, "control byte"),
        ("POST /a HTTP/1.1", "x: a\rb\r\n", 400, "control byte"),
        ("POST /a HTTP/1.1", "x\r\n", 400, "no field's name"),
        ("POST /a HTTP/1.1", "host: y\r\n", 400, "several hosts"),
        ("POST  /a HTTP/1.1", "", 400, "first line"),
        ("POST a HTTP/1.1", "", 400, "target"),
        ("POST /a HTTP/1.1 ", "", 400, ""),
        ("CONNECT a:1 HTTP/1.1", "", 400, "target"),
        ("POST /a", "", 400, ""),
        ("PO(T /a HTTP/1.1", "", 400, "first line"),
        ("POST /a HTTP/2.0", "", 505, "send HTTP/1.1"),
        ("POST /a HTTP/1.2", "", 505, "send HTTP/1.1"),
        ("POST /a HTTP/1.1", &many, 431, "over 256 fields"),
        ("POST /a HTTP/1.1", &long, 431, "over 128 KiB"),
        (&format!("POST /{target} HTTP/1.1"), "", 414, ""),
    ] {
        let sent =
            format!("{request}\r\nhost: x\r\n{fields}\r\nGET /b HTTP/1.1\r\nhost: x\r\n\r\n");
        for size in [1_000, 7, usize::MAX] {
            let (heard, took) = hear(sent.as_bytes(), size.min(sent.len())).await;
            let shown = format!("{request:.40} {fields:.60?} by {size}: {heard}");
            assert!(heard.starts_with(&format!("HTTP/1.1 {status} ")), "{shown}");
            assert!(heard.contains("\r\nconnection: close\r\n"), "{shown}");
            assert!(heard.contains(words), "{shown}");
            assert_eq!(heard.matches("HTTP/1.1 ").count(), 1, "{shown}");
            assert!(took <= 5, "{shown}");
        }
    }
    for (hosts, status) in [
        ("", 400),
        ("host: a\r\nhost: a\r\n", 400),
        ("host: a b\r\n", 400),
        ("host: a, b\r\n", 400),
        ("host: a/b\r\n", 400),
        ("host: a@b\r\n", 400),
        ("host: [::1]:80\r\n", 200),
        ("host: a_b:80\r\n", 200),
    ] {
        let sent = format!("GET /a HTTP/1.1\r\n{hosts}\r\n");
        let (heard, _) = hear(sent.as_bytes(), usize::MAX).await;
        assert!(
            heard.starts_with(&format!("HTTP/1.1 {status} ")),
            "{hosts}: {heard}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_none_is_told_to_who_reads_it() {
    for (rest, words) in [
        ("zz\r\n", "no size"),
        ("1\nab", "no size"),
        ("1\r\nab", "does not end where it says"),
        ("1\r\na\r\n0\r\nx y\r\n\r\n", "what follows the last chunk"),
    ] {
        let sent = format!(
            "POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{rest}GET / HTTP/1.1\r\n\r\n"
        );
        for size in [1, 50, sent.len()] {
            let (heard, took) = hear(sent.as_bytes(), size).await;
            assert!(
                heard.starts_with("HTTP/1.1 400 ") && heard.contains(words),
                "{rest:?}: {heard}"
            );
            assert_eq!(
                (heard.matches("HTTP/1.1").count(), took),
                (1, 0),
                "{rest:?} by {size}: {heard}"
            );
        }
    }
    let (mut caller, _) = open(&Parrot::default());
    caller
        .write_all(b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nabc")
        .await
        .unwrap();
    caller.shutdown().await.unwrap();
    let mut heard = String::new();
    caller.read_to_string(&mut heard).await.unwrap();
    assert!(
        heard.ends_with("it ended before its announced end"),
        "{heard}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_refusal_arrives_before_the_body_is_read_and_a_short_rest_is_read_off() {
    let refused = "HTTP/1.1 401 Unauthorized\r\ndate: x\r\ncontent-length: 2\r\n";
    for (length, keeps) in [(10_000, true), (100_000_000, false)] {
        let (mut caller, end) = open(&Parrot::default());
        let head = format!("POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
        caller.write_all(head.as_bytes()).await.unwrap();
        let mut heard = vec![0; refused.len()];
        caller.read_exact(&mut heard).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&heard), refused);
        if keeps {
            let rest = vec![b'x'; length];
            caller.write_all(&rest).await.unwrap();
            caller
                .write_all(b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n")
                .await
                .unwrap();
            let mut heard = vec![0; "\r\nno".len() + said("GET /a ").len()];
            caller.read_exact(&mut heard).await.unwrap();
            assert!(heard.ends_with(said("GET /a ").as_bytes()));
        } else {
            // It writes on, a while, and nobody resets it.
            for _ in 0..300 {
                caller.write_all(&[b'x'; 10_000]).await.unwrap();
            }
            let mut heard = String::new();
            caller.read_to_string(&mut heard).await.unwrap();
            assert_eq!(heard, "connection: close\r\n\r\nno");
            let begun = Instant::now();
            end.await.unwrap();
            assert_eq!(begun.elapsed(), Duration::from_millis(500));
        }
    }
    // What was waited for in vain is not waited for again.
    let sent = "POST /impatient HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\n";
    let (heard, took) = hear(sent.as_bytes(), usize::MAX).await;
    assert!(heard.contains("connection: close") && took == 1, "{heard}");
}
