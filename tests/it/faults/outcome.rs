//! What a caller got, told in a few words.

use std::fmt;

use serde_json::Value;

use super::ATTEMPTS;
use crate::stage::Answer;

/// How answers and errors of an endpoint look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Chat,
    Responses,
    Embeddings,
    Messages,
    Plain,
    Batch,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) ending: Ending,
    /// Calls upstream; none is told of an item of a batch.
    pub(crate) calls: Option<u32>,
    /// Its caller is told not to try again.
    is_spent: bool,
    status: u16,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With all of an answer.
    Whole,
    /// With nowait's own error.
    Ours(u16, String),
    /// With the provider's error.
    Theirs(u16),
    /// Within a stream, with nowait's error event of this code.
    Event(String),
    /// Within a stream, with the provider's error event.
    TheirEvent,
    /// With the compressed bytes of the provider, and the header that says so.
    Compressed,
    /// With what no caller understands.
    Wrong(String),
}

impl Outcome {
    pub(crate) fn of(answer: &Answer, form: Form, streamed: bool) -> Self {
        let ending = match (&answer.broken, answer.status.as_u16()) {
            (Some(fault), _) => Ending::Wrong(format!("cut: {fault}")),
            (None, 200) if answer.header("content-encoding") == "gzip" => Ending::Compressed,
            (None, 200) if streamed => stream(answer, form),
            (None, 200) => whole(answer, form),
            (None, status) => error(answer, form, status),
        };
        Self {
            ending,
            calls: answer.header("x-nowait-attempts").parse().ok(),
            is_spent: answer.header("x-should-retry") == "false",
            status: answer.status.as_u16(),
        }
    }

