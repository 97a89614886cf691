//! `/generate/batch`: many prompts in one request, each asked by itself.
//!
//! Items run as tasks of their own, so many at once as the caller or the
//! configuration says. One that fails is an error in its place and nothing to
//! the others. A caller who leaves takes all of them along.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::endpoint::Flavour;
use super::generate::{self, Ask};
use super::ledger::Ledger;
use super::plain::Shape;
use super::reply::{Answered, Body};
use super::{Caller, Gateway, headers};
use crate::dialect::ErrorView;
use crate::dialect::error::problem_body;
use crate::dialect::loss::Losses;
use crate::error::{Error, Kind};
use crate::http1::Name;

/// The most items under way at once, whoever asks for more.
const CONCURRENCY_MAX: usize = 256;

/// Answers a batch: whole and in the order asked, or item by item.
pub(super) async fn answer(
    gateway: &Arc<Gateway>,
    caller: Caller,
    body: &[u8],
    ledger: &mut Ledger,
) -> Result<Answered, Error> {
    let Read {
        asks,
        concurrency,
        unknown,
    } = read(
        caller.query.as_deref(),
        body,
        gateway.config.batch.concurrency.get(),
    )?;
    for field in unknown {
        ledger.attempt.dropped.dropped(field);
    }
    let by_line = accepts_lines(&caller);
    let callees = gateway.routes.callees();
    let simulated = callees.iter().all(|callee| callee.provider.simulated);
    let items = Items {
        gateway: Arc::clone(gateway),
        caller: Arc::new(caller),
        waiting: asks
            .into_iter()
            .enumerate()
            .map(|(index, ask)| (index, ask, ledger.item(index)))
            .collect(),
        running: JoinSet::new(),
        concurrency,
    };
    let mut answered = if by_line {
        let mut answered = Answered::whole(StatusCode::OK, "application/x-ndjson", Bytes::new());
        answered.body = Body::Lines(Box::new(Lines(items)));
        headers::streaming(&mut answered.fields);
        answered
    } else {
        whole(items, ledger).await?
    };
    if simulated {
        headers::simulated(&mut answered.fields);
    }
    Ok(answered)
}

async fn whole(mut items: Items, ledger: &mut Ledger) -> Result<Answered, Error> {
    let asked = Instant::now();
    let mut answers: Vec<Option<Bytes>> = vec![None; items.waiting.len()];
    while let Some((index, done)) = std::future::poll_fn(|cx| items.poll_next(cx)).await {
        answers[index] = Some(done.answer);
        // What one target has no place for, others don't either: named once.
        ledger.attempt.dropped.extend(&done.dropped);
    }
    // What of it was the gateway's own is in the items' lines.
    ledger.attempt.waited += asked.elapsed();
    let mut out = b"{\"responses\":[".to_vec();
    for (index, answer) in answers.iter().flatten().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(answer);
    }
    out.extend_from_slice(b"]}");
    Ok(Answered::whole(StatusCode::OK, "application/json", out))
}

fn accepts_lines(caller: &Caller) -> bool {
    let mut kinds = caller.fields.all(Name::Accept);
    kinds.any(|kind| {
        let kind = kind.to_ascii_lowercase();
        memchr::memmem::find(&kind, b"application/x-ndjson").is_some()
    })
}

/// A batch as it was asked.
#[derive(Debug)]
struct Read {
    /// The batch's fields filled in where an item has none. An item that can't
    /// be read makes the whole a request that can't be: nothing is asked.
    asks: Vec<Ask>,
    concurrency: usize,
    /// Fields of nobody's: those of the batch by name, those of items by path.
    unknown: Vec<String>,
}

fn read(query: Option<&str>, body: &[u8], usual: usize) -> Result<Read, Error> {
    let mut defaults = generate::fields(query, body)?;
    let prompts = match defaults.remove("prompts") {
        Some(Value::Array(prompts)) => prompts,
        Some(_) => return Err(Error::invalid("prompts is not a list").param("prompts")),
        None => {
            return Err(
                Error::invalid("prompts is missing: send {\"prompts\": [\"…\", …]}")
                    .param("prompts"),
            );
        }
    };
    let concurrency = match defaults.remove("concurrency") {
        None | Some(Value::Null) => usual,
        Some(value) => value
            .as_u64()
            .or_else(|| value.as_str()?.parse().ok())
            .and_then(|n| usize::try_from(n).ok())
            .filter(|n| *n > 0)
            .ok_or_else(|| {
                Error::invalid("concurrency is not a whole number above zero").param("concurrency")
            })?,
    };
    let mut unknown = Vec::new();
    let asks = prompts
        .into_iter()
        .enumerate()
        .map(|(index, prompt)| {
            let path = format!("prompts[{index}]");
            let own = match prompt {
                Value::String(prompt) => {
                    Map::from_iter([("prompt".to_owned(), Value::String(prompt))])
                }
                Value::Object(own) => own,
                _ => {
                    return Err(Error::invalid(format!(
                        "{path} is neither a string nor an object"
                    ))
                    .param(path));
                }
            };
            let names: Vec<String> = own.keys().cloned().collect();
            let mut fields: Map<String, Value> = defaults.clone();
            fields.extend(own);
            let mut ask = Ask::read(&fields, &format!("{path}."))?;
            for field in ask.take_unknown() {
                let name = &field[path.len() + 1..];
                if names.iter().any(|own| own == name) {
                    unknown.push(field);
                } else if !unknown.iter().any(|known| known == name) {
                    unknown.push(name.to_owned());
                }
            }
            Ok(ask)
        })
        .collect::<Result<_, _>>()?;
    Ok(Read {
        asks,
        concurrency: concurrency.min(CONCURRENCY_MAX),
        unknown,
    })
}

