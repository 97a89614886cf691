//! Reads a chat stream.
//!
//! Chunks don't say where parts begin and end: a part opens with its first
//! delta. Thinking, words and refusal close when another of the three begins,
//! or a call; a call closes when its arguments are a whole JSON object, so that
//! nobody waits for the end of the answer to see it.

mod calls;

use super::read;
use super::said;
use crate::dialect::Usage;
use crate::dialect::ir::{
    Content, Event, Failure, Finish, Media, MediaKind, Opening, Piece, Place, Reasoned, Start, Text,
};
use crate::dialect::json::{elements, says_something};
use crate::dialect::members::{Members, inside_quotes, is_object};
use crate::dialect::reading::{Path, Reading};
use crate::dialect::translate::Decode;
use crate::dialect::watch::is_an_error;
use calls::Call;

/// More answers than anybody asks for, or calls in one; they are searched one
/// by one.
const MOST: usize = 1024;

/// What has come so far.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    has_started: bool,
    choices: Vec<Choice>,
    usage: Option<Usage>,
}

#[derive(Debug, Default)]
struct Choice {
    index: u32,
    parts: u32,
    /// The part of words that is open.
    words: Option<(Words, Place)>,
    calls: Vec<Call>,
    has_finished: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Words {
    Text,
    Reasoning,
    Refusal,
}

type Each<'e> = &'e mut dyn FnMut(Event<'_>);

impl Decode for Decoder {
    fn take<'d>(
        &mut self,
        name: Option<&[u8]>,
        data: &'d str,
        each: Each<'_>,
    ) -> Option<(Place, &'d str)> {
        if data.trim_ascii() == "[DONE]" {
            // Without a reason to end, the answer has broken off.
            if self.may_end() {
                each(Event::End);
            }
            return None;
        }
        let chunk = Members::of(data)?;
        if name == Some(b"error") || chunk.get("error").is_some_and(is_an_error) {
            each(Event::Failed(Failure::read(None, data.as_bytes())));
            return None;
        }
        let mut only = None;
        let choices = chunk.list("choices");
        // Azure tells what it thinks of the prompt first, without a name.
        let is_named = chunk.text("model").is_some_and(|model| !model.is_empty());
        if !self.has_started && (is_named || !choices.is_empty()) {
            self.has_started = true;
            each(Event::Start(start(&chunk)));
        }
        let is_single = choices.len() == 1;
        for json in choices {
            let Some(choice) = Members::of(json) else {
                continue;
            };
            let index = choice
                .get("index")
                .and_then(|raw| raw.parse().ok())
                .unwrap_or(0);
            if let Some(known) = self.choice(index) {
                let said = known.take(&choice, each);
                only = said.filter(|_| is_single);
            }
        }
        if let Some(usage) = read::counts(&chunk)
            && self.usage != Some(usage)
        {
            self.usage = Some(usage);
            each(Event::Usage(usage));
            // Some servers count along in every chunk.
            only = None;
        }
        only
    }

    fn may_end(&self) -> bool {
        !self.choices.is_empty() && self.choices.iter().all(|choice| choice.has_finished)
    }
}

fn start<'a>(chunk: &Members<'a>) -> Start<'a> {
    let text = |key: &str| chunk.get(key).and_then(Text::of_json);
    Start {
        id: text("id").unwrap_or_default(),
        model: text("model").unwrap_or_default(),
        created: chunk.get("created").and_then(|raw| raw.parse().ok()),
        service_tier: text("service_tier"),
    }
}

impl Decoder {
    fn choice(&mut self, index: u32) -> Option<&mut Choice> {
        let found = self.choices.iter().position(|choice| choice.index == index);
        if found.is_none() {
            if self.choices.len() == MOST || index as usize >= MOST {
                return None;
            }
            self.choices.push(Choice {
                index,
                ..Choice::default()
            });
        }
        let at = found.unwrap_or(self.choices.len() - 1);
        self.choices.get_mut(at)
    }
}

