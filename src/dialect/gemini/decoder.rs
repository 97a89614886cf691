//! Reads a stream: whole answers one behind another, each with what is new.
//!
//! Words go on until something else begins, thoughts too; a call comes whole,
//! but from Vertex, where it was asked for in pieces. Nothing says that the
//! stream is over but its end, once every answer has its `finishReason`.

mod pieces;

use super::parts::{self, Call, Said, What};
use super::{cited, logprobs, read};
use crate::dialect::Usage;
use crate::dialect::ids;
use crate::dialect::ir::{
    Content, Event, Failure, Finish, Json, Opening, Piece, Place, Reasoned, Seal, Start, Text,
};
use crate::dialect::json::{elements, says_something};
use crate::dialect::members::{Members, is_array};
use crate::dialect::reading::{Path, Reading};
use crate::dialect::translate::{Decode, Exchange};
use pieces::Pieces;

/// More answers than anybody asks for, and more calls than are told apart by
/// number among several answers.
const MOST: u32 = 1024;

/// What has come so far.
#[derive(Debug)]
pub(super) struct Decoder {
    has_started: bool,
    /// What ids are made of: the answer's own, else the request's.
    id: Text<'static>,
    choices: Vec<Choice>,
    usage: Option<Usage>,
}

#[derive(Debug, Default)]
struct Choice {
    index: u32,
    parts: u32,
    calls: usize,
    /// The part of words that is open.
    words: Option<(Words, Place)>,
    /// What its text says, for citations, which count its bytes.
    said: String,
    /// The call whose arguments come in pieces.
    open_call: Option<OpenCall>,
    has_finished: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Words {
    Text,
    Thought,
}

#[derive(Debug)]
struct OpenCall {
    place: Place,
    pieces: Pieces,
}

type Each<'e> = &'e mut dyn FnMut(Event<'_>);

impl Decode for Decoder {
    fn take<'d>(
        &mut self,
        _: Option<&[u8]>,
        data: &'d str,
        each: Each<'_>,
    ) -> Option<(Place, &'d str)> {
        // Errors come in an array where a stream was asked for.
        let json = match elements(data) {
            Some(list) => list.into_iter().next()?,
            None => data,
        };
        let chunk = Members::of(json)?;
        if chunk.get("error").is_some_and(says_something) {
            each(Event::Failed(Failure::read(None, json.as_bytes())));
            return None;
        }
        let candidates = chunk.get("candidates").filter(|raw| is_array(raw));
        let feedback = chunk.get("promptFeedback").and_then(Members::of);
        let blocked = feedback
            .as_ref()
            .filter(|feedback| feedback.text("blockReason").is_some());
        if candidates.is_some() || blocked.is_some() {
            self.start(&chunk, each);
        }
        for json in chunk.list("candidates") {
            if let Some(candidate) = Members::of(json) {
                self.candidate(&candidate, each);
            }
        }
        if let Some(feedback) = blocked.filter(|_| self.choices.is_empty()) {
            self.block(feedback, each);
        }
        if let Some(usage) = read::counts(&chunk)
            && self.usage != Some(usage)
        {
            self.usage = Some(usage);
            each(Event::Usage(usage));
        }
        // Every chunk counts anew, so that no two are alike but for a text.
        None
    }

    fn may_end(&self) -> bool {
        !self.choices.is_empty() && self.choices.iter().all(|choice| choice.has_finished)
    }
}

impl Decoder {
    pub(super) fn new(exchange: &Exchange) -> Self {
        Self {
            has_started: false,
            id: Text::owned(&exchange.id),
            choices: Vec::new(),
            usage: None,
        }
    }

    /// Whether anything of an answer has come.
    pub(super) fn has_started(&self) -> bool {
        self.has_started
    }

    fn start(&mut self, chunk: &Members<'_>, each: Each<'_>) {
        if std::mem::replace(&mut self.has_started, true) {
            return;
        }
        let text = |key: &str| chunk.get(key).and_then(Text::of_json).unwrap_or_default();
        let id = text("responseId");
        if !id.is_empty() {
            self.id = id.clone().into_owned();
        }
        each(Event::Start(Start {
            id,
            model: text("modelVersion"),
            created: None,
            service_tier: read::service_tier(chunk),
        }));
    }

