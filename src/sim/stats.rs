//! What the simulated provider has received, for tests to assert on.
//!
//! Counting is a handful of relaxed atomic additions per call. The names of
//! models are the only thing behind a lock: a read lock, and the table is
//! bounded.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::RwLock;

/// Past this many names, models are counted as `other`.
const MODELS: usize = 256;

/// What a request was for, as the counters tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Endpoint {
    Chat,
    Completions,
    Responses,
    Embeddings,
    Messages,
    CountTokens,
    Models,
    Raw,
    Unknown,
}

impl Endpoint {
    const ALL: [(Self, &'static str); 9] = [
        (Self::Chat, "chat"),
        (Self::Completions, "completions"),
        (Self::Responses, "responses"),
        (Self::Embeddings, "embeddings"),
        (Self::Messages, "messages"),
        (Self::CountTokens, "count_tokens"),
        (Self::Models, "models"),
        (Self::Raw, "raw"),
        (Self::Unknown, "unknown"),
    ];
}

/// The counters behind `GET /sim/stats`. All are totals since the start or the
/// last reset, but for `open` and `connections_open`.
#[derive(Debug, Default)]
pub struct Stats {
    pub(crate) calls: AtomicU64,
    endpoints: [AtomicU64; 9],
    models: RwLock<HashMap<Box<str>, AtomicU64>>,
    pub(crate) streamed: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) faults: AtomicU64,
    pub(crate) cancelled: AtomicU64,
    pub(crate) completed: AtomicU64,
    pub(crate) open: AtomicU64,
    pub(crate) connections: AtomicU64,
    pub(crate) connections_open: AtomicU64,
    pub(crate) connections_h2: AtomicU64,
    pub(crate) tokens_in: AtomicU64,
    pub(crate) tokens_out: AtomicU64,
    pub(crate) texts_embedded: AtomicU64,
}

impl Stats {
    /// Calls received: everything but `/sim/…` itself.
    pub fn calls(&self) -> u64 {
        self.calls.load(Relaxed)
    }

    /// Calls whose client went away before the end.
    pub fn cancelled(&self) -> u64 {
        self.cancelled.load(Relaxed)
    }

    /// Calls answered to the end.
    pub fn completed(&self) -> u64 {
        self.completed.load(Relaxed)
    }

    /// Calls that met a fault.
    pub fn faults(&self) -> u64 {
        self.faults.load(Relaxed)
    }

    /// Calls being answered now.
    pub fn open(&self) -> u64 {
        self.open.load(Relaxed)
    }

    /// Connections accepted.
    pub fn connections(&self) -> u64 {
        self.connections.load(Relaxed)
    }

    /// Calls for this model.
    pub fn calls_for(&self, model: &str) -> u64 {
        self.models
            .read()
            .get(model)
            .map_or(0, |count| count.load(Relaxed))
    }

    /// Counts a call as it arrives.
    pub(crate) fn arrived(&self, endpoint: Endpoint) {
        self.calls.fetch_add(1, Relaxed);
        self.endpoints[endpoint as usize].fetch_add(1, Relaxed);
    }

    /// Counts what a call asked for, once that is known.
    pub(crate) fn asked(&self, model: &str, streamed: bool) {
        self.streamed.fetch_add(u64::from(streamed), Relaxed);
        let models = self.models.read();
        if let Some(count) = models.get(model) {
            count.fetch_add(1, Relaxed);
            return;
        }
        let name = if models.len() < MODELS {
            model
        } else {
            "other"
        };
        drop(models);
        self.models
            .write()
            .entry(name.into())
            .or_default()
            .fetch_add(1, Relaxed);
    }

    /// Starts counting anew. What is open stays open.
    pub fn reset(&self) {
        for counter in self.totals() {
            counter.1.store(0, Relaxed);
        }
        for counter in &self.endpoints {
            counter.store(0, Relaxed);
        }
        self.models.write().clear();
    }

    fn totals(&self) -> [(&'static str, &AtomicU64); 11] {
        [
            ("calls", &self.calls),
            ("streamed", &self.streamed),
            ("refused", &self.refused),
            ("faults", &self.faults),
            ("cancelled", &self.cancelled),
            ("completed", &self.completed),
            ("connections", &self.connections),
            ("connections_h2", &self.connections_h2),
            ("tokens_in", &self.tokens_in),
            ("tokens_out", &self.tokens_out),
            ("texts_embedded", &self.texts_embedded),
        ]
    }

    /// The counters as one JSON object.
    pub fn to_json(&self) -> String {
        let mut json = String::from("{");
        for (name, counter) in self.totals() {
            let _ = write!(json, r#""{name}":{},"#, counter.load(Relaxed));
        }
        let _ = write!(json, r#""open":{},"#, self.open.load(Relaxed));
        let open = self.connections_open.load(Relaxed);
        let _ = write!(json, r#""connections_open":{open},"endpoints":{{"#);
        for (at, (endpoint, name)) in Endpoint::ALL.into_iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let count = self.endpoints[endpoint as usize].load(Relaxed);
            let _ = write!(json, r#"{comma}"{name}":{count}"#);
        }
        json.push_str(r#"},"models":{"#);
        for (at, (name, count)) in self.models.read().iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let name = serde_json::Value::from(name.as_ref());
            let _ = write!(json, "{comma}{name}:{}", count.load(Relaxed));
        }
        json.push_str("}}");
        json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_shows_and_a_reset_clears_it() {
        let stats = Stats::default();
        stats.arrived(Endpoint::Chat);
        stats.asked("a\"b", true);
        stats.open.fetch_add(1, Relaxed);
        let json: serde_json::Value = serde_json::from_str(&stats.to_json()).unwrap();
        assert_eq!(json["calls"], 1);
        assert_eq!(json["endpoints"]["chat"], 1);
        assert_eq!(json["models"]["a\"b"], 1);
        assert_eq!(json["streamed"], 1);
        stats.reset();
        let json: serde_json::Value = serde_json::from_str(&stats.to_json()).unwrap();
        assert_eq!((&json["calls"], &json["open"]), (&0.into(), &1.into()));
        assert_eq!(json["models"], serde_json::json!({}));
    }

    #[test]
    fn the_table_of_models_is_bounded() {
        let stats = Stats::default();
        for n in 0..2 * MODELS {
            stats.asked(&n.to_string(), false);
        }
        assert_eq!(stats.models.read().len(), MODELS + 1);
        assert_eq!(stats.calls_for("other"), MODELS as u64);
    }
}