impl Choice {
    fn take<'d>(&mut self, choice: &Members<'d>, each: Each<'_>) -> Option<(Place, &'d str)> {
        let finish = choice.text("finish_reason");
        let logprobs = choice.get("logprobs").and_then(read::content_logprobs);
        let mut only = None;
        if let Some(delta) = choice.get("delta").filter(|raw| is_object(raw)) {
            only = self.say(&Members::of(delta)?, each);
        }
        if let (Some(logprobs), Some((Words::Text, place))) = (logprobs, self.words) {
            let piece = Piece::Logprobs(logprobs);
            each(Event::Delta { place, piece });
            only = None;
        }
        let Some(word) = finish.filter(|_| !self.has_finished) else {
            return only;
        };
        self.close_all(each);
        self.has_finished = true;
        each(Event::Finish {
            choice: self.index,
            finish: Finish::from_word(&word),
            stopped_by: None,
        });
        None
    }

    /// Takes a delta. Gives the text if that was all there was to add.
    fn say<'d>(&mut self, delta: &Members<'d>, each: Each<'_>) -> Option<(Place, &'d str)> {
        let mut texts = 0;
        let mut only = None;
        let mut others = false;
        for (key, raw) in delta.iter() {
            let words = match key {
                "content" => Words::Text,
                "reasoning_content" => Words::Reasoning,
                // OpenRouter and others send both, alike.
                "reasoning" if !has_text(delta, "reasoning_content") => Words::Reasoning,
                "refusal" => Words::Refusal,
                "role" | "reasoning" | "index" | "name" => continue,
                "thinking_blocks" | "tool_calls" | "function_call" | "annotations" | "images" => {
                    others |= says_something(raw);
                    continue;
                }
                _ => continue,
            };
            if let Some(text) = inside_quotes(raw).filter(|text| !text.is_empty()) {
                let is_open = self.words.is_some_and(|(open, _)| open == words);
                let place = self.words_place(words, each);
                let piece = Piece::Text(Text::of_json(raw)?);
                each(Event::Delta { place, piece });
                texts += 1;
                only = is_open.then_some((place, text));
            } else if key == "content" {
                self.content_parts(raw, each);
            }
        }
        if others {
            self.say_others(delta, each);
        }
        only.filter(|_| texts == 1 && !others)
    }

    /// Mistral's reasoning models stream parts: words, or thinking.
    fn content_parts(&mut self, raw: &str, each: Each<'_>) {
        for part in elements(raw)
            .unwrap_or_default()
            .into_iter()
            .filter_map(Members::of)
        {
            let mut say = |words, fields: &Members<'_>| {
                if let Some(text) = fields.get("text").and_then(Text::of_json)
                    && !text.is_empty()
                {
                    let place = self.words_place(words, each);
                    let piece = Piece::Text(text);
                    each(Event::Delta { place, piece });
                }
            };
            match part.get("thinking").and_then(elements) {
                Some(thoughts) => thoughts
                    .into_iter()
                    .filter_map(Members::of)
                    .for_each(|thought| say(Words::Reasoning, &thought)),
                None => say(Words::Text, &part),
            }
        }
    }

    fn say_others(&mut self, delta: &Members<'_>, each: Each<'_>) {
        for json in delta.list("thinking_blocks") {
            self.thinking_block(json, !has_text(delta, "reasoning_content"), each);
        }
        for json in delta.list("annotations") {
            let citation = said::citation(json, &Text::default());
            if let (Some(citation), Some((Words::Text, place))) = (citation, self.words) {
                let piece = Piece::Citation(citation);
                each(Event::Delta { place, piece });
            }
        }
        for json in delta.list("images") {
            self.image(json, each);
        }
        let calls = delta.list("tool_calls");
        for (nth, json) in calls.into_iter().enumerate() {
            self.call(json, nth, each);
        }
        if let Some(function) = delta.get("function_call").and_then(Members::of) {
            self.function(&function, each);
        }
    }

    /// A mark on the thinking so far, or thinking that is hidden. Its words
    /// count where nothing else has them.
    fn thinking_block(&mut self, json: &str, has_words: bool, each: Each<'_>) {
        let Some(block) = Members::of(json) else {
            return;
        };
        let text = |key: &str| {
            block
                .get(key)
                .and_then(Text::of_json)
                .filter(|it| !it.is_empty())
        };
        if let Some(data) = text("data") {
            self.close_words(each);
            let reasoned = Reasoned {
                seal: Some(said::seal(data, true)),
                ..Default::default()
            };
            return self.whole(Content::Reasoning(reasoned), each);
        }
        let is_thinking = self.words.is_some_and(|(open, _)| open == Words::Reasoning);
        if has_words && !is_thinking {
            let place = self.words_place(Words::Reasoning, each);
            if let Some(words) = text("thinking") {
                let piece = Piece::Text(words);
                each(Event::Delta { place, piece });
            }
        }
        if let (Some(mark), Some((Words::Reasoning, place))) = (text("signature"), self.words) {
            let piece = Piece::Seal(said::seal(mark, false));
            each(Event::Delta { place, piece });
            self.close_words(each);
        }
    }

    fn image(&mut self, json: &str, each: Each<'_>) {
        let url = Members::of(json)
            .and_then(|image| Members::of(image.get("image_url")?)?.get("url"))
            .and_then(Text::of_json);
        if let Some(url) = url {
            self.close_words(each);
            let media = Media {
                kind: MediaKind::Image,
                source: super::parts::source(url),
                name: None,
                detail: None,
            };
            self.whole(Content::Media(media), each);
        }
    }

    fn whole(&mut self, content: Content<'_>, each: Each<'_>) {
        let place = self.next_place();
        let opening = Opening::Whole(content);
        each(Event::Open { place, opening });
        each(Event::Close { place });
    }

    fn next_place(&mut self) -> Place {
        let part = self.parts;
        self.parts += 1;
        Place {
            choice: self.index,
            part,
        }
    }

    /// The place of words of this kind; opens it where another is open.
    fn words_place(&mut self, words: Words, each: Each<'_>) -> Place {
        if let Some((open, place)) = self.words
            && open == words
        {
            return place;
        }
        self.close_words(each);
        let place = self.next_place();
        let opening = match words {
            Words::Text => Opening::Text,
            Words::Reasoning => Opening::Reasoning { is_summary: false },
            Words::Refusal => Opening::Refusal,
        };
        each(Event::Open { place, opening });
        self.words = Some((words, place));
        place
    }

    fn close_words(&mut self, each: Each<'_>) {
        if let Some((_, place)) = self.words.take() {
            each(Event::Close { place });
        }
    }

    fn close_all(&mut self, each: Each<'_>) {
        self.close_words(each);
        for call in &mut self.calls {
            call.close(each);
        }
    }

    /// Takes a delta of a call: the one of its index, else a new one where it
    /// has an id or a name, else the last.
    fn call(&mut self, json: &str, nth: usize, each: Each<'_>) {
        let Some(delta) = Members::of(json) else {
            return;
        };
        let fields = ["function", "custom"].iter().find_map(|key| delta.get(key));
        let tool = fields.and_then(Members::of).unwrap_or_default();
        let is_custom = delta.get("custom").is_some_and(is_object);
        let index = delta.get("index").and_then(|raw| raw.parse().ok());
        let id = delta
            .get("id")
            .and_then(Text::of_json)
            .filter(|id| !id.is_empty());
        let known = match (index, &id) {
            (Some(index), _) => self.calls.iter().position(|call| call.index == index),
            // Whole calls without an index, one after another.
            (None, Some(_)) => None,
            (None, None) => self.calls.len().checked_sub(1),
        };
        let at = match known {
            Some(at) => at,
            None if self.calls.len() == MOST => return,
            None => {
                let index = index.unwrap_or((self.calls.len() + nth) as u64);
                let opening = Opening::Call {
                    id: id.unwrap_or_default(),
                    name: tool.get("name").and_then(Text::of_json).unwrap_or_default(),
                    is_custom,
                };
                self.open_call(index, opening, is_custom, each)
            }
        };
        let seal = Reading::of(json, Path::default())
            .and_then(|mut call| said::call_seal(&mut call))
            .ok()
            .flatten();
        let call = &mut self.calls[at];
        if let Some(seal) = seal {
            let piece = Piece::Seal(seal);
            each(Event::Delta {
                place: call.place,
                piece,
            });
        }
        let input = if is_custom { "input" } else { "arguments" };
        call.add(tool.get(input), each);
    }

    /// The older form: one call, without an id.
    fn function(&mut self, function: &Members<'_>, each: Each<'_>) {
        if self.calls.is_empty() {
            let name = function
                .get("name")
                .and_then(Text::of_json)
                .unwrap_or_default();
            let opening = Opening::Call {
                id: said::id_of_function(&name),
                name,
                is_custom: false,
            };
            self.open_call(0, opening, false, each);
        }
        self.calls[0].add(function.get("arguments"), each);
    }

    fn open_call(
        &mut self,
        index: u64,
        opening: Opening<'_>,
        is_custom: bool,
        each: Each<'_>,
    ) -> usize {
        self.close_words(each);
        let place = self.next_place();
        each(Event::Open { place, opening });
        self.calls.push(Call::open(index, place, is_custom));
        self.calls.len() - 1
    }
}

fn has_text(delta: &Members<'_>, key: &str) -> bool {
    let text = delta.get(key).and_then(inside_quotes);
    text.is_some_and(|text| !text.is_empty())
}
