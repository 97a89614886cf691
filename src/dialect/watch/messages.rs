//! Messages streams: `message_start` with the input's usage, content blocks,
//! `message_delta` with the stop reason and cumulative usage, `message_stop`.

use super::scan::{Key, first_text, key, leading_type};
use super::{Seen, Watch};
use crate::dialect::json::scan::Scan;
use crate::dialect::json::{fields, text};
use crate::dialect::{Finish, Usage, usage};

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
            let event = std::str::from_utf8(data).ok().and_then(Event::read);
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

/// The fields of the events that are read, as they are written.
struct Event<'a> {
    message: Option<&'a str>,
    content_block: Option<&'a str>,
    delta: Option<&'a str>,
    usage: Option<&'a str>,
}

impl<'a> Event<'a> {
    fn read(data: &'a str) -> Option<Self> {
        let names = ["message", "content_block", "delta", "usage"];
        let [message, content_block, delta, usage] = fields(data, names)?;
        Some(Self {
            message,
            content_block,
            delta,
            usage,
        })
    }

    /// A block of text or thinking opens empty; any other is content by
    /// itself: a tool's name, a hosted tool's result, redacted thinking.
    fn opens_content(&self) -> bool {
        let block = self.content_block.and_then(|raw| fields(raw, ["type"]));
        let kind = block.and_then(|[kind]| text(kind));
        kind.is_some_and(|kind| !matches!(&*kind, "text" | "thinking"))
    }

    fn tell(&self, watch: &mut Watch) {
        let message = self
            .message
            .and_then(|raw| fields(raw, ["id", "model", "usage"]));
        if let Some([id, model, usage]) = message {
            watch.name(text(id).as_deref(), text(model).as_deref());
            watch.report(usage.and_then(reported), false);
        }
        let delta = self.delta.and_then(|raw| fields(raw, ["stop_reason"]));
        if let Some(word) = delta.and_then(|[reason]| text(reason)) {
            watch.finish = Some(Finish::from_word(&word));
        }
        watch.report(self.usage.and_then(reported), true);
    }
}

fn reported(usage: &str) -> Option<Usage> {
    usage::anthropic(&mut Scan::new(usage))
}
