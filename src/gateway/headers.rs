//! Which headers travel, and which nowait writes itself.
//!
//! What belongs to one hop (RFC 9110 §7.6.1) and what is addressed to nowait
//! stays here; everything else passes both ways, known or not.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::attempt::Attempt;
use super::auth::{self, Tenant};
use super::ledger::{Ledger, Shared, kept};
use super::plan::Callee;
use super::{Caller, Instance};
use crate::dialect::Dialect;
use crate::error::{Error, Kind};

/// Which headers that say something to nowait itself a caller has sent. One
/// look at all names costs less than a look-up of any two, and most calls have
/// none of these.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mentions {
    pub(super) request_id: bool,
    pub(super) tags: bool,
    pub(super) patience: bool,
    pub(super) te: bool,
    pub(super) cache: bool,
    pub(super) via: bool,
    pub(super) site: bool,
}

impl Mentions {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        for name in headers.keys() {
            let mention = match name.as_str() {
                "x-request-id" => &mut found.request_id,
                "x-nowait-tags" => &mut found.tags,
                "x-nowait-timeout" | "x-stainless-timeout" | "x-stainless-read-timeout" => {
                    &mut found.patience
                }
                "te" => &mut found.te,
                "cache-control" | "x-nowait-cache" => &mut found.cache,
                "via" => &mut found.via,
                "sec-fetch-site" => &mut found.site,
                _ => continue,
            };
            *mention = true;
        }
        found
    }
}

/// What is asked for upstream, which decides what may be changed of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    /// A call whose answer is looked at on its way.
    Watched,
    /// Anything else: nothing is changed that need not be.
    Raw,
}

/// Makes a caller's headers into those of the call upstream, in place.
pub(super) fn outgoing(
    headers: &mut HeaderMap,
    tenant: &Tenant,
    callee: &Callee,
    passage: Passage,
    instance: &Instance,
    request_id: &HeaderValue,
) {
    tenant.strip(headers);
    let has_key = callee.provider.key.is_some();
    let simulated = callee.provider.simulated;
    remove_named_by_connection(headers);
    remove_where(headers, |name| match name.as_str() {
        // The length is told by the body, the host by the connection.
        "content-length" | "host" | "expect" => true,
        "cache-control" => passage == Passage::Watched,
        // A key of the caller's own is not for a provider that has one. The
        // header that carries the provider's own is overwritten below.
        key if auth::is_key_header(key) => {
            has_key && !callee.headers.iter().any(|(own, _)| own == name)
        }
        name if name.starts_with("x-nowait-") => true,
        name if name.starts_with("x-sim-") => !simulated,
        name => is_hop_by_hop(name),
    });
    for (name, value) in &callee.headers {
        headers.insert(name.clone(), value.clone());
    }
    if passage == Passage::Watched {
        // Frames are looked at as they pass; compressed ones can't be, and
        // compressing a stream delays its events.
        headers.insert(
            header::ACCEPT_ENCODING,
            HeaderValue::from_static("identity"),
        );
    }
    headers.append(header::VIA, instance.via.clone());
    headers.insert(REQUEST_ID, request_id.clone());
}

/// The headers of a call that nowait writes itself, for a caller.
pub(super) fn own_call(
    dialect: Dialect,
    callee: &Callee,
    caller: &Caller,
    instance: &Instance,
    request_id: &HeaderValue,
) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(16);
    let travels = |name: &HeaderName| {
        auth::is_key_header(name.as_str())
            || name.as_str() == "traceparent"
            || name.as_str().starts_with("x-sim-")
    };
    for (name, value) in caller.headers.iter().filter(|(name, _)| travels(name)) {
        headers.append(name.clone(), value.clone());
    }
    outgoing(
        &mut headers,
        &caller.tenant,
        callee,
        Passage::Watched,
        instance,
        request_id,
    );
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    if dialect == Dialect::Anthropic {
        move_key(&mut headers, &header::AUTHORIZATION, &API_KEY);
        headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
    } else {
        move_key(&mut headers, &API_KEY, &header::AUTHORIZATION);
    }
    headers
}

