//! `GET /status`: how everything stands, as JSON.
//!
//! Numbers are what the policies decide by, read at one moment; nothing is
//! computed for this page alone. Durations are milliseconds, shares 0 to 1. A
//! value that is not known yet is `null`.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::Gateway;
use super::plan::{Callee, Plan};
use crate::config::{Balance, Hedge};
use crate::upstream::health::State;
use crate::upstream::limit::Rule;
use crate::upstream::standing::{Span, Standing};

/// How `gateway` stands now.
pub fn status(gateway: &Gateway) -> Value {
    let now = Instant::now();
    let instance = &gateway.instance;
    let callees = gateway.routes.callees().iter();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "instance": instance.id,
        "draining": instance.drain.is_draining(),
        "requests_in_flight": instance.metrics.in_flight.get(),
        "providers": callees.map(|callee| provider(callee, now)).collect::<Vec<_>>(),
        "models": gateway.routes.plans().iter().map(|plan| model(plan)).collect::<Vec<_>>(),
        "cache": {
            "entries": gateway.cache.len(),
            "bytes": gateway.cache.bytes(),
            "bound_bytes": gateway.config.cache.memory,
            "redis": gateway.cache.has_remote(),
        },
    })
}

fn provider(callee: &std::sync::Arc<Callee>, now: Instant) -> Value {
    let pool = callee.upstream.gauges();
    json!({
        "provider": callee.provider.name,
        "dialect": callee.provider.dialect.as_str(),
        "base_url": callee.base_url,
        "pool": {
            "open": pool.open,
            "idle": pool.idle,
            "warm": pool.warm,
            "streams": pool.streams,
        },
        "keys": callee.with_each_key().map(|callee| key(callee, now)).collect::<Vec<_>>(),
    })
}

/// One key of a provider. Its number is all that is told of it.
fn key(callee: &Callee, now: Instant) -> Value {
    let traffic = &callee.traffic;
    let limit = traffic.admission.gauges(now);
    let targets = traffic.standings();
    json!({
        "key": callee.key,
        "limit": {
            "rule": match traffic.rule() {
                Rule::Fixed(_) => "fixed",
                Rule::Aimd => "aimd",
                Rule::Gradient => "gradient",
            },
            "calls": limit.limit,
            "in_flight": limit.in_flight,
            "waiting": { "interactive": limit.interactive, "batch": limit.batch },
        },
        "budgets": {
            "retries_left": traffic.budgets.retry.left(now),
            "hedges_left": traffic.budgets.hedge.left(),
        },
        "targets": targets
            .iter()
            .map(|(name, standing)| target(name, standing, now))
            .collect::<Vec<_>>(),
    })
}

fn target(name: &str, standing: &Standing, now: Instant) -> Value {
    let view = standing.view(now);
    let until = |at: Instant| millis(at.saturating_duration_since(now));
    let out_for = match view.state {
        State::Out(at) => Some(until(at)),
        _ => None,
    };
    let pace = |span, typical: Option<Duration>| {
        let quantile = |q| standing.quantile(now, span, q).map(millis);
        json!({
            "ewma_ms": typical.map(millis),
            "p50_ms": quantile(0.5),
            "p95_ms": quantile(0.95),
            "p99_ms": quantile(0.99),
        })
    };
    json!({
        "target": match name {
            "" => "(all others)",
            name => name,
        },
        "health": view.state.word(),
        "out_for_ms": out_for,
        "share": view.share(),
        "paused_for_ms": view.paused_until.map(until),
        "quota_left": view.quota,
        "in_flight": view.in_flight,
        "failing": view.failing,
        "late": view.late,
        "first_content": pace(Span::FirstContent, view.first_content),
        "whole": pace(Span::Whole, view.whole),
        "tokens_per_s": view.speed,
    })
}

fn model(plan: &Plan) -> Value {
    json!({
        "model": plan.name,
        "why": plan.why,
        "targets": plan
            .targets
            .iter()
            .map(|target| json!({ "target": target.full_name, "key": target.callee.key }))
            .collect::<Vec<_>>(),
        "balance": balance(plan.balance),
        "hedge": hedge(plan.hedge),
    })
}

/// The word of the configuration.
pub fn balance(balance: Balance) -> &'static str {
    match balance {
        Balance::Order => "order",
        Balance::Latency => "latency",
        Balance::Weighted => "weighted",
        Balance::LeastPending => "least_pending",
        Balance::Sticky => "sticky",
    }
}

/// The same of when a call is hedged.
pub fn hedge(hedge: Hedge) -> String {
    match hedge {
        Hedge::Off => "off".to_owned(),
        Hedge::Quantile(share) => format!("p{}", share * 100.0),
        Hedge::After(wait) => crate::config::units::show_duration(wait),
    }
}

/// Milliseconds with three decimals.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