    /// What is never right, whatever the fault.
    pub(crate) fn complaint(&self, fault: &str) -> Option<String> {
        let fails = self.status >= 400;
        let calls = self.calls.unwrap_or(1);
        match &self.ending {
            Ending::Wrong(what) => Some(what.clone()),
            Ending::Compressed if fault != "gzip" => Some("compressed out of nowhere".to_owned()),
            Ending::Ours(500, code) => Some(format!("a bug of nowait's: {code}")),
            // Of an answer in one piece its error event is a 500.
            Ending::Theirs(status)
                if !(fault.starts_with(&status.to_string())
                    || fault.starts_with("error@") && *status == 500) =>
            {
                Some(format!("status {status} out of nowhere"))
            }
            _ if calls > ATTEMPTS => Some(format!("{calls} calls upstream")),
            _ if fails && calls == ATTEMPTS && !self.is_spent => {
                Some("its retries are spent and nobody says so".to_owned())
            }
            _ if calls == 1 && self.is_spent => Some("retries are spent that were none".to_owned()),
            _ => None,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.ending {
            Ending::Whole => f.write_str("ok")?,
            Ending::Ours(status, code) => write!(f, "{status} `{code}`")?,
            Ending::Theirs(status) => write!(f, "{status}")?,
            Ending::Event(code) => write!(f, "event `{code}`")?,
            Ending::TheirEvent => f.write_str("its event")?,
            Ending::Compressed => f.write_str("as it came")?,
            Ending::Wrong(what) => write!(f, "WRONG {what}")?,
        }
        match self.calls {
            Some(calls) if calls > 1 => write!(f, " ×{calls}"),
            _ => Ok(()),
        }
    }
}

/// An answer in one piece, with status 200.
fn whole(answer: &Answer, form: Form) -> Ending {
    let Ok(body) = serde_json::from_slice::<Value>(&answer.body) else {
        return Ending::Wrong(format!("not JSON: {}", shown(answer)));
    };
    let is_whole = match form {
        Form::Chat => body["choices"].is_array(),
        Form::Responses => body["status"] == "completed",
        Form::Embeddings => body["data"].is_array(),
        Form::Messages => body["content"].is_array() || body["input_tokens"].is_u64(),
        Form::Plain => body["response"].is_string(),
        Form::Batch => return item(&body["responses"][0]),
    };
    match is_whole {
        true => Ending::Whole,
        false => Ending::Wrong(format!("half an answer: {}", shown(answer))),
    }
}

/// An item of a batch.
fn item(item: &Value) -> Ending {
    let error = &item["error"];
    match (item["response"].is_string(), error.is_object()) {
        (true, false) => Ending::Whole,
        (false, true) => problem(error),
        _ => Ending::Wrong(format!("neither an answer nor an error: {item}")),
    }
}

/// The problem of the plain endpoints: a provider's error is wrapped in one.
fn problem(body: &Value) -> Ending {
    let status = body["status"]
        .as_u64()
        .and_then(|status| u16::try_from(status).ok());
    match (status, body["code"].as_str()) {
        // Ours are of no provider's making.
        (Some(status), _) if body["provider"].is_string() => Ending::Theirs(status),
        (Some(status), Some(code)) => Ending::Ours(status, code.to_owned()),
        _ => Ending::Wrong(format!("not a problem: {body}")),
    }
}

/// An answer with another status, which has to be an error of the caller's
/// dialect.
fn error(answer: &Answer, form: Form, status: u16) -> Ending {
    let Ok(body) = serde_json::from_slice::<Value>(&answer.body) else {
        return Ending::Wrong(format!("{status}, not JSON: {}", shown(answer)));
    };
    let kind = answer.header("content-type");
    match form {
        Form::Plain | Form::Batch if kind == "application/problem+json" => problem(&body),
        Form::Messages if body["type"] == "error" => match is_ours(&body["error"]) {
            // Anthropic's form has no codes.
            true => Ending::Ours(status, text(&body["error"]["type"])),
            false => Ending::Theirs(status),
        },
        Form::Chat | Form::Responses | Form::Embeddings if body["error"].is_object() => {
            match is_ours(&body["error"]) {
                true => Ending::Ours(status, text(&body["error"]["code"])),
                false => Ending::Theirs(status),
            }
        }
        _ => Ending::Wrong(format!("{status} in another dialect: {}", shown(answer))),
    }
}

/// Whether an error is nowait's own: it is none of the simulated provider's.
fn is_ours(error: &Value) -> bool {
    let theirs = [
        "the simulated provider was told",
        "the api key is not one of this provider's",
        "the model does not exist",
        "the rate limit is used up",
    ];
    let message = text(&error["message"]);
    !theirs.iter().any(|said| message.starts_with(said))
        && !message.eq_ignore_ascii_case("overloaded")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A stream, by its last frame.
fn stream(answer: &Answer, form: Form) -> Ending {
    let body = String::from_utf8_lossy(&answer.body);
    let frames: Vec<&str> = body.split("\n\n").filter(|it| !it.is_empty()).collect();
    let last = frames.last().copied().unwrap_or_default();
    let mut event = "";
    let mut data = "";
    for line in last.lines() {
        if let Some(name) = line.strip_prefix("event: ") {
            event = name;
        }
        if let Some(text) = line.strip_prefix("data: ") {
            data = text;
        }
    }
    let json = serde_json::from_str::<Value>(data).unwrap_or_default();
    let terminal = match form {
        Form::Chat => "data: [DONE]",
        Form::Responses => "event: response.completed",
        Form::Messages => "event: message_stop",
        _ => "event: done",
    };
    let terminals = frames.iter().filter(|it| it.starts_with(terminal)).count();
    let is_error = match form {
        Form::Chat => json["error"].is_object(),
        Form::Responses => event == "error" || event == "response.failed",
        _ => event == "error",
    };
    match (terminals, last.starts_with(terminal), is_error) {
        (1, true, _) => Ending::Whole,
        (0, _, true) => broke_off(&json, form),
        _ => Ending::Wrong(format!("a stream that ends in {last:?}")),
    }
}

/// What the error event in which a stream ends is about.
fn broke_off(event: &Value, form: Form) -> Ending {
    let (error, code) = match form {
        Form::Plain if event["provider"].is_string() => return Ending::TheirEvent,
        Form::Plain => return Ending::Event(text(&event["code"])),
        Form::Responses if event["response"].is_object() => (
            &event["response"]["error"],
            &event["response"]["error"]["code"],
        ),
        Form::Responses => (event, &event["code"]),
        Form::Messages => (&event["error"], &event["error"]["type"]),
        _ => (&event["error"], &event["error"]["code"]),
    };
    match is_ours(error) {
        true => Ending::Event(text(code)),
        false => Ending::TheirEvent,
    }
}

fn shown(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body)
        .chars()
        .take(200)
        .collect()
}