/// A caller's own key comes in the header of whichever SDK it has at hand; the
/// provider wants it in its own.
fn move_key(headers: &mut HeaderMap, from: &HeaderName, to: &HeaderName) {
    if headers.contains_key(to) {
        return;
    }
    let Some(value) = headers.remove(from) else {
        return;
    };
    let text = value.to_str().unwrap_or_default();
    let text = if *to == header::AUTHORIZATION {
        format!("Bearer {text}")
    } else {
        text.strip_prefix("Bearer ").unwrap_or(text).to_owned()
    };
    if let Ok(mut value) = HeaderValue::from_str(&text) {
        value.set_sensitive(true);
        headers.insert(to.clone(), value);
    }
}

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const USER_AGENT: &str = concat!("nowait/", env!("CARGO_PKG_VERSION"));

/// Makes a provider's headers into those of the reply, in place.
pub(super) fn incoming(headers: &mut HeaderMap, request_id: &HeaderValue, attempt: &mut Attempt) {
    if headers.keys().any(|name| is_hop_by_hop(name.as_str())) {
        remove_named_by_connection(headers);
        remove_where(headers, |name| is_hop_by_hop(name.as_str()));
    }
    // The provider's own id gives its place to ours, in `reply`.
    let theirs = headers
        .get(REQUEST_ID)
        .or_else(|| headers.get(ANTHROPIC_REQUEST_ID));
    if let Some(theirs) = theirs.filter(|theirs| *theirs != request_id) {
        attempt.upstream_request_id = Some(kept(theirs));
        headers.insert(UPSTREAM_REQUEST_ID, theirs.clone());
    }
}

/// Writes what every reply carries of nowait's own.
pub(super) fn reply(headers: &mut HeaderMap, ledger: &Ledger, instance: &Instance) {
    headers.insert(REQUEST_ID, ledger.request_id.clone());
    headers.append(header::VIA, instance.via.clone());
    headers.append(SERVER_TIMING, ledger.server_timing());
    if let Some(callee) = ledger.callee() {
        headers.insert(PROVIDER, callee.shown.clone());
        headers.insert(CACHE_STATUS, ledger.shared.status());
        if let Some(key) = &ledger.key
            && let Ok(key) = HeaderValue::try_from(key.to_string())
        {
            headers.insert(CACHE_KEY, key);
        }
        if let Shared::Kept(kept) = ledger.shared {
            headers.insert(header::AGE, HeaderValue::from(kept.age.as_secs()));
        }
        if callee.provider.simulated {
            simulated(headers);
        }
    }
    if let Some(target) = &ledger.target {
        headers.insert(MODEL, target.shown.clone());
    }
    if ledger.attempts() > 0 || ledger.shared.is_anothers() {
        let attempts = match ledger.attempts() {
            1 => HeaderValue::from_static("1"),
            more => HeaderValue::from(more),
        };
        headers.insert(ATTEMPTS, attempts);
    }
}

/// Says that nobody real has answered.
pub(super) fn simulated(headers: &mut HeaderMap) {
    headers.insert(SIMULATED, HeaderValue::from_static("true"));
}

const PROVIDER: HeaderName = HeaderName::from_static("x-nowait-provider");
const MODEL: HeaderName = HeaderName::from_static("x-nowait-model");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-nowait-attempts");
const CACHE_KEY: HeaderName = HeaderName::from_static("x-nowait-cache-key");
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
const SIMULATED: HeaderName = HeaderName::from_static("x-nowait-simulated");
const UPSTREAM_REQUEST_ID: HeaderName = HeaderName::from_static("x-nowait-upstream-request-id");
/// What Anthropic calls its request's id.
const ANTHROPIC_REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What keeps intermediaries from holding a stream back.
pub(super) fn streaming(headers: &mut HeaderMap) {
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.remove(header::CONTENT_LENGTH);
}

/// Announces the trailer of a stream's totals to a caller who takes it.
pub(super) fn announce_trailer(headers: &mut HeaderMap, caller: &Caller) {
    if caller.takes_trailers {
        headers.append(header::TRAILER, HeaderValue::from_static("server-timing"));
    }
}

