//! One item of a streamed response: its events, and what it is when done.

use super::Events;
use crate::dialect::ir::{Citation, Json, Piece, Place, Reasoned, Seal, Text};
use crate::dialect::loss::Losses;
use crate::dialect::members::ObjectWriter;
use crate::dialect::responses::write;

/// An item that isn't done.
#[derive(Debug)]
pub(super) struct Item {
    /// Its place in the output.
    pub(super) index: usize,
    id: String,
    /// The part of the answer that is written into it, until that closes.
    pub(super) part: Option<Place>,
    kind: Kind,
    /// What its words are so far: of a message, those of its last part.
    text: Text<'static>,
    /// What its deltas begin with, up to their number and behind it.
    delta: (String, String),
}

/// What an item is.
#[derive(Debug)]
pub(super) enum Kind {
    Message(Message),
    Reasoning {
        is_summary: bool,
        seal: Option<Seal<'static>>,
    },
    Call {
        call: Text<'static>,
        name: Text<'static>,
        is_custom: bool,
        seal: Option<Seal<'static>>,
    },
}

/// A message is a list of texts and refusals.
#[derive(Debug, Default)]
pub(super) struct Message {
    /// Those that are complete, with commas between them.
    content: Vec<u8>,
    count: usize,
    /// The last one.
    words: Option<Words>,
    /// Where the answer's part begins in its text, in characters.
    from: u64,
    /// What that part rests on: told when its length is known.
    citations: Vec<Citation<'static>>,
    annotations: Vec<Vec<u8>>,
    logprobs: Option<Json<'static>>,
}

/// What words are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Words {
    Text,
    Refusal,
}

impl Words {
    /// The type of such a part, and the field its words are in.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Text => ("output_text", "text"),
            Self::Refusal => ("refusal", "refusal"),
        }
    }
}

impl Kind {
    pub(super) fn message() -> Self {
        Self::Message(Message::default())
    }

    pub(super) fn reasoning(is_summary: bool) -> Self {
        let seal = None;
        Self::Reasoning { is_summary, seal }
    }

    pub(super) fn call(id: &Text<'_>, name: &Text<'_>, is_custom: bool) -> Self {
        Self::Call {
            call: id.clone().into_owned(),
            name: name.clone().into_owned(),
            is_custom,
            seal: None,
        }
    }
}

impl Item {
    /// Begins the item at `index`, for the answer's part `part`.
    pub(super) fn begin(
        index: usize,
        id: String,
        part: Place,
        kind: Kind,
        events: &mut Events,
        out: &mut Vec<u8>,
    ) -> Self {
        let mut item = Self {
            index,
            id,
            part: Some(part),
            kind,
            text: Text::default(),
            delta: Default::default(),
        };
        events.put(out, "response.output_item.added", |event| {
            event.number("output_index", index);
            item.write(event.key("item"), "in_progress");
        });
        item.delta = item.delta_start();
        item
    }

    pub(super) fn is_message(&self) -> bool {
        matches!(self.kind, Kind::Message(_))
    }

    /// The id of the call that it is, and the mark on it.
    pub(super) fn called(self) -> Option<(Text<'static>, Option<Seal<'static>>)> {
        match self.kind {
            Kind::Call { call, seal, .. } => Some((call, seal)),
            Kind::Message(_) | Kind::Reasoning { .. } => None,
        }
    }

