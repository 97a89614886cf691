//! Google's Gemini API (`generateContent`), for translation.
//!
//! The model is in the path, and so is whether the answer streams. What is
//! said are contents of parts; a part of the IR is a part. Instructions stand
//! apart, calls may have no ids, and results name the function. A stream is a
//! row of whole answers, each with what is new: whatever reads one reads both.
//!
//! Marks on thinking (`thoughtSignature`) are on whatever part came after the
//! thinking, often without a word of it shown. One on a thought or a call is
//! the seal of that; one on any other part is hidden thinking in front of it,
//! or behind it where the part goes on with a text that streams.
//!
//! Sources: ai.google.dev/api, and the types of google-genai 3.4.

mod ask;
mod call;
mod cited;
pub mod count;
mod decoder;
pub mod embed;
mod encoder;
mod logprobs;
mod model;
mod parts;
mod read;
mod saying;
mod schema;
mod write;

use super::ir::{Answer, Failure, Finish, Request};
use super::loss::Losses;
use super::translate::{Codec, Decode, Encode, Exchange, Outgoing, Target};
use crate::error::Error;

/// The format's [`Codec`].
pub(super) struct Gemini;

impl Codec for Gemini {
    fn decode_request<'a>(&self, body: &'a str) -> Result<Request<'a>, Error> {
        ask::decode(body)
    }

    fn encode_request(
        &self,
        request: &Request<'_>,
        target: &Target<'_>,
        out: &mut Outgoing,
    ) -> Result<(), Error> {
        call::encode(request, target, out)
    }

    fn decode_answer<'a>(&self, body: &'a str, exchange: &Exchange) -> Option<Answer<'a>> {
        read::decode(body, exchange)
    }

    fn encode_answer(
        &self,
        answer: &Answer<'_>,
        exchange: &Exchange,
        losses: &mut Losses,
    ) -> Vec<u8> {
        write::answer(answer, exchange, losses)
    }

    fn encode_failure(&self, failure: &Failure, _: &Exchange) -> (u16, Vec<u8>) {
        write::failure(failure)
    }

    fn decoder(&self, exchange: &Exchange) -> Box<dyn Decode> {
        Box::new(decoder::Decoder::new(exchange))
    }

    fn encoder(&self, exchange: &Exchange) -> Box<dyn Encode> {
        Box::new(encoder::Encoder::new(exchange))
    }
}

/// The mark for calls that another model made, or whose own mark is lost:
/// newer models refuse a call without any
/// (ai.google.dev/gemini-api/docs/thought-signatures).
const NO_MARK: &str = "skip_thought_signature_validator";

/// The `finishReason` for it.
fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        // A call of a tool is a usual end.
        Finish::Stop | Finish::ToolCalls => "STOP",
        Finish::Length => "MAX_TOKENS",
        Finish::ContentFilter => "SAFETY",
        Finish::Error | Finish::Other => "OTHER",
    }
}

#[cfg(test)]
mod tests;
