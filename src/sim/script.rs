//! An answer as its wire form: whole, or event by event.
//!
//! Every streamed form has the same shape: some events that open it, one event
//! per token, some that close it. What they look like is the business of the
//! children; the order is kept here. Nothing is rendered before it is due, so
//! an open stream holds its text and one event.

mod chat;
mod completions;
mod messages;
mod responses;

use std::fmt;

use bytes::{Bytes, BytesMut};

use super::answer::{Answer, Choice};
use super::ask::{Ask, Form};
use super::dice::Dice;

/// A call, its answer, and the names they go by.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) ask: Ask,
    pub(crate) answer: Answer,
    /// Twenty-four characters, the same in every id of this call.
    pub(crate) id: String,
    /// Seconds since 1970.
    pub(crate) created: u64,
    /// What stands in `system_fingerprint`.
    pub(crate) fingerprint: u64,
}

/// What comes next in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beat {
    /// An event that follows at once.
    Now,
    /// An event with a token that takes its time: any but the first.
    Token,
}

/// A streamed answer being told.
#[derive(Debug)]
pub(crate) struct Script {
    call: Call,
    wire: Wire,
    place: Place,
    /// Tokens rendered so far, over all choices.
    told: u64,
}

#[derive(Debug)]
enum Wire {
    Chat(chat::Chunks),
    Completions(completions::Chunks),
    Responses(responses::Events),
    Messages(messages::Events),
}

#[derive(Debug)]
enum Place {
    Opening(std::vec::IntoIter<Bytes>),
    Token { at: u64, choice: usize },
    Closing(std::vec::IntoIter<Bytes>),
}

/// The unstreamed form.
pub(crate) fn whole(call: &Call) -> Bytes {
    let json = match call.ask.form {
        Form::Chat => chat::whole(call),
        Form::Completions => completions::whole(call),
        Form::Responses => responses::whole(call),
        Form::Messages => messages::whole(call),
    };
    Bytes::from(json)
}

impl Script {
    /// The streamed form.
    pub(crate) fn new(call: Call) -> Self {
        let (wire, opening) = match call.ask.form {
            Form::Chat => {
                let chunks = chat::Chunks::new(&call);
                let opening = chunks.opening(&call);
                (Wire::Chat(chunks), opening)
            }
            Form::Completions => (
                Wire::Completions(completions::Chunks::new(&call)),
                Vec::new(),
            ),
            Form::Responses => {
                let mut events = responses::Events::new(&call);
                let opening = events.opening(&call);
                (Wire::Responses(events), opening)
            }
            Form::Messages => {
                let events = messages::Events::new(&call);
                let opening = events.opening(&call);
                (Wire::Messages(events), opening)
            }
        };
        let mut script = Self {
            call,
            wire,
            place: Place::Opening(opening.into_iter()),
            told: 0,
        };
        script.settle();
        script
    }

    /// What [`Script::render`] would write; nothing at the end.
    pub(crate) fn next(&self) -> Option<Beat> {
        match &self.place {
            Place::Opening(_) => Some(Beat::Now),
            Place::Token { at: 0, .. } => Some(Beat::Now),
            // Choices advance together: their tokens are computed in one step.
            Place::Token { choice, .. } if !self.leads(*choice) => Some(Beat::Now),
            Place::Token { .. } => Some(Beat::Token),
            Place::Closing(events) => (!events.as_slice().is_empty()).then_some(Beat::Now),
        }
    }

    /// Appends the next event.
    pub(crate) fn render(&mut self, out: &mut BytesMut) {
        match &mut self.place {
            Place::Opening(events) | Place::Closing(events) => {
                out.extend_from_slice(&events.next().unwrap_or_default());
            }
            &mut Place::Token { at, choice } => {
                let Self { call, wire, .. } = self;
                let choices = &call.answer.choices[choice];
                wire.delta(choice, choices, choices.text.token(at), out);
                self.told += 1;
                self.place = Place::Token {
                    at,
                    choice: choice + 1,
                };
            }
        }
        self.settle();
    }

    /// Writes an event with a token that the answer does not hold, and says
    /// where in it there is room for more of that token.
    pub(crate) fn render_oversized(&mut self, out: &mut BytesMut) -> usize {
        const TOKEN: &str = "oversized";
        if let Some(choice) = self.call.answer.choices.first() {
            self.wire.delta(0, choice, TOKEN, out);
        }
        let at = memchr::memmem::rfind(out, TOKEN.as_bytes());
        at.map_or(out.len(), |at| at + TOKEN.len())
    }

