//! What a look-up looks for, and what is to be made of what Redis says of it.

use std::sync::Arc;
use std::time::Duration;

use super::name::name;
use crate::cache::key::Key;
use crate::cache::stored::{Label, Life, Stored, decode};
use crate::metrics::cache::Miss;

/// An answer that may be kept under one name or, where there are two, another.
#[derive(Debug)]
pub(super) struct Sought {
    pub(super) label: Arc<Label>,
    first: Name,
    second: Option<Name>,
}

/// A key, and the name it makes.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) key: Key,
    pub(super) text: String,
}

/// An answer that was found.
#[derive(Clone, Debug)]
pub(in super::super) struct Found {
    /// What it is kept under.
    pub(in super::super) key: Key,
    pub(in super::super) stored: Arc<Stored>,
    pub(in super::super) life: Life,
}

/// What a look-up came to.
pub(super) type Outcome = Result<Found, Miss>;

impl Sought {
    pub(super) fn new(key: Key, or: Option<Key>, label: &Arc<Label>) -> Self {
        let named = |key| Name {
            key,
            text: name(&key, label),
        };
        Self {
            label: Arc::clone(label),
            first: named(key),
            second: or.map(named),
        }
    }

    pub(super) fn key(&self) -> Key {
        self.first.key
    }

    pub(super) fn first(&self) -> &Name {
        &self.first
    }

    pub(super) fn second(&self) -> Option<&Name> {
        self.second.as_ref()
    }

    /// Whether what is found for the one is found for the other.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let keys = |sought: &Self| (sought.first.key, sought.second.as_ref().map(|n| n.key));
        keys(self) == keys(other) && self.label == other.label
    }

    /// The answer in `value`, which Redis has under `name` for `left` more
    /// milliseconds. A name that isn't there has an empty one.
    pub(super) fn read(&self, name: &Name, value: &[u8], left: i64) -> Outcome {
        if value.is_empty() {
            return Err(Miss::Absent);
        }
        // Without an end it wasn't written by us.
        let left = u64::try_from(left).map_err(|_| Miss::Junk)?;
        let read = decode(name.text.as_bytes(), &self.label, value);
        let (stored, ttl) = read.map_err(|_| Miss::Junk)?;
        Ok(Found {
            key: name.key,
            stored: Arc::new(stored),
            life: Life::ending(ttl, Duration::from_millis(left)),
        })
    }
}

/// The better of what was found under two names: of two answers the younger,
/// of two misses the one that says more.
pub(super) fn better(one: Outcome, other: Outcome) -> Outcome {
    match (one, other) {
        (Ok(one), Ok(other)) if other.life.age < one.life.age => Ok(other),
        (Ok(one), _) => Ok(one),
        (Err(_), Ok(other)) => Ok(other),
        (Err(Miss::Absent), Err(why)) | (Err(why), Err(_)) => Err(why),
    }
}
