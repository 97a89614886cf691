//! The wire languages: what a provider speaks and what one call is written in.
//!
//! Bytes first: where caller and provider speak the same dialect a request is
//! only peeked at ([`mod@peek`]) and a stream only watched ([`watch`]); nothing is
//! re-serialised. Text is built here only where nowait itself is the author:
//! errors ([`error`]) and `/generate` ([`generate`]).
//!
//! Nothing in this module does I/O, logs, or knows the async runtime.

pub mod answer;
pub mod canonical;
mod chat;
pub mod complaint;
mod completions;
pub mod embeddings;
pub mod error;
pub mod estimate;
pub mod fold;
mod gemini;
pub mod generate;
pub mod ids;
pub mod ir;
mod json;
pub mod loss;
mod members;
mod messages;
mod misfit;
pub mod peek;
pub mod prefix;
pub mod quirks;
mod reading;
pub mod respell;
mod responses;
pub mod seals;
pub mod sharing;
pub mod translate;
pub mod unfold;
pub mod usage;
pub mod watch;

pub use answer::{Told, usage_of};
pub use complaint::{Complaint, complaint};
pub use error::{ErrorView, error_body, error_event};
pub use fold::fold;
pub use ir::Finish;
#[doc(hidden)]
pub use json::scan::fuzz_scan;
pub use quirks::{Quirk, Quirks};
pub use unfold::unfold;
pub use usage::Usage;
pub use watch::{Ending, Seen, Watch};

/// What a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI's API, and everything compatible with it.
    OpenAi,
    /// Anthropic's Messages API.
    Anthropic,
    /// Google's Gemini API. Callers don't speak it: calls are translated.
    Gemini,
    /// The built-in simulated provider: OpenAI's and Anthropic's at once.
    Sim,
}

impl Dialect {
    /// Every dialect, in the order messages list them.
    pub const ALL: [Self; 4] = [Self::OpenAi, Self::Anthropic, Self::Gemini, Self::Sim];

    /// The name used in configuration, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Sim => "sim",
        }
    }

    /// The dialect of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|dialect| dialect.as_str() == name)
    }

    /// Whether a provider of this dialect takes `format` as it stands.
    pub fn speaks(self, format: Format) -> bool {
        match self {
            Self::Sim => true,
            Self::OpenAi | Self::Anthropic | Self::Gemini => self == format.dialect(),
        }
    }
}

/// The wire form of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// OpenAI `/chat/completions`.
    Chat,
    /// OpenAI `/responses`.
    Responses,
    /// OpenAI `/completions`, the older form.
    Completions,
    /// OpenAI `/embeddings`.
    Embeddings,
    /// Anthropic `/v1/messages`.
    Messages,
    /// Anthropic `/v1/messages/count_tokens`.
    CountTokens,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 6] = [
        Self::Chat,
        Self::Responses,
        Self::Completions,
        Self::Embeddings,
        Self::Messages,
        Self::CountTokens,
    ];

    /// The dialect this format belongs to.
    pub fn dialect(self) -> Dialect {
        match self {
            Self::Chat | Self::Responses | Self::Completions | Self::Embeddings => Dialect::OpenAi,
            Self::Messages | Self::CountTokens => Dialect::Anthropic,
        }
    }

    /// The path below a provider's base URL. The base is what the provider's
    /// own SDK takes: it ends in `/v1` for OpenAI and not for Anthropic.
    pub fn path(self) -> &'static str {
        match self {
            Self::Chat => "/chat/completions",
            Self::Responses => "/responses",
            Self::Completions => "/completions",
            Self::Embeddings => "/embeddings",
            Self::Messages => "/v1/messages",
            Self::CountTokens => "/v1/messages/count_tokens",
        }
    }

    /// The name used in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Responses => "responses",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::Messages => "messages",
            Self::CountTokens => "count_tokens",
        }
    }

    /// OpenTelemetry's `gen_ai.operation.name` for it.
    pub fn operation(self) -> &'static str {
        match self {
            Self::Chat | Self::Responses | Self::Messages => "chat",
            Self::Completions => "text_completion",
            Self::Embeddings => "embeddings",
            Self::CountTokens => "count_tokens",
        }
    }

    /// Whether its answers can be streams.
    pub fn streams(self) -> bool {
        !matches!(self, Self::Embeddings | Self::CountTokens)
    }
}

/// The field an OpenAI-compatible provider takes its output limit in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MaxTokensField {
    /// `max_tokens`: what compatible servers and older models know.
    #[default]
    MaxTokens,
    /// `max_completion_tokens`: what OpenAI's reasoning models insist on.
    MaxCompletionTokens,
}

impl MaxTokensField {
    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_belongs_to_the_dialect_that_speaks_it() {
        for format in Format::ALL {
            assert!(format.dialect().speaks(format));
            assert!(Dialect::Sim.speaks(format));
            assert!(!Dialect::Gemini.speaks(format));
            assert!(format.path().starts_with('/'));
        }
        assert!(!Dialect::OpenAi.speaks(Format::Messages));
        assert!(!Dialect::Anthropic.speaks(Format::Chat));
    }

    #[test]
    fn names_lead_back_to_their_dialect() {
        for dialect in Dialect::ALL {
            assert_eq!(Dialect::from_name(dialect.as_str()), Some(dialect));
        }
        assert_eq!(Dialect::from_name("OpenAI"), None);
    }
}
