//! Messages: the events fill in the message that `message_start` opens.

use super::grown::{Object, is_name};
use super::{Folding, Step, fold_into};
use crate::dialect::json::text;
use crate::dialect::members::{Members, ObjectWriter, inside_quotes};

pub(super) fn fold(stream: &[u8]) -> Option<Vec<u8>> {
    let mut answer = Answer::default();
    fold_into(&mut answer, stream)?;
    answer.message?.finish()
}

/// What has come so far.
#[derive(Debug, Default)]
struct Answer {
    message: Option<Message>,
    /// Where the last text went: the block, the field.
    last_text: Option<(usize, Box<str>)>,
}

impl Folding for Answer {
    fn take<'d>(&mut self, event: Option<&[u8]>, data: &'d str) -> Option<Step<'d>> {
        let data = Members::of(data)?;
        let kind = data.text("type");
        let kind = match event {
            Some(name) => std::str::from_utf8(name).ok()?,
            None => kind.as_deref()?,
        };
        match (kind, &mut self.message) {
            ("error", _) | ("message_start", Some(_)) => return None,
            ("message_start", None) => self.message = Some(Message::opened(&data)?),
            ("ping", _) => {}
            (_, None) => return None,
            ("message_stop", Some(_)) => return Some(Step::End),
            ("content_block_delta", Some(message)) => {
                let at = index_of(&data)?;
                let delta = data.get("delta").and_then(Members::of)?;
                message.blocks.get_mut(at)?.grow(&delta)?;
                if let Some((key, text)) = only_text(&delta) {
                    self.last_text = Some((at, key.into()));
                    return Some(Step::Text(text));
                }
            }
            (kind, Some(message)) => message.take(kind, &data)?,
        }
        Some(Step::More)
    }

    fn take_text(&mut self, text: &str) -> Option<()> {
        let (at, key) = self.last_text.as_ref()?;
        let block = self.message.as_mut()?.blocks.get_mut(*at)?;
        match &**key {
            "partial_json" => block.input.push_str(text),
            key => block.fields.add_text(key, text)?,
        }
        Some(())
    }
}

/// The field and the text of a delta that has nothing else but its type.
fn only_text<'a, 'd>(delta: &'a Members<'d>) -> Option<(&'a str, &'d str)> {
    let mut fields = delta.iter().filter(|(key, _)| *key != "type");
    let (key, raw) = fields.next()?;
    let text = inside_quotes(raw).filter(|text| !text.is_empty() && !is_name(key))?;
    fields.next().is_none().then_some((key, text))
}

/// The message so far.
#[derive(Debug)]
struct Message {
    /// Everything beside the content and the usage.
    head: Object,
    blocks: Vec<Block>,
    usage: Object,
}

#[derive(Debug)]
struct Block {
    fields: Object,
    /// A tool's input as far as it was streamed: JSON text, escaped as it
    /// stood in the events' strings.
    input: String,
}

impl Message {
    fn opened(event: &Members<'_>) -> Option<Self> {
        let start = event.get("message").and_then(Members::of)?;
        // What a message opens with would have to be numbered with the rest.
        if !start.list("content").is_empty() {
            return None;
        }
        let usage = start.get("usage").and_then(Members::of);
        let mut head = Object::of(&start);
        head.remove("content");
        head.remove("usage");
        Some(Self {
            head,
            blocks: Vec::new(),
            usage: Object::of(&usage.unwrap_or_default()),
        })
    }

    /// Takes any other event between the first and the last. Those that aren't known
    /// are passed over, as the protocol demands.
    fn take(&mut self, kind: &str, event: &Members<'_>) -> Option<()> {
        match kind {
            "content_block_start" => {
                let block = event.get("content_block").and_then(Members::of)?;
                let is_next = index_of(event)? == self.blocks.len();
                self.blocks.push(Block {
                    fields: Object::of(&block),
                    input: String::new(),
                });
                is_next.then_some(())
            }
            "message_delta" => self.conclude(event),
            _ => Some(()),
        }
    }

    /// Takes the stop reason, the last counts and what else is only known at
    /// the end.
    fn conclude(&mut self, event: &Members<'_>) -> Option<()> {
        for (key, raw) in event.iter() {
            match key {
                "type" => {}
                "delta" => {
                    for (key, raw) in Members::of(raw)?.iter() {
                        self.head.set(key, raw)?;
                    }
                }
                "usage" => {
                    for (key, raw) in Members::of(raw)?.iter() {
                        self.usage.count(key, raw)?;
                    }
                }
                _ => self.head.set(key, raw)?,
            }
        }
        Some(())
    }

    fn finish(self) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(1024);
        let mut message = ObjectWriter::begin(&mut out);
        self.head.write_into(&mut message);
        let content = message.key("content");
        content.push(b'[');
        for (at, block) in self.blocks.into_iter().enumerate() {
            if at > 0 {
                content.push(b',');
            }
            block.finish(content)?;
        }
        content.push(b']');
        if !self.usage.is_empty() {
            let mut usage = message.object("usage");
            self.usage.write_into(&mut usage);
            usage.end();
        }
        message.end();
        Some(out)
    }
}

impl Block {
    /// Takes a delta of whatever kind: a citation is one more of the block's
    /// citations, and any other text is more of the block's field of that
    /// name.
    fn grow(&mut self, delta: &Members<'_>) -> Option<()> {
        for (key, raw) in delta.iter() {
            match key {
                "type" => {}
                "partial_json" => self.input.push_str(inside_quotes(raw)?),
                "citation" => self.fields.push("citations", raw)?,
                _ => self.fields.grow(key, raw)?,
            }
        }
        Some(())
    }

    /// Appends the whole block; nothing if its input was cut off.
    fn finish(mut self, out: &mut Vec<u8>) -> Option<()> {
        if !self.input.is_empty() {
            let quoted = ["\"", &self.input, "\""].concat();
            let input = text(Some(&quoted))?;
            let input = input.trim_ascii();
            if !input.is_empty() {
                Members::of(input)?;
                self.fields.put("input", input);
            }
        }
        let mut block = ObjectWriter::begin(out);
        self.fields.write_into(&mut block);
        block.end();
        Some(())
    }
}

fn index_of(event: &Members<'_>) -> Option<usize> {
    event.get("index")?.parse().ok()
}
