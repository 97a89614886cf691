//! What the cache counts, by level: the memory of this process, and Redis
//! behind it.
//!
//! A level that doesn't answer is a miss with a reason, so hits and misses of
//! a level are its look-ups.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::Declare;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LevelLabels {
    level: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MissLabels {
    level: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

/// Why a level gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// It has none.
    Absent,
    /// It has one that is too old for this caller.
    Expired,
    /// What it has is damaged, somebody else's or another version's.
    Junk,
    /// It didn't answer within the deadline.
    Timeout,
    /// It answered with an error, or its connection broke.
    Error,
    /// It wasn't asked: it isn't connected, or failed too often of late.
    Open,
}

impl Miss {
    /// In declaration order.
    pub const ALL: [Self; 6] = [
        Self::Absent,
        Self::Expired,
        Self::Junk,
        Self::Timeout,
        Self::Error,
        Self::Open,
    ];

    /// The label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Expired => "expired",
            Self::Junk => "junk",
            Self::Timeout => "timeout",
            Self::Error => "error",
            Self::Open => "open",
        }
    }
}

/// Why an answer was not written to Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwritten {
    /// Too much was waiting to be written.
    Queue,
    /// There was no connection, or it broke.
    Unreachable,
    /// It took too long.
    Timeout,
    /// Redis refused: out of memory, read-only, no permission.
    Refused,
    /// The answer is larger than what is kept there.
    TooLarge,
}

impl Unwritten {
    /// In declaration order.
    pub const ALL: [Self; 5] = [
        Self::Queue,
        Self::Unreachable,
        Self::Timeout,
        Self::Refused,
        Self::TooLarge,
    ];

    /// The label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::TooLarge => "too_large",
        }
    }
}

/// The families, as declared.
#[derive(Debug)]
pub(super) struct Families {
    hits: Family<LevelLabels, Counter>,
    misses: Family<MissLabels, Counter>,
    stores: Family<LevelLabels, Counter>,
    purged: Family<LevelLabels, Counter>,
    unwritten: Family<ReasonLabels, Counter>,
    evictions: Counter,
    bytes: Gauge,
    entries: Gauge,
    connected: Gauge,
}

impl Families {
    pub(super) fn declare(declare: &mut Declare<'_>) -> Self {
        Self {
            hits: declare.one("nowait_cache_hits", "Look-ups that found an answer, by level: memory, redis"),
            misses: declare.one("nowait_cache_misses", "Look-ups that found none, by level and reason: absent, expired, junk, timeout, error, open (not asked)"),
            stores: declare.one("nowait_cache_stores", "Answers kept, by level"),
            purged: declare.one("nowait_cache_purged", "Answers dropped because somebody asked, by level"),
            unwritten: declare.one("nowait_cache_unwritten", "Answers not written to Redis, by reason: queue, unreachable, timeout, refused, too_large"),
            evictions: declare.one("nowait_cache_evictions", "Answers dropped from memory to make room"),
            bytes: declare.one("nowait_cache_bytes", "Memory that kept answers take"),
            entries: declare.one("nowait_cache_entries", "Answers in memory"),
            connected: declare.one("nowait_cache_redis_connected", "1 while there is a connection to Redis"),
        }
    }

    pub(super) fn handles(&self) -> Cache {
        let level = |level: &'static str| Level {
            hits: self.hits.get_or_create_owned(&LevelLabels { level }),
            misses: Miss::ALL.map(|reason| {
                self.misses.get_or_create_owned(&MissLabels {
                    level,
                    reason: reason.name(),
                })
            }),
            stores: self.stores.get_or_create_owned(&LevelLabels { level }),
            purged: self.purged.get_or_create_owned(&LevelLabels { level }),
        };
        Cache {
            memory: level("memory"),
            redis: level("redis"),
            unwritten: Unwritten::ALL.map(|reason| {
                let reason = reason.name();
                self.unwritten.get_or_create_owned(&ReasonLabels { reason })
            }),
            evictions: self.evictions.clone(),
            bytes: self.bytes.clone(),
            entries: self.entries.clone(),
            connected: self.connected.clone(),
        }
    }
}

/// What the two levels of the cache count. The default counts for nobody.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    /// The first level.
    pub memory: Level,
    /// The second.
    pub redis: Level,
    /// By [`Unwritten`] in declaration order.
    unwritten: [Counter; 5],
    /// Answers dropped from memory to make room.
    pub evictions: Counter,
    /// Memory that kept answers take.
    pub bytes: Gauge,
    /// Answers in memory.
    pub entries: Gauge,
    /// 1 while there is a connection to Redis.
    pub connected: Gauge,
}

impl Cache {
    /// The answers not written to Redis for this reason.
    pub fn unwritten(&self, why: Unwritten) -> &Counter {
        &self.unwritten[why as usize]
    }
}

/// What one level counts.
#[derive(Clone, Debug, Default)]
pub struct Level {
    /// Look-ups that found an answer.
    pub hits: Counter,
    /// By [`Miss`] in declaration order.
    misses: [Counter; 6],
    /// Answers kept.
    pub stores: Counter,
    /// Answers dropped because somebody asked.
    pub purged: Counter,
}

impl Level {
    /// The look-ups that found nothing for this reason.
    pub fn missed(&self, why: Miss) -> &Counter {
        &self.misses[why as usize]
    }
}
