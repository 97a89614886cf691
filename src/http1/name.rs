//! The names of fields that mean something to nowait.
//!
//! A name is told once, when a head is read; from there on it is a number.
//! NameSet are compared without regard to case (RFC 9110, 5.1). All others are
//! [`Name::Other`], and only their text tells them apart.

use super::word;

/// Declares the names, their texts and the table of both.
macro_rules! names {
    ($($name:ident = $text:literal,)*) => {
        /// The name of a field.
        #[expect(missing_docs, reason = "the text beside each says it")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Name {
            $($name,)*
            /// Any other that begins with `x-nowait-`.
            XNowaitOther,
            /// Any that begins with `x-sim-`.
            XSim,
            /// Any that tells how much of a limit is left: `x-ratelimit-…`,
            /// `anthropic-ratelimit-…`.
            RateLimit,
            /// One that means nothing here.
            Other,
        }

        const KNOWN: &[(Name, &str, &str)] = &[$((Name::$name, $text, concat!($text, ": "))),*];
    };
}

names! {
    Accept = "accept",
    AcceptEncoding = "accept-encoding",
    Age = "age",
    Allow = "allow",
    AnthropicBeta = "anthropic-beta",
    AnthropicVersion = "anthropic-version",
    ApiKey = "api-key",
    Authorization = "authorization",
    CacheControl = "cache-control",
    CacheStatus = "cache-status",
    Connection = "connection",
    ContentEncoding = "content-encoding",
    ContentLength = "content-length",
    ContentSecurityPolicy = "content-security-policy",
    ContentType = "content-type",
    Date = "date",
    ETag = "etag",
    Expect = "expect",
    Host = "host",
    Http2Settings = "http2-settings",
    IfNoneMatch = "if-none-match",
    KeepAlive = "keep-alive",
    OpenAiBeta = "openai-beta",
    OpenAiOrganization = "openai-organization",
    OpenAiProject = "openai-project",
    ProxyAuthenticate = "proxy-authenticate",
    ProxyAuthorization = "proxy-authorization",
    ProxyConnection = "proxy-connection",
    ReferrerPolicy = "referrer-policy",
    RequestId = "request-id",
    RetryAfter = "retry-after",
    RetryAfterMs = "retry-after-ms",
    SecFetchSite = "sec-fetch-site",
    ServerTiming = "server-timing",
    Te = "te",
    TraceParent = "traceparent",
    Trailer = "trailer",
    TransferEncoding = "transfer-encoding",
    Upgrade = "upgrade",
    UserAgent = "user-agent",
    Via = "via",
    WwwAuthenticate = "www-authenticate",
    XAccelBuffering = "x-accel-buffering",
    XApiKey = "x-api-key",
    XContentTypeOptions = "x-content-type-options",
    XGoogApiKey = "x-goog-api-key",
    XNowaitAttempts = "x-nowait-attempts",
    XNowaitCache = "x-nowait-cache",
    XNowaitCacheKey = "x-nowait-cache-key",
    XNowaitDropped = "x-nowait-dropped",
    XNowaitHedge = "x-nowait-hedge",
    XNowaitModel = "x-nowait-model",
    XNowaitPriority = "x-nowait-priority",
    XNowaitProvider = "x-nowait-provider",
    XNowaitRetries = "x-nowait-retries",
    XNowaitSimulated = "x-nowait-simulated",
    XNowaitTags = "x-nowait-tags",
    XNowaitTimeout = "x-nowait-timeout",
    XNowaitUpstreamRequestId = "x-nowait-upstream-request-id",
    XRequestId = "x-request-id",
    XSessionId = "x-session-id",
    XShouldRetry = "x-should-retry",
    XStainlessReadTimeout = "x-stainless-read-timeout",
    XStainlessTimeout = "x-stainless-timeout",
}

// A set of names is the bits of one number.
const _: () = assert!(Name::Other as usize == KNOWN.len() + 3 && KNOWN.len() < 125);

impl Name {
    /// The name that `text`, a token, is, in whatever case.
    pub fn of(text: &[u8]) -> Self {
        if let Some(place) = place(text, SEED)
            && let Some((name, known, _)) = KNOWN.get(usize::from(TABLE[place]))
            && is_same(text, known.as_bytes())
        {
            return *name;
        }
        let begins = |prefix: &[u8]| {
            let start = text.get(..prefix.len());
            start.is_some_and(|start| is_same(start, prefix))
        };
        match text.get(2).map(u8::to_ascii_lowercase) {
            Some(b'n') if begins(b"x-nowait-") => Self::XNowaitOther,
            Some(b's') if begins(b"x-sim-") => Self::XSim,
            Some(b'r') if begins(b"x-ratelimit-") => Self::RateLimit,
            Some(b't') if begins(b"anthropic-ratelimit-") => Self::RateLimit,
            _ => Self::Other,
        }
    }

    /// Its text in small letters; none of a class of names.
    pub fn text(self) -> Option<&'static str> {
        KNOWN.get(self as usize).map(|(_, text, _)| *text)
    }

    /// The same with what stands between it and a value.
    pub(super) fn to_value(self) -> Option<&'static str> {
        KNOWN.get(self as usize).map(|(_, _, text)| *text)
    }
}

