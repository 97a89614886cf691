//! A stream from one format to the other, event by event.

use std::borrow::Cow;

use bytes::Bytes;

use super::retell::Retelling;
use super::{Decode, Encode, Exchange, Wire};
use crate::dialect::ir::{Class, Event, Failure, Finish, Piece, Place, Text};
use crate::dialect::json::scan::Scan;
use crate::dialect::loss::Losses;
use crate::dialect::watch::template::Template;
use crate::dialect::{Ending, Usage};
use crate::sse::{Fields, Framer};

/// The largest event that is translated. The largest there are hold images;
/// a provider whose event is larger has failed.
const MAX_EVENT: usize = 32 << 20;

/// Translates one stream.
///
/// Every chunk from the provider goes in by [`Self::push`]; what it gives goes
/// to the caller at once. At the end of the bytes comes [`Self::end`], which
/// writes the caller's error event if the answer isn't whole. After a failure
/// or the terminal event nothing more is written.
pub struct Stream {
    framer: Framer,
    telling: Telling,
    decoder: Box<dyn Decode>,
    /// The last event that was only a text, and its part.
    template: Template,
    last: Option<Place>,
}

/// What becomes of events.
struct Telling {
    encoder: Box<dyn Encode>,
    retelling: Option<Retelling>,
    exchange: Exchange,
    ending: Ending,
    finish: Option<Finish>,
    usage: Option<Usage>,
    has_content: bool,
    losses: Losses,
}

impl Stream {
    /// A stream at its beginning.
    pub fn new(provider: Wire, client: Wire, exchange: &Exchange) -> Self {
        Self {
            framer: Framer::new(MAX_EVENT),
            telling: Telling {
                encoder: client.codec().encoder(exchange),
                retelling: Retelling::of(exchange),
                exchange: exchange.clone(),
                ending: Ending::Open,
                finish: None,
                usage: None,
                has_content: false,
                losses: Losses::default(),
            },
            decoder: provider.codec().decoder(exchange),
            template: Template::default(),
            last: None,
        }
    }

    /// Takes the next chunk and appends the caller's frames for it.
    pub fn push(&mut self, chunk: Bytes, out: &mut Vec<u8>) {
        self.framer.push(chunk);
        let mut framer = std::mem::take(&mut self.framer);
        while let Some(run) = framer.next_run() {
            if run.is_part() {
                self.fail(
                    &Failure::new(
                        Class::Server,
                        "the provider sent an event too large to translate",
                    ),
                    out,
                );
            }
            run.frames().for_each(|frame| self.take(frame, out));
        }
        self.framer = framer;
    }

    /// The bytes have ended: appends what is left to say, which is an error
    /// event where the answer isn't whole. Says how the stream stands.
    pub fn end(&mut self, out: &mut Vec<u8>) -> Ending {
        if !self.close(out) {
            self.telling.tell(Event::Failed(Failure::cut()), out);
        }
        self.telling.ending
    }

    /// The same, for whoever words the failure itself: where this is false the
    /// answer isn't whole, and nobody has been told.
    pub fn close(&mut self, out: &mut Vec<u8>) -> bool {
        let rest = self.framer.rest();
        self.take(&rest, out);
        if !self.telling.is_over() && self.decoder.may_end() {
            self.telling.tell(Event::End, out);
        }
        self.telling.is_over()
    }

    /// Ends the stream with the caller's error event, for a failure of the
    /// gateway's own. Nothing where it has ended.
    pub fn fail(&mut self, failure: &Failure, out: &mut Vec<u8>) {
        if !self.telling.is_over() {
            self.telling.tell(Event::Failed(failure.clone()), out);
        }
    }

    /// How the stream stands.
    pub fn ending(&self) -> Ending {
        self.telling.ending
    }

    /// What the provider reported so far.
    pub fn usage(&self) -> Option<Usage> {
        self.telling.usage
    }

    /// Why the answer ended, if it has.
    pub fn finish(&self) -> Option<Finish> {
        self.telling.finish
    }

    /// Whether any of the answer has come: text, reasoning, a call.
    pub fn has_content(&self) -> bool {
        self.telling.has_content
    }

    /// What the caller's format had no place for.
    pub fn losses(&self) -> &Losses {
        &self.telling.losses
    }

