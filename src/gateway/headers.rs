//! Which headers travel, and which nowait writes itself.
//!
//! What belongs to one hop (RFC 9110 §7.6.1) and what is addressed to nowait
//! stays here; everything else passes both ways, known or not.

use std::sync::Arc;
use std::time::Duration;

use super::attempt::Attempt;
use super::auth::{self, KEYS};
use super::ledger::{Ledger, Shared};
use super::plan::Callee;
use super::{Caller, Instance};
use crate::dialect::Dialect;
use crate::error::{Error, Kind};
use crate::http1::{Field, Fields, Name, NameSet};
use crate::provider::Auth;

/// What is asked for upstream, which decides what may be changed of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    /// A call whose answer is looked at on its way.
    Watched,
    /// Anything else: nothing is changed that need not be.
    Raw,
    /// A call that nowait writes itself, for a caller, in this dialect.
    Own(Dialect),
}

/// What belongs to one hop by its name alone.
const OF_ONE_HOP: NameSet = NameSet::of(&[
    Name::Connection,
    Name::KeepAlive,
    Name::ProxyConnection,
    Name::ProxyAuthenticate,
    Name::ProxyAuthorization,
    Name::Te,
    Name::Trailer,
    Name::TransferEncoding,
    Name::Upgrade,
    Name::Http2Settings,
]);

/// What of a caller's never travels: what is of one hop, what is addressed to
/// nowait, what the body and the connection tell themselves, and what is
/// written anew for each call.
const STAYS: NameSet = OF_ONE_HOP.or(NameSet::of(&[
    Name::ContentLength,
    Name::Host,
    Name::Expect,
    Name::XRequestId,
    Name::XNowaitAttempts,
    Name::XNowaitCache,
    Name::XNowaitCacheKey,
    Name::XNowaitDropped,
    Name::XNowaitHedge,
    Name::XNowaitModel,
    Name::XNowaitOther,
    Name::XNowaitPriority,
    Name::XNowaitProvider,
    Name::XNowaitRetries,
    Name::XNowaitSimulated,
    Name::XNowaitTags,
    Name::XNowaitTimeout,
    Name::XNowaitUpstreamRequestId,
]));

/// What of a caller's travels with a call that nowait writes itself.
const WITH_OWN: NameSet = KEYS.or(NameSet::of(&[Name::TraceParent, Name::XSim]));

/// The headers of a call upstream, made of its caller's.
pub(super) fn outgoing(
    caller: &Caller,
    callee: &Callee,
    passage: Passage,
    instance: &Instance,
    request_id: &str,
) -> Fields {
    let mut stays = STAYS.or(caller.tenant.carried_in());
    if passage != Passage::Raw {
        // Frames are looked at as they pass; compressed ones can't be, and
        // compressing a stream delays its events.
        stays = stays.and(Name::AcceptEncoding).and(Name::CacheControl);
    }
    if callee.provider.key.is_some() {
        // A key of the caller's own is not for a provider that has one.
        stays = stays.or(KEYS);
    }
    if !callee.provider.simulated {
        stays = stays.and(Name::XSim);
    }
    let theirs = &caller.fields;
    let named = named_by_connection(theirs);
    let is_key = |field: Field<'_>| callee.provider.auth.reads(field.text);
    let travels = |field: Field<'_>| {
        !stays.has(field.name)
            && (!matches!(passage, Passage::Own(_)) || WITH_OWN.has(field.name) || is_key(field))
            && !callee.headers.has_one_like(field)
            && !named
                .iter()
                .any(|name| name.eq_ignore_ascii_case(field.text))
    };
    let room = callee.headers.size() + OURS;
    let mut fields = Fields::with_capacity(theirs.len() + 8, theirs.size() + room);
    fields.extend(theirs, travels);
    fields.extend(&callee.headers, |_| true);
    if passage != Passage::Raw {
        fields.push(Name::AcceptEncoding, "identity");
    }
    fields.push(Name::Via, &instance.via);
    fields.push(Name::XRequestId, request_id);
    match passage {
        Passage::Raw => {}
        // A body that was read as JSON is JSON, whatever the caller called it.
        Passage::Watched if fields.has(Name::ContentType) => {}
        Passage::Watched => fields.push(Name::ContentType, "application/json"),
        Passage::Own(dialect) => own_call(&mut fields, callee, dialect),
    }
    fields
}

/// Room for what nowait adds to a call, in bytes.
const OURS: usize = 192;