/// Whether a token is the same as a name of small letters, digits and hyphens.
/// Of what may stand in a token only capitals differ from those in one bit.
fn is_same(text: &[u8], known: &[u8]) -> bool {
    const SMALL: u64 = word::of(0x20);
    if text.len() != known.len() {
        return false;
    }
    let Some(last) = text.len().checked_sub(word::SIZE) else {
        let mut pairs = text.iter().zip(known);
        return pairs.all(|(byte, known)| byte | 0x20 == *known);
    };
    let is_word = |at: usize| {
        let one = word::at(text, at).map(|one| one | SMALL);
        one == word::at(known, at)
    };
    let mut at = 0;
    while at < last {
        if !is_word(at) {
            return false;
        }
        at += word::SIZE;
    }
    // It overlaps the one before it.
    is_word(last)
}

/// Places a known name may have: so many that a seed is found in a moment.
const PLACES: usize = 512;

/// Which known name has which place; no name where it is past the last.
const TABLE: [u8; PLACES] = match table(SEED) {
    Some(table) => table,
    None => panic!("the seed was chosen so that there is one"),
};

/// The first seed by which no two names have the same place.
const SEED: u32 = {
    let mut seed: u32 = 0x9E37_79B1;
    while table(seed).is_none() {
        seed = seed.wrapping_mul(0x85EB_CA6B).wrapping_add(2);
    }
    seed
};

const fn table(seed: u32) -> Option<[u8; PLACES]> {
    let mut table = [u8::MAX; PLACES];
    let mut at = 0;
    while at < KNOWN.len() {
        let Some(place) = place(KNOWN[at].1.as_bytes(), seed) else {
            return None;
        };
        if table[place] != u8::MAX {
            return None;
        }
        table[place] = at as u8;
        at += 1;
    }
    Some(table)
}

/// Where a name stands: by its length and four of its bytes, as if they were
/// small letters.
const fn place(text: &[u8], seed: u32) -> Option<usize> {
    let size = text.len();
    if size < 2 {
        return None;
    }
    let few = u32::from_le_bytes([
        text[0] | 0x20,
        text[size / 3] | 0x20,
        text[size - 2] | 0x20,
        text[size - 1] | 0x20,
    ]);
    let mixed = (few ^ (size as u32) << 11).wrapping_mul(seed);
    Some((mixed >> 23) as usize % PLACES)
}

/// Several names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameSet(u128);

impl NameSet {
    /// None.
    pub const NONE: Self = Self(0);

    /// These.
    pub const fn of(names: &[Name]) -> Self {
        let mut set = Self::NONE;
        let mut at = 0;
        while at < names.len() {
            set = set.and(names[at]);
            at += 1;
        }
        set
    }

    /// These and one more.
    #[must_use]
    pub const fn and(self, name: Name) -> Self {
        Self(self.0 | 1 << name as u8)
    }

    /// All of both.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether it is one of them.
    pub const fn has(self, name: Name) -> bool {
        self.0 & 1 << name as u8 != 0
    }

    /// Whether both have one in common.
    pub const fn meet(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_told_in_any_case() {
        for (name, text, _) in KNOWN {
            assert_eq!(Name::of(text.as_bytes()), *name, "{text}");
            assert_eq!(Name::of(text.to_uppercase().as_bytes()), *name, "{text}");
            assert_eq!(name.text(), Some(*text));
            for at in 0..text.len() {
                let mut other = text.as_bytes().to_vec();
                other[at] = b'~';
                assert!(Name::of(&other).text().is_none(), "{text} at {at}");
                let part = Name::of(&text.as_bytes()[..at]);
                assert!(part.text().is_none_or(|part| part.len() == at), "{text}");
            }
        }
    }

    #[test]
    fn classes_are_told_by_how_they_begin() {
        for (text, expected) in [
            ("X-Nowait-Anything", Name::XNowaitOther),
            ("x-nowait-", Name::XNowaitOther),
            ("x-nowait", Name::Other),
            ("x-Sim-fault", Name::XSim),
            ("x-ratelimit-remaining-tokens", Name::RateLimit),
            ("anthropic-RateLimit-x", Name::RateLimit),
            ("", Name::Other),
            ("x", Name::Other),
            ("accept-language", Name::Other),
        ] {
            assert_eq!(Name::of(text.as_bytes()), expected, "{text}");
            assert_eq!(expected.text(), None);
        }
    }

    #[test]
    fn sets_hold_what_was_put_in() {
        let some = NameSet::of(&[Name::Accept, Name::Other]);
        assert!(some.has(Name::Accept) && some.has(Name::Other) && !some.has(Name::Age));
        assert!(some.meet(NameSet::of(&[Name::Other, Name::Te])));
        assert!(!some.meet(NameSet::of(&[Name::Te])));
        assert!(some.or(NameSet::of(&[Name::Te])).has(Name::Te));
    }
}
