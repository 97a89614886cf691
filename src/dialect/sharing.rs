//! Which calls may share one answer: the facts about one call, read from its
//! body. What is made of them is the operator's and the caller's rule.
//!
//! Two callers may get one answer only where the provider did nothing for the
//! first that it would do again for the second: it ran no tool, looked nothing
//! up, kept nothing. So tools are told by what is known to be harmless: a type
//! that isn't known here is not shared.

use std::borrow::Cow;

use super::canonical::Omit;
use super::json::scan::{Invalid, Scan};
use super::{Dialect, Format};

/// What a call is to others like it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nature {
    /// Whether asking again is meant to give the same answer: embeddings,
    /// token counts, and generations with a temperature of exactly 0.
    pub deterministic: bool,
    /// The field because of which the answer is for this caller alone; the
    /// body itself where it can't be read.
    pub private: Option<&'static str>,
    /// What its provider does for it beside answering: nothing if and only if
    /// the answer may be shared.
    pub effect: Effect,
}

/// What a call does at its provider beside answering, least first: what it is
/// to make it twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Nothing.
    #[default]
    Nothing,
    /// Something is looked up, or the answer is kept there. Made twice, it costs
    /// twice, and leaves an answer that nobody knows the name of.
    Trace,
    /// It may do something there, or go on by itself. Made twice, that is done
    /// twice.
    Act,
}

/// Reads the nature of a call to `model`, as its provider calls it.
///
/// Of a field that is there twice either value may be taken: such a body has
/// no [canonical form](super::canonical), so it shares nothing anyway.
pub fn nature(format: Format, model: &str, body: &str) -> Nature {
    let mut reading = Reading {
        format,
        private: None,
        effect: Effect::Nothing,
        is_cold: false,
        // OpenAI keeps a response for later calls unless told not to.
        is_kept: format == Format::Responses,
    };
    reading.note("model", Effect::Trace, searches(model));
    let mut scan = Scan::new(body);
    let is_read = scan
        .object(|scan, key| reading.field(&key, scan))
        .and_then(|()| scan.end());
    reading.note("store", Effect::Trace, reading.is_kept);
    let unread = is_read.is_err();
    reading.note("body", Effect::Act, unread);
    Nature {
        deterministic: reading.is_cold || !format.streams(),
        private: unread.then_some("body").or(reading.private),
        effect: reading.effect,
    }
}

/// Fields that, unless null, false or an empty list, make the provider do more
/// than answer from the body, or mean something it holds and may change.
const PRIVATE: &[(&str, Effect)] = &[
    // OpenAI: what came before, where it is written down, and who waits for
    // what comes.
    ("previous_response_id", Effect::Trace),
    ("conversation", Effect::Act),
    ("background", Effect::Act),
    // OpenAI chat: searches the web; speech, whose id the provider forgets.
    ("web_search_options", Effect::Trace),
    ("audio", Effect::Trace),
    // Anthropic: tools at the provider's end and the machine they run on.
    ("mcp_servers", Effect::Act),
    ("container", Effect::Act),
    // Compatible providers' searches: xAI, OpenRouter, Alibaba, Groq; and what
    // OpenRouter keeps in a preset.
    ("search_parameters", Effect::Trace),
    ("plugins", Effect::Trace),
    ("enable_search", Effect::Trace),
    ("search_settings", Effect::Trace),
    ("compound_custom", Effect::Trace),
    ("preset", Effect::Trace),
    // xAI: an answer that is fetched later.
    ("deferred", Effect::Act),
];

/// Whether a model searches or runs tools without being asked: OpenAI's
/// `…-search-preview` and `…-search-api`, deep research, Perplexity's `sonar…`,
/// Groq's `compound…`, OpenRouter's suffix `:online` and its presets.
fn searches(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    name.contains("-search-preview")
        || name.contains("-search-api")
        || name.contains("deep-research")
        || name.starts_with("sonar")
        || name.starts_with("compound")
        || name.ends_with(":online")
        || model.contains("@preset/")
}

struct Reading {
    format: Format,
    private: Option<&'static str>,
    effect: Effect,
    /// Whether the temperature is 0.
    is_cold: bool,
    is_kept: bool,
}

impl Reading {
    fn field(&mut self, key: &str, scan: &mut Scan<'_>) -> Result<(), Invalid> {
        match key {
            "temperature" => self.is_cold = is_zero(scan.skip()?),
            "store" => {
                let value = scan.skip()?;
                self.is_kept = match self.format {
                    Format::Responses => value != "false",
                    _ => is_on(value),
                };
            }
            "tools" if scan.peek() == b'[' => scan.array(|scan| self.tool(scan))?,
            "tools" => self.note("tools", Effect::Act, is_on(scan.skip()?)),
            "input" if self.format == Format::Responses && scan.peek() == b'[' => {
                scan.array(|scan| self.item(scan))?;
            }
            // A template that is held by the provider, and can be changed there.
            // Elsewhere `prompt` is the text itself.
            "prompt" if self.format == Format::Responses => {
                self.note("prompt", Effect::Trace, is_on(scan.skip()?));
            }
            key => {
                let value = scan.skip()?;
                if let Some((field, effect)) = PRIVATE.iter().find(|(field, _)| *field == key) {
                    self.note(field, *effect, is_on(value));
                }
            }
        }
        Ok(())
    }

