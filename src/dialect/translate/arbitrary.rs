//! Requests and answers made up at random, of what a format can say.
//!
//! Each is in the one form that its decoder would give it, so that encoding
//! and decoding it must give it back. A new format says in [`Knows`] what it
//! can say.

use fastrand::Rng;

use super::Wire;
use crate::dialect::Usage;
use crate::dialect::ir::{
    Answer, At, CacheMark, Choice, Citation, Content, Effort, Finish, Form, Given, Json, Maker,
    Media, MediaKind, Part, Reasoned, Reasoning, Request, Role, Seal, Setting, Settings, Source,
    Text, Thinking, Tier, Tool, ToolCall, ToolChoice, ToolKind, ToolResult, Turn,
};

/// What a format can say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Knows {
    /// Its name for the model, which must be one that takes everything.
    pub(crate) model: &'static str,
    developer: bool,
    names: bool,
    /// Details of images, sound, and names of documents that must be there.
    openai_media: bool,
    sounds: bool,
    /// Documents that are texts or elsewhere.
    any_documents: bool,
    /// Errors, media and nothing in a tool's result.
    any_results: bool,
    /// An order among words, calls and thinking, and several of each.
    ordered: bool,
    /// Thinking in requests.
    sealed: Option<Maker>,
    refusals: bool,
    custom_tools: bool,
    sampling: bool,
    extras: bool,
    /// Seeds, penalties, and what else only chat knows.
    penalties: bool,
    /// Several answers, probabilities, citations of pages.
    openai_answers: bool,
    /// Probabilities, citations and refusals in the order of [`Self::ordered`].
    noted: bool,
    /// Texts that follow each other.
    texts_apart: bool,
    /// Why an answer ended, whatever is in it.
    finish: bool,
    /// Reasoning told apart from its summary.
    summaries: bool,
    /// Texts that end an answer.
    stops: bool,
    /// Marks for the provider's cache.
    marks: bool,
    created: bool,
    /// What Gemini says and doesn't: model and streaming are in the path, media
    /// have a type, results one text, thoughts are summaries, words that follow
    /// each other are one text, and a call of a tool is why it ended.
    googles: bool,
}

impl Knows {
    pub(crate) fn of(wire: Wire) -> Self {
        let chat = Self {
            model: "m",
            developer: true,
            names: true,
            openai_media: true,
            sounds: true,
            any_documents: false,
            any_results: false,
            ordered: false,
            sealed: None,
            refusals: true,
            custom_tools: true,
            sampling: true,
            extras: true,
            penalties: true,
            openai_answers: true,
            noted: false,
            texts_apart: true,
            finish: true,
            summaries: false,
            stops: true,
            marks: true,
            created: true,
            googles: false,
        };
        match wire {
            Wire::Chat | Wire::Completions => chat,
            Wire::Messages => Self {
                model: "claude-opus-4-6",
                developer: false,
                names: false,
                openai_media: false,
                sounds: false,
                any_documents: true,
                any_results: true,
                ordered: true,
                sealed: Some(Maker::Anthropic),
                refusals: false,
                custom_tools: false,
                sampling: false,
                extras: false,
                penalties: false,
                openai_answers: false,
                created: false,
                ..chat
            },
            Wire::Gemini => Self {
                model: "gemini-3-flash",
                developer: false,
                names: false,
                openai_media: false,
                sounds: false,
                any_results: true,
                ordered: true,
                sealed: Some(Maker::Gemini),
                refusals: false,
                custom_tools: false,
                extras: false,
                penalties: false,
                openai_answers: false,
                texts_apart: false,
                finish: false,
                marks: false,
                created: false,
                googles: true,
                ..chat
            },
            Wire::Responses => Self {
                names: false,
                sounds: false,
                any_results: true,
                ordered: true,
                sealed: Some(Maker::OpenAi),
                penalties: false,
                openai_answers: false,
                noted: true,
                texts_apart: false,
                finish: false,
                summaries: true,
                stops: false,
                marks: false,
                ..chat
            },
        }
    }
}