/// What came of one item.
struct Done {
    /// JSON.
    answer: Bytes,
    /// Fields its target has no place for.
    dropped: Losses,
}

/// The items of one batch, each a ledger of its own.
struct Items {
    gateway: Arc<Gateway>,
    caller: Arc<Caller>,
    waiting: VecDeque<(usize, Ask, Ledger)>,
    /// Dropped with the batch, and its tasks with it.
    running: JoinSet<(usize, Done)>,
    concurrency: usize,
}

impl Items {
    /// The next item that finishes, as JSON; `None` after the last.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<(usize, Done)>> {
        while self.running.len() < self.concurrency {
            let Some((index, ask, ledger)) = self.waiting.pop_front() else {
                break;
            };
            let (gateway, caller) = (Arc::clone(&self.gateway), Arc::clone(&self.caller));
            self.running
                .spawn(async move { (index, item(gateway, &caller, ask, ledger).await) });
        }
        Poll::Ready(match ready!(self.running.poll_join_next(cx)) {
            None => None,
            Some(Ok(done)) => Some(done),
            // `item` catches its own panics, and nobody aborts its task.
            Some(Err(lost)) => std::panic::resume_unwind(Box::new(lost.to_string())),
        })
    }
}

async fn item(gateway: Arc<Gateway>, caller: &Arc<Caller>, ask: Ask, mut ledger: Ledger) -> Done {
    ledger.restart();
    let answering = generate::answer(
        &gateway,
        caller,
        ask,
        Flavour::Any,
        Shape::Whole,
        &mut ledger,
    );
    let outcome = super::Unpanicked(Box::pin(answering)).await;
    let answered = outcome.unwrap_or_else(|error| Answered::error(&error, None, &mut ledger));
    ledger.head_ready(answered.status);
    ledger.complete();
    let dropped = std::mem::take(&mut ledger.attempt.dropped);
    let Body::Whole(body) = answered.body else {
        let error = Error::new(Kind::Internal, "an item of a batch is not a whole answer");
        let answer = wrapped(&problem_body(&ErrorView::new(&error, "")));
        return Done { answer, dropped };
    };
    ledger.bytes_out = body.len() as u64;
    let answer = if answered.status.is_success() {
        body
    } else {
        wrapped(&body)
    };
    Done { answer, dropped }
}

fn wrapped(problem: &[u8]) -> Bytes {
    [b"{\"error\":", problem, b"}"].concat().into()
}

/// The items as lines, each as it finishes.
pub struct Lines(Items);

impl Lines {
    /// The next line; `None` after the last.
    pub fn poll_line(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some((index, done)) = ready!(self.0.poll_next(cx)) else {
            return Poll::Ready(None);
        };
        Poll::Ready(Some(numbered(index, &done.answer)))
    }
}

/// An answer with its index in front of its other fields.
fn numbered(index: usize, answer: &[u8]) -> Bytes {
    let rest = answer.strip_prefix(b"{").unwrap_or(answer);
    let mut line = format!("{{\"index\":{index},").into_bytes();
    line.extend_from_slice(rest);
    line.push(b'\n');
    line.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_take_what_they_do_not_say_from_the_batch() {
        let body = br#"{"model":"m","max_tokens":5,"prompts":["a",{"prompt":"b","model":"n"}],"concurrency":2}"#;
        let Read {
            asks, concurrency, ..
        } = read(None, body, 16).unwrap();
        assert_eq!(concurrency, 2);
        let one = |text: &str| {
            let fields = serde_json::from_str(text).unwrap();
            Ask::read(&fields, "").unwrap()
        };
        assert_eq!(
            asks,
            [
                one(r#"{"prompt":"a","model":"m","max_tokens":5}"#),
                one(r#"{"prompt":"b","model":"n","max_tokens":5}"#),
            ]
        );
    }

    #[test]
    fn fields_of_nobodys_are_named_once() {
        let body = br#"{"mood":"calm","prompts":["a",{"prompt":"b","mood":"wild"},{"prompt":"c","top_k":1}]}"#;
        let read = read(None, body, 16).unwrap();
        assert_eq!(
            read.unknown,
            ["mood", "prompts[1].mood", "prompts[2].top_k"]
        );
    }

    #[test]
    fn what_is_wrong_with_a_batch_is_named_by_path() {
        for (body, param) in [
            ("{}", "prompts"),
            (r#"{"prompts":"a"}"#, "prompts"),
            (r#"{"prompts":[1]}"#, "prompts[0]"),
            (
                r#"{"prompts":["a",{"prompt":"b","max_tokens":0}]}"#,
                "prompts[1].max_tokens",
            ),
            (r#"{"prompts":[{"model":"m"}]}"#, "prompts[0].prompt"),
            (r#"{"prompts":[],"concurrency":0}"#, "concurrency"),
        ] {
            let error = read(None, body.as_bytes(), 16).unwrap_err();
            assert_eq!(error.field(), Some(param), "{body}");
        }
    }

    #[test]
    fn a_line_is_its_answer_with_an_index() {
        let line = numbered(3, br#"{"response":"x"}"#);
        assert_eq!(line, "{\"index\":3,\"response\":\"x\"}\n");
    }
}
