//! The page: the life of a request, from the caller's head to the closed
//! ledger.
//!
//! Each stage takes what it needs and returns what it made; nothing travels
//! untyped. [`Gateway::run`] is the straight line, with `?` at every stage;
//! [`Gateway::handle`] turns its one [`Error`] into a reply in the caller's
//! dialect. A [`Gateway`] is one immutable snapshot of a configuration: a
//! reload replaces it and never tears a request.

mod account;
mod asked;
pub mod attempt;
pub mod auth;
mod batch;
mod call;
mod commit;
mod count;
mod course;
mod crossing;
mod directives;
mod draft;
pub mod drain;
mod embed;
mod encoding;
pub mod endpoint;
mod events;
mod flight;
mod generate;
mod headers;
pub mod incoming;
pub mod intake;
pub mod ledger;
mod manner;
pub mod models;
mod plain;
pub mod plan;
mod purge;
mod raw;
mod relay;
pub mod reply;
mod share;
pub mod status;
mod terms;
pub mod traffic;
mod upload;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{Method, Version, request};
use tokio::time::Instant;

use self::asked::{Asked, Source};
use self::attempt::{Attempt, Limits, Unanswered};
use self::auth::{Tenant, Tenants};
use self::directives::Directives;
use self::drain::Drain;
use self::embed::Gathering;
use self::endpoint::{Endpoint, Flavour};
use self::flight::Flights;
use self::incoming::Incoming;
use self::intake::{Patience, Within};
use self::ledger::Ledger;
use self::manner::Manner;
use self::models::Catalogue;
use self::plan::{Callee, Routes};
use self::reply::{Answered, Reply};
use crate::cache::Store;
use crate::cache::stored::LARGEST_BODY;
use crate::config::Config;
use crate::dialect::Format;
use crate::error::{Error, Kind};
use crate::http1::{Fields, Name, NameSet, Response};
use crate::metrics::Metrics;
use crate::telemetry::AccessLog;
use crate::upstream;

/// The running process, whatever its configuration is at the moment.
pub struct Instance {
    /// Tells this process from any other nowait.
    pub id: String,
    /// What it adds to `Via`.
    pub via: String,
    /// What it counts.
    pub metrics: Metrics,
    /// Where its access lines go.
    pub log: AccessLog,
    /// Where it is on its way to the end.
    pub drain: Drain,
    /// What providers have said they serve.
    pub catalogue: Catalogue,
    /// The calls under way that others may join.
    flights: Flights,
    /// Calls for embeddings that travel together.
    gathering: Gathering,
    /// The name of a caller without a key.
    nobody: Arc<str>,
}