    /// The error event of this form, after `sent` others.
    pub(crate) fn error(&self, sent: u64, request_id: &str) -> Bytes {
        const MESSAGE: &str = "the simulated provider was told to fail here";
        Bytes::from(match &self.wire {
            Wire::Chat(_) | Wire::Completions(_) => format!(
                "data: {{\"error\":{{\"message\":\"{MESSAGE}\",\"type\":\"server_error\",\
                 \"param\":null,\"code\":null}}}}\n\n"
            ),
            Wire::Responses(_) => format!(
                "event: error\ndata: {{\"type\":\"error\",\"code\":\"server_error\",\
                 \"message\":\"{MESSAGE}\",\"param\":null,\"sequence_number\":{sent}}}\n\n"
            ),
            Wire::Messages(_) => format!(
                "event: error\ndata: {{\"type\":\"error\",\"error\":{{\"details\":null,\
                 \"type\":\"overloaded_error\",\"message\":\"Overloaded\"}},\
                 \"request_id\":\"{request_id}\"}}\n\n"
            ),
        })
    }

    /// How many tokens went out.
    pub(crate) fn told(&self) -> u64 {
        self.told
    }

    /// Whether this choice is the first that still has something to say at this
    /// place: the one the others wait for.
    fn leads(&self, choice: usize) -> bool {
        let Place::Token { at, .. } = self.place else {
            return false;
        };
        self.call.answer.choices[..choice]
            .iter()
            .all(|other| other.text.len() <= at)
    }

    /// Moves to the next place that has an event.
    fn settle(&mut self) {
        if let Place::Opening(events) = &self.place
            && events.as_slice().is_empty()
        {
            self.place = Place::Token { at: 0, choice: 0 };
        }
        while let Place::Token { at, choice } = self.place {
            let choices = &self.call.answer.choices;
            match choices[choice.min(choices.len())..]
                .iter()
                .position(|c| c.text.len() > at)
            {
                Some(skip) => {
                    self.place = Place::Token {
                        at,
                        choice: choice + skip,
                    };
                    return;
                }
                None if at + 1 < self.call.answer.longest() => {
                    self.place = Place::Token {
                        at: at + 1,
                        choice: 0,
                    };
                }
                None => {
                    let closing = self.wire.closing(&self.call);
                    self.place = Place::Closing(closing.into_iter());
                }
            }
        }
    }
}

impl Wire {
    fn delta(&mut self, at: usize, choice: &Choice, token: &str, out: &mut BytesMut) {
        match self {
            Self::Chat(chunks) => chunks.delta(at, choice, token, out),
            Self::Completions(chunks) => chunks.delta(at, token, out),
            Self::Responses(events) => events.delta(choice, token, out),
            Self::Messages(events) => events.delta(choice, token, out),
        }
    }

    fn closing(&mut self, call: &Call) -> Vec<Bytes> {
        match self {
            Self::Chat(chunks) => chunks.closing(call),
            Self::Completions(chunks) => chunks.closing(call),
            Self::Responses(events) => events.closing(call),
            Self::Messages(events) => events.closing(call),
        }
    }
}

/// Characters for ids and padding.
pub(crate) const ALPHABET: &[u8; 62] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// An id of `length` letters and digits.
pub(crate) fn id(length: usize, dice: &mut Dice) -> String {
    (0..length)
        .map(|_| char::from(ALPHABET[dice.below(ALPHABET.len())]))
        .collect()
}

/// A text as a JSON string, quotes included.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_plain(self.0) {
            write!(f, "\"{}\"", self.0)
        } else {
            write!(f, "{}", serde_json::Value::from(self.0))
        }
    }
}

/// Appends a text as a JSON string.
fn quote(text: &str, out: &mut BytesMut) {
    if is_plain(text) {
        out.extend_from_slice(b"\"");
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(b"\"");
    } else {
        out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
    }
}

/// Whether JSON would escape nothing of it.
fn is_plain(text: &str) -> bool {
    !text
        .bytes()
        .any(|byte| byte < b' ' || byte == b'"' || byte == b'\\')
}

#[cfg(test)]
mod tests;
