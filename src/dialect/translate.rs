//! From one wire format to another, by way of [`crate::dialect::ir`].
//!
//! Only calls whose two sides speak different formats come here; where both
//! speak the same, bytes are passed on ([`crate::dialect::peek`],
//! [`crate::dialect::watch`]).
//!
//! # What the gateway calls
//!
//! [`request`] turns a caller's body into the provider's ([`Outgoing`]) and
//! gives the [`Exchange`], which the way back needs. Then one of [`answer`]
//! (a whole body), [`Stream`] (chunks in, the caller's frames out, as they
//! arrive) or [`failure`] (an error response). All are pure.
//!
//! OpenAI's embeddings and Messages' counts of tokens reach Gemini by [`embed`]
//! and [`count`], which need no form between.
//!
//! # What a format's folder fulfils
//!
//! One type that is a [`Codec`], in `dialect/<format>/`: six functions, each in
//! a file of its own, and one line in [`Wire::codec`].
//!
//! | file | holds |
//! |---|---|
//! | `<format>.rs` | the [`Codec`], the words both directions share |
//! | `<format>/ask.rs` | `decode_request` |
//! | `<format>/call.rs` | `encode_request` |
//! | `<format>/read.rs` | `decode_answer` |
//! | `<format>/write.rs` | `encode_answer`, `encode_failure` |
//! | `<format>/decoder.rs` | [`Decode`]: the provider's events into [`Event`]s |
//! | `<format>/encoder.rs` | [`Encode`]: [`Event`]s into the caller's frames |
//!
//! Rules for all of them:
//!
//! - **Nothing is lost in silence.** A decoder puts what it doesn't know into
//!   [`Request::unknown`]; an encoder takes [`crate::dialect::ir::Settings`]
//!   apart without `..` and, for every part and setting it can't say, calls
//!   [`Losses::dropped`] with its `at` or `path`. What would make the answer
//!   another than the one asked for (`n`, background, stored state) is an
//!   [`Error::invalid`] with `param`, which says what to change.
//! - **Nothing is made up**, but ids where the target wants one (see
//!   [`crate::dialect::ids`]) and the fields its schema requires.
//! - **`decode(encode(x)) == x`** for what both can express, so there is one
//!   way to say a thing in the IR; its types say which. A whole answer and
//!   its stream decode to the same ([`crate::dialect::ir::Gather`]).
//! - **Lenient in, strict out.** A decoder of answers takes whatever servers
//!   send (missing fields, nulls, unknown events); a decoder of requests
//!   refuses what isn't of its format, with the field's path; encoders write
//!   what the provider's own schema accepts.
//! - **No trees.** Read with [`crate::dialect::members::Members`] and
//!   [`crate::dialect::json::scan::Scan`], write with
//!   [`crate::dialect::members::ObjectWriter`]. Texts stay escaped
//!   ([`crate::dialect::ir::Text`]). An event's JSON is on one line.
//! - **Media, seals, foreign blocks** know their maker. An encoder writes a
//!   seal of its own maker as its format has it. It hands others through
//!   itself only in the caller's direction, tagged
//!   ([`crate::dialect::seals`]), so that they find back to their maker in a
//!   later turn; towards a provider a seal of another maker is dropped with
//!   its reasoning, which is a loss.
//!
//! Tests of a folder: golden files in `tests/golden/<dialect>/`, a round trip
//! of arbitrary values of the IR, a fuzz body, and the recordings.

#[cfg(test)]
pub(super) mod arbitrary;
mod retell;
mod stream;
mod whole;

pub use crate::dialect::gemini::{count, embed};
pub use crate::dialect::quirks::Quirks;
pub use stream::Stream;
#[doc(hidden)]
pub use stream::fuzz_streams;
pub use whole::{Refused, Translated, answer, failure, request};
#[doc(hidden)]
pub use whole::{fuzz_answers, fuzz_requests};

use std::borrow::Cow;

use crate::dialect::ir::{Answer, Event, Failure, Given, Place, Request, Text};
use crate::dialect::loss::Losses;
use crate::dialect::{Dialect, Format, chat, completions, gemini, ids, messages, responses};
use crate::error::Error;
use crate::sse;

/// A wire format that can be translated. Adding one is a variant and its line
/// in each of the functions below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wire {
    /// OpenAI's chat completions.
    Chat,
    /// Anthropic's Messages.
    Messages,
    /// Google's `generateContent`. Callers don't speak it: its body names
    /// neither the model nor whether to stream.
    Gemini,
    /// OpenAI's Responses.
    Responses,
    /// OpenAI's legacy completions: one prompt, no conversation. Callers speak
    /// it to providers that know only conversations; nobody is asked in it.
    Completions,
}

