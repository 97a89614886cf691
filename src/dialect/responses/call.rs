//! Writes a Responses call.
//!
//! The whole conversation is in it, and nothing is kept with the provider:
//! marks on reasoning are asked for, so that later calls can bring them.

mod settings;
mod tools;
mod turns;

pub(super) use turns::write_words;

use crate::dialect::ir::Request;
use crate::dialect::members::ObjectWriter;
use crate::dialect::translate::{Outgoing, Target};
use crate::error::Error;

/// The longest name of a tool that OpenAI takes.
const LONGEST_NAME: usize = 64;

/// Writes `request` for `target`.
pub(super) fn encode(
    request: &Request<'_>,
    target: &Target<'_>,
    out: &mut Outgoing,
) -> Result<(), Error> {
    out.path = "/responses".into();
    let mut body = std::mem::take(&mut out.body);
    let mut call = ObjectWriter::begin(&mut body);
    call.text("model", target.model);
    turns::write(&mut call, request, target, out)?;
    tools::write(&mut call, request, out);
    settings::write(&mut call, request, target, out)?;
    if request.stream {
        call.flag("stream", true);
    }
    call.end();
    out.body = body;
    for (path, _) in &request.unknown {
        out.losses.dropped(path);
    }
    Ok(())
}