/// A generator of one format's values.
pub(crate) struct Arbitrary {
    knows: Knows,
    random: Rng,
}

impl Arbitrary {
    pub(crate) fn new(wire: Wire, seed: u64) -> Self {
        Self {
            knows: Knows::of(wire),
            random: Rng::with_seed(seed),
        }
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.random.bool().then(|| make(self))
    }

    fn several<T>(&mut self, most: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.random.usize(0..=most))
            .map(|_| make(self))
            .collect()
    }

    fn one_of<T: Clone>(&mut self, choices: &[T]) -> T {
        self.random
            .choice(choices)
            .expect("there are choices")
            .clone()
    }

    /// A text that isn't blank and doesn't end in white space.
    pub(crate) fn text(&mut self) -> Text<'static> {
        let pieces = [
            "a", "é", "\"", "\\", " ", "\n", "😀", "x y", "{", "}", "\u{1}", "\\n",
        ];
        let mut text = String::new();
        for _ in 0..self.random.usize(0..6) {
            text.push_str(self.random.choice(pieces).expect("there are pieces"));
        }
        Text::owned(&(text + "z"))
    }

    fn word(&mut self) -> Text<'static> {
        Text::owned(&format!("w{}_", self.random.u16(..)))
    }

    fn object(&mut self) -> Json<'static> {
        let object = self.one_of(&[
            r#"{"a":1}"#,
            r#"{"a":{"b":["c \" \\ \n",-1.5e3,null,true]}}"#,
            r#"{"q":"}{"}"#,
        ]);
        Json::checked(object).expect("JSON")
    }

    fn schema(&mut self) -> Json<'static> {
        let schema = r#"{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}"#;
        Json::checked(schema).expect("JSON")
    }

    fn mark(&mut self) -> Option<CacheMark> {
        let for_an_hour = self.random.bool();
        let is_marked = self.knows.marks && self.random.u8(..5) == 0;
        is_marked.then_some(CacheMark { for_an_hour })
    }

    pub(crate) fn request(&mut self) -> Request<'static> {
        let mut request = Request {
            model: Text::plain(self.knows.model),
            stream: self.random.bool(),
            ..Request::default()
        };
        if self.knows.googles {
            (request.model, request.stream) = (Text::default(), false);
        }
        request.include_usage = request.stream || !self.knows.openai_answers;
        let role = match self.knows.developer && self.random.bool() {
            true => Role::Developer,
            false => Role::System,
        };
        if self.random.bool() {
            let part = |me: &mut Self| me.part(Content::text);
            let parts = vec![part(self)];
            request.say(self.turn(role, parts));
        }
        for _ in 0..self.random.usize(1..3) {
            let parts = (0..self.random.usize(1..4))
                .map(|_| self.user_part())
                .collect();
            let turn = self.turn(Role::User, parts);
            request.say(turn);
            let said = self.assistant();
            let results = said.iter().filter_map(|part| match &part.content {
                Content::Call(call) => Some((call.id.clone(), call.is_custom)),
                _ => None,
            });
            let results: Vec<_> = results.collect();
            let turn = self.turn(Role::Assistant, said);
            request.say(turn);
            let results = results.into_iter();
            let results = results.map(|(id, is_custom)| self.result(id, is_custom));
            let results = results.collect();
            request.say(Turn {
                role: Role::Tool,
                parts: results,
                ..Turn::default()
            });
        }
        request.tools = self.several(3, Self::tool);
        request.settings = self.settings(!request.tools.is_empty());
        request
    }

    fn turn(&mut self, role: Role, parts: Vec<Part<'static>>) -> Turn<'static> {
        let is_named = self.knows.names && role != Role::Tool && role != Role::Assistant;
        Turn {
            role,
            name: is_named.then(|| self.maybe(Self::word)).flatten(),
            parts,
            at: At::default(),
        }
    }

    fn part(&mut self, content: fn(Text<'static>) -> Content<'static>) -> Part<'static> {
        Part {
            content: content(self.text()),
            cache: self.mark(),
            at: At::default(),
        }
    }

    fn user_part(&mut self) -> Part<'static> {
        let content = match self.random.u8(..4) {
            0 => Content::Media(self.image()),
            1 => Content::Media(self.document()),
            2 if self.knows.sounds => Content::Media(Media {
                kind: MediaKind::Audio,
                source: Source::Base64 {
                    media_type: Text::plain(self.one_of(&["audio/wav", "audio/mpeg"])),
                    data: Text::plain("UklG"),
                },
                name: None,
                detail: None,
            }),
            _ => Content::text(self.text()),
        };
        Part {
            content,
            cache: self.mark(),
            at: At::default(),
        }
    }

    fn image(&mut self) -> Media<'static> {
        let base64 = Source::Base64 {
            media_type: Text::plain("image/png"),
            data: Text::plain("iVBORw0KGgo="),
        };
        let url = Source::Url {
            media_type: self.knows.googles.then_some(Text::plain("image/png")),
            url: Text::plain("https://example.com/a.png?b=c&d"),
        };
        let detail = self.knows.openai_media && self.random.bool();
        Media {
            kind: MediaKind::Image,
            source: self.one_of(&[base64, url]),
            name: None,
            detail: detail.then_some(Text::plain("low")),
        }
    }

    fn document(&mut self) -> Media<'static> {
        let source = match self.random.u8(..3) {
            0 if self.knows.any_documents => Source::Text(self.text()),
            1 if self.knows.any_documents => Source::Url {
                media_type: None,
                url: Text::plain("https://example.com/a.pdf"),
            },
            _ => Source::Base64 {
                media_type: Text::plain("application/pdf"),
                data: Text::plain("JVBERi0="),
            },
        };
        let is_named = self.knows.openai_media || self.random.bool();
        Media {
            kind: MediaKind::Document,
            source,
            name: is_named.then(|| self.text()),
            detail: None,
        }
    }

    /// What an assistant said in an earlier turn.
    fn assistant(&mut self) -> Vec<Part<'static>> {
        let mut parts = Vec::new();
        if self.knows.ordered {
            for _ in 0..self.random.usize(1..4) {
                let part: Part<'_> = match self.random.u8(..4) {
                    0 => self.reasoning(self.knows.sealed.is_some()).into(),
                    1 => Part::from(Content::text(self.text())),
                    2 if self.knows.refusals => Part::from(Content::Refusal(self.text())),
                    _ => Part::from(Content::Call(self.call(false))),
                };
                parts.push(part);
            }
        } else {
            parts.extend(self.maybe(|me| Part::from(Content::text(me.text()))));
            let refusal = self.knows.refusals && parts.is_empty();
            parts.extend(refusal.then(|| Part::from(Content::Refusal(self.text()))));
            let calls = self.several(2, |me| Part::from(Content::Call(me.call(false))));
            parts.extend(calls);
        }
        // The last may be what the model goes on from.
        parts.push(Part::from(Content::Call(self.call(false))));
        parts
    }

    /// Thinking that its own maker marked, or anybody, or nobody.
    fn reasoning(&mut self, own: bool) -> Content<'static> {
        let maker = match (own, self.knows.sealed) {
            (true, Some(maker)) => maker,
            _ => self.one_of(&[Maker::Anthropic, Maker::OpenAi, Maker::Gemini]),
        };
        // Responses' own reasoning is never told to be hidden.
        let is_plain = self.knows.summaries && maker == Maker::OpenAi;
        let is_redacted = !is_plain && self.random.bool();
        let seal = Seal {
            maker,
            id: (maker == Maker::OpenAi).then(|| self.word()),
            data: Text::plain("EqQBCgIYAhIk=="),
            is_redacted,
        };
        Content::Reasoning(Reasoned {
            text: if is_redacted {
                Text::default()
            } else {
                self.text()
            },
            is_summary: !is_redacted
                && (self.knows.googles || (self.knows.summaries && self.random.bool())),
            seal: (own || is_redacted || self.random.bool()).then_some(seal),
        })
    }

    fn call(&mut self, is_answer: bool) -> ToolCall<'static> {
        let is_custom = self.knows.custom_tools && self.random.u8(..4) == 0;
        ToolCall {
            id: Text::owned(&format!("call_{:x}", self.random.u64(..))),
            name: self.word(),
            arguments: match is_custom {
                true => self.text(),
                false => self.object().as_text(),
            },
            is_custom,
            seal: (is_answer && self.random.u8(..4) == 0).then_some(Seal {
                maker: Maker::Gemini,
                id: None,
                data: Text::plain("AbC+/="),
                is_redacted: false,
            }),
        }
    }

    fn result(&mut self, call: Text<'static>, is_custom: bool) -> Part<'static> {
        let parts = match self.knows.any_results {
            true => self.several(3, |me| match me.random.bool() {
                true => me.part(Content::text),
                false => Part::from(Content::Media(me.image())),
            }),
            false => vec![self.part(Content::text)],
        };
        let mut parts: Vec<Part<'_>> = parts;
        if self.knows.googles {
            let is_text = |part: &Part<'_>| matches!(part.content, Content::Text { .. });
            let first = parts.iter().position(is_text).map(|at| parts.remove(at));
            parts.retain(|part| !is_text(part));
            parts.splice(..0, first);
        }
        let part = Part::from(Content::Result(ToolResult {
            call,
            name: None,
            parts,
            // Responses knows results of all kinds, but not that they failed.
            is_error: self.knows.any_results && !self.knows.extras && self.random.bool(),
            is_custom: is_custom && self.knows.any_results,
        }));
        Part {
            cache: self.mark().filter(|_| self.knows.any_results),
            ..part
        }
    }

    fn tool(&mut self) -> Tool<'static> {
        let is_custom = self.knows.custom_tools && self.random.bool();
        let kind = match is_custom {
            true => ToolKind::Custom {
                name: self.word(),
                description: self.maybe(Self::text),
                format: self.maybe(|_| {
                    let grammar =
                        r#"{"type":"grammar","grammar":{"syntax":"lark","definition":"a"}}"#;
                    Json::checked(grammar).expect("JSON")
                }),
            },
            false => ToolKind::Function {
                name: self.word(),
                description: self.maybe(Self::text),
                parameters: Some(self.schema()),
                strict: self.maybe(|_| true).filter(|_| !self.knows.googles),
            },
        };
        Tool {
            kind,
            cache: self.mark(),
            at: At::default(),
        }
    }

    fn set<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Setting<T> {
        self.maybe(make).map(|value| Given::new("", value))
    }

    fn number(&mut self) -> Json<'static> {
        Json::checked(self.one_of(&["0.5", "1", "0", "0.70"])).expect("JSON")
    }

    fn settings(&mut self, has_tools: bool) -> Settings<'static> {
        let tool_choice = self
            .set(|me| {
                let name = me.word();
                me.one_of(&[
                    ToolChoice::Auto,
                    ToolChoice::Required,
                    ToolChoice::Named(name),
                ])
            })
            .filter(|_| has_tools);
        let has_choice = tool_choice.is_some() || (has_tools && self.knows.extras);
        let mut settings = Settings {
            max_tokens: Some(Given::new("", self.random.u64(2_000..9_000))),
            stop: self
                .set(|me| vec![me.text(), me.text()])
                .filter(|_| self.knows.stops),
            parallel_tools: self.set(|_| false).filter(|_| has_choice),
            form: self.set(Self::form),
            reasoning: self.set(Self::reasoning_setting),
            user: self.set(Self::text),
            service_tier: self.set(|me| me.one_of(&[Tier::Auto, Tier::Standard])),
            tool_choice,
            ..Settings::default()
        };
        if self.knows.sampling {
            settings.temperature = self.set(Self::number);
            settings.top_p = self.set(Self::number);
        } else if settings.reasoning.is_none() {
            settings.temperature = self.set(Self::number);
            settings.top_k = self.set(|_| Json::checked("40").expect("JSON"));
        }
        if self.knows.googles {
            settings.seed = self.set(Self::number);
            settings.parallel_tools = None;
            settings.user = None;
            settings.service_tier = self.set(|_| Tier::Standard);
            settings.top_k = self.set(Self::number);
            settings.seed = self.set(|_| Json::checked("-7").expect("JSON"));
            settings.presence_penalty = self.set(|_| Json::checked("1").expect("JSON"));
            settings.choices = self.set(|me| me.random.u64(2..9));
            settings.logprobs = self.set(|me| me.random.u64(..3));
            settings.metadata = self.set(|_| Json::checked(r#"{"team":"a-1"}"#).expect("JSON"));
            settings.store = self.set(|_| true);
            settings.modalities = self.set(|_| Json::checked(r#"["text","image"]"#).expect("JSON"));
        }
        if self.knows.penalties {
            settings.seed = self.set(Self::number);
            settings.frequency_penalty = self.set(|_| Json::checked("-0.5").expect("JSON"));
            settings.presence_penalty = self.set(|_| Json::checked("1").expect("JSON"));
            settings.logit_bias = self.set(Self::object);
            settings.choices = self.set(|me| me.random.u64(2..5));
            settings.store = self.set(|_| true);
            settings.modalities = self.set(|_| Json::checked(r#"["text","audio"]"#).expect("JSON"));
        }
        if self.knows.extras {
            settings.logprobs = self.set(|me| me.random.u64(..3));
            settings.verbosity = self.set(|_| Text::plain("low"));
            settings.metadata = self.set(Self::object);
            settings.cache_key = self.set(Self::text);
            settings.cache_retention = self.set(|_| Text::plain("24h"));
        }
        settings
    }

    fn form(&mut self) -> Form<'static> {
        let is_openai = self.knows.extras;
        if is_openai && self.random.bool() {
            return Form::Object;
        }
        Form::Schema {
            name: is_openai.then(|| self.word()),
            description: is_openai.then(|| self.text()),
            schema: self.schema(),
            strict: Some(true),
        }
    }

    fn reasoning_setting(&mut self) -> Reasoning<'static> {
        let efforts = [Effort::Low, Effort::Medium, Effort::High, Effort::Max];
        if self.knows.googles {
            return Reasoning {
                thinking: None,
                effort: Some(self.one_of(&[Effort::Minimal, Effort::Low, Effort::High])),
                summary: Some(Text::plain(self.one_of(&["none", "auto"]))),
            };
        }
        if self.knows.extras {
            return Reasoning {
                effort: Some(self.one_of(&Effort::ALL)),
                ..Reasoning::default()
            };
        }
        Reasoning {
            thinking: Some(Thinking::Auto),
            effort: self.maybe(|me| me.one_of(&efforts)),
            summary: self.maybe(|me| Text::plain(me.one_of(&["none", "auto"]))),
        }
    }

    pub(crate) fn answer(&mut self) -> Answer<'static> {
        let count = match self.knows.openai_answers || self.knows.googles {
            true => self.random.usize(1..3),
            false => 1,
        };
        let input = self.random.u64(100..1_000);
        let output = self.random.u64(..500);
        Answer {
            id: self.word(),
            model: self.word(),
            created: self
                .knows
                .created
                .then(|| self.random.u64(1..2_000_000_000)),
            choices: (0..count).map(|_| self.choice()).collect(),
            usage: Some(Usage {
                input,
                output,
                cached: self.random.u64(..50),
                cache_write: match self.knows.googles {
                    true => 0,
                    false => self.random.u64(..50),
                },
                reasoning: self.random.u64(..=output),
                estimated: false,
            }),
            service_tier: self.maybe(|me| Text::plain(me.one_of(&["default", "priority"]))),
        }
    }

    fn choice(&mut self) -> Choice<'static> {
        let reasons = [
            Finish::Stop,
            Finish::Length,
            Finish::ToolCalls,
            Finish::ContentFilter,
        ];
        let finish = self.one_of(&reasons);
        let tells = self.knows.stops && !self.knows.openai_answers && finish == Finish::Stop;
        let stopped_by = self
            .maybe(Self::text)
            .filter(|_| tells && !self.knows.googles);
        let mut parts: Vec<Part<'_>> = Vec::new();
        if self.knows.ordered {
            for _ in 0..self.random.usize(0..5) {
                let part = match self.random.u8(..4) {
                    0 => self.reasoning(false).into(),
                    1 if self.knows.noted => self.answer_text(),
                    1 => Part::from(Content::text(self.text())),
                    2 if self.knows.noted => Part::from(Content::Refusal(self.text())),
                    _ => Part::from(Content::Call(self.call(true))),
                };
                let last = parts.last().map(|last: &Part<'_>| &last.content);
                if self.knows.texts_apart || !last.is_some_and(|it| goes_on(it, &part.content)) {
                    parts.push(part);
                }
            }
        } else {
            match self.random.u8(..3) {
                0 => parts.push(Part::from(Content::Reasoning(Reasoned {
                    text: self.text(),
                    ..Reasoned::default()
                }))),
                1 => parts.extend((0..2).map(|_| Part::from(self.sealed()))),
                _ => {}
            }
            parts.extend(self.maybe(Self::answer_text));
            parts.extend(self.maybe(|me| Part::from(Content::Refusal(me.text()))));
            parts.extend(self.several(3, |me| Part::from(Content::Call(me.call(true)))));
        }
        let is_call = |part: &Part<'_>| matches!(part.content, Content::Call(_));
        let finish = match finish {
            Finish::Stop | Finish::ToolCalls if !self.knows.finish => {
                match parts.iter().any(is_call) {
                    true => Finish::ToolCalls,
                    false => Finish::Stop,
                }
            }
            finish => finish,
        };
        Choice {
            parts,
            finish: Some(finish),
            stopped_by,
        }
    }

    /// Thinking with a mark.
    fn sealed(&mut self) -> Content<'static> {
        loop {
            let content = self.reasoning(false);
            if let Content::Reasoning(Reasoned { seal: Some(_), .. }) = &content {
                return content;
            }
        }
    }

    fn answer_text(&mut self) -> Part<'static> {
        let text = self.text();
        let most = text.chars();
        let citations = self.several(2, |me| Citation {
            url: Some(Text::plain("https://example.com/")),
            title: Some(me.text()),
            quote: me.maybe(Self::text),
            span: me.maybe(|me| (me.random.u64(..most), most + 1)),
            original: None,
        });
        let logprobs = self.maybe(|_| {
            let tokens = r#"[{"token":"a","logprob":-0.1,"bytes":[97],"top_logprobs":[]}]"#;
            Json::checked(tokens).expect("JSON")
        });
        Part::from(Content::Text {
            text,
            citations,
            logprobs,
        })
    }
}

/// Whether words are of one part where nothing else parts them.
fn goes_on(last: &Content<'_>, next: &Content<'_>) -> bool {
    match (last, next) {
        (Content::Text { .. }, Content::Text { .. })
        | (Content::Refusal(_), Content::Refusal(_)) => true,
        (Content::Reasoning(last), Content::Reasoning(next)) => {
            last.seal.is_none() && !next.text.is_empty()
        }
        _ => false,
    }
}
