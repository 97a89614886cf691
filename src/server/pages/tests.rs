//! The pages against their policy, the description against the program.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::error::Kind;

fn text(path: &str) -> &'static str {
    let page = find(path).expect("a page");
    std::str::from_utf8(&page.body).expect("text")
}

fn description() -> Value {
    serde_json::from_str(text("/openapi.json")).expect("JSON")
}

/// Calls `visit` on every object inside `node`.
fn walk(node: &Value, visit: &mut impl FnMut(&serde_json::Map<String, Value>)) {
    match node {
        Value::Object(map) => {
            visit(map);
            map.values().for_each(|inner| walk(inner, visit));
        }
        Value::Array(items) => items.iter().for_each(|inner| walk(inner, visit)),
        _ => {}
    }
}

#[test]
fn a_page_is_sent_once_and_then_known_by_its_tag() {
    let page = find("/docs").expect("a page");
    let first = page.reply(None);
    assert_eq!(first.status(), StatusCode::OK);
    assert_eq!(first.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
    assert_eq!(first.headers()[CONTENT_SECURITY_POLICY], POLICY);
    let tag = first.headers()[ETAG].to_str().expect("text").to_owned();

    let cases = [
        (tag.clone(), StatusCode::NOT_MODIFIED),
        (format!("W/{tag}"), StatusCode::NOT_MODIFIED),
        (format!("\"other\" , {tag}"), StatusCode::NOT_MODIFIED),
        ("*".to_owned(), StatusCode::NOT_MODIFIED),
        ("\"other\"".to_owned(), StatusCode::OK),
        (tag.trim_matches('"').to_owned(), StatusCode::OK),
    ];
    for (sent, status) in cases {
        let reply = page.reply(Some(&sent));
        assert_eq!(reply.status(), status, "{sent:?}");
        assert_eq!(reply.body().is_empty(), status == StatusCode::NOT_MODIFIED);
        assert_eq!(reply.headers()[ETAG], *tag);
    }
    assert!(find("/docs/").is_none());
}

/// What the policy forbids must not be in the page, or the page is broken; and
/// a page that needs the network is broken where there is none.
#[test]
fn the_page_loads_nothing_from_outside() {
    let html = text("/docs");
    assert!(!html.contains("://"), "an absolute address in docs.html");
    assert!(!html.contains(" style=") && !html.contains("<style"));
    assert!(!html.contains(" onclick=") && !html.contains("javascript:"));
    for path in ["/docs/docs.css", "/docs/docs.js"] {
        let body = text(path);
        assert!(!body.contains("://"), "an absolute address in {path}");
        assert!(!body.contains("@import") && !body.contains("innerHTML"));
    }
    let size: usize = PAGES
        .iter()
        .filter(|page| page.path.starts_with("/docs"))
        .map(|page| page.body.len())
        .sum();
    assert!(size < 60_000, "the page has grown to {size} bytes");
}

#[test]
fn every_address_in_the_page_is_served() {
    let html = text("/docs");
    for attribute in ["href=\"", "src=\""] {
        for part in html.split(attribute).skip(1) {
            let address = part.split('"').next().expect("a quoted address");
            if address.starts_with(['#', 'd']) && !address.starts_with("docs/") {
                continue;
            }
            assert!(find(&format!("/{address}")).is_some(), "{address}");
        }
    }
}

#[test]
fn the_description_is_of_this_version_and_every_reference_in_it_resolves() {
    let api = description();
    assert_eq!(api["openapi"], "3.1.0");
    assert_eq!(api["info"]["version"], env!("CARGO_PKG_VERSION"));
    let mut used = BTreeSet::new();
    walk(&api, &mut |map| {
        if let Some(Value::String(target)) = map.get("$ref") {
            let pointer = target.strip_prefix('#').expect("a local reference");
            assert!(api.pointer(pointer).is_some(), "{target}");
            used.insert(pointer.to_owned());
        }
    });
    for kind in ["schemas", "parameters", "headers", "responses", "examples"] {
        for name in api["components"][kind].as_object().expect("a map").keys() {
            let pointer = format!("/components/{kind}/{name}");
            assert!(used.contains(&pointer), "{pointer} is never used");
        }
    }
}

#[test]
fn the_description_has_every_endpoint_and_none_that_is_not_served() {
    let api = description();
    let described: BTreeSet<&str> = api["paths"]
        .as_object()
        .expect("a map")
        .keys()
        .map(String::as_str)
        .collect();
    let served = BTreeSet::from([
        "/generate",
        "/generate_claude",
        "/generate/batch",
        "/v1/chat/completions",
        "/v1/responses",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/models",
        "/v1/models/{id}",
        "/v1/messages",
        "/v1/messages/count_tokens",
        "/{provider}/{path}",
        "/cache/purge",
        "/health",
        "/healthz",
        "/livez",
        "/health/liveliness",
        "/health/liveness",
        "/readyz",
        "/health/readiness",
        "/metrics",
        "/status",
        "/openapi.json",
        "/docs",
    ]);
    assert_eq!(described, served);
    let mut names = BTreeSet::new();
    walk(&api["paths"], &mut |map| {
        if let Some(Value::String(name)) = map.get("operationId") {
            assert!(names.insert(name.clone()), "{name} twice");
            assert!(map["summary"].is_string() && map["description"].is_string());
        }
    });
    assert_eq!(
        names.len(),
        served.len() + 4,
        "five methods of one raw path"
    );
}

#[test]
fn the_description_knows_every_error() {
    let kinds = [
        Kind::InvalidRequest,
        Kind::RequestTooLarge,
        Kind::RequestTimeout,
        Kind::InvalidApiKey,
        Kind::Forbidden,
        Kind::ModelNotFound,
        Kind::NotFound,
        Kind::MethodNotAllowed,
        Kind::RateLimited,
        Kind::Overloaded,
        Kind::UpstreamUnreachable,
        Kind::UpstreamProtocol,
        Kind::Timeout,
        Kind::NotCached,
        Kind::Loop,
        Kind::Internal,
    ];
    let codes: Vec<&str> = kinds.iter().map(|kind| kind.code()).collect();
    let api = description();
    let described = api["components"]["schemas"]["Code"]["enum"]
        .as_array()
        .expect("a list");
    assert_eq!(*described, codes);
    // Every example of a problem has the status that its code stands for.
    walk(&api["components"]["responses"], &mut |map| {
        if let (Some(Value::String(code)), Some(status)) = (map.get("code"), map.get("status")) {
            let kind = kinds.iter().find(|kind| kind.code() == code);
            assert_eq!(
                kind.map(|kind| kind.status().as_u16().into()),
                Some(status.clone()),
                "{code}"
            );
        }
    });
}
