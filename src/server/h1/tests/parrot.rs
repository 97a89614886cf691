//! A service that answers as the path says.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::http1::Fields;
use crate::server::h1::*;
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;

/// Answers by path, as the path says.
#[derive(Clone, Default)]
pub(super) struct Parrot {
    pub(super) drain: Arc<Drain>,
    /// Answers that were not waited for to their end.
    pub(super) left: Arc<AtomicUsize>,
}

/// A body by script.
pub(super) struct Script {
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
