//! Requests that are read and answered.

use super::*;

#[tokio::test(start_paused = true)]
async fn requests_are_read_and_answered_however_they_are_cut() {
    let get = "GET /a?b HTTP/1.1\r\nhost: x\r\n\r\n";
    let (echo, chunked) = (
        "POST /a HTTP/1.1\r\nHost: x\r\n",
        "transfer-encoding: Chunked\r\n\r\n",
    );
    let last = "connection: close\r\n";
    let close = |text: &str| said(text).replacen("\r\n\r\n", "\r\nconnection: close\r\n\r\n", 1);
    let streamed = "HTTP/1.1 200 OK\r\ndate: x\r\ntransfer-encoding: chunked\r\n\r\n";
    for (sent, heard, took) in [
        (get.to_owned(), said("GET /a?b "), IDLE),
        (format!("\r\n{get}"), said("GET /a?b "), IDLE),
        (get.repeat(3), said("GET /a?b ").repeat(3), IDLE),
        (
            format!("{echo}content-length: 3\r\n\r\nabc"),
            said("POST /a abc"),
            IDLE,
        ),
        (
            format!("{echo}content-length: 3\r\n\r\nabc{get}"),
            said("POST /a abc") + &said("GET /a?b "),
            IDLE,
        ),
        (
            format!("{echo}{chunked}1;x=y\r\na\r\n2\r\nbc\r\n0\r\nx: y\r\n\r\n{get}"),
            said("POST /a abc") + &said("GET /a?b "),
            IDLE,
        ),
        (
            format!("{echo}{last}content-length: 3\r\n\r\nabc{get}"),
            close("POST /a abc"),
            0,
        ),
        (
            "GET http://other/a HTTP/1.1\r\nhost: x\r\n\r\n".into(),
            said("GET /a "),
            IDLE,
        ),
        (
            "GET http://other HTTP/1.1\r\nhost: x\r\n\r\n".into(),
            said("GET / "),
            IDLE,
        ),
        (
            "OPTIONS * HTTP/1.1\r\nhost:\r\n\r\n".into(),
            said("OPTIONS * "),
            IDLE,
        ),
        // HTTP/1.0 (RFC 9112, appendix C.2.2).
        ("GET /a HTTP/1.0\r\n\r\n".into(), close("GET /a "), 0),
        (
            "GET /a HTTP/1.0\r\nconnection: keep-alive\r\n\r\n".into(),
            said("GET /a ").replacen("\r\n\r\n", "\r\nconnection: keep-alive\r\n\r\n", 1),
            IDLE,
        ),
        (
            "GET /stream HTTP/1.0\r\nconnection: keep-alive\r\n\r\n".into(),
            "HTTP/1.1 200 OK\r\ndate: x\r\nconnection: close\r\n\r\nabc".into(),
            0,
        ),
        // How answers are framed.
        (
            "GET /stream HTTP/1.1\r\nhost: x\r\n\r\n".into(),
            format!("{streamed}1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"),
            IDLE,
        ),
        (
            "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n".into(),
            format!("{streamed}1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n"),
            10 + IDLE,
        ),
        (
            "GET /trailers HTTP/1.1\r\nhost: x\r\n\r\n".into(),
            format!(
                "{}1\r\na\r\n0\r\nx-late: 1\r\n\r\n",
                streamed.replace("date", "trailer: x-late\r\ndate")
            ),
            IDLE,
        ),
        (
            "GET /length HTTP/1.1\r\nhost: x\r\n\r\n".into(),
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ndate: x\r\n\r\nabc".into(),
            IDLE,
        ),
        (
            "GET /theirs HTTP/1.1\r\nhost: x\r\n\r\n".into(),
            "HTTP/1.1 200 OK\r\nx-y: 1\r\ndate: x\r\ncontent-length: 1\r\n\r\na".into(),
            IDLE,
        ),
        (
            "GET /204 HTTP/1.1\r\nhost: x\r\n\r\n".into(),
            "HTTP/1.1 204 No Content\r\ndate: x\r\n\r\n".into(),
            IDLE,
        ),
        (
            "GET /304 HTTP/1.1\r\nhost: x\r\n\r\n".into(),
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\ndate: x\r\n\r\n".into(),
            IDLE,
        ),
        (
            "HEAD /a HTTP/1.1\r\nhost: x\r\n\r\n".into(),
            "HTTP/1.1 200 OK\r\ndate: x\r\ncontent-length: 8\r\n\r\n".into(),
            IDLE,
        ),
        (
            "HEAD /length HTTP/1.1\r\nhost: x\r\n\r\n".into(),
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ndate: x\r\n\r\n".into(),
            IDLE,
        ),
        (
            "HEAD /stream HTTP/1.1\r\nhost: x\r\n\r\n".into(),
            "HTTP/1.1 200 OK\r\ndate: x\r\n\r\n".into(),
            IDLE,
        ),
        // What breaks off looks broken.
        (
            "GET /broken HTTP/1.1\r\nhost: x\r\n\r\n".into(),
            format!("{streamed}1\r\na\r\n"),
            0,
        ),
        (
            "GET /short HTTP/1.1\r\nhost: x\r\n\r\n".into(),
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ndate: x\r\n\r\nab".into(),
            0,
        ),
    ] {
        for size in [1, 2, 3, 7, sent.len()] {
            let (said, after) = hear(sent.as_bytes(), size).await;
            assert_eq!(
                (said.as_str(), after),
                (heard.as_str(), took),
                "{sent:?} by {size}"
            );
        }
    }
}