impl Instance {
    /// A process that has just begun.
    pub fn new(metrics: Metrics, log: AccessLog) -> Arc<Self> {
        let id = format!("{:016x}", fastrand::u64(..));
        Arc::new(Self {
            via: format!("1.1 nowait-{id}"),
            id,
            metrics,
            log,
            drain: Drain::default(),
            catalogue: Catalogue::default(),
            flights: Flights::new(LARGEST_BODY),
            gathering: Gathering::new(),
            nobody: "-".into(),
        })
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// One snapshot of a configuration, at work.
#[derive(Debug)]
pub struct Gateway {
    /// What the operator decided.
    pub config: Config,
    /// Who may call.
    pub tenants: Tenants,
    /// Where calls go.
    pub routes: Routes,
    /// What was answered before.
    pub cache: Arc<Store>,
    /// The process it runs in.
    pub instance: Arc<Instance>,
}

impl Gateway {
    /// A gateway of `config`, whose providers can be called as `callees`.
    pub fn new(
        config: Config,
        callees: Vec<Arc<Callee>>,
        cache: Arc<Store>,
        instance: Arc<Instance>,
    ) -> Self {
        Self {
            cache,
            tenants: Tenants::new(&config),
            routes: Routes::new(&config, callees),
            config,
            instance,
        }
    }

    /// Answers one request, whatever happens.
    pub async fn handle(self: Arc<Self>, head: Head, body: Incoming) -> Response<Reply> {
        let mut ledger = Box::new(Ledger::open(
            &self.instance,
            head.method.clone(),
            head.path(),
            &head.fields,
        ));
        let endpoint = Endpoint::of(&head.method, head.path());
        let dialect = match &endpoint {
            Ok(endpoint) => endpoint.dialect(&head.fields),
            Err(_) => endpoint::dialect_of_unknown(head.path(), &head.fields),
        };
        let outcome = match endpoint {
            Ok(endpoint) => {
                ledger.endpoint = endpoint.name();
                Unpanicked(Box::pin(self.run(head, body, endpoint, &mut ledger))).await
            }
            Err(error) => Err(error),
        };
        let answered =
            outcome.unwrap_or_else(|error| Answered::error(&error, dialect, &mut ledger));
        answered.into_reply(ledger, &self.instance)
    }

    /// Answers with one of nowait's own pages, booked like any request.
    pub fn page(
        &self,
        head: &Head,
        name: &'static str,
        make: impl FnOnce() -> Result<Answered, Error>,
    ) -> Response<Reply> {
        let method = head.method.clone();
        let mut ledger = Box::new(Ledger::open(
            &self.instance,
            method,
            head.path(),
            &head.fields,
        ));
        ledger.endpoint = name;
        let made = make().unwrap_or_else(|error| Answered::error(&error, None, &mut ledger));
        made.into_reply(ledger, &self.instance)
    }

    /// Answers a request that is not one, booked like any. `head` is what could
    /// be read of its own.
    pub fn refuse(&self, head: &Head, error: &Error) -> Response<Reply> {
        let mut ledger = Box::new(Ledger::open(
            &self.instance,
            head.method.clone(),
            head.path(),
            &head.fields,
        ));
        let dialect = match Endpoint::of(&head.method, head.path()) {
            Ok(endpoint) => endpoint.dialect(&head.fields),
            Err(_) => endpoint::dialect_of_unknown(head.path(), &head.fields),
        };
        let answered = Answered::error(error, dialect, &mut ledger);
        answered.into_reply(ledger, &self.instance)
    }

    async fn run(
        self: &Arc<Self>,
        head: Head,
        mut body: Incoming,
        endpoint: Endpoint,
        ledger: &mut Ledger,
    ) -> Result<Answered, Error> {
        let tenant = self.admit(&head.fields)?;
        ledger.authenticated(&tenant, Instant::now());
        let caller = Caller::new(head, tenant)?;
        // All but the plain path are boxed, so that the room of the largest is
        // not set aside for every call that waits.
        match endpoint {
            Endpoint::Call(format) => {
                let body = self.read(&mut body, &caller, ledger).await?;
                call::answer(self, caller, format, None, body, ledger).await
            }
            Endpoint::CallTo(format, provider) => {
                let body = self.read(&mut body, &caller, ledger).await?;
                call::answer(self, caller, format, Some(&provider), body, ledger).await
            }
            Endpoint::Generate(flavour) => {
                let body = self.read(&mut body, &caller, ledger).await?;
                let caller = Arc::new(caller);
                Box::pin(self.generate(&caller, flavour, &body, ledger)).await
            }
            Endpoint::Batch => {
                let body = self.read(&mut body, &caller, ledger).await?;
                Box::pin(batch::answer(self, caller, &body, ledger)).await
            }
            Endpoint::Purge => {
                caller.tenant.must_be_admin()?;
                let body = self.read(&mut body, &caller, ledger).await?;
                Box::pin(purge::answer(self, &caller, &body)).await
            }
            Endpoint::Models => {
                let dialect = endpoint::spoken_by(&caller.fields);
                Box::pin(models::list(self, dialect, &caller.tenant, ledger)).await
            }
            Endpoint::Model(id) => {
                let dialect = endpoint::spoken_by(&caller.fields);
                Box::pin(models::one(self, &id, dialect, &caller.tenant, ledger)).await
            }
            Endpoint::Raw { provider, rest } => {
                Box::pin(raw::answer(self, &caller, &provider, &rest, body, ledger)).await
            }
        }
    }

    /// Tells who asks, from the head alone, and whether anybody may now.
    fn admit(&self, fields: &Fields) -> Result<Tenant, Error> {
        headers::refuse_loops(fields, &self.instance)?;
        if self.instance.drain.is_draining() {
            return Err(draining());
        }
        let tenant = self.tenants.authenticate(fields)?;
        if self.tenants.is_open() {
            headers::refuse_other_sites(fields)?;
        }
        Ok(tenant)
    }

    async fn generate(
        self: &Arc<Self>,
        caller: &Arc<Caller>,
        flavour: Flavour,
        body: &[u8],
        ledger: &mut Ledger,
    ) -> Result<Answered, Error> {
        let fields = generate::fields(caller.query.as_deref(), body)?;
        let ask = generate::Ask::read(&fields, "")?;
        let shape = generate::shape(&caller.fields, &ask);
        generate::answer(self, caller, ask, flavour, shape, ledger).await
    }

    /// Reads a bounded body, and books the wait for it as the caller's.
    async fn read(
        &self,
        body: &mut Incoming,
        caller: &Caller,
        ledger: &mut Ledger,
    ) -> Result<Bytes, Error> {
        let asked = ledger.started + ledger.auth;
        let within = Within {
            started: ledger.started,
            total: caller.patience.total.unwrap_or(self.config.timeout.total),
        };
        let limit = self.config.server.max_body;
        let is_here = matches!(body, Incoming::Whole(_));
        let read = intake::read(body, limit, within).await;
        if !is_here {
            ledger.intake = asked.elapsed();
        }
        let bytes = read?;
        ledger.bytes_in = bytes.len() as u64;
        Ok(bytes)
    }

    /// Sends one call that was `asked` for now upstream, once, and takes the
    /// head of its answer.
    async fn ask(
        &self,
        callee: &Arc<Callee>,
        request: upstream::Request,
        limits: Limits,
        request_id: &str,
        asked: Instant,
        attempt: &mut Attempt,
    ) -> Result<Box<Asked>, Unanswered> {
        let drain = &self.instance.drain;
        let mut response = attempt::send(callee, request, &limits, asked, drain, attempt).await?;
        headers::incoming(&mut response.fields, request_id, attempt);
        Ok(Box::new(Asked {
            status: response.status,
            fields: response.fields,
            format: Format::Chat,
            body: Source::Upstream(response.body),
            limits,
            sent: attempt.timing.sent_at.unwrap_or(asked),
            came: attempt.timing.head_at.unwrap_or(asked),
            callee: Arc::clone(callee),
            instance: Arc::clone(&self.instance),
            charge: None,
        }))
    }

    fn callee(&self, name: &str) -> Result<&Arc<Callee>, Error> {
        self.routes.callee(name).ok_or_else(|| {
            let known: Vec<_> = self
                .routes
                .callees()
                .iter()
                .map(|callee| callee.provider.name.as_str())
                .collect();
            Error::new(
                Kind::NotFound,
                format!(
                    "no provider is called `{}`: there are {}",
                    name.chars().take(60).collect::<String>(),
                    known.join(", ")
                ),
            )
        })
    }
}

fn draining() -> Error {
    Error::new(
        Kind::Overloaded,
        "the gateway is shutting down: send the request again, to another replica if there is one",
    )
    .retry_after(Duration::from_secs(1))
}

fn not_cached() -> Error {
    Error::new(
        Kind::NotCached,
        "the call says only-if-cached and its answer is not kept: send it without, to have it asked for",
    )
}

/// The head of a request, whatever version of HTTP it came in.
#[derive(Clone, Debug)]
pub struct Head {
    /// What is to be done.
    pub method: Method,
    /// With what.
    pub target: PathAndQuery,
    /// Its fields.
    pub fields: Fields,
    /// It came over HTTP/2.
    pub is_two: bool,
}

impl Head {
    /// The path, without the query.
    pub fn path(&self) -> &str {
        self.target.path()
    }
}

impl From<request::Parts> for Head {
    fn from(parts: request::Parts) -> Self {
        let target = parts.uri.path_and_query().cloned();
        Self {
            method: parts.method,
            target: target.unwrap_or_else(|| PathAndQuery::from_static("/")),
            fields: Fields::from(&parts.headers),
            is_two: parts.version == Version::HTTP_2,
        }
    }
}

/// What is known of a caller beside its body.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who it is.
    pub tenant: Tenant,
    /// What it sent along; the gateway key may be among it.
    pub fields: Fields,
    /// The query, without its question mark.
    pub query: Option<String>,
    /// What it says of kept answers.
    directives: Directives,
    /// How it wants its call made.
    manner: Manner,
    /// The deadlines it set.
    pub patience: Patience,
    /// Whether it takes trailers.
    pub takes_trailers: bool,
}

impl Caller {
    fn new(head: Head, tenant: Tenant) -> Result<Self, Error> {
        const CACHE: NameSet = NameSet::of(&[Name::CacheControl, Name::XNowaitCache]);
        const PATIENCE: NameSet = NameSet::of(&[
            Name::XNowaitTimeout,
            Name::XStainlessTimeout,
            Name::XStainlessReadTimeout,
        ]);
        let fields = &head.fields;
        Ok(Self {
            tenant,
            directives: match fields.may_have(CACHE) {
                true => Directives::of(fields)?,
                false => Directives::default(),
            },
            patience: match fields.may_have(PATIENCE) {
                true => Patience::of(fields)?,
                false => Patience::default(),
            },
            manner: match fields.may_have(Manner::NAMES) {
                true => Manner::of(fields)?,
                false => Manner::default(),
            },
            takes_trailers: head.is_two || headers::takes_trailers(fields),
            query: head.target.query().map(str::to_owned),
            fields: head.fields,
        })
    }

    /// nowait itself, asking on its own account.
    fn nobody(gateway: &Gateway) -> Self {
        Self {
            tenant: gateway.tenants.nobody(),
            fields: Fields::default(),
            query: None,
            directives: Directives::default(),
            manner: Manner::default(),
            patience: Patience::default(),
            takes_trailers: false,
        }
    }
}

/// A future whose panic is its own request's error and nobody else's.
struct Unpanicked<F>(Pin<Box<F>>);

impl<T, F: Future<Output = Result<T, Error>>> Future for Unpanicked<F> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx)));
        polled.unwrap_or_else(|panic| Poll::Ready(Err(reply::panicked(&*panic))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_of_its_own_request() {
        let fails = Unpanicked(Box::pin(async {
            if true {
                panic!("a bug");
            }
            Ok(())
        }));
        let error = fails.await.unwrap_err();
        assert_eq!(error.kind(), Kind::Internal);
        assert!(!error.message().contains("a bug"), "only the log is told");
        assert!(format!("{error:?}").contains("a bug"));
    }
}