    /// The name of its deltas, without `.delta`.
    fn event(&self) -> &'static str {
        match &self.kind {
            Kind::Message(message) if message.words == Some(Words::Refusal) => "response.refusal",
            Kind::Message(_) => "response.output_text",
            Kind::Reasoning {
                is_summary: true, ..
            } => "response.reasoning_summary_text",
            Kind::Reasoning { .. } => "response.reasoning_text",
            Kind::Call {
                is_custom: true, ..
            } => "response.custom_tool_call_input",
            Kind::Call { .. } => "response.function_call_arguments",
        }
    }

    /// Writes where an event of it belongs.
    fn place(&self, event: &mut ObjectWriter<'_>) {
        event
            .text("item_id", &self.id)
            .number("output_index", self.index);
        match &self.kind {
            Kind::Message(message) => drop(event.number("content_index", message.count)),
            Kind::Reasoning {
                is_summary: true, ..
            } => drop(event.number("summary_index", 0)),
            Kind::Reasoning { .. } => drop(event.number("content_index", 0)),
            Kind::Call { .. } => {}
        }
    }

    fn delta_start(&self) -> (String, String) {
        let name = self.event();
        let start =
            format!("event: {name}.delta\ndata: {{\"type\":\"{name}.delta\",\"sequence_number\":");
        let mut place = Vec::new();
        let mut event = ObjectWriter::begin(&mut place);
        self.place(&mut event);
        event.end();
        // Its braces are those of the event.
        let place = String::from_utf8_lossy(&place[1..place.len() - 1]);
        (start, format!(",{place},\"delta\":\""))
    }

    /// Adds to what it says.
    pub(super) fn add(&mut self, piece: &Piece<'_>, events: &mut Events, out: &mut Vec<u8>) {
        match (piece, &mut self.kind) {
            (Piece::Text(text), _) => self.say(text, events, out),
            (Piece::Seal(it), Kind::Reasoning { seal, .. } | Kind::Call { seal, .. }) => {
                *seal = Some(it.clone().into_owned());
            }
            (Piece::Citation(citation), Kind::Message(message)) => {
                message.citations.push(citation.clone().into_owned());
            }
            (Piece::Logprobs(more), Kind::Message(message)) => {
                message.logprobs = Some(match message.logprobs.take() {
                    Some(earlier) => earlier.joined(more),
                    None => more.clone().into_owned(),
                });
                events.put(out, "response.output_text.delta", |event| {
                    self.place(event);
                    event.text("delta", "").raw("logprobs", more.as_str());
                });
            }
            _ => {}
        }
    }

    fn say(&mut self, text: &Text<'_>, events: &mut Events, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        if self.text.is_empty() {
            self.begin_reasoning(events, out);
        }
        self.text.push(text);
        let (start, place) = &self.delta;
        out.extend_from_slice(start.as_bytes());
        out.extend_from_slice(itoa::Buffer::new().format(events.next).as_bytes());
        events.next += 1;
        out.extend_from_slice(place.as_bytes());
        out.extend_from_slice(text.as_escaped().as_bytes());
        let is_text = matches!(&self.kind, Kind::Message(it) if it.words == Some(Words::Text));
        out.extend_from_slice(match is_text {
            true => b"\",\"logprobs\":[]}\n\n",
            false => b"\"}\n\n",
        });
    }

    /// Opens the one part that reasoning which is shown has.
    fn begin_reasoning(&mut self, events: &mut Events, out: &mut Vec<u8>) {
        let Kind::Reasoning { is_summary, .. } = self.kind else {
            return;
        };
        let (name, _) = reasoning_part(is_summary);
        events.put(out, &format!("{name}.added"), |event| {
            self.place(event);
            self.write_reasoning_part(event, is_summary);
        });
    }

    fn write_reasoning_part(&self, event: &mut ObjectWriter<'_>, is_summary: bool) {
        let mut part = event.object("part");
        part.text("type", reasoning_part(is_summary).1)
            .said("text", &self.text);
        part.end();
    }

    /// A message goes on with the part `part` of the answer.
    pub(super) fn go_on(
        &mut self,
        part: Place,
        words: Words,
        events: &mut Events,
        out: &mut Vec<u8>,
    ) {
        self.part = Some(part);
        let Kind::Message(message) = &mut self.kind else {
            return;
        };
        if message.words == Some(words) {
            message.from = self.text.chars();
            return;
        }
        self.end_words(events, out);
        if let Kind::Message(message) = &mut self.kind {
            message.words = Some(words);
        }
        self.delta = self.delta_start();
        events.put(out, "response.content_part.added", |event| {
            self.place(event);
            self.write_words(event.key("part"));
        });
    }

    /// The answer's part is complete.
    pub(super) fn close(&mut self, events: &mut Events, out: &mut Vec<u8>, losses: &mut Losses) {
        self.part = None;
        let Kind::Message(message) = &mut self.kind else {
            return;
        };
        let citations = std::mem::take(&mut message.citations);
        if citations.is_empty() {
            return;
        }
        let from = message.from;
        let length = self.text.chars() - from;
        for citation in citations {
            let mut annotation = Vec::new();
            if !write::annotation(&mut annotation, &citation, from, length) {
                losses.dropped("response.citations");
                continue;
            }
            let Kind::Message(message) = &mut self.kind else {
                return;
            };
            let index = message.annotations.len();
            message.annotations.push(annotation.clone());
            events.put(out, "response.output_text.annotation.added", |event| {
                self.place(event);
                event.number("annotation_index", index);
                event.key("annotation").extend_from_slice(&annotation);
            });
        }
    }

    /// Nothing more comes: gives the item as it is in the output.
    pub(super) fn complete(
        &mut self,
        status: &str,
        events: &mut Events,
        out: &mut Vec<u8>,
    ) -> Vec<u8> {
        match &self.kind {
            Kind::Message(_) => self.end_words(events, out),
            Kind::Reasoning { is_summary, .. } => self.end_reasoning(*is_summary, events, out),
            Kind::Call {
                name, is_custom, ..
            } => events.put(out, &format!("{}.done", self.event()), |event| {
                self.place(event);
                match is_custom {
                    true => event.said("input", &self.text),
                    false => event.said("arguments", &self.text).said("name", name),
                };
            }),
        }
        let mut item = Vec::new();
        self.write(&mut item, status);
        events.put(out, "response.output_item.done", |event| {
            event.number("output_index", self.index);
            event.key("item").extend_from_slice(&item);
        });
        item
    }

    fn end_reasoning(&self, is_summary: bool, events: &mut Events, out: &mut Vec<u8>) {
        if self.text.is_empty() {
            return;
        }
        events.put(out, &format!("{}.done", self.event()), |event| {
            self.place(event);
            event.said("text", &self.text);
        });
        let (name, _) = reasoning_part(is_summary);
        events.put(out, &format!("{name}.done"), |event| {
            self.place(event);
            self.write_reasoning_part(event, is_summary);
        });
    }

    /// The last part of a message is complete.
    fn end_words(&mut self, events: &mut Events, out: &mut Vec<u8>) {
        let Kind::Message(Message {
            words: Some(words),
            logprobs,
            ..
        }) = &self.kind
        else {
            return;
        };
        let (_, field) = words.names();
        events.put(out, &format!("{}.done", self.event()), |event| {
            self.place(event);
            event.said(field, &self.text);
            if *words == Words::Text {
                event.raw("logprobs", logprobs.as_ref().map_or("[]", Json::as_str));
            }
        });
        let mut part = Vec::new();
        self.write_words(&mut part);
        events.put(out, "response.content_part.done", |event| {
            self.place(event);
            event.key("part").extend_from_slice(&part);
        });
        self.text = Text::default();
        if let Kind::Message(message) = &mut self.kind {
            let mut content = std::mem::take(&mut message.content);
            if !content.is_empty() {
                content.push(b',');
            }
            content.extend_from_slice(&part);
            *message = Message {
                content,
                count: message.count + 1,
                ..Message::default()
            };
        }
    }

    /// Writes the last part of a message as far as it has come.
    fn write_words(&self, out: &mut Vec<u8>) {
        let Kind::Message(message) = &self.kind else {
            return;
        };
        let words = message.words.unwrap_or(Words::Text);
        let (kind, field) = words.names();
        let mut part = ObjectWriter::begin(out);
        part.text("type", kind).said(field, &self.text);
        if words == Words::Text {
            let mut list = part.list("annotations");
            let annotations = message.annotations.iter();
            annotations.for_each(|it| list.next().extend_from_slice(it));
            list.end();
            part.raw(
                "logprobs",
                message.logprobs.as_ref().map_or("[]", Json::as_str),
            );
        }
        part.end();
    }

    /// Writes the item as far as it has come.
    fn write(&self, out: &mut Vec<u8>, status: &str) {
        match &self.kind {
            Kind::Message(message) => {
                let mut item = ObjectWriter::begin(out);
                item.text("id", &self.id)
                    .text("type", "message")
                    .text("status", status)
                    .text("role", "assistant");
                let content = item.key("content");
                content.push(b'[');
                content.extend_from_slice(&message.content);
                content.push(b']');
                item.end();
            }
            Kind::Reasoning { is_summary, seal } => {
                let reasoned = Reasoned {
                    text: self.text.borrowed(),
                    is_summary: *is_summary,
                    seal: seal.clone(),
                };
                write::reasoning(out, &self.id, &reasoned);
            }
            Kind::Call {
                call,
                name,
                is_custom,
                ..
            } => {
                let (kind, input) = match is_custom {
                    true => ("custom_tool_call", "input"),
                    false => ("function_call", "arguments"),
                };
                let mut item = ObjectWriter::begin(out);
                item.text("id", &self.id)
                    .text("type", kind)
                    .text("status", status)
                    .said("call_id", call)
                    .said("name", name)
                    .said(input, &self.text);
                item.end();
            }
        }
    }
}

/// The events of reasoning's parts, and their type.
fn reasoning_part(is_summary: bool) -> (&'static str, &'static str) {
    match is_summary {
        true => ("response.reasoning_summary_part", "summary_text"),
        false => ("response.content_part", "reasoning_text"),
    }
}

/// Writes an image that was made.
pub(super) fn image(out: &mut Vec<u8>, id: &str, media_type: &Text<'_>, data: &Text<'_>) {
    let media_type = media_type.resolved();
    let format = media_type.rsplit('/').next().unwrap_or("png");
    let mut item = ObjectWriter::begin(out);
    item.text("id", id)
        .text("type", "image_generation_call")
        .text("status", "completed")
        .text("output_format", format)
        .said("result", data);
    item.end();
}