    /// One of the tools.
    fn tool(&mut self, scan: &mut Scan<'_>) -> Result<(), Invalid> {
        let effect = match Outline::read(scan)? {
            None => Effect::Act,
            Some(tool) => match tool.kind.as_deref() {
                // Anthropic's callers may describe tools of their own without it.
                None if self.format.dialect() == Dialect::Anthropic => Effect::Nothing,
                Some(kind) if runs_at_the_callers(self.format, kind) => Effect::Nothing,
                Some(kind) if looks_up(kind) => Effect::Trace,
                _ => Effect::Act,
            },
        };
        self.note("tools", effect, effect > Effect::Nothing);
        Ok(())
    }

    /// One item of a response's input: it may be the id of another, which the
    /// provider holds. (A file's id is as good as the file: uploaded bytes
    /// never change.)
    fn item(&mut self, scan: &mut Scan<'_>) -> Result<(), Invalid> {
        if let Some(item) = Outline::read(scan)? {
            let is_reference = match item.kind.as_deref() {
                None => item.has_id && !item.has_role,
                Some(kind) => kind == "item_reference",
            };
            self.note("input", Effect::Trace, is_reference);
        }
        Ok(())
    }

    /// Notes what a field asks for, where it does.
    fn note(&mut self, field: &'static str, effect: Effect, is_on: bool) {
        if is_on {
            self.private.get_or_insert(field);
            self.effect = self.effect.max(effect);
        }
    }
}

/// Whether the provider's tool of this type only looks something up: OpenAI's
/// searches, and Anthropic's and OpenRouter's by the names of their versions.
fn looks_up(kind: &str) -> bool {
    let name = kind.strip_prefix("openrouter:").unwrap_or(kind);
    ["web_search", "web_fetch", "file_search", "tool_search"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// Whether the caller runs tools of this type, so that the provider only
/// writes down how they are to be called.
fn runs_at_the_callers(format: Format, kind: &str) -> bool {
    match format.dialect() {
        // Each version of these has a date behind its name.
        Dialect::Anthropic => {
            kind == "custom"
                || ["bash_", "text_editor_", "memory_"]
                    .iter()
                    .any(|prefix| kind.starts_with(prefix))
        }
        _ if format == Format::Responses => {
            matches!(kind, "function" | "custom" | "local_shell" | "apply_patch")
        }
        _ => matches!(kind, "function" | "custom"),
    }
}

/// What an object says it is.
#[derive(Default)]
struct Outline<'a> {
    /// Its type; empty where that is no text, nothing where it is null.
    kind: Option<Cow<'a, str>>,
    has_id: bool,
    has_role: bool,
}

impl<'a> Outline<'a> {
    /// Takes a value; nothing where it is no object.
    fn read(scan: &mut Scan<'a>) -> Result<Option<Self>, Invalid> {
        if scan.peek() != b'{' {
            return scan.skip().map(|_| None);
        }
        let mut outline = Self::default();
        scan.object(|scan, key| {
            match (&*key, scan.peek()) {
                ("type", b'"') => outline.kind = Some(scan.string()?),
                ("type", _) => outline.kind = (scan.skip()? != "null").then(Cow::default),
                (key, _) => {
                    scan.skip()?;
                    outline.has_id |= key == "id";
                    outline.has_role |= key == "role";
                }
            }
            Ok(())
        })?;
        Ok(Some(outline))
    }
}

/// Whether a value asks for anything.
fn is_on(value: &str) -> bool {
    let is_empty_list = value
        .strip_prefix('[')
        .is_some_and(|rest| rest.trim_ascii_start() == "]");
    !is_empty_list && !matches!(value, "null" | "false")
}

/// Whether a value is a number and that number is 0, however it is written.
pub(super) fn is_zero(value: &str) -> bool {
    let mantissa = value.split(['e', 'E']).next().unwrap_or_default();
    let is_digit = |byte| matches!(byte, b'-' | b'0' | b'.');
    mantissa.contains('0') && mantissa.bytes().all(is_digit)
}

/// Fuzz body: a byte that chooses the format, then a body. Panics where the
/// body is judged otherwise once serde_json has written it anew, if no field is
/// there twice.
#[doc(hidden)]
pub fn fuzz_sharing(input: &[u8]) {
    let Some((&[choice], body)) = input.split_first_chunk::<1>() else {
        return;
    };
    let Ok(body) = std::str::from_utf8(body) else {
        return;
    };
    let format = Format::ALL[usize::from(choice) % Format::ALL.len()];
    let judged = nature(format, "m", body);
    let is_clear = super::canonical::write(&mut Vec::new(), body, Omit::Nothing).is_some();
    if let (true, Ok(value)) = (is_clear, serde_json::from_str::<serde_json::Value>(body)) {
        let again = nature(format, "m", &value.to_string());
        assert_eq!(judged.private.is_some(), again.private.is_some());
        // Its floating point takes what is too small for 0.
        assert!(again.deterministic || !judged.deterministic);
    }
}

#[cfg(test)]
mod tests;