    /// The prompt was refused: there is no answer but the reason.
    fn block(&mut self, feedback: &Members<'_>, each: Each<'_>) {
        let Some(choice) = choice(&mut self.choices, 0) else {
            return;
        };
        let message = feedback.get("blockReasonMessage").and_then(Text::of_json);
        choice.end(Finish::ContentFilter, message, each);
    }

    fn candidate(&mut self, candidate: &Members<'_>, each: Each<'_>) {
        let index = candidate.get("index").and_then(|raw| raw.parse().ok());
        let Some(choice) = choice(&mut self.choices, index.unwrap_or(0)) else {
            return;
        };
        if choice.has_finished {
            return;
        }
        let content = candidate.get("content").and_then(Members::of);
        for json in content.unwrap_or_default().list("parts") {
            choice.part(json, &self.id, each);
        }
        if let Some((Words::Text, place)) = choice.words {
            if let Some(logprobs) = candidate.get("logprobsResult").and_then(logprobs::read) {
                let piece = Piece::Logprobs(logprobs);
                each(Event::Delta { place, piece });
            }
            for citation in cited::citations(candidate, &choice.said) {
                let piece = Piece::Citation(citation);
                each(Event::Delta { place, piece });
            }
        }
        if let Some(word) = candidate.text("finishReason") {
            let finish = match Finish::from_word(&word) {
                // Google says `STOP`; servers in its place have words of their own.
                Finish::Stop | Finish::Other if choice.calls > 0 => Finish::ToolCalls,
                finish => finish,
            };
            let message = candidate.get("finishMessage").and_then(Text::of_json);
            choice.end(finish, message, each);
        }
    }
}

/// The answer of that number; a new one where there is none yet.
fn choice(choices: &mut Vec<Choice>, index: u32) -> Option<&mut Choice> {
    if index >= MOST {
        return None;
    }
    let at = match choices.iter().position(|it| it.index == index) {
        Some(at) => at,
        None => {
            choices.push(Choice {
                index,
                ..Choice::default()
            });
            choices.len() - 1
        }
    };
    choices.get_mut(at)
}

impl Choice {
    fn part(&mut self, json: &str, id: &Text<'_>, each: Each<'_>) {
        // One that isn't as documented is its maker's.
        let said = Reading::of(json, Path::default())
            .and_then(|part| parts::one(part, json, &mut Vec::new()))
            .unwrap_or_else(|_| Said {
                what: What::Content(parts::foreign(json)),
                mark: None,
            });
        let is_words = matches!(said.what, What::Thought(_) | What::Call(_));
        let seal = said.mark.and_then(|mark| parts::seal(mark, !is_words));
        match said.what {
            What::Text(text) => self.text(&text, seal, each),
            What::Thought(text) => self.thought(text, seal, each),
            What::Call(call) => self.call(call, seal, id, each),
            What::Content(content) => {
                self.close(each);
                self.hidden(seal, each);
                self.whole(content, each);
            }
            // Nobody answers with a result.
            What::Result(_) => {
                self.close(each);
                self.whole(parts::foreign(json), each);
            }
        }
    }

    /// Words. A mark on the first of them is in front of them, one that comes
    /// while they go on behind those so far, lest they fall apart.
    fn text(&mut self, text: &Text<'_>, seal: Option<Seal<'_>>, each: Each<'_>) {
        let is_open = matches!(self.words, Some((Words::Text, _)));
        if !is_open || text.is_empty() {
            if seal.is_some() {
                self.close(each);
                self.hidden(seal, each);
            }
            self.say(Words::Text, text, each);
        } else {
            self.say(Words::Text, text, each);
            if seal.is_some() {
                self.close(each);
                self.hidden(seal, each);
            }
        }
    }

    fn thought(&mut self, text: Text<'_>, seal: Option<Seal<'_>>, each: Each<'_>) {
        let Some(seal) = seal else {
            return self.say(Words::Thought, &text, each);
        };
        let place = self.open(Words::Thought, each);
        self.say(Words::Thought, &text, each);
        let piece = Piece::Seal(seal);
        each(Event::Delta { place, piece });
        self.close(each);
    }

