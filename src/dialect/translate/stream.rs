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
use crate::sse::{Fields, Framer, Run};

/// The largest event that is translated. The largest there are hold images;
/// a provider whose event is larger has failed.
const MAX_EVENT: usize = 32 << 20;

/// Translates one stream.
///
/// Every chunk from the provider goes in by [`Self::push`]; what it gives goes
/// to the caller at once. At the end of the bytes comes [`Self::end`], which
/// writes the caller's error event if the answer isn't whole. After a failure,
/// a [fault](Self::fault) or the terminal event nothing more is written.
pub struct Stream {
    framer: Framer,
    /// What came that can't be read.
    fault: Option<&'static str>,
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
            fault: None,
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
            if let Err(what) = self.take_run(&run, out) {
                self.fault = Some(what);
                break;
            }
        }
        self.framer = framer;
    }

    /// What came that can't be read, as an object of "the stream carried".
    /// Some of the answer may have been in it, so that the stream ends here;
    /// whoever pushes says so, or leaves it to [`Self::end`].
    pub fn fault(&self) -> Option<&'static str> {
        self.fault
    }

    /// The bytes have ended: appends what is left to say, which is an error
    /// event where the answer isn't whole. Says how the stream stands.
    pub fn end(&mut self, out: &mut Vec<u8>) -> Ending {
        if !self.close(out) {
            let failure = match self.fault {
                Some(what) => Failure::new(
                    Class::Server,
                    format!("the provider's stream carried {what}"),
                ),
                None => Failure::cut(),
            };
            self.telling.tell(Event::Failed(failure), out);
        }
        self.telling.ending
    }

    /// The same, for whoever words the failure itself: where this is false the
    /// answer isn't whole, and nobody has been told.
    pub fn close(&mut self, out: &mut Vec<u8>) -> bool {
        let rest = self.framer.rest();
        // Half an event is one that was cut off.
        let is_read = self.fault.is_none() && self.take(&rest, out).is_ok();
        if is_read && !self.telling.is_over() && self.decoder.may_end() {
            self.telling.tell(Event::End, out);
        }
        self.telling.is_over()
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

    fn take_run(&mut self, run: &Run<'_>, out: &mut Vec<u8>) -> Result<(), &'static str> {
        if self.fault.is_some() || self.telling.is_over() {
            return Ok(());
        }
        if run.is_part() {
            return Err("an event too large to translate");
        }
        run.frames().try_for_each(|frame| self.take(frame, out))
    }

    fn take(&mut self, frame: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
        if self.telling.is_over() {
            return Ok(());
        }
        if let Some(place) = self.last
            && let Some(text) = self.template.text(frame)
            && let Some(text) = checked(&frame[text.start - 1..=text.end])
        {
            let piece = Piece::Text(text);
            self.telling.tell(Event::Delta { place, piece }, out);
            return Ok(());
        }
        self.read(frame, out)
    }

    /// Reads a frame that isn't like the last text.
    fn read(&mut self, frame: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
        let fields = Fields::of(frame);
        let Some(bytes) = &fields.data else {
            // A comment, by which some providers show that they are there.
            if frame.starts_with(b":") {
                self.telling.tell(Event::Ping, out);
            }
            return Ok(());
        };
        let data = simdutf8::basic::from_utf8(bytes).map_err(|_| "an event that is not UTF-8")?;
        let telling = &mut self.telling;
        let mut has_told = false;
        let only = self.decoder.take(fields.event, data, &mut |event| {
            has_told = true;
            telling.tell(event, out);
        });
        match (only, bytes) {
            (Some((place, text)), Cow::Borrowed(_)) => {
                let start = text.as_ptr() as usize - frame.as_ptr() as usize;
                self.template.learn(frame, start..start + text.len());
                self.last = Some(place);
            }
            _ => self.last = None,
        }
        // What said something was read to its end.
        if has_told || fields.event == Some(b"ping") || is_sound(data) {
            return Ok(());
        }
        Err("an event that is not JSON")
    }
}

/// Whether an event that says nothing here may be passed over: a kind that
/// isn't known, a sentinel, nothing at all. Another could have been some of the
/// answer.
fn is_sound(data: &str) -> bool {
    let mut scan = Scan::new(data);
    matches!(data.trim_ascii(), "" | "[DONE]") || (scan.skip().is_ok() && scan.end().is_ok())
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
        let ending = translation.end(&mut out);
        (ending, translation.finish(), out)
    };
    let whole = translated(&[]);
    assert_eq!(whole, translated(&head[1..]));
    let (ending, finish, out) = whole;
    // What was written is a stream of the caller's format.
    let mut again = Stream::new(client, client, &Exchange::default());
    let mut copy = Vec::new();
    again.push(Bytes::from(out), &mut copy);
    // A chat stream that gives no reason to end has broken off; others may end.
    if ending != Ending::Terminal || finish.is_some() {
        assert_eq!(again.end(&mut copy), ending);
    }
}
