//! OpenAI's chat completions, for translation.
//!
//! A message has its words, its tool calls and its refusal in fields of their
//! own, so their order among each other isn't told. Reasoning and its marks go
//! through fields that OpenAI doesn't have and common clients know:
//! `reasoning_content` for the words, `thinking_blocks` for Anthropic's blocks
//! with their signatures (LiteLLM's names), `extra_content.google` on tool
//! calls for Gemini's marks (Google's name). A caller who sends an assistant
//! message back as it came keeps all of it.

mod ask;
mod call;
mod decoder;
mod encoder;
mod model;
mod parts;
mod read;
mod said;
mod write;

// What Responses has in common with this format.
pub(super) use call::{effort, write_url};
pub(super) use model::Model;
pub(super) use parts::{audio, source};
pub(super) use said::citation;
pub(super) use write::{code, error, error_code, failure};

use super::ir::{Answer, Failure, Request};
use super::loss::Losses;
use super::translate::{Codec, Decode, Encode, Exchange, Outgoing, Target};
use crate::error::Error;

pub(super) use write::usage as write_usage;

/// The format's [`Codec`].
pub(super) struct Chat;

impl Codec for Chat {
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

    fn decode_answer<'a>(&self, body: &'a str, _: &Exchange) -> Option<Answer<'a>> {
        read::decode(body)
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

    fn decoder(&self, _: &Exchange) -> Box<dyn Decode> {
        Box::new(decoder::Decoder::default())
    }

    fn encoder(&self, exchange: &Exchange) -> Box<dyn Encode> {
        Box::new(encoder::Encoder::new(exchange))
    }
}

#[cfg(test)]
mod tests;
