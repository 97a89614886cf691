//! The providers and names that replays need, and the ways each recording
//! goes through.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use http::Version;
use nowait::dialect::{Dialect, Format};
use serde_json::Value;

use super::recording::Recording;
use super::{Broken, Replay};
use crate::stage::scripted::Scripted;

/// The providers and names the replays need.
pub(super) struct Cast {
    /// By who was recorded, dialect, path before the call's, and HTTP/2 or not.
    providers: BTreeMap<(String, &'static str, String, bool), String>,
    /// Targets of the operator's names.
    models: Vec<String>,
    count: u64,
    random: fastrand::Rng,
}

impl Cast {
    /// Nobody yet; what is left to chance goes by `seed`.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            providers: BTreeMap::new(),
            models: Vec::new(),
            count: 0,
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// Every way one recording goes through.
    pub(super) fn replays(&mut self, recording: &Arc<Recording>) -> Vec<Replay> {
        let two = self.random.u8(0..4) == 0;
        let provider = self.provider(recording, two);
        let Some(format) = recording.format else {
            let to = format!("/{provider}{}{}", recording.prefix, recording.path);
            return vec![self.replay(recording, "raw", &to, two)];
        };
        let path = endpoint(format);
        let pinned = format!("/{provider}{path}");
        let mut replays = vec![self.replay(recording, "pinned", &pinned, two)];
        if let Some((model, span)) = recording.model() {
            let target = format!("{provider}/{model}");
            let (way, name) = if self.random.bool() {
                ("named", target)
            } else {
                ("mine", self.model(target))
            };
            let name = serde_json::to_vec(&name).unwrap();
            let whole = &recording.request;
            let body = [&whole[..span.start], &name, &whole[span.end..]].concat();
            let mut replay = self.replay(recording, way, path, two);
            replay.body = body.into();
            replays.push(replay);
            let usual = self.provider(recording, false);
            if nowait::provider::family(&model) == Some(usual.as_str()) {
                let path = self.maybe_unversioned(path, format);
                replays.push(self.replay(recording, "bare", path, false));
            }
        }
        if recording.streamed && !recording.cut && !fails_by_itself(&recording.body) {
            let mut replay = self.replay(recording, "broken", &pinned, two);
            replay.broken = Some(Broken {
                at: self.random.usize(1..first_end(&recording.body)),
                cut: self.random.bool(),
            });
            replays.push(replay);
        }
        replays
    }

    fn replay(
        &mut self,
        recording: &Arc<Recording>,
        way: &'static str,
        path: &str,
        two: bool,
    ) -> Replay {
        let id = format!("replay-{}", self.count);
        self.count += 1;
        Replay {
            recording: Arc::clone(recording),
            id,
            way,
            path: format!("{path}{}", recording.query),
            body: recording.request.clone(),
            caller: version(self.random.u8(0..4) == 0),
            provider: version(two),
            chunk: *self.random.choice(&CHUNKS[..]).unwrap(),
            broken: recording.cut.then_some(Broken {
                at: recording.body.len(),
                cut: false,
            }),
            seed: self.random.u64(..),
        }
    }

    /// OpenAI's paths are served without their version, too.
    fn maybe_unversioned(&mut self, path: &'static str, format: Format) -> &'static str {
        match path.strip_prefix("/v1") {
            Some(short) if format.dialect() == Dialect::OpenAi && self.random.bool() => short,
            _ => path,
        }
    }
    /// The provider that serves `recording`.
    fn provider(&mut self, recording: &Recording, two: bool) -> String {
        let name = &recording.provider;
        let dialect = recording.dialect().as_str();
        let prefix = &recording.prefix;
        let usual =
            !two && matches!(
                (name.as_str(), prefix.as_str()),
                ("openai", "/v1") | ("anthropic", "")
            ) && name == dialect;
        let next = format!("{name}-{}", self.providers.len());
        let key = (name.clone(), dialect, prefix.clone(), two);
        let found = self.providers.entry(key);
        found
            .or_insert(if usual { name.clone() } else { next })
            .clone()
    }

    /// A name of the operator's for this target.
    fn model(&mut self, target: String) -> String {
        self.models.push(target);
        format!("mine-{}", self.models.len() - 1)
    }

    pub(super) fn config(&self, provider: &Scripted) -> String {
        // Each recorded call must arrive, and by itself.
        let mut text = "[cache]\nshare = \"off\"\n[batch]\nembeddings = false\n".to_owned();
        for ((_, dialect, prefix, two), name) in &self.providers {
            let base = provider.base(prefix);
            let http = if *two { "2" } else { "1" };
            let _ = write!(
                text,
                "[providers.{name}]\ndialect = \"{dialect}\"\nbase_url = \"{base}\"\n\
                 api_key = \"sk-{name}\"\npool = {{ http = \"{http}\", warm = 0 }}\n"
            );
        }
        for (at, target) in self.models.iter().enumerate() {
            let target = Value::from(target.as_str());
            let _ = writeln!(text, "[models.mine-{at}]\ntargets = [{target}]");
        }
        text
    }
}

fn version(two: bool) -> Version {
    if two {
        Version::HTTP_2
    } else {
        Version::HTTP_11
    }
}

/// The largest chunk of a replay: single bytes, small pieces, whole answers.
const CHUNKS: [usize; 5] = [1, 7, 300, 5_000, usize::MAX / 2];

/// nowait's path for calls of a form.
fn endpoint(format: Format) -> &'static str {
    match format {
        Format::Chat => "/v1/chat/completions",
        Format::Responses => "/v1/responses",
        Format::Completions => "/v1/completions",
        Format::Embeddings => "/v1/embeddings",
        Format::Messages => "/v1/messages",
        Format::CountTokens => "/v1/messages/count_tokens",
    }
}

fn fails_by_itself(stream: &[u8]) -> bool {
    let text = std::str::from_utf8(stream).unwrap();
    text.contains("event: error")
        || text.contains("\"response.failed\"")
        || text.contains("{\"error\"")
}

/// Before this nothing has told that the stream is at its end.
fn first_end(stream: &[u8]) -> usize {
    let text = std::str::from_utf8(stream).unwrap();
    let signs = [
        "\"finish_reason\":\"",
        "\"finish_reason\": \"",
        "[DONE]",
        "message_stop",
        "response.completed",
        "response.incomplete",
    ];
    signs
        .iter()
        .filter_map(|sign| text.find(sign))
        .min()
        .unwrap_or(text.len())
}
