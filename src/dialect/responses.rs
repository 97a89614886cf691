//! OpenAI's Responses, for translation.
//!
//! What was said is a list of items: messages, reasoning, calls, their
//! results. Callers send an answer's items back as they came, so that marks on
//! reasoning go through `encrypted_content`, those of other providers tagged
//! ([`crate::dialect::seals`]). What OpenAI keeps for a caller (earlier
//! responses, conversations, prompts) and what it runs (hosted tools) exists
//! nowhere else: calls that rest on it are refused.
//!
//! The words of errors, citations and models are those of chat
//! ([`crate::dialect::chat`]).

mod ask;
mod call;
mod decoder;
mod echo;
mod encoder;
mod items;
mod read;
mod write;

use super::ir::{Answer, Failure, Request};
use super::loss::Losses;
use super::reading::Reading;
use super::translate::{Codec, Decode, Encode, Exchange, Outgoing, Target};
use crate::error::Error;

/// The format's [`Codec`].
pub(super) struct Responses;

impl Codec for Responses {
    fn decode_request<'a>(&self, body: &'a str) -> Result<Request<'a>, Error> {
        ask::decode(Reading::body(body)?)
    }

    fn decode_asked<'a>(&self, body: &'a str) -> Result<(Request<'a>, String), Error> {
        let body = Reading::body(body)?;
        let asked = echo::of(body.members());
        Ok((ask::decode(body)?, asked))
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
        super::chat::failure(failure)
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
