//! Every recorded answer, stream and error, played by a provider of its own
//! dialect to callers of each other one: what they are told is what translating
//! it says, and it ends as it should.

use std::fs;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response};
use nowait::dialect::Ending;
use nowait::dialect::translate::{
    Exchange, Quirks, Stream, Target, Wire, answer, failure, request,
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{UNSHARED, named};
use crate::recordings::{format_of, frames_of, json_files, recordings, text_at};
use crate::stage::scripted::{Played, Scripted, json as answer_json};
use crate::stage::{Answer, Stage, call, post};
use crate::translating::{gather, wire_of};

/// An answer to be played, and who asks for it.
struct Case {
    name: String,
    provider: Wire,
    client: Wire,
    status: u16,
    retry_after: Option<String>,
    body: String,
    streamed: bool,
}

#[tokio::test]
async fn recorded_answers_reach_callers_of_every_other_dialect() {
    let Some(root) = recordings() else {
        println!("no recordings found (NOWAIT_RECORDINGS is unset): nothing played");
        return;
    };
    let mut cases = Vec::new();
    for path in json_files(&root) {
        let record: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let name = path.strip_prefix(&root).unwrap().display().to_string();
        cases.extend(cases_of(&name, &record));
    }
    let cases: Arc<[Case]> = cases.into();
    let provider = {
        let cases = Arc::clone(&cases);
        Scripted::start(move |seen| {
            let id = seen.header("x-request-id");
            let at = id.strip_prefix("case-").and_then(|at| at.parse().ok());
            let answer = match at {
                Some(at) => play(at, &cases[at]),
                // nowait asks for lists of models by itself.
                None => answer_json(404, "{}"),
            };
            async move { answer }
        })
        .await
    };
    let mut config = UNSHARED.to_owned();
    for (name, base) in [("openai", "/v1"), ("anthropic", ""), ("gemini", "")] {
        config.push_str(&format!(
            "\n[providers.{name}]\ndialect = \"{name}\"\napi_key = \"sk\"\nbase_url = \"{}\"\npool.warm = 0\n",
            provider.base(base)
        ));
    }
    let stage = Stage::set(&config);
    let permits = Arc::new(Semaphore::new(16));
    let mut running = JoinSet::new();
    for at in 0..cases.len() {
        let permit = Arc::clone(&permits).acquire_owned().await.unwrap();
        let (cases, address) = (Arc::clone(&cases), stage.address());
        running.spawn(async move {
            let request = named(cases[at].call(), &format!("case-{at}"));
            let answer = call(address, request).await;
            drop(permit);
            cases[at].check(at, &answer);
        });
    }
    running.join_all().await;
    println!("{} answers played", cases.len());
    for client in [Wire::Chat, Wire::Messages, Wire::Responses] {
        assert!(cases.iter().any(|case| case.client == client), "{client:?}");
    }
}

fn cases_of(name: &str, record: &Value) -> Vec<Case> {
    let response = &record["response"];
    let status = response["status"].as_u64().unwrap_or(200) as u16;
    let Some(provider) = wire_of(record, format_of(record)) else {
        return Vec::new();
    };
    // Nobody is asked in these for a caller of another format.
    let is_asked = !matches!(provider, Wire::Responses | Wire::Completions);
    if !is_asked || (status != 200 && status < 400) {
        return Vec::new();
    }
    let stream = response["sse"].as_str().map(str::to_owned);
    let streamed = stream.is_some();
    let Some(body) = stream.or_else(|| text_at(response)) else {
        return Vec::new();
    };
    let clients = [Wire::Chat, Wire::Messages, Wire::Responses];
    let others = clients
        .into_iter()
        .filter(|client| client.dialect() != provider.dialect());
    let retry_after = &response["headers"]["retry-after"];
    others
        .map(|client| Case {
            name: name.to_owned(),
            provider,
            client,
            status,
            retry_after: retry_after.as_str().map(str::to_owned),
            body: body.clone(),
            streamed,
        })
        .collect()
}

fn play(at: usize, case: &Case) -> Response<Played> {
    let mut random = fastrand::Rng::with_seed(at as u64);
    let body = case.body.as_bytes();
    let (kind, played) = match case.streamed {
        true => {
            let most = [7, 300, 5000][at % 3];
            let played = Played::chunked(body, most, &mut random);
            ("text/event-stream", played)
        }
        false => (
            "application/json",
            Played::whole(Bytes::copy_from_slice(body)),
        ),
    };
    let mut response = Response::new(played);
    *response.status_mut() = case.status.try_into().unwrap();
    let mut header = |name, value: &str| {
        let name = HeaderName::from_static(name);
        let value = HeaderValue::from_str(value).unwrap();
        response.headers_mut().insert(name, value);
    };
    header("content-type", kind);
    if let Some(wait) = &case.retry_after {
        header("retry-after", wait);
    }
    response
}

impl Case {
    fn call(&self) -> http::Request<Bytes> {
        let model = format!("{}/m", self.provider.dialect().as_str());
        let messages = json!([{"role": "user", "content": "x"}]);
        let mut body = json!({"model": model, "stream": self.streamed});
        let (path, more) = match self.client {
            Wire::Messages => (
                "/v1/messages",
                json!({"max_tokens": 9, "messages": messages}),
            ),
            Wire::Responses => ("/v1/responses", json!({"input": "x", "store": false})),
            _ => (
                "/v1/chat/completions",
                json!({"messages": messages, "stream_options": {"include_usage": true}}),
            ),
        };
        let fields = more.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(fields);
        if !self.streamed {
            body.as_object_mut().unwrap().remove("stream_options");
        }
        post(path, body.to_string())
    }

    fn exchange(&self, at: usize) -> Exchange {
        let body = self.call().into_body();
        let target = Target {
            model: "m",
            quirks: Quirks::default(),
            marks_cache: false,
        };
        let id = format!("case-{at}");
        let asked = request(self.client, self.provider, &body, &target, &id, 1);
        let (_, exchange) = asked.unwrap_or_else(|error| panic!("{}: {error}", self.name));
        Exchange {
            include_usage: true,
            ..exchange
        }
    }

    /// Holds what the caller was told against what translating says.
    fn check(&self, at: usize, told: &Answer) {
        let exchange = self.exchange(at);
        let shown = format!("{} to {:?}: {}", self.name, self.client, told.text());
        assert!(told.broken.is_none(), "{shown}");
        if self.status >= 400 {
            let expected = failure(self.client, self.status, self.body.as_bytes(), &exchange);
            assert_eq!(told.status, expected.status, "{shown}");
            let expected: Value = serde_json::from_slice(&expected.body).unwrap();
            assert_eq!(told.json(), expected, "{shown}");
            if let Some(wait) = &self.retry_after {
                assert_eq!(told.header("retry-after"), wait, "{shown}");
            }
        } else if self.streamed {
            self.check_stream(&exchange, told, &shown);
        } else {
            match answer(self.provider, self.client, self.body.as_bytes(), &exchange) {
                Ok(expected) => {
                    assert_eq!(told.status, 200, "{shown}");
                    assert_eq!(
                        self.said(told.text()),
                        self.said_in(&expected.body),
                        "{shown}"
                    );
                }
                Err(_) => self.assert_error(told, &shown),
            }
        }
    }

    fn check_stream(&self, exchange: &Exchange, told: &Answer, shown: &str) {
        let mut stream = Stream::new(self.provider, self.client, exchange);
        let mut expected = Vec::new();
        stream.push(Bytes::copy_from_slice(self.body.as_bytes()), &mut expected);
        let ending = stream.end(&mut expected);
        if told.status != 200 {
            assert_eq!(ending, Ending::Failed, "{shown}");
            return self.assert_error(told, shown);
        }
        let heard = |text: &str| gather(self.client, &frames_of(text, &mut || usize::MAX));
        let expected = heard(std::str::from_utf8(&expected).unwrap());
        match (heard(told.text()), expected) {
            (Ok(told), Ok(expected)) => {
                assert_eq!(ending, Ending::Terminal, "{shown}");
                assert_eq!(told.choices, expected.choices, "{shown}");
                assert_eq!(told.usage, expected.usage, "{shown}");
            }
            (Err(_), Err(_)) => {
                for end in ["[DONE]", "message_stop", "response.completed"] {
                    assert!(!told.text().contains(end), "a made-up {end}: {shown}");
                }
            }
            (told, expected) => panic!("{told:?} instead of {expected:?}: {shown}"),
        }
    }

    /// All of an answer that doesn't depend on when it was given.
    fn said(&self, body: &str) -> String {
        let read = self
            .client
            .codec()
            .decode_answer(body, &Exchange::default());
        let read = read.unwrap_or_else(|| panic!("{}: {body}", self.name));
        format!("{:?} {:?} {:?}", read.choices, read.usage, read.model)
    }

    fn said_in(&self, body: &[u8]) -> String {
        self.said(std::str::from_utf8(body).unwrap())
    }

    fn assert_error(&self, told: &Answer, shown: &str) {
        assert!(told.status.as_u16() >= 400, "{shown}");
        assert!(told.json()["error"]["message"].is_string(), "{shown}");
    }
}
