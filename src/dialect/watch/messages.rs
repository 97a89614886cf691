//! Messages streams: `message_start` with the input's usage, content blocks,
//! `message_delta` with the stop reason and cumulative usage, `message_stop`.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::scan::{Key, first_text, key, leading_type};
use super::{Seen, Watch};
use crate::dialect::json::{read, text};
use crate::dialect::{Finish, usage};

/// Where a delta's text may be: text, a tool's arguments, thinking.
static TEXTS: [Key; 3] = [key!("text"), key!("partial_json"), key!("thinking")];

pub(super) fn see(watch: &mut Watch, event: Option<&[u8]>, data: &[u8]) -> Seen {
    let Some(name) = event.or_else(|| leading_type(data)) else {
        return Seen::default();
    };
    let mut seen = kind(name);
    match name {
        b"content_block_delta" => {
            let text = first_text(&TEXTS, data);
            watch.add_text(text.as_ref());
            watch.delta_text = text;
        }
        b"content_block_start" | b"message_start" | b"message_delta" => {
            let event = std::str::from_utf8(data).ok().and_then(read::<Event<'_>>);
            if let Some(event) = event {
                seen.content = event.opens_content();
                event.tell(watch);
            }
        }
        _ => {}
    }
    seen
}

/// What an event of that name is.
pub(super) fn kind(name: &[u8]) -> Seen {
    Seen {
        content: name == b"content_block_delta",
        end: name == b"message_stop",
        error: name == b"error",
        usage_only: false,
    }
}

/// The events that are read, in one.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    content_block: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

impl Event<'_> {
    /// A block of text or thinking opens empty; any other is content by
    /// itself: a tool's name, a hosted tool's result, redacted thinking.
    fn opens_content(&self) -> bool {
        #[derive(Deserialize)]
        struct Block<'a> {
            #[serde(borrow, rename = "type")]
            kind: Option<&'a RawValue>,
        }
        let block = self
            .content_block
            .and_then(|raw| read::<Block<'_>>(raw.get()));
        let kind = block.and_then(|block| text(block.kind));
        kind.is_some_and(|kind| !matches!(&*kind, "text" | "thinking"))
    }

    fn tell(&self, watch: &mut Watch) {
        #[derive(Deserialize)]
        struct Message<'a> {
            #[serde(borrow)]
            id: Option<&'a RawValue>,
            #[serde(borrow)]
            model: Option<&'a RawValue>,
            #[serde(borrow)]
            usage: Option<&'a RawValue>,
        }
        #[derive(Deserialize)]
        struct Delta<'a> {
            #[serde(borrow)]
            stop_reason: Option<&'a RawValue>,
        }
        if let Some(message) = self.message.and_then(|raw| read::<Message<'_>>(raw.get())) {
            watch.name(text(message.id).as_deref(), text(message.model).as_deref());
            let reported = message.usage.and_then(|raw| usage::anthropic(raw.get()));
            watch.report(reported, false);
        }
        let delta = self.delta.and_then(|raw| read::<Delta<'_>>(raw.get()));
        if let Some(word) = delta.and_then(|delta| text(delta.stop_reason)) {
            watch.finish = Some(Finish::from_word(&word));
        }
        let reported = self.usage.and_then(|raw| usage::anthropic(raw.get()));
        watch.report(reported, true);
    }
}