impl Wire {
    /// Every one that carries conversations.
    pub const ALL: [Self; 4] = [Self::Chat, Self::Messages, Self::Gemini, Self::Responses];

    /// How it is read and written.
    pub fn codec(self) -> &'static dyn Codec {
        match self {
            Self::Chat => &chat::Chat,
            Self::Messages => &messages::Messages,
            Self::Gemini => &gemini::Gemini,
            Self::Responses => &responses::Responses,
            Self::Completions => &completions::Completions,
        }
    }

    /// The form that calls of `format` have, if they can be translated.
    pub fn of(format: Format) -> Option<Self> {
        match format {
            Format::Chat => Some(Self::Chat),
            Format::Messages => Some(Self::Messages),
            Format::Responses => Some(Self::Responses),
            Format::Completions => Some(Self::Completions),
            Format::Embeddings | Format::CountTokens => None,
        }
    }

    /// The form in which a provider of `dialect` is asked what it doesn't take
    /// as it stands.
    pub fn native(dialect: Dialect) -> Option<Self> {
        match dialect {
            Dialect::OpenAi => Some(Self::Chat),
            Dialect::Anthropic => Some(Self::Messages),
            Dialect::Gemini => Some(Self::Gemini),
            Dialect::Sim => None,
        }
    }

    /// Whether calls of `format` can be written in it: conversations in any
    /// form, all else where there is a way ([`embed`], [`count`]).
    pub fn says(self, format: Format) -> bool {
        Self::of(format).is_some() || self == Self::Gemini
    }

    /// Whose it is.
    pub fn dialect(self) -> Dialect {
        match self {
            Self::Chat | Self::Responses | Self::Completions => Dialect::OpenAi,
            Self::Messages => Dialect::Anthropic,
            Self::Gemini => Dialect::Gemini,
        }
    }

    /// Its name in messages and in files of tests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Messages => "messages",
            Self::Gemini => "gemini",
            Self::Responses => "responses",
            Self::Completions => "completions",
        }
    }
}

/// A wire format as translation knows it.
pub trait Codec: Sync {
    /// Reads a caller's body. Refuses what isn't one, naming the field.
    fn decode_request<'a>(&self, body: &'a str) -> Result<Request<'a>, Error>;

    /// The same with what its answers repeat of the body, in the codec's own
    /// form: [`Exchange::asked`]. Nothing in most formats.
    fn decode_asked<'a>(&self, body: &'a str) -> Result<(Request<'a>, String), Error> {
        Ok((self.decode_request(body)?, String::new()))
    }

    /// Writes a call for `target` into `out`. Refuses what can't be asked of
    /// such a provider without asking something else, naming the field.
    fn encode_request(
        &self,
        request: &Request<'_>,
        target: &Target<'_>,
        out: &mut Outgoing,
    ) -> Result<(), Error>;

    /// Reads a provider's whole answer; nothing where it isn't one.
    fn decode_answer<'a>(&self, body: &'a str, exchange: &Exchange) -> Option<Answer<'a>>;

    /// Writes a whole answer for the caller. Losses begin with `response.`.
    fn encode_answer(
        &self,
        answer: &Answer<'_>,
        exchange: &Exchange,
        losses: &mut Losses,
    ) -> Vec<u8>;

    /// Writes a provider's error for the caller: the status it goes with, and
    /// the body.
    fn encode_failure(&self, failure: &Failure, exchange: &Exchange) -> (u16, Vec<u8>);

    /// Reads a provider's stream from its beginning.
    fn decoder(&self, exchange: &Exchange) -> Box<dyn Decode>;

    /// Writes a stream for the caller from its beginning.
    fn encoder(&self, exchange: &Exchange) -> Box<dyn Encode>;
}