    fn say(&mut self, words: Words, text: &Text<'_>, each: Each<'_>) {
        if text.is_empty() {
            return;
        }
        let place = self.open(words, each);
        if words == Words::Text {
            self.said.push_str(&text.resolved());
        }
        let piece = Piece::Text(text.borrowed());
        each(Event::Delta { place, piece });
    }

    /// The part of such words; opens it where another is open.
    fn open(&mut self, words: Words, each: Each<'_>) -> Place {
        if let Some((open, place)) = self.words
            && open == words
        {
            return place;
        }
        self.close(each);
        let place = self.next_place();
        let opening = match words {
            Words::Text => Opening::Text,
            Words::Thought => Opening::Reasoning { is_summary: true },
        };
        self.said.clear();
        each(Event::Open { place, opening });
        self.words = Some((words, place));
        place
    }

    fn next_place(&mut self) -> Place {
        let part = self.parts;
        self.parts += 1;
        Place {
            choice: self.index,
            part,
        }
    }

    fn hidden(&mut self, seal: Option<Seal<'_>>, each: Each<'_>) {
        if seal.is_some() {
            let reasoned = Reasoned {
                seal,
                ..Reasoned::default()
            };
            self.whole(Content::Reasoning(reasoned), each);
        }
    }

    fn whole(&mut self, content: Content<'_>, each: Each<'_>) {
        let place = self.next_place();
        let opening = Opening::Whole(content);
        each(Event::Open { place, opening });
        each(Event::Close { place });
    }

    fn call(&mut self, call: Call<'_>, seal: Option<Seal<'_>>, id: &Text<'_>, each: Each<'_>) {
        if self.open_call.is_none() {
            // The empty end of a call that never began.
            if call.name.is_empty() {
                return;
            }
            self.close(each);
            let place = self.next_place();
            let number = self.index as usize * MOST as usize + self.calls;
            self.calls += 1;
            let opening = Opening::Call {
                id: call.id.unwrap_or_else(|| ids::made_up(id, number)),
                name: call.name,
                is_custom: false,
            };
            each(Event::Open { place, opening });
            let pieces = Pieces::default();
            self.open_call = Some(OpenCall { place, pieces });
        }
        let Some(open) = &mut self.open_call else {
            return;
        };
        if let Some(seal) = seal {
            let piece = Piece::Seal(seal);
            let place = open.place;
            each(Event::Delta { place, piece });
        }
        call.pieces.iter().for_each(|piece| open.pieces.take(piece));
        if !call.goes_on {
            self.close_call(call.arguments, each);
        }
    }

    /// The call is complete, with these arguments if they came whole.
    fn close_call(&mut self, arguments: Option<&str>, each: Each<'_>) {
        let Some(OpenCall { place, pieces }) = self.open_call.take() else {
            return;
        };
        let arguments = match arguments {
            Some(whole) => Json::scanned(whole).as_text(),
            None => Text::owned(&pieces.finish()),
        };
        let piece = Piece::Text(arguments);
        each(Event::Delta { place, piece });
        each(Event::Close { place });
    }

    fn close(&mut self, each: Each<'_>) {
        self.close_call(None, each);
        if let Some((_, place)) = self.words.take() {
            each(Event::Close { place });
        }
    }

    /// The answer is complete. Where it was held back or failed, the reason
    /// is told as a refusal.
    fn end(&mut self, finish: Finish, message: Option<Text<'_>>, each: Each<'_>) {
        self.close(each);
        let is_usual = matches!(finish, Finish::Stop | Finish::Length | Finish::ToolCalls);
        if let Some(message) = message.filter(|it| !is_usual && !it.is_empty()) {
            let place = self.next_place();
            let opening = Opening::Refusal;
            each(Event::Open { place, opening });
            let piece = Piece::Text(message);
            each(Event::Delta { place, piece });
            each(Event::Close { place });
        }
        self.has_finished = true;
        each(Event::Finish {
            choice: self.index,
            finish,
            stopped_by: None,
        });
    }
}
