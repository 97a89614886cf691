//! What callers of other formats say to Google alone.
//!
//! Google's own layer for OpenAI's clients takes some of its fields under
//! `extra_body.google` (ai.google.dev/gemini-api/docs/openai), and clients of
//! gateways write them beside the rest. Their paths tell what they are, so
//! they are carried as they stand; in a Gemini call they are its own.

use crate::dialect::ir::Request;
use crate::dialect::loss::Losses;
use crate::dialect::members::{Members, ObjectWriter, is_array, is_object};

/// Fields of Google's, as they were written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Extras<'r> {
    /// What is held back.
    safety: Option<&'r str>,
    /// A prompt that Google keeps.
    cached: Option<&'r str>,
    /// How to think, where the caller's format says nothing of it.
    pub(super) thinking: Option<&'r str>,
}

impl<'r> Extras<'r> {
    /// Finds them among what only the caller's format knows; all else of it
    /// is lost.
    pub(super) fn of(request: &'r Request<'_>, losses: &mut Losses) -> Self {
        let mut extras = Self::default();
        for (path, json) in &request.unknown {
            let json = json.as_str();
            match path.as_str() {
                "extra_body" if is_object(json) => {
                    for (key, raw) in Members::of(json).unwrap_or_default().iter() {
                        match key {
                            "google" => extras.google("extra_body.google", raw, losses),
                            _ => losses.dropped(format_args!("{path}.{key}")),
                        }
                    }
                }
                "google" => extras.google(path, json, losses),
                path if extras.take(path, json) => {}
                path => losses.dropped(path),
            }
        }
        if request.settings.reasoning.is_some() && extras.thinking.take().is_some() {
            losses.dropped("extra_body.google.thinking_config");
        }
        extras
    }

    fn google(&mut self, path: &str, json: &'r str, losses: &mut Losses) {
        let members = Members::of(json).unwrap_or_default();
        if !is_object(json) {
            return losses.dropped(path);
        }
        for (key, raw) in members.iter() {
            if !self.take(key, raw) {
                losses.dropped(format_args!("{path}.{key}"));
            }
        }
    }

    /// Takes a field; says whether it is one of these.
    fn take(&mut self, key: &str, raw: &'r str) -> bool {
        match key {
            "safetySettings" | "safety_settings" if is_array(raw) => self.safety = Some(raw),
            "cachedContent" | "cached_content" if raw.starts_with('"') => self.cached = Some(raw),
            "thinkingConfig" | "thinking_config" if is_object(raw) => self.thinking = Some(raw),
            _ => return false,
        }
        true
    }

    /// Writes those of the call itself.
    pub(super) fn write(&self, call: &mut ObjectWriter<'_>) {
        if let Some(safety) = self.safety {
            call.raw("safetySettings", safety);
        }
        if let Some(cached) = self.cached {
            call.raw("cachedContent", cached);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::ir::{Given, Json, Reasoning};

    #[test]
    fn googles_fields_are_found_wherever_they_are_written() {
        let google = r#"{"thinking_config":{"thinking_budget":5},"cached_content":"c","x":1}"#;
        let body = format!(r#"{{"google":{google},"other":2}}"#);
        let rows = [
            (
                "extra_body",
                body.as_str(),
                "extra_body.google",
                "extra_body.other",
            ),
            ("google", google, "google", ""),
        ];
        for (path, json, prefix, other) in rows {
            let mut request = Request {
                unknown: vec![(path.to_owned(), Json::checked(json).unwrap())],
                ..Request::default()
            };
            let mut losses = Losses::default();
            let extras = Extras::of(&request, &mut losses);
            assert_eq!(extras.cached, Some("\"c\""));
            assert_eq!(extras.thinking, Some(r#"{"thinking_budget":5}"#));
            let lost = losses.header().unwrap();
            assert!(lost.starts_with(&format!("{prefix}.x")), "{lost}");
            assert!(lost.ends_with(other), "{lost}");
            request.settings.reasoning = Some(Given::new("reasoning", Reasoning::default()));
            assert_eq!(Extras::of(&request, &mut losses).thinking, None);
        }
        let request = Request {
            unknown: vec![
                ("safetySettings".to_owned(), Json::checked("[]").unwrap()),
                ("cached_content".to_owned(), Json::checked("7").unwrap()),
            ],
            ..Request::default()
        };
        let mut losses = Losses::default();
        let mut out = Vec::new();
        let mut call = ObjectWriter::begin(&mut out);
        Extras::of(&request, &mut losses).write(&mut call);
        call.end();
        assert_eq!(out, br#"{"safetySettings":[]}"#);
        assert_eq!(losses.header().as_deref(), Some("cached_content"));
    }
}
