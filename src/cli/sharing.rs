//! The sharing rule and the cache in words, for the start-up lines and for
//! `explain`.

use crate::config::units::show_duration;
use crate::config::{Cache, Scope, Share};

/// The rule, by its own word.
pub(super) fn word(share: Share) -> &'static str {
    match share {
        Share::Off => "off",
        Share::Deterministic => "deterministic",
        Share::All => "all",
    }
}

/// The rule, with what it means where its word doesn't say it.
pub(super) fn told(share: Share) -> &'static str {
    match share {
        Share::Deterministic => "deterministic (temperature 0, embeddings, token counts)",
        Share::Off | Share::All => word(share),
    }
}

/// How long answers are kept, and where. Never a password.
pub(super) fn kept(cache: &Cache) -> String {
    let mut places = Vec::new();
    if cache.memory > 0 {
        places.push(format!("{} of memory", size(cache.memory)));
    }
    if let Some(redis) = &cache.redis {
        places.push(redis.to_string());
    }
    if cache.ttl.is_zero() || places.is_empty() {
        return "nothing is kept".to_owned();
    }
    format!(
        "kept {} in {}",
        show_duration(cache.ttl),
        places.join(" and ")
    )
}

/// Among whom an answer is shared.
pub(super) fn among(scope: Scope, has_key: bool) -> &'static str {
    match (scope, has_key) {
        (Scope::Global, _) => "everybody",
        (Scope::Tenant, true) => "the callers of one gateway key",
        (Scope::Tenant, false) => "the callers of one gateway key and one key of their own",
    }
}

/// A size in the largest unit that says it without a fraction.
fn size(bytes: u64) -> String {
    for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if bytes.trailing_zeros() >= shift {
            return format!("{} {unit}", bytes >> shift);
        }
    }
    format!("{bytes} bytes")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::RedisUrl;
    use crate::provider::Secret;

    #[test]
    fn where_answers_are_kept() {
        let rows = [
            (3600, 256 << 20, None, "kept 1h in 256 MiB of memory"),
            (
                5400,
                2 << 30,
                Some("rediss://me:ses4me@cache.example:6380/2"),
                "kept 1h30m in 2 GiB of memory and rediss://cache.example:6380",
            ),
            (
                86_400,
                0,
                Some("redis+sentinel://:ses4me@a,b:7/main"),
                "kept 1d in redis+sentinel://a:26379,b:7/main",
            ),
            (1, 1000, None, "kept 1s in 1000 bytes of memory"),
            (0, 256 << 20, Some("redis://h"), "nothing is kept"),
            (60, 0, None, "nothing is kept"),
        ];
        for (ttl, memory, redis, want) in rows {
            let cache = Cache {
                share: Share::All,
                ttl: Duration::from_secs(ttl),
                memory,
                scope: Scope::Tenant,
                redis: redis.map(|url| RedisUrl::parse(&Secret::new(url)).expect("a URL")),
            };
            assert_eq!(kept(&cache), want);
        }
    }
}