    fn take(&mut self, frame: &[u8], out: &mut Vec<u8>) {
        if self.telling.is_over() {
            return;
        }
        if let Some(place) = self.last
            && let Some(text) = self.template.text(frame)
            && let Some(text) = checked(&frame[text.start - 1..=text.end])
        {
            let piece = Piece::Text(text);
            return self.telling.tell(Event::Delta { place, piece }, out);
        }
        self.read(frame, out);
    }

    /// Reads a frame that isn't like the last text.
    fn read(&mut self, frame: &[u8], out: &mut Vec<u8>) {
        let fields = Fields::of(frame);
        let Some(bytes) = &fields.data else {
            // A comment, by which some providers show that they are there.
            if frame.starts_with(b":") {
                self.telling.tell(Event::Ping, out);
            }
            return;
        };
        let Ok(data) = simdutf8::basic::from_utf8(bytes) else {
            return;
        };
        let telling = &mut self.telling;
        let only = self
            .decoder
            .take(fields.event, data, &mut |event| telling.tell(event, out));
        match (only, bytes) {
            (Some((place, text)), Cow::Borrowed(_)) => {
                let start = text.as_ptr() as usize - frame.as_ptr() as usize;
                self.template.learn(frame, start..start + text.len());
                self.last = Some(place);
            }
            _ => self.last = None,
        }
    }
}

/// A quoted text that holds only what a JSON string may.
fn checked(quoted: &[u8]) -> Option<Text<'_>> {
    let quoted = simdutf8::basic::from_utf8(quoted).ok()?;
    let raw = Scan::new(quoted).skip().ok()?;
    Text::of_json(raw)
}

impl Telling {
    fn is_over(&self) -> bool {
        matches!(self.ending, Ending::Terminal | Ending::Failed)
    }

    fn tell(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        if self.is_over() {
            return;
        }
        self.note(&event);
        let Self {
            encoder,
            retelling,
            exchange,
            losses,
            ..
        } = self;
        match retelling {
            None => encoder.put(&event, out, losses),
            Some(retelling) => {
                retelling.take(event, exchange, &mut |event| {
                    encoder.put(&event, out, losses)
                });
            }
        }
    }

    fn note(&mut self, event: &Event<'_>) {
        match event {
            Event::Delta { .. } => self.has_content = true,
            Event::Finish { finish, .. } => self.finish = Some(*finish),
            Event::Usage(later) => {
                self.usage = Some(match self.usage {
                    Some(earlier) => earlier.merged(*later),
                    None => *later,
                });
            }
            Event::End => self.ending = Ending::Terminal,
            Event::Failed(_) => self.ending = Ending::Failed,
            _ => {}
        }
    }
}

/// Fuzz body: the first byte chooses the formats, the next eight how the rest,
/// a stream, is cut into chunks. Panics where translating does, where chunking
/// changes what is written, or where an answer that is whole comes out as
/// another.
#[doc(hidden)]
pub fn fuzz_streams(input: &[u8]) {
    let Some((head, stream)) = input.split_at_checked(9) else {
        return;
    };
    let (client, provider) = super::whole::pair(head[0]);
    let exchange = Exchange {
        include_usage: true,
        form_tool: head[0] >= 128,
        free_text_tools: vec!["t".to_owned()],
        renamed_tools: vec![("f".to_owned(), "a long name".to_owned())],
        ..Exchange::default()
    };
    let translated = |sizes: &[u8]| {
        let mut translation = Stream::new(provider, client, &exchange);
        let mut out = Vec::new();
        let mut left = stream;
        for size in sizes.iter().map(|size| usize::from(*size)) {
            let (chunk, rest) = left.split_at(size.min(left.len()));
            translation.push(Bytes::copy_from_slice(chunk), &mut out);
            left = rest;
        }
        translation.push(Bytes::copy_from_slice(left), &mut out);
        (translation.end(&mut out), out)
    };
    let (ending, out) = translated(&[]);
    assert_eq!(
        (ending, &out),
        (translated(&head[1..]).0, &translated(&head[1..]).1)
    );
    // What was written is a stream of the caller's format.
    let mut again = Stream::new(client, client, &Exchange::default());
    let mut copy = Vec::new();
    again.push(Bytes::from(out), &mut copy);
    assert_eq!(again.end(&mut copy), ending);
}
