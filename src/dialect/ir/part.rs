//! What a turn or an answer is made of.

use super::{At, Json, Text};
use crate::dialect::members::{ObjectWriter, is_object};

/// One piece of a turn or of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Part<'a> {
    /// What it is.
    pub content: Content<'a>,
    /// The caller's wish that the provider keep the prompt up to here.
    pub cache: Option<CacheMark>,
    /// Where the caller wrote it; unused in answers.
    pub at: At,
}

impl<'a> From<Content<'a>> for Part<'a> {
    fn from(content: Content<'a>) -> Self {
        Self {
            content,
            cache: None,
            at: At::default(),
        }
    }
}

/// What a part can be.
#[derive(Clone, Debug, PartialEq)]
pub enum Content<'a> {
    /// Words.
    Text {
        /// The words.
        text: Text<'a>,
        /// What they rest on.
        citations: Vec<Citation<'a>>,
        /// How probable each token was, as chat's `logprobs.content` has it:
        /// an array. Answers only.
        logprobs: Option<Json<'a>>,
    },
    /// An image, a document, audio, video.
    Media(Media<'a>),
    /// What the model thought.
    Reasoning(Reasoned<'a>),
    /// The model's words for why it won't answer.
    Refusal(Text<'a>),
    /// A call of one of the caller's tools.
    Call(ToolCall<'a>),
    /// What such a call gave. Only in [`super::Role::Tool`] turns.
    Result(ToolResult<'a>),
    /// What only its maker understands (a hosted tool's call or result, a
    /// block this version doesn't know), as it was written. Lost to others.
    Foreign {
        /// Whose format it is in.
        maker: Maker,
        /// The block.
        json: Json<'a>,
    },
}

impl<'a> Content<'a> {
    /// Words without anything beside them.
    pub fn text(text: Text<'a>) -> Self {
        Self::Text {
            text,
            citations: Vec::new(),
            logprobs: None,
        }
    }
}

/// Whose format something opaque is in: only there can it be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// OpenAI: Responses items and their encrypted reasoning.
    OpenAi,
    /// Anthropic: blocks, and the signatures of thinking.
    Anthropic,
    /// Google: parts, and their thought signatures.
    Gemini,
}

/// The caller's wish that the provider keep the prompt up to a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheMark {
    /// For an hour instead of the usual five minutes.
    pub for_an_hour: bool,
}

/// Something that isn't words.
#[derive(Clone, Debug, PartialEq)]
pub struct Media<'a> {
    /// What it is.
    pub kind: MediaKind,
    /// Where its bytes are.
    pub source: Source<'a>,
    /// Its name, for documents: Anthropic's `title`, OpenAI's `filename`.
    pub name: Option<Text<'a>>,
    /// How closely an image is to be looked at, in OpenAI's words (`low`,
    /// `high`, `auto`, `original`).
    pub detail: Option<Text<'a>>,
}

/// What kinds of media formats tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaKind {
    /// A picture.
    Image,
    /// A PDF or a text.
    Document,
    /// Sound.
    Audio,
    /// Moving pictures.
    Video,
}

/// Where the bytes of media are.
#[derive(Clone, Debug, PartialEq)]
pub enum Source<'a> {
    /// Here, in base64, with their media type (`image/png`).
    Base64 {
        /// The media type.
        media_type: Text<'a>,
        /// The bytes.
        data: Text<'a>,
    },
    /// At this URL, which isn't a `data:` one; with the media type where the
    /// format says it.
    Url {
        /// The media type, if it was said.
        media_type: Option<Text<'a>>,
        /// Where.
        url: Text<'a>,
    },
    /// Here, as words: a plain-text document.
    Text(Text<'a>),
    /// In the files of the provider the caller had in mind. Lost to others.
    File {
        /// Whose files.
        maker: Maker,
        /// The file's id there.
        id: Text<'a>,
    },
}

/// What the model thought, as far as its provider shows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reasoned<'a> {
    /// Its words; empty where they are hidden.
    pub text: Text<'a>,
    /// Whether the words are a summary and not the thinking itself.
    pub is_summary: bool,
    /// What its maker needs to believe it when it comes back.
    pub seal: Option<Seal<'a>>,
}

/// A provider's mark on reasoning (Anthropic's `signature` and redacted
/// `data`, Responses' `encrypted_content`, Gemini's `thoughtSignature`). It
/// must go back unchanged to its maker and to nobody else.
#[derive(Clone, Debug, PartialEq)]
pub struct Seal<'a> {
    /// Who can open it.
    pub maker: Maker,
    /// The maker's id of what is sealed, where it has one (Responses items).
    pub id: Option<Text<'a>>,
    /// The mark.
    pub data: Text<'a>,
    /// Whether the mark is the thinking itself, hidden, and not a signature
    /// under the words: Anthropic's `redacted_thinking`.
    pub is_redacted: bool,
}