/// What a call that nowait writes itself says in its caller's stead.
fn own_call(fields: &mut Fields, callee: &Callee, dialect: Dialect) {
    fields.set(Name::ContentType, "application/json");
    fields.set(Name::UserAgent, USER_AGENT);
    if dialect == Dialect::Anthropic {
        fields.set(Name::AnthropicVersion, "2023-06-01");
    }
    if callee.provider.key.is_none() {
        address_key(fields, key_header(&callee.provider.auth, dialect));
    }
}

/// The header in which a provider wants its key.
fn key_header(auth: &Auth, dialect: Dialect) -> &str {
    match (auth, dialect) {
        (Auth::Header(name), _) => name.as_str(),
        (Auth::Bearer, _) | (_, Dialect::OpenAi | Dialect::Sim) => "authorization",
        (_, Dialect::Anthropic) => "x-api-key",
        (_, Dialect::Gemini) => "x-goog-api-key",
    }
}

/// A caller's own key comes in the header of whichever SDK it has at hand; the
/// provider wants it in its own, and gets no other.
fn address_key(fields: &mut Fields, to: &str) {
    let is_right = |field: Field<'_>| field.text.eq_ignore_ascii_case(to.as_bytes());
    if !fields.iter().any(is_right) {
        let found = auth::keys(fields).find_map(|(name, value)| auth::key(name, value));
        let key = found.map(|key| match to {
            "authorization" => [auth::BEARER, key].concat(),
            _ => key.to_vec(),
        });
        if let Some(key) = key {
            fields.push_text(to.as_bytes(), &key);
        }
    }
    fields.retain(|field| !KEYS.has(field.name) || is_right(field));
}

const USER_AGENT: &str = concat!("nowait/", env!("CARGO_PKG_VERSION"));

/// Makes a provider's headers into those of the reply, in place.
pub(super) fn incoming(fields: &mut Fields, request_id: &str, attempt: &mut Attempt) {
    if fields.may_have(OF_ONE_HOP) {
        remove_of_one_hop(fields);
    }
    // The provider's own id gives its place to ours, in `reply`.
    let theirs = fields.get(Name::XRequestId);
    let theirs = theirs.or_else(|| fields.get(Name::RequestId));
    if let Some(theirs) = theirs.filter(|theirs| *theirs != request_id.as_bytes()) {
        let theirs: Arc<str> = String::from_utf8_lossy(theirs).into();
        fields.set(Name::XNowaitUpstreamRequestId, theirs.as_bytes());
        attempt.upstream_request_id = Some(theirs);
    }
}

/// Writes what every reply carries of nowait's own.
pub(super) fn reply(fields: &mut Fields, ledger: &Ledger, instance: &Instance) {
    fields.set(Name::XRequestId, &*ledger.request_id);
    fields.push(Name::Via, &instance.via);
    fields.push(Name::ServerTiming, ledger.server_timing());
    if let Some(callee) = ledger.callee() {
        fields.set(Name::XNowaitProvider, &callee.provider.name);
        fields.set(Name::CacheStatus, &*ledger.shared.status());
        if let Some(key) = &ledger.key {
            fields.set(Name::XNowaitCacheKey, key.to_string());
        }
        if let Shared::Kept(kept) = ledger.shared {
            fields.set(Name::Age, kept.age.as_secs().to_string());
        }
        if callee.provider.simulated {
            simulated(fields);
        }
    }
    if let Some(target) = &ledger.target {
        fields.set(Name::XNowaitModel, &target.shown);
    }
    if ledger.attempts() > 0 || ledger.shared.is_anothers() {
        let mut digits = itoa::Buffer::new();
        fields.set(Name::XNowaitAttempts, digits.format(ledger.attempts()));
    }
    if let Some(paths) = ledger.attempt.dropped.header() {
        fields.set(Name::XNowaitDropped, paths);
    }
    if ledger.attempt.race.retries_spent {
        fields.set(Name::XShouldRetry, "false");
    }
}

/// Says that nobody real has answered.
pub(super) fn simulated(fields: &mut Fields) {
    fields.set(Name::XNowaitSimulated, "true");
}

/// What keeps intermediaries from holding a stream back.
pub(super) fn streaming(fields: &mut Fields) {
    fields.set(Name::XAccelBuffering, "no");
    fields.set(Name::CacheControl, "no-cache");
    fields.remove(Name::ContentLength);
}

/// Announces the trailer of a stream's totals, and of what of it got lost, to a
/// caller who takes it.
pub(super) fn announce_trailer(fields: &mut Fields, caller: &Caller, may_lose: bool) {
    if caller.takes_trailers {
        fields.push(
            Name::Trailer,
            match may_lose {
                true => "server-timing, x-nowait-dropped",
                false => "server-timing",
            },
        );
    }
}

