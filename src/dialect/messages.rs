//! Anthropic's Messages API, for translation.
//!
//! A message is a list of blocks; a part of the IR is a block. Its usage counts
//! what was cached beside the input, and its thinking carries signatures that
//! must come back unchanged.

mod ask;
mod blocks;
mod call;
mod decoder;
mod encoder;
mod model;
mod read;
mod write;

use super::ir::{Answer, Failure, Finish, Request};
use super::loss::Losses;
use super::translate::{Codec, Decode, Encode, Exchange, Outgoing, Target};
use crate::error::Error;

/// The format's [`Codec`].
pub(super) struct Messages;

impl Codec for Messages {
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
        write::failure(failure, exchange)
    }

    fn decoder(&self, _: &Exchange) -> Box<dyn Decode> {
        Box::new(decoder::Decoder::default())
    }

    fn encoder(&self, exchange: &Exchange) -> Box<dyn Encode> {
        Box::new(encoder::Encoder::new(exchange))
    }
}

/// The `stop_reason` for it.
fn stop_reason(finish: Finish, has_stop_text: bool) -> &'static str {
    match finish {
        Finish::Stop if has_stop_text => "stop_sequence",
        Finish::Stop | Finish::Error | Finish::Other => "end_turn",
        Finish::Length => "max_tokens",
        Finish::ToolCalls => "tool_use",
        Finish::ContentFilter => "refusal",
    }
}

#[cfg(test)]
mod tests;