/// A call of one of the caller's tools.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolCall<'a> {
    /// What its result names it by; made up by the decoder where the format
    /// has none, so never empty.
    pub id: Text<'a>,
    /// The tool.
    pub name: Text<'a>,
    /// What it is called with: for a function a JSON object in a text, as chat
    /// has it, because while it is streamed (or was cut) it is no JSON yet. A
    /// call without arguments has `{}`.
    pub arguments: Text<'a>,
    /// Whether the tool takes free text ([`super::ToolKind::Custom`]).
    pub is_custom: bool,
    /// Gemini's mark on the call itself.
    pub seal: Option<Seal<'a>>,
}

impl ToolCall<'_> {
    /// The arguments as an object, for formats that have one: a free text is
    /// its `input`. Nothing where they are no object.
    pub(crate) fn object(&self) -> Option<Json<'_>> {
        if self.is_custom {
            let mut out = Vec::new();
            let mut object = ObjectWriter::begin(&mut out);
            object.said("input", &self.arguments);
            object.end();
            return Json::checked(std::str::from_utf8(&out).ok()?).map(Json::into_owned);
        }
        if self.arguments.is_blank() {
            return Json::checked("{}");
        }
        Json::inside(&self.arguments.borrowed())
            .map(Json::into_owned)
            .filter(|json| is_object(json.as_str()))
    }
}

/// What a call of a tool gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolResult<'a> {
    /// The id of the call.
    pub call: Text<'a>,
    /// The tool's name, where the format says it or an earlier turn has the
    /// call.
    pub name: Option<Text<'a>>,
    /// Texts and media; nothing else.
    pub parts: Vec<Part<'a>>,
    /// Whether the tool failed, where the format says so.
    pub is_error: bool,
    /// Whether it answers a call with [`ToolCall::is_custom`].
    pub is_custom: bool,
}

/// Where words come from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Citation<'a> {
    /// The page.
    pub url: Option<Text<'a>>,
    /// Its title, or the document's.
    pub title: Option<Text<'a>>,
    /// The words there.
    pub quote: Option<Text<'a>>,
    /// The part of this text that rests on it, in characters; the whole text
    /// where it isn't said.
    pub span: Option<(u64, u64)>,
    /// The citation as its maker wrote it: what it says beyond the fields
    /// above (places in documents, opaque indexes) goes back to the maker only.
    pub original: Option<(Maker, Json<'a>)>,
}

impl Content<'_> {
    /// The same part, held by itself.
    pub fn into_owned(self) -> Content<'static> {
        match self {
            Self::Text {
                text,
                citations,
                logprobs,
            } => Content::Text {
                text: text.into_owned(),
                citations: citations.into_iter().map(Citation::into_owned).collect(),
                logprobs: logprobs.map(Json::into_owned),
            },
            Self::Media(media) => Content::Media(media.into_owned()),
            Self::Reasoning(reasoned) => Content::Reasoning(Reasoned {
                text: reasoned.text.into_owned(),
                is_summary: reasoned.is_summary,
                seal: reasoned.seal.map(Seal::into_owned),
            }),
            Self::Refusal(text) => Content::Refusal(text.into_owned()),
            Self::Call(call) => Content::Call(ToolCall {
                id: call.id.into_owned(),
                name: call.name.into_owned(),
                arguments: call.arguments.into_owned(),
                is_custom: call.is_custom,
                seal: call.seal.map(Seal::into_owned),
            }),
            Self::Result(result) => Content::Result(result.into_owned()),
            Self::Foreign { maker, json } => Content::Foreign {
                maker,
                json: json.into_owned(),
            },
        }
    }
}

impl Media<'_> {
    fn into_owned(self) -> Media<'static> {
        Media {
            kind: self.kind,
            source: match self.source {
                Source::Base64 { media_type, data } => Source::Base64 {
                    media_type: media_type.into_owned(),
                    data: data.into_owned(),
                },
                Source::Url { media_type, url } => Source::Url {
                    media_type: media_type.map(Text::into_owned),
                    url: url.into_owned(),
                },
                Source::Text(text) => Source::Text(text.into_owned()),
                Source::File { maker, id } => Source::File {
                    maker,
                    id: id.into_owned(),
                },
            },
            name: self.name.map(Text::into_owned),
            detail: self.detail.map(Text::into_owned),
        }
    }
}

impl Seal<'_> {
    /// The same seal, held by itself.
    pub fn into_owned(self) -> Seal<'static> {
        Seal {
            maker: self.maker,
            id: self.id.map(Text::into_owned),
            data: self.data.into_owned(),
            is_redacted: self.is_redacted,
        }
    }
}

impl ToolResult<'_> {
    fn into_owned(self) -> ToolResult<'static> {
        ToolResult {
            call: self.call.into_owned(),
            name: self.name.map(Text::into_owned),
            parts: self
                .parts
                .into_iter()
                .map(|part| Part {
                    content: part.content.into_owned(),
                    cache: part.cache,
                    at: part.at,
                })
                .collect(),
            is_error: self.is_error,
            is_custom: self.is_custom,
        }
    }
}

impl Citation<'_> {
    /// The same citation, held by itself.
    pub fn into_owned(self) -> Citation<'static> {
        Citation {
            url: self.url.map(Text::into_owned),
            title: self.title.map(Text::into_owned),
            quote: self.quote.map(Text::into_owned),
            span: self.span,
            original: self
                .original
                .map(|(maker, json)| (maker, json.into_owned())),
        }
    }
}