/// Reads a provider's stream.
pub trait Decode: Send {
    /// Takes the next event of the stream, its name if it has one and its
    /// data, and gives `each` what it says, in the order that [`Event`]
    /// promises. What isn't understood says nothing; what isn't sound JSON
    /// never says anything.
    ///
    /// Where all it did was to give one [`crate::dialect::ir::Piece::Text`],
    /// and the same event with another text right behind it would do the same
    /// and change nothing here, this is the part and the text as a slice of
    /// `data`, without its quotes: such events needn't be read then.
    fn take<'d>(
        &mut self,
        name: Option<&[u8]>,
        data: &'d str,
        each: &mut dyn FnMut(Event<'_>),
    ) -> Option<(Place, &'d str)>;

    /// Whether the answer is whole though nothing says so: the stream may end
    /// here. For formats or servers without a terminal event.
    fn may_end(&self) -> bool;
}

/// Writes a stream for the caller.
pub trait Encode: Send {
    /// Appends what `event` is in frames; often one, sometimes none or
    /// several.
    ///
    /// [`Event::Failed`] is the caller's error event, without the terminal
    /// event of an answer that ended well.
    fn put(&mut self, event: &Event<'_>, out: &mut Vec<u8>, losses: &mut Losses);
}

/// A provider's request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// JSON.
    pub body: Vec<u8>,
    /// Below the provider's base URL, with a query where it needs one.
    pub path: Cow<'static, str>,
    /// Headers it needs beside those that every call to this provider has
    /// (`anthropic-beta`).
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// What could not be asked.
    pub losses: Losses,
    /// The model was given a tool called [`FORM_TOOL`] to answer by: the way
    /// to a form for providers that know no other.
    pub form_tool: bool,
    /// Tools of free text that went out as functions with one text, `input`.
    pub free_text_tools: Vec<String>,
    /// Tools whose names the provider doesn't take: as they were sent, and as
    /// the caller calls them.
    pub renamed_tools: Vec<(String, String)>,
    /// The body names files that the provider keeps.
    pub uses_files: bool,
}

impl Outgoing {
    /// The name that a tool on offer is sent by, to a provider that takes
    /// names of up to `longest` letters, digits, `_` and `-`. Calls of it come
    /// back under the caller's name. Where the tool is named again, it is
    /// [`ids::fit`] to the same length.
    pub fn tool_name<'n>(&mut self, name: &'n Text<'_>, longest: usize) -> Text<'n> {
        self.named(name, ids::fit(name, longest))
    }

    /// The same for a provider with other rules, by which the name is `sent`.
    pub(super) fn named<'n>(&mut self, name: &Text<'_>, sent: Text<'n>) -> Text<'n> {
        if sent != *name {
            let names = (sent.resolved().into_owned(), name.resolved().into_owned());
            self.renamed_tools.push(names);
        }
        sent
    }
}

/// The tool that an answer comes by whose form was asked for.
pub const FORM_TOOL: &str = "answer";

/// The schema that a tool of free text has as a function.
pub(super) const FREE_TEXT: &str =
    r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}"#;

/// Whom a request is written for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target<'a> {
    /// The provider's name for the model.
    pub model: &'a str,
    /// What is particular about the provider.
    pub quirks: Quirks,
    /// Mark the stable beginning of the prompt for the provider's cache where
    /// the caller marked nothing (`prompt_cache = "auto"`).
    pub marks_cache: bool,
}

impl Target<'_> {
    /// The refusal of a call that asks for several answers, by a target that
    /// gives one.
    pub(super) fn one_answer(&self, choices: &Given<u64>) -> Error {
        let Given { value, path } = choices;
        Error::invalid(format!(
            "translating the request: {path} is {value}, but {} gives one answer per call; ask for one, or call several times",
            self.model
        ))
        .param(*path)
    }
}

/// What the way back must know of the way there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exchange {
    /// The model's name as the caller wrote it, for providers that don't name
    /// theirs.
    pub model: String,
    /// The request's id, to name an answer by that has none.
    pub id: String,
    /// When the call came, in seconds since 1970, for answers that don't say.
    pub created: u64,
    /// Whether the caller asked for a stream.
    pub stream: bool,
    /// Whether the caller wants its stream to report usage.
    pub include_usage: bool,
    /// As [`Outgoing::form_tool`]. The arguments come back as the answer's
    /// words; codecs needn't know.
    pub form_tool: bool,
    /// As [`Outgoing::free_text_tools`]. Their calls come back as custom
    /// ones; codecs needn't know.
    pub free_text_tools: Vec<String>,
    /// As [`Outgoing::renamed_tools`]. Calls come back under the caller's
    /// names; codecs needn't know.
    pub renamed_tools: Vec<(String, String)>,
    /// What answers repeat of the caller's body ([`Codec::decode_asked`]).
    pub asked: String,
}

/// Appends one event whose data is what `write` appends. JSON that was
/// written over several lines becomes several lines of data, as the standard
/// has it.
pub(super) fn write_frame(out: &mut Vec<u8>, name: Option<&str>, write: impl FnOnce(&mut Vec<u8>)) {
    if let Some(name) = name {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.push(b'\n');
    }
    out.extend_from_slice(b"data: ");
    let start = out.len();
    write(out);
    if memchr::memchr2(b'\n', b'\r', &out[start..]).is_some() {
        let data = out.split_off(start);
        out.truncate(start - b"data: ".len());
        return sse::write_event(out, None, &data);
    }
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests;
