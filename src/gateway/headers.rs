//! Which headers travel, and which nowait writes itself.
//!
//! What belongs to one hop (RFC 9110 §7.6.1) and what is addressed to nowait
//! stays here; everything else passes both ways, known or not.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::auth::{KEY_HEADERS, Tenant};
use super::ledger::{Ledger, kept};
use super::plan::Callee;
use super::{Caller, Instance};
use crate::dialect::Dialect;
use crate::error::{Error, Kind};

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
    remove_hop_by_hop(headers);
    let simulated = callee.provider.simulated;
    remove_where(headers, |name| {
        let name = name.as_str();
        match name.as_bytes().first() {
            Some(b'x') => {
                name.starts_with("x-nowait-") || (!simulated && name.starts_with("x-sim-"))
            }
            // The length is told by the body, the host by the connection.
            Some(b'c') => {
                name == "content-length" || (passage == Passage::Watched && name == "cache-control")
            }
            Some(b'h') => name == "host",
            Some(b'e') => name == "expect",
            _ => false,
        }
    });
    if !callee.headers.is_empty() {
        if callee.provider.key.is_some() {
            // A key of the caller's own is not for a provider that has one.
            for name in &KEY_HEADERS {
                headers.remove(name);
            }
        }
        for (name, value) in &callee.headers {
            headers.insert(name.clone(), value.clone());
        }
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
        KEY_HEADERS.contains(name)
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
pub(super) fn incoming(headers: &mut HeaderMap, ledger: &mut Ledger) {
    remove_hop_by_hop(headers);
    // The provider's own id gives its place to ours.
    let theirs = headers
        .remove(REQUEST_ID)
        .or_else(|| headers.get(ANTHROPIC_REQUEST_ID).cloned());
    if let Some(theirs) = theirs.filter(|theirs| *theirs != ledger.request_id) {
        headers.insert(UPSTREAM_REQUEST_ID, theirs.clone());
        ledger.upstream_request_id = Some(kept(&theirs));
    }
}

/// Writes what every reply carries of nowait's own.
pub(super) fn reply(headers: &mut HeaderMap, ledger: &Ledger, instance: &Instance) {
    headers.insert(REQUEST_ID, ledger.request_id.clone());
    headers.append(header::VIA, instance.via.clone());
    headers.append(SERVER_TIMING, ledger.server_timing());
    if let Some(callee) = ledger.callee() {
        headers.insert(PROVIDER, callee.shown.clone());
        headers.insert(CACHE_STATUS, HeaderValue::from_static("nowait; fwd=bypass"));
        if callee.provider.simulated {
            simulated(headers);
        }
    }
    if let Some(target) = &ledger.target {
        headers.insert(MODEL, target.shown.clone());
    }
    if ledger.attempts() > 0 {
        headers.insert(ATTEMPTS, HeaderValue::from(ledger.attempts()));
    }
}

/// Says that nobody real has answered.
pub(super) fn simulated(headers: &mut HeaderMap) {
    headers.insert(SIMULATED, HeaderValue::from_static("true"));
}

const PROVIDER: HeaderName = HeaderName::from_static("x-nowait-provider");
const MODEL: HeaderName = HeaderName::from_static("x-nowait-model");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-nowait-attempts");
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

/// Whether the caller takes nothing but a kept answer.
pub(super) fn wants_only_cached(headers: &HeaderMap) -> bool {
    headers.get_all(header::CACHE_CONTROL).iter().any(|value| {
        value.to_str().is_ok_and(|text| {
            text.split(',')
                .any(|word| word.trim().eq_ignore_ascii_case("only-if-cached"))
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

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(header::CONNECTION) {
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
    remove_where(headers, |name| {
        matches!(
            name.as_str(),
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
    });
}

/// Removes the headers that `goes` names. Looking is cheap, removing is not,
/// and most requests carry few of them.
fn remove_where(headers: &mut HeaderMap, goes: impl Fn(&HeaderName) -> bool) {
    while let Some(name) = headers.keys().find(|name| goes(name)).cloned() {
        headers.remove(name);
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
        remove_hop_by_hop(&mut map);
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
    fn only_if_cached_is_found_among_other_words() {
        for (sent, expected) in [
            ("only-if-cached", true),
            ("max-age=5, Only-If-Cached", true),
            ("no-cache", false),
        ] {
            assert_eq!(
                wants_only_cached(&headers(&[("cache-control", sent)])),
                expected
            );
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