/// What of a provider's headers concerns any caller, whatever it speaks:
/// limits, and what names the request there.
pub(super) fn passed_on(theirs: &Fields) -> Fields {
    const PASSED: NameSet = NameSet::of(&[
        Name::RetryAfter,
        Name::RetryAfterMs,
        Name::ServerTiming,
        Name::XNowaitUpstreamRequestId,
        Name::XShouldRetry,
        Name::RateLimit,
    ]);
    let mut fields = Fields::with_capacity(12, 512);
    fields.extend(theirs, |field| PASSED.has(field.name));
    fields
}

/// Says when to try again.
pub(super) fn retry_after(fields: &mut Fields, wait: Duration) {
    // Whole seconds, and never zero: callers take that for "at once".
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    fields.set(Name::RetryAfter, seconds.max(1).to_string());
}

/// Refuses what a page of another site makes a browser send. Without keys
/// being on this machine is what lets a caller in, and a browser on this
/// machine runs strangers' scripts (Fetch Metadata, `Sec-Fetch-Site`).
pub(super) fn refuse_other_sites(fields: &Fields) -> Result<(), Error> {
    match fields.get(Name::SecFetchSite) {
        Some(b"cross-site") => Err(Error::new(
            Kind::Forbidden,
            "a page of another site asked for this in a browser, and this gateway asks nobody for a key: \
             add [[keys]] to let such pages in",
        )),
        _ => Ok(()),
    }
}

/// Whether a caller over HTTP/1.1 says that it takes trailers.
pub(super) fn takes_trailers(fields: &Fields) -> bool {
    let mut codings = fields.list(Name::Te);
    codings.any(|coding| coding.eq_ignore_ascii_case(b"trailers"))
}

/// Refuses a request that has passed this very process before. Another nowait
/// in front or behind is fine: it has another id.
pub(super) fn refuse_loops(fields: &Fields, instance: &Instance) -> Result<(), Error> {
    let ours = instance.via.as_bytes();
    let passed = fields.list(Name::Via).any(|hop| hop == ours);
    if passed {
        return Err(Error::new(
            Kind::Loop,
            format!(
                "this request has passed this gateway ({}) before: a provider's base_url leads back to it",
                instance.id
            ),
        ));
    }
    Ok(())
}

/// What `connection` says is of this hop too.
fn named_by_connection(fields: &Fields) -> Vec<&[u8]> {
    fields.list(Name::Connection).collect()
}

/// Removes what is of one hop, by its name or because `connection` says so.
fn remove_of_one_hop(fields: &mut Fields) {
    let named: Vec<_> = named_by_connection(fields)
        .into_iter()
        .map(<[u8]>::to_vec)
        .collect();
    fields.retain(|field| {
        !OF_ONE_HOP.has(field.name)
            && !named
                .iter()
                .any(|name| name.eq_ignore_ascii_case(field.text))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        pairs.iter().copied().collect()
    }

    #[test]
    fn headers_of_one_hop_and_those_connection_names_stay_here() {
        let mut map = fields(&[
            ("connection", "close, X-Mine"),
            ("x-mine", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("x-other", "2"),
        ]);
        remove_of_one_hop(&mut map);
        assert_eq!(map, fields(&[("x-other", "2")]));
    }

    #[test]
    fn pages_of_other_sites_are_told_from_everybody_else() {
        for (site, passes) in [
            (None, true),
            (Some("none"), true),
            (Some("same-origin"), true),
            (Some("same-site"), true),
            (Some("cross-site"), false),
        ] {
            let map = site.map_or_else(Fields::default, |site| fields(&[("sec-fetch-site", site)]));
            assert_eq!(refuse_other_sites(&map).is_ok(), passes, "{site:?}");
        }
    }

    #[test]
    fn a_callers_key_moves_to_the_header_its_provider_reads() {
        let (bearer, own) = (("authorization", "Bearer k"), ("x-api-key", "k"));
        for (sent, to, expected) in [
            (&[own][..], "authorization", &[bearer][..]),
            (&[bearer], "x-api-key", &[own]),
            (&[("authorization", "bearer  k")], "x-api-key", &[own]),
            (&[("api-key", "k")], "x-api-key", &[own]),
            (&[own], "x-my-auth", &[("x-my-auth", "k")]),
            // The right one is there already, and the others are nobody's here.
            (
                &[("api-key", "azure"), own, ("x-goog-api-key", "google")],
                "x-api-key",
                &[own],
            ),
            // No key.
            (&[("authorization", "Basic dTpw")], "x-api-key", &[]),
            (&[], "x-api-key", &[]),
        ] {
            let mut map = fields(sent);
            address_key(&mut map, to);
            assert_eq!(map, fields(expected), "{sent:?} to {to}");
        }
    }
}
