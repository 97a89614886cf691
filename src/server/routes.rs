//! nowait's own pages beside the gateway's endpoints: health, readiness,
//! metrics, the API's description.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};

use super::{Shared, assemble, pages};
use crate::error::{Error, Kind};
use crate::gateway::incoming::Incoming;
use crate::gateway::reply::{Answered, Body, Reply};
use crate::gateway::{Head, status};
use crate::http1::{Fields, Name, Response};
use crate::metrics;

/// How long readiness may wait for the first spares.
const WARM_UP_MAX: Duration = Duration::from_secs(5);

/// One of nowait's own pages.
enum Page {
    Health,
    Ready,
    Metrics,
    Status,
    Static(&'static pages::Page),
}

impl Page {
    fn at(path: &str) -> Option<Self> {
        Some(match path {
            "/health" | "/healthz" | "/livez" | "/health/liveliness" | "/health/liveness" => {
                Self::Health
            }
            "/readyz" | "/health/readiness" => Self::Ready,
            "/metrics" => Self::Metrics,
            "/status" => Self::Status,
            other => Self::Static(pages::find(other)?),
        })
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Ready => "ready",
            Self::Metrics => "metrics",
            Self::Status => "status",
            Self::Static(_) => "docs",
        }
    }
}

/// Answers one request.
pub(super) async fn answer(shared: &Shared, head: Head, body: Incoming) -> Response<Reply> {
    let gateway = shared.current.load_full();
    let Some(page) = Page::at(head.path()) else {
        return gateway.handle(head, body).await;
    };
    gateway.page(&head, page.name(), || {
        if head.method != Method::GET && head.method != Method::HEAD {
            return Err(Error::new(
                Kind::MethodNotAllowed,
                format!("{} is a page: use GET", head.path()),
            )
            .allow("GET, HEAD"));
        }
        Ok(match page {
            Page::Health => {
                Answered::whole(StatusCode::OK, "application/json", r#"{"status":"ok"}"#)
            }
            Page::Ready => readiness(shared),
            Page::Metrics => {
                gateway
                    .tenants
                    .authenticate(&head.fields)?
                    .must_be_admin()?;
                assemble::count(&gateway);
                Answered::whole(
                    StatusCode::OK,
                    metrics::CONTENT_TYPE,
                    gateway.instance.metrics.render(),
                )
            }
            Page::Status => {
                gateway
                    .tenants
                    .authenticate(&head.fields)?
                    .must_be_admin()?;
                let mut answered = Answered::whole(
                    StatusCode::OK,
                    "application/json",
                    format!("{:#}", status::status(&gateway)),
                );
                answered.fields.set(Name::CacheControl, "no-store");
                answered
            }
            Page::Static(page) => {
                let (head, body) = page.reply(head.fields.text(Name::IfNoneMatch)).into_parts();
                Answered {
                    status: head.status,
                    fields: Fields::from(&head.headers),
                    body: Body::Whole(body),
                }
            }
        })
    })
}

fn readiness(shared: &Shared) -> Answered {
    let (status, said) = if shared.instance.drain.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"draining"}"#)
    } else if !shared.connections.is_warm() {
        (StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"warming"}"#)
    } else {
        (StatusCode::OK, r#"{"status":"ready"}"#)
    };
    let mut answered = Answered::whole(status, "application/json", said);
    answered.fields.set(Name::CacheControl, "no-store");
    answered
}

/// Notes that the spares of all providers are up, or could not be opened: a
/// replica that gets traffic before that would make its first callers wait
/// for handshakes.
pub(super) async fn note_readiness(shared: Arc<Shared>) {
    let gateway = shared.current.load_full();
    let _ = tokio::time::timeout(WARM_UP_MAX, async {
        for callee in gateway.routes.callees() {
            callee.upstream.ready().await;
        }
    })
    .await;
    shared.connections.set_warm();
}
