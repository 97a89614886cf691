//! What a call and its answer mean, apart from any wire format.
//!
//! Translation reads one format into these types and writes another from
//! them. They borrow from the body they were read from: a text stays escaped
//! as it stood ([`Text`]), a schema or a tool's input stays the JSON it was
//! ([`Json`]), so that carrying either over is one copy. What both sides know
//! has a field here; what only one knows is a [`crate::dialect::loss::Loss`].
//!
//! [`Request`] goes up, an [`Answer`] or its [`Event`]s come down, a
//! [`Failure`] comes down instead. What is equal here means the same: where
//! something stood ([`At`], [`Given::path`]) never counts.

mod answer;
mod at;
mod event;
mod failure;
mod finish;
mod gather;
mod part;
mod request;
mod settings;
mod text;
mod tool;

pub use answer::{Answer, Choice};
pub use at::At;
pub use event::{Event, Opening, Piece, Place, Start};
pub use failure::{Class, Failure};
pub use finish::Finish;
pub use gather::Gather;
pub use part::{
    CacheMark, Citation, Content, Maker, Media, MediaKind, Part, Reasoned, Seal, Source, ToolCall,
    ToolResult,
};
pub use request::{Request, Role, Turn};
pub use settings::{Effort, Form, Given, Reasoning, Setting, Settings, Thinking, Tier};
pub use text::{Json, Text};
pub use tool::{Tool, ToolChoice, ToolKind};
