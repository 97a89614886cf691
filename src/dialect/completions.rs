//! OpenAI's legacy completions, for translation: one prompt, and the words
//! that follow it.
//!
//! To a model that talks the prompt is what its user says. What only a model
//! that goes on writing can do (`suffix`, `echo`, `best_of`, prompts of tokens)
//! is refused. A list of prompts is as many calls, and a translated call is
//! one.

mod ask;
mod call;
mod decoder;
mod encoder;
mod probabilities;
mod read;
mod write;

use super::chat::Chat;
use super::ir::{Answer, Failure, Request};
use super::loss::Losses;
use super::translate::{Codec, Decode, Encode, Exchange, Outgoing, Target};
use crate::error::Error;

/// The format's [`Codec`].
pub(super) struct Completions;

impl Codec for Completions {
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

    fn encode_failure(&self, failure: &Failure, exchange: &Exchange) -> (u16, Vec<u8>) {
        Chat.encode_failure(failure, exchange)
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