/// Names what could not be carried. Field names are the caller's and are cut
/// to what a header can hold.
pub(super) fn dropped(headers: &mut HeaderMap, fields: &[String]) {
    if fields.is_empty() {
        return;
    }
    let mut text = fields.join(",");
    text.retain(|c| c.is_ascii_graphic());
    text.truncate(500);
    if let Ok(value) = HeaderValue::from_str(&text) {
        headers.insert(DROPPED, value);
    }
}

/// What [`dropped`] has named.
pub(super) fn names_dropped(headers: &HeaderMap) -> Vec<String> {
    let text = headers.get(DROPPED).and_then(|value| value.to_str().ok());
    let names = text.into_iter().flat_map(|text| text.split(','));
    names.map(str::to_owned).collect()
}

const DROPPED: HeaderName = HeaderName::from_static("x-nowait-dropped");

/// Refuses what a page of another site makes a browser send. Without keys
/// being on this machine is what lets a caller in, and a browser on this
/// machine runs strangers' scripts (Fetch Metadata, `Sec-Fetch-Site`).
pub(super) fn refuse_other_sites(headers: &HeaderMap) -> Result<(), Error> {
    match headers.get(SEC_FETCH_SITE) {
        Some(site) if site == "cross-site" => Err(Error::new(
            Kind::Forbidden,
            "a page of another site asked for this in a browser, and this gateway asks nobody for a key: \
             add [[keys]] to let such pages in",
        )),
        _ => Ok(()),
    }
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a caller over HTTP/1.1 says that it takes trailers.
pub(super) fn takes_trailers(headers: &HeaderMap) -> bool {
    headers.get_all(header::TE).iter().any(|value| {
        value.to_str().is_ok_and(|text| {
            text.split(',')
                .any(|part| part.trim().eq_ignore_ascii_case("trailers"))
        })
    })
}

/// Refuses a request that has passed this very process before. Another nowait
/// in front or behind is fine: it has another id.
pub(super) fn refuse_loops(headers: &HeaderMap, instance: &Instance) -> Result<(), Error> {
    let ours = instance.via.as_bytes();
    let passed = headers.get_all(header::VIA).iter().any(|value| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .any(|hop| hop.trim_ascii() == ours)
    });
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

/// What belongs to one hop by its name alone.
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
    )
}

/// Removes what `connection` says is of this hop too.
fn remove_named_by_connection(headers: &mut HeaderMap) {
    if !headers.contains_key(header::CONNECTION) {
        return;
    }
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
}

/// Removes the headers that `goes` names, in one look at each: what is removed
/// leaves its place to one that has not been looked at.
fn remove_where(headers: &mut HeaderMap, goes: impl Fn(&HeaderName) -> bool) {
    let mut seen = 0;
    while let Some(more) = headers.keys().skip(seen).position(&goes) {
        seen += more;
        let name = headers.keys().nth(seen).cloned();
        name.map(|name| headers.remove(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_bytes(name.as_bytes()).unwrap(),
                    value.parse().unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn headers_of_one_hop_and_those_connection_names_stay_here() {
        let mut map = headers(&[
            ("connection", "close, X-Mine"),
            ("x-mine", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("x-other", "2"),
        ]);
        remove_named_by_connection(&mut map);
        remove_where(&mut map, |name| is_hop_by_hop(name.as_str()));
        assert_eq!(map, headers(&[("x-other", "2")]));
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
            let map = site.map_or_else(HeaderMap::new, |site| headers(&[("sec-fetch-site", site)]));
            assert_eq!(refuse_other_sites(&map).is_ok(), passes, "{site:?}");
        }
    }

    #[test]
    fn a_callers_key_moves_to_the_header_its_provider_reads() {
        for (sent, from, to, expected) in [
            (
                ("x-api-key", "k"),
                API_KEY,
                header::AUTHORIZATION,
                ("authorization", "Bearer k"),
            ),
            (
                ("authorization", "Bearer k"),
                header::AUTHORIZATION,
                API_KEY,
                ("x-api-key", "k"),
            ),
        ] {
            let mut map = headers(&[sent]);
            move_key(&mut map, &from, &to);
            assert_eq!(map, headers(&[expected]));
        }
    }
}
