//! What is answered, step by step.

use super::{Citation, Content, Failure, Finish, Json, Seal, Text};
use crate::dialect::Usage;

/// One step of a streamed answer.
///
/// A decoder keeps this order, and an encoder relies on it: one
/// [`Self::Start`] before everything but pings, counts and failures; a part's
/// [`Self::Open`], its [`Self::Delta`]s, its [`Self::Close`]; after a choice's
/// [`Self::Finish`] none of its parts is open and nothing more is said in it;
/// [`Self::End`] or [`Self::Failed`] is the last, and only one of them comes.
/// [`Self::Usage`] may come at any time and several times.
///
/// One thing may come late: the [`Piece::Seal`] of a call behind its close.
///
/// Parts are numbered in the order they open. Several may be open at once,
/// where a format interleaves them; an encoder whose format can't must hold
/// the later one's events back, and nobody else does.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<'a> {
    /// The answer begins.
    Start(Start<'a>),
    /// A part begins.
    Open {
        /// Which.
        place: Place,
        /// What it is, as far as it is said at once.
        opening: Opening<'a>,
    },
    /// More of a part that is open.
    Delta {
        /// Which.
        place: Place,
        /// What is added.
        piece: Piece<'a>,
    },
    /// A part is complete.
    Close {
        /// Which.
        place: Place,
    },
    /// One of the answers is complete.
    Finish {
        /// Which.
        choice: u32,
        /// Why.
        finish: Finish,
        /// The text that ended it, where the format says which.
        stopped_by: Option<Text<'a>>,
    },
    /// What it took so far; counts only grow ([`Usage::merged`]).
    Usage(Usage),
    /// Nothing, so that nobody thinks the connection dead.
    Ping,
    /// The provider said that this was all.
    End,
    /// The provider gave up, or its stream broke off.
    Failed(Failure),
}

/// Which part of which answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The answer, from 0.
    pub choice: u32,
    /// The part in it, from 0.
    pub part: u32,
}

/// The beginning of an answer. Fields as in [`super::Answer`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Start<'a> {
    /// The provider's id of it; empty where it gave none.
    pub id: Text<'a>,
    /// The model the provider says it used; empty where it didn't say.
    pub model: Text<'a>,
    /// When, in seconds since 1970.
    pub created: Option<u64>,
    /// How it was served.
    pub service_tier: Option<Text<'a>>,
}

/// The beginning of a part.
#[derive(Clone, Debug, PartialEq)]
pub enum Opening<'a> {
    /// Words, in deltas.
    Text,
    /// Thinking, in deltas.
    Reasoning {
        /// As [`super::Reasoned::is_summary`].
        is_summary: bool,
    },
    /// Words of refusal, in deltas.
    Refusal,
    /// A call of a tool; its arguments follow in deltas, as text. One without
    /// any has `{}` as its only delta.
    Call {
        /// As [`super::ToolCall::id`].
        id: Text<'a>,
        /// The tool.
        name: Text<'a>,
        /// As [`super::ToolCall::is_custom`].
        is_custom: bool,
    },
    /// A part that comes whole: its [`Event::Close`] is next.
    Whole(Content<'a>),
}

/// More of a part.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece<'a> {
    /// More of its words, or of a call's arguments; never empty.
    Text(Text<'a>),
    /// The mark on the reasoning or the call.
    Seal(Seal<'a>),
    /// One more thing its words rest on.
    Citation(Citation<'a>),
    /// The probabilities of the words just said: an array to append.
    Logprobs(Json<'a>),
}

impl Event<'_> {
    /// The same event, held by itself.
    pub fn into_owned(self) -> Event<'static> {
        match self {
            Self::Start(start) => Event::Start(Start {
                id: start.id.into_owned(),
                model: start.model.into_owned(),
                created: start.created,
                service_tier: start.service_tier.map(Text::into_owned),
            }),
            Self::Open { place, opening } => Event::Open {
                place,
                opening: opening.into_owned(),
            },
            Self::Delta { place, piece } => Event::Delta {
                place,
                piece: piece.into_owned(),
            },
            Self::Close { place } => Event::Close { place },
            Self::Finish {
                choice,
                finish,
                stopped_by,
            } => Event::Finish {
                choice,
                finish,
                stopped_by: stopped_by.map(Text::into_owned),
            },
            Self::Usage(usage) => Event::Usage(usage),
            Self::Ping => Event::Ping,
            Self::End => Event::End,
            Self::Failed(failure) => Event::Failed(failure),
        }
    }
}

impl Opening<'_> {
    fn into_owned(self) -> Opening<'static> {
        match self {
            Self::Text => Opening::Text,
            Self::Reasoning { is_summary } => Opening::Reasoning { is_summary },
            Self::Refusal => Opening::Refusal,
            Self::Call {
                id,
                name,
                is_custom,
            } => Opening::Call {
                id: id.into_owned(),
                name: name.into_owned(),
                is_custom,
            },
            Self::Whole(content) => Opening::Whole(content.into_owned()),
        }
    }
}

impl Piece<'_> {
    fn into_owned(self) -> Piece<'static> {
        match self {
            Self::Text(text) => Piece::Text(text.into_owned()),
            Self::Seal(seal) => Piece::Seal(seal.into_owned()),
            Self::Citation(citation) => Piece::Citation(citation.into_owned()),
            Self::Logprobs(json) => Piece::Logprobs(json.into_owned()),
        }
    }
}
