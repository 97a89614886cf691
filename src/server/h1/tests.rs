//! Raw bytes in, raw bytes out, on virtual time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::task::JoinHandle;

use super::*;
use crate::http1::Fields;

/// Answers by path, as the path says.
#[derive(Clone, Default)]
struct Parrot {
    drain: Arc<Drain>,
    /// Answers that were not waited for to their end.
    left: Arc<AtomicUsize>,
}

/// A body by script.
struct Script {
    steps: VecDeque<Step>,
    length: Option<u64>,
    left: Left,
}

enum Step {
    Send(&'static str),
    Say(Bytes),
    Wait(Pin<Box<tokio::time::Sleep>>),
    Trail,
    Break,
}

/// Counts itself when it is dropped.
struct Left(Option<Arc<AtomicUsize>>);

impl Drop for Left {
    fn drop(&mut self) {
        if let Some(count) = self.0.take() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = ();

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ()>>> {
        let script = self.get_mut();
        if let Some(Step::Wait(sleep)) = script.steps.front_mut() {
            ready!(sleep.as_mut().poll(cx));
            script.steps.pop_front();
        }
        Poll::Ready(match script.steps.pop_front() {
            None => {
                script.left.0 = None;
                None
            }
            Some(Step::Send(text)) => Some(Ok(Frame::data(text.into()))),
            Some(Step::Say(bytes)) => Some(Ok(Frame::data(bytes))),
            Some(Step::Wait(_)) => unreachable!("two waits behind each other"),
            Some(Step::Trail) => {
                let mut fields = HeaderMap::new();
                fields.insert("x-late", "1".parse().unwrap());
                fields.insert("content-length", "7".parse().unwrap());
                Some(Ok(Frame::trailers(fields)))
            }
            Some(Step::Break) => Some(Err(())),
        })
    }

    fn size_hint(&self) -> SizeHint {
        self.length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

fn wait(seconds: u64) -> Step {
    Step::Wait(Box::pin(tokio::time::sleep(Duration::from_secs(seconds))))
}

impl Parrot {
    fn say(&self, status: u16, text: impl Into<Bytes>) -> Response<Script> {
        let text = text.into();
        let length = text.len() as u64;
        let mut answer = self.play(status, &[], [Step::Say(text)]);
        answer.body.length = Some(length);
        answer
    }

    fn play(
        &self,
        status: u16,
        fields: &[(&str, &str)],
        steps: impl Into<VecDeque<Step>>,
    ) -> Response<Script> {
        let date = [("date", "x")];
        Response {
            status: StatusCode::from_u16(status).unwrap(),
            fields: fields.iter().chain(&date).copied().collect::<Fields>(),
            body: Script {
                steps: steps.into(),
                length: None,
                left: Left(None),
            },
        }
    }
}

impl Service for Parrot {
    type Body = Script;

    async fn answer(&self, head: Head, mut body: Incoming) -> Response<Script> {
        use Step::{Break, Send, Trail};
        let length = ("content-length", "3");
        match head.path() {
            "/early" => self.say(401, "no"),
            "/late" => {
                tokio::time::sleep(Duration::from_secs(20)).await;
                self.say(200, "late")
            }
            "/never" => {
                let _left = Left(Some(Arc::clone(&self.left)));
                std::future::pending().await
            }
            "/impatient" => {
                let _ = timeout(Duration::from_secs(1), body.frame()).await;
                self.say(408, "late")
            }
            "/204" => self.play(204, &[("content-length", "0")], []),
            "/304" => self.play(304, &[("content-length", "9")], []),
            "/stream" => self.play(200, &[], [Send("a"), Send(""), Send("bc")]),
            "/slow" => self.play(
                200,
                &[],
                [Send("a"), wait(5), Send("b"), wait(10), Send("c")],
            ),
            "/endless" => {
                let mut answer = self.play(200, &[], [Send("a"), wait(1 << 20)]);
                answer.body.left = Left(Some(Arc::clone(&self.left)));
                answer
            }
            "/trailers" => self.play(200, &[("trailer", "x-late")], [Send("a"), Trail]),
            "/length" => self.play(200, &[length], [Send("a"), Send("bc")]),
            "/short" => self.play(200, &[length], [Send("ab")]),
            "/long" => self.play(200, &[length], [Send("abcd")]),
            "/broken" => self.play(200, &[], [Send("a"), Break]),
            "/theirs" => {
                let theirs = [
                    ("connection", "x"),
                    ("transfer-encoding", "gzip"),
                    ("content-length", "9"),
                    ("x-y", "1"),
                ];
                let mut answer = self.play(200, &theirs, [Send("a")]);
                answer.body.length = Some(1);
                answer
            }
            "/large" => self.say(200, vec![b'x'; 1 << 20]),
            _ => match body.collect().await {
                Ok(body) => {
                    let mut text = format!("{} {} ", head.method, head.target).into_bytes();
                    text.extend(body.to_bytes());
                    self.say(200, text)
                }
                Err(why) => self.say(400, why.to_string()),
            },
        }
    }

    fn refuse(&self, head: &Head, why: &Error) -> Response<Script> {
        let text = format!("{} {} {}", head.method, head.path(), why.message());
        self.say(why.kind().status().as_u16(), text)
    }

    fn drain(&self) -> &Drain {
        &self.drain
    }
}

/// A caller, and the end of its connection.
fn open(parrot: &Parrot) -> (DuplexStream, JoinHandle<()>) {
    let (ours, theirs) = duplex(16 << 10);
    let parrot = parrot.clone();
    (
        ours,
        tokio::spawn(async move { serve(theirs, &parrot).await }),
    )
}

/// What a caller hears who says that and then nothing more, in pieces of so many
/// bytes, until the connection ends; and after how many seconds that is.
async fn hear(said: &[u8], size: usize) -> (String, u64) {
    let (mut caller, _) = open(&Parrot::default());
    let begun = Instant::now();
    for piece in said.chunks(size) {
        if caller.write_all(piece).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let mut heard = Vec::new();
    caller.read_to_end(&mut heard).await.unwrap();
    let took = begun.elapsed().as_secs();
    (String::from_utf8(heard).unwrap(), took)
}

/// The answer to what was said to the parrot.
fn said(text: &str) -> String {
    let length = text.len();
    format!("HTTP/1.1 200 OK\r\ndate: x\r\ncontent-length: {length}\r\n\r\n{text}")
}

const IDLE: u64 = IDLE_MAX.as_secs();

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
            "header name",
        ),
        ("POST /a HTTP/1.1", "x: 1\r\n folded: 1\r\n", 400, "header"),
        ("POST /a HTTP/1.1", "x: 1\n", 400, "CR LF"),
        ("POST /a HTTP/1.1", "x: a\0b\r\n", 400, "header value"),
        ("POST /a HTTP/1.1", "x: a\rb\r\n", 400, "header"),
        ("POST /a HTTP/1.1", "x\r\n", 400, "header name"),
        ("POST /a HTTP/1.1", "host: y\r\n", 400, "several hosts"),
        ("POST  /a HTTP/1.1", "", 400, "token"),
        ("POST a HTTP/1.1", "", 400, "target"),
        ("POST /a HTTP/1.1 ", "", 400, ""),
        ("CONNECT a:1 HTTP/1.1", "", 400, "target"),
        ("POST /a", "", 400, ""),
        ("PO(T /a HTTP/1.1", "", 400, "token"),
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
async fn a_head_has_its_time_and_a_silent_connection_has_more() {
    for (sent, took, status) in [
        ("", IDLE, ""),
        ("GET /a HT", 10, "408"),
        ("GET /a HTTP/1.1\r\nhost: x\r\n", 10, "408"),
        ("GET /a HTTP/1.1\r\nhost: x\r\n\r\nGET", 10, "408"),
    ] {
        let (heard, after) = hear(sent.as_bytes(), usize::MAX).await;
        assert_eq!(after, took, "{sent:?}");
        assert!(heard.contains(status), "{sent:?}: {heard}");
    }
    // The time counts from the first byte, and anew for each request.
    let (mut caller, end) = open(&Parrot::default());
    for turn in 0..3 {
        tokio::time::sleep(Duration::from_secs(70)).await;
        caller.write_all(b"GET /a HTTP/1.1\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_secs(9)).await;
        caller.write_all(b"host: x\r\n\r\n").await.unwrap();
        let mut heard = vec![0; said("GET /a ").len()];
        caller.read_exact(&mut heard).await.unwrap();
        assert_eq!(heard, said("GET /a ").as_bytes(), "{turn}");
    }
    let begun = Instant::now();
    end.await.unwrap();
    assert_eq!(begun.elapsed(), IDLE_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_asks_first_is_told_to_go_on_when_its_body_is_wanted() {
    let head = |path: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n"
        )
    };
    let (mut caller, _) = open(&Parrot::default());
    for _ in 0..2 {
        caller.write_all(head("/a").as_bytes()).await.unwrap();
        let mut word = [0; 25];
        caller.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"HTTP/1.1 100 Continue\r\n\r\n");
        caller.write_all(b"abc").await.unwrap();
        let mut heard = vec![0; said("POST /a abc").len()];
        caller.read_exact(&mut heard).await.unwrap();
        assert_eq!(heard, said("POST /a abc").as_bytes());
    }
    // Not where it is not wanted, nor where it came along, nor for HTTP/1.0.
    for (sent, close) in [
        (head("/early"), true),
        (head("/a") + "abc", false),
        (head("/a").replace("1.1", "1.0") + "abc", true),
    ] {
        let (heard, _) = hear(sent.as_bytes(), usize::MAX).await;
        assert!(!heard.contains(" 100 "), "{sent:?}: {heard}");
        assert_eq!(
            heard.contains("connection: close"),
            close,
            "{sent:?}: {heard}"
        );
    }
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

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_takes_its_call_along() {
    for path in ["/never", "/endless"] {
        let parrot = Parrot::default();
        let (mut caller, end) = open(&parrot);
        // The next request is there already, and read.
        let sent = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\nGET /a HTTP/1.1\r\n");
        caller.write_all(sent.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(300)).await;
        assert_eq!(parrot.left.load(Ordering::SeqCst), 0, "{path}");
        drop(caller);
        let begun = Instant::now();
        end.await.unwrap();
        assert_eq!(parrot.left.load(Ordering::SeqCst), 1, "{path}");
        assert!(begun.elapsed().is_zero(), "{path}: at once");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_read_ahead_is_bounded_and_in_order() {
    let (mut caller, _) = open(&Parrot::default());
    let get = "GET /a HTTP/1.1\r\nhost: x\r\n\r\n";
    caller
        .write_all(b"GET /late HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let flood = get.repeat(100_000);
    let mut sent = 0;
    let wait = Duration::from_secs(10);
    while let Ok(size) = timeout(wait, caller.write(&flood.as_bytes()[sent..])).await {
        sent += size.unwrap();
    }
    assert!(sent < 256 << 10, "{sent} bytes were taken");
    let mut late = vec![0; said("late").len()];
    caller.read_exact(&mut late).await.unwrap();
    assert_eq!(late, said("late").as_bytes());
    let (mut reading, mut writing) = tokio::io::split(caller);
    let last = sent + (get.len() - sent % get.len()) % get.len();
    let rest = flood[sent..last].to_owned();
    tokio::spawn(async move { writing.write_all(rest.as_bytes()).await });
    let mut heard = vec![0; last / get.len() * said("GET /a ").len()];
    reading.read_exact(&mut heard).await.unwrap();
    assert!(heard == said("GET /a ").repeat(last / get.len()).as_bytes());
}

#[tokio::test(start_paused = true)]
async fn an_answer_goes_no_faster_than_it_is_taken() {
    let (mut caller, _) = open(&Parrot::default());
    caller
        .write_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(300)).await;
    let mut heard = vec![0; said(&"x".repeat(1 << 20)).len()];
    for piece in heard.chunks_mut(3_001) {
        caller.read_exact(piece).await.unwrap();
    }
    assert!(heard == said(&"x".repeat(1 << 20)).as_bytes());
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_what_is_idle_and_finishes_what_is_begun() {
    for (sent, after, closes) in [
        ("", "", true),
        ("GET /a HTTP/1.1\r\nhost: x\r\n\r\n", "", true),
        ("GET /a HTTP/1.1\r\n", "host: x\r\n\r\n", false),
        ("GET /late HTTP/1.1\r\nhost: x\r\n\r\n", "", false),
        ("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n", "", false),
    ] {
        let parrot = Parrot::default();
        let (mut caller, end) = open(&parrot);
        caller.write_all(sent.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        parrot.drain.begin();
        let begun = Instant::now();
        if closes {
            end.await.unwrap();
            assert!(begun.elapsed().is_zero(), "{sent:?}");
            continue;
        }
        caller.write_all(after.as_bytes()).await.unwrap();
        let mut heard = String::new();
        caller.read_to_string(&mut heard).await.unwrap();
        assert!(
            heard.starts_with("HTTP/1.1 200 ") && begun.elapsed() < IDLE_MAX,
            "{heard}"
        );
        let told = heard.contains("connection: close");
        assert_eq!(
            told,
            !sent.contains("/slow"),
            "its head had gone out: {heard}"
        );
    }
}
