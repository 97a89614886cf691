//! What happened to one request: filled along the way, closed once, on drop.
//!
//! Closing is where metrics, the access line and the trailer's totals come
//! from, so a request that ends in any way — answered, failed, left by its
//! caller — is accounted for by the same code.

use std::borrow::Cow;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use http::{Method, StatusCode};
use tokio::time::Instant;

use super::Instance;
use super::account::{Account, Background, Close};
use super::attempt::Attempt;
use super::auth::Tenant;
use super::flight::Kept;
use super::plan::{Callee, Target};
use crate::cache::Key;
use crate::error::Error;
use crate::http1::{Fields, Name as Header};
use crate::metrics::Calls;
use crate::metrics::saved::How;
use crate::telemetry::{LogFormat, write_timestamp};

/// What happened to one request.
#[derive(Debug)]
pub struct Ledger {
    instance: Arc<Instance>,
    /// When its head had been read.
    pub started: Instant,
    /// Its id: the caller's, or one of ours.
    pub request_id: Arc<str>,
    /// The endpoint's word in logs and metrics.
    pub endpoint: &'static str,
    method: Method,
    /// Without the query, which may hold a key.
    path: String,
    /// Who asked.
    pub tenant: Arc<str>,
    /// What the caller wants it labelled with.
    pub tags: Option<Arc<str>>,
    /// Who was asked.
    pub target: Option<Arc<Target>>,
    /// The provider of a raw call, which has no target.
    pub callee: Option<Arc<Callee>>,
    /// The metric handles of that target.
    pub calls: Option<Arc<Calls>>,
    /// Whether the answer is a stream.
    pub streamed: bool,
    /// The call upstream.
    pub attempt: Attempt,
    /// Whose answer it gets.
    pub shared: Shared,
    /// What its answer is shared under.
    pub key: Option<Key>,
    /// Looking for a kept answer in memory.
    pub cache: Duration,
    /// Telling who asks.
    pub auth: Duration,
    /// Deciding where it goes.
    pub plan: Duration,
    /// Waiting for the caller's body.
    pub intake: Duration,
    /// All time that was ours until the reply's head, once that is known.
    own: Option<Duration>,
    /// What the caller was told.
    pub status: StatusCode,
    /// Bytes of the body in.
    pub bytes_in: u64,
    /// The same of a body that streams, counted as it goes.
    pub uploaded: Option<Arc<AtomicU64>>,
    /// Bytes of the body out.
    pub bytes_out: u64,
    /// The error's code and words, if it ended in one.
    error: Option<(&'static str, String)>,
    outcome: Outcome,
    /// The call that was begun for it and that others may read.
    pub(super) account: Option<Arc<Account>>,
    /// Nobody waits for it.
    background: Option<Background>,
}

/// What the books of a call are opened from that nobody waits for.
#[derive(Clone)]
pub(super) struct Origin {
    instance: Arc<Instance>,
    started: Instant,
    pub(super) request_id: Arc<str>,
    endpoint: &'static str,
    method: Method,
    path: String,
    tenant: Arc<str>,
    tags: Option<Arc<str>>,
    streamed: bool,
    key: Option<Key>,
}

/// Whose answer a request gets.
#[derive(Clone, Copy, Debug)]
pub enum Shared {
    /// One of its own.
    Bypass,
    /// One it asked for, which others may read too.
    Asked {
        /// The caller wanted upstream asked, whatever was kept.
        on_purpose: bool,
        /// It is kept if it ends well.
        keeps: bool,
    },
    /// One that another request had asked for.
    Joined,
    /// One that was kept.
    Kept(Kept),
}

impl Shared {
    /// Whether somebody else had asked for it, now or before.
    pub(super) fn is_anothers(self) -> bool {
        matches!(self, Self::Joined | Self::Kept(_))
    }

    /// Whether it was kept, and for too long.
    pub(super) fn is_stale(self) -> bool {
        matches!(self, Self::Kept(kept) if kept.seconds_left < 0)
    }

    /// One that was kept with what it took.
    pub(super) fn as_kept(self) -> Option<Kept> {
        match self {
            Self::Kept(kept) => Some(kept).filter(|kept| kept.usage.is_some()),
            _ => None,
        }
    }

    /// Whether it was kept.
    pub(super) fn is_kept(self) -> bool {
        matches!(self, Self::Kept(_))
    }

    /// Its word in the log.
    fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Asked { .. } => "miss",
            Self::Joined => "collapsed",
            Self::Kept(kept) if kept.seconds_left < 0 => "stale",
            Self::Kept(_) => "hit",
        }
    }

    /// The same as `Cache-Status` says it (RFC 9211).
    pub(super) fn status(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Bypass => "nowait; fwd=bypass",
            Self::Asked { on_purpose, keeps } => match (on_purpose, keeps) {
                (false, true) => "nowait; fwd=miss; stored",
                (false, false) => "nowait; fwd=miss",
                (true, true) => "nowait; fwd=request; stored",
                (true, false) => "nowait; fwd=request",
            },
            Self::Joined => "nowait; fwd=miss; collapsed",
            Self::Kept(kept) => {
                return format!("nowait; hit; ttl={}", kept.seconds_left).into();
            }
        })
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// It has not: dropped like this, its caller left.
    Open,
    /// The whole reply was handed over.
    Complete,
}

/// What goes before a value of the access line, in either form.
#[derive(Clone, Copy)]
struct Name {
    text: &'static str,
    json: &'static str,
}

/// A [`Name`], joined when it is compiled.
macro_rules! name {
    ($name:literal) => {
        Name {
            text: concat!(" ", $name, "="),
            json: concat!(",\"", $name, "\":"),
        }
    };
}

/// The status logged for a caller that left before there was one (nginx's).
const CLIENT_CLOSED: u16 = 499;

/// The same as a status.
pub(super) fn closed() -> StatusCode {
    StatusCode::from_u16(CLIENT_CLOSED).unwrap_or(StatusCode::BAD_REQUEST)
}

impl Ledger {
    /// Opens the ledger of one request from its head.
    pub(super) fn open(
        instance: &Arc<Instance>,
        method: Method,
        path: &str,
        fields: &Fields,
    ) -> Self {
        instance.metrics.in_flight.inc();
        let mut path = path.to_owned();
        if path.len() > PATH_MAX
            && let Some((cut, _)) = path.char_indices().nth(PATH_MAX)
        {
            path.truncate(cut);
        }
        Self {
            started: Instant::now(),
            request_id: fields
                .get(Header::XRequestId)
                .and_then(bearable)
                .unwrap_or_else(new_request_id),
            endpoint: "unknown",
            method,
            path,
            tenant: Arc::clone(&instance.nobody),
            tags: fields.text(Header::XNowaitTags).map(Arc::from),
            target: None,
            callee: None,
            calls: None,
            streamed: false,
            attempt: Attempt::default(),
            shared: Shared::Bypass,
            key: None,
            cache: Duration::ZERO,
            auth: Duration::ZERO,
            plan: Duration::ZERO,
            intake: Duration::ZERO,
            own: None,
            status: closed(),
            bytes_in: 0,
            uploaded: None,
            bytes_out: 0,
            error: None,
            outcome: Outcome::Open,
            account: None,
            background: None,
            instance: Arc::clone(instance),
        }
    }

    /// What the books of a call are opened from that is made for this one's caller,
    /// from now on, and may end without it.
    pub(super) fn origin(&self) -> Origin {
        Origin {
            instance: Arc::clone(&self.instance),
            started: Instant::now(),
            request_id: Arc::clone(&self.request_id),
            endpoint: self.endpoint,
            method: self.method.clone(),
            path: self.path.clone(),
            tenant: Arc::clone(&self.tenant),
            tags: self.tags.clone(),
            streamed: self.streamed,
            key: self.key,
        }
    }

    /// Opens and closes the books of a call that nobody waits for.
    pub(super) fn background(
        origin: &Origin,
        why: Background,
        attempt: Attempt,
        told: Result<StatusCode, Error>,
        lead: &Arc<Target>,
    ) {
        let origin = origin.clone();
        // Closing takes it back.
        origin.instance.metrics.in_flight.inc();
        let mut ledger = Self {
            started: origin.started,
            request_id: origin.request_id,
            endpoint: origin.endpoint,
            method: origin.method,
            path: origin.path,
            tenant: origin.tenant,
            tags: origin.tags,
            target: None,
            callee: None,
            calls: None,
            streamed: origin.streamed,
            attempt,
            shared: Shared::Asked {
                on_purpose: why == Background::Refresh,
                keeps: false,
            },
            key: origin.key,
            cache: Duration::ZERO,
            auth: Duration::ZERO,
            plan: Duration::ZERO,
            intake: Duration::ZERO,
            own: None,
            status: closed(),
            bytes_in: 0,
            uploaded: None,
            bytes_out: 0,
            error: None,
            outcome: Outcome::Complete,
            account: None,
            background: Some(why),
            instance: origin.instance,
        };
        let by = ledger.attempt.race.answered_by.clone();
        ledger.aim(by.as_ref().unwrap_or(lead));
        match told {
            Ok(status) => ledger.status = status,
            Err(error) => {
                ledger.status = error.kind().status();
                ledger.error = Some((error.kind().code(), format!("{error:?}")));
            }
        }
    }

    /// The ledger of one item of a batch: a call of its own, under the batch's
    /// id and tenant.
    pub fn item(&self, index: usize) -> Self {
        let mut item = Self::open(
            &self.instance,
            self.method.clone(),
            &self.path,
            &Fields::default(),
        );
        item.request_id = format!("{}-{index}", self.request_id).into();
        item.endpoint = "batch_item";
        item.tenant = Arc::clone(&self.tenant);
        item.tags = self.tags.clone();
        item
    }

    /// Begins again: an item of a batch begins when its turn comes.
    pub fn restart(&mut self) {
        self.started = Instant::now();
    }

    /// Notes who asks, which was known at `now`.
    pub fn authenticated(&mut self, tenant: &Tenant, now: Instant) {
        self.auth = now - self.started;
        self.tenant = Arc::clone(&tenant.name);
    }

    /// Everything is decided: the call goes upstream `now`.
    pub fn planned(&mut self, now: Instant) {
        self.plan = (now - self.started).saturating_sub(self.auth + self.intake);
    }

    /// It is known whether the answer was kept in memory.
    pub fn looked_up(&mut self) {
        let spent = self.auth + self.plan + self.intake + self.attempt.waited;
        self.cache = self.started.elapsed().saturating_sub(spent);
    }

    /// Notes who is asked, and resolves what the call is counted under.
    pub fn aim(&mut self, target: &Arc<Target>) {
        self.calls = Some(target.calls(&self.instance.metrics, self.endpoint));
        self.target = Some(Arc::clone(target));
    }

    /// Notes an error of ours, in a reply or in the middle of a stream.
    pub fn fail(&mut self, error: &Error) {
        self.instance.metrics.error(error.kind().code());
        if let Shared::Asked { keeps, .. } = &mut self.shared {
            *keeps = false;
        }
        self.error = Some((error.kind().code(), format!("{error:?}")));
        if error.kind() == crate::error::Kind::Internal {
            tracing::error!(request_id = ?self.request_id, "{error:?}");
        }
    }

    /// The reply's head is ready: what was ours of the time until now.
    pub fn head_ready(&mut self, status: StatusCode) {
        self.status = status;
        let own = self
            .started
            .elapsed()
            .saturating_sub(self.intake + self.attempt.waited);
        self.own = Some(own);
        if self.method == Method::HEAD {
            self.complete();
        }
    }

    /// The whole reply was handed over.
    pub fn complete(&mut self) {
        self.outcome = Outcome::Complete;
    }

    /// The request's method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Who was asked, for a model or raw.
    pub fn callee(&self) -> Option<&Arc<Callee>> {
        self.callee
            .as_ref()
            .or_else(|| self.target.as_ref().map(|target| &target.callee))
    }

    /// Calls made upstream so far.
    pub fn attempts(&self) -> u32 {
        self.attempt.calls()
    }

    /// Notes who has answered, where that is not who was thought of first.
    pub fn answered(&mut self) {
        if let Some(by) = self.attempt.race.answered_by.clone()
            && !self
                .target
                .as_ref()
                .is_some_and(|target| Arc::ptr_eq(target, &by))
        {
            self.aim(&by);
        }
    }

    /// The waterfall until the reply's head, as a `Server-Timing` value.
    pub fn server_timing(&self) -> Vec<u8> {
        let mut line = Line::default();
        line.phase("auth", Some(self.auth).filter(|auth| !auth.is_zero()));
        line.phase("plan", Some(self.plan).filter(|plan| !plan.is_zero()));
        line.phase("cache", self.looking());
        line.phase("queue", self.attempt.timing.queue);
        line.phase("retry", self.attempt.race.retry);
        line.phase("hedge", self.attempt.race.hedge);
        line.phase("dns", self.attempt.timing.dns);
        line.phase("connect", self.attempt.timing.connect);
        line.phase("tls", self.attempt.timing.tls);
        line.phase("upstream", self.upstream());
        line.phase("ttft", self.time_to_first_token());
        line.phase("gateway", self.own);
        line.0
    }

    /// The totals of a stream, for its trailer.
    pub fn totals(&self) -> Vec<u8> {
        let mut line = Line::default();
        line.phase("ttft", self.time_to_first_token());
        line.phase("gateway", self.own);
        line.phase("total", Some(self.started.elapsed()));
        line.0
    }

    /// Looking for a kept answer, near and far.
    fn looking(&self) -> Option<Duration> {
        Some(self.cache + self.attempt.cache).filter(|cache| !cache.is_zero())
    }

    fn upstream(&self) -> Option<Duration> {
        Some(self.attempt.timing.head_at? - self.attempt.timing.sent_at?)
    }

    fn time_to_first_token(&self) -> Option<Duration> {
        Some(
            self.attempt
                .first_content?
                .saturating_duration_since(self.attempt.timing.sent_at?),
        )
    }

    /// Output tokens per second after the first, of a stream.
    fn tokens_per_second(&self, ended: Instant) -> Option<f64> {
        if !self.streamed {
            return None;
        }
        let after_first = ended
            .saturating_duration_since(self.attempt.first_content?)
            .as_secs_f64();
        let tokens = self.attempt.usage?.output.saturating_sub(1);
        (tokens > 0 && after_first > 0.0).then(|| tokens as f64 / after_first)
    }

    fn close(&mut self) {
        if let Some(account) = self.account.take() {
            let end = match (self.outcome, &self.error) {
                (Outcome::Open, _) => Close::Left,
                (Outcome::Complete, Some(_)) => Close::Failed,
                (Outcome::Complete, None) => Close::Complete,
            };
            account.close(end, &mut self.attempt);
        }
        self.save();
        self.instance.metrics.in_flight.dec();
        let ended = Instant::now();
        match self.background {
            Some(why) => self.instance.metrics.background(why.word()),
            None => self.count(ended),
        }
        self.spend();
        let log = &self.instance.log;
        log.append(|out| match log.format {
            LogFormat::Text => self.write_text(out, ended),
            LogFormat::Json => self.write_json(out, ended),
        });
    }

    /// Counts a request, and how long it took.
    fn count(&self, ended: Instant) {
        let metrics = &self.instance.metrics;
        match &self.calls {
            None => metrics.ended_here(self.endpoint, self.status.as_u16()),
            Some(calls) => {
                metrics.ended(calls, self.status.as_u16());
                calls.duration.observe((ended - self.started).as_secs_f64());
                if let Some(own) = self.own {
                    calls.own.observe(own.as_secs_f64());
                }
                if let Some(ttft) = self.time_to_first_token().filter(|_| self.streamed) {
                    calls.first_token.observe(ttft.as_secs_f64());
                    if let Some(rate) = self.tokens_per_second(ended) {
                        calls.per_token.observe(1.0 / rate);
                    }
                }
            }
        }
        if self.outcome == Outcome::Open {
            metrics.cancelled(self.endpoint);
        }
    }

    /// Counts the tokens of a call of one's own.
    fn spend(&self) {
        let usage = self.attempt.usage.filter(|usage| !usage.estimated);
        let own = usage.filter(|_| !self.shared.is_anothers());
        let (Some(usage), Some(calls)) = (own, &self.calls) else {
            return;
        };
        calls.input.observe(usage.input as f64);
        calls.output.observe(usage.output as f64);
        if let Some(target) = &self.attempt.race.overtaken {
            let counts = &target.callee.traffic.counts;
            counts.wasted.inc_by(usage.input);
        }
    }

    /// Books what an answer of somebody else's has saved.
    fn save(&mut self) {
        let (how, took) = match self.shared {
            Shared::Bypass | Shared::Asked { .. } => return,
            Shared::Joined => (How::Collapsed, Duration::ZERO),
            Shared::Kept(kept) => {
                // What was streamed may not tell it; what was kept does.
                self.attempt.usage = kept.usage.or(self.attempt.usage);
                self.attempt.finish = kept.finish.or(self.attempt.finish);
                let how = match kept.seconds_left {
                    ..0 => How::Stale,
                    _ => How::Hit,
                };
                (how, kept.took)
            }
        };
        let usage = self.attempt.usage.filter(|usage| !usage.estimated);
        let tokens = usage.map_or(0, |usage| usage.total());
        self.instance.metrics.saved.add(how, tokens, took);
    }

    fn facts(&self, ended: Instant, mut fact: impl FnMut(Name, Fact<'_>)) {
        fact(
            name!("status"),
            Fact::Number(u64::from(self.status.as_u16())),
        );
        fact(name!("method"), Fact::Word(cut(self.method.as_str(), 32)));
        fact(name!("path"), Fact::Text(&self.path));
        fact(name!("endpoint"), Fact::Word(self.endpoint));
        fact(name!("tenant"), Fact::Text(&self.tenant));
        if let Some(target) = &self.target {
            fact(name!("provider"), Fact::Text(&target.callee.provider.name));
            fact(name!("model"), Fact::Text(&target.model));
        } else if let Some(callee) = &self.callee {
            fact(name!("provider"), Fact::Text(&callee.provider.name));
        }
        fact(name!("stream"), Fact::Flag(self.streamed));
        fact(name!("cache"), Fact::Word(self.shared.as_str()));
        if let Some(why) = self.background {
            fact(name!("background"), Fact::Word(why.word()));
        }
        fact(name!("total_ms"), Fact::Millis(ended - self.started));
        for (name, phase) in [
            (
                name!("auth_ms"),
                Some(self.auth).filter(|auth| !auth.is_zero()),
            ),
            (
                name!("plan_ms"),
                Some(self.plan).filter(|plan| !plan.is_zero()),
            ),
            (name!("cache_ms"), self.looking()),
            (name!("queue_ms"), self.attempt.timing.queue),
            (name!("retry_ms"), self.attempt.race.retry),
            (name!("hedge_ms"), self.attempt.race.hedge),
            (name!("dns_ms"), self.attempt.timing.dns),
            (name!("connect_ms"), self.attempt.timing.connect),
            (name!("tls_ms"), self.attempt.timing.tls),
            (name!("upstream_ms"), self.upstream()),
            (name!("ttft_ms"), self.time_to_first_token()),
            (name!("gateway_ms"), self.own),
        ] {
            if let Some(phase) = phase {
                fact(name, Fact::Millis(phase));
            }
        }
        if self.attempts() > 0 {
            fact(name!("attempts"), Fact::Number(u64::from(self.attempts())));
            fact(name!("cold"), Fact::Flag(self.attempt.timing.cold));
        }
        let uploaded = self.uploaded.as_ref();
        let bytes_in = uploaded.map_or(self.bytes_in, |taken| taken.load(Ordering::Relaxed));
        fact(name!("bytes_in"), Fact::Number(bytes_in));
        fact(name!("bytes_out"), Fact::Number(self.bytes_out));
        if let Some(usage) = self.attempt.usage {
            fact(name!("input_tokens"), Fact::Number(usage.input));
            fact(name!("output_tokens"), Fact::Number(usage.output));
            fact(name!("cached_tokens"), Fact::Number(usage.cached));
            fact(name!("tokens_estimated"), Fact::Flag(usage.estimated));
        }
        if let Some(rate) = self.tokens_per_second(ended) {
            fact(name!("tokens_per_s"), Fact::Rate(rate));
        }
        if let Some(finish) = self.attempt.finish {
            fact(name!("finish"), Fact::Word(finish.as_str()));
        }
        if let Some(paths) = self.attempt.dropped.header() {
            fact(name!("dropped"), Fact::Text(&paths));
        }
        if self.outcome == Outcome::Open {
            fact(name!("cancelled"), Fact::Flag(true));
        }
        if let Some((code, text)) = &self.error {
            fact(name!("error"), Fact::Word(code));
            fact(name!("message"), Fact::Text(text));
        }
        if let Some(tags) = &self.tags {
            fact(name!("tags"), Fact::Text(cut(tags, TAGS_MAX)));
        }
        fact(name!("request_id"), Fact::Text(&self.request_id));
        if let Some(id) = &self.attempt.upstream_request_id {
            fact(name!("upstream_request_id"), Fact::Text(id));
        }
    }

    fn write_text(&self, out: &mut Vec<u8>, ended: Instant) {
        out.reserve(LINE_USUAL);
        write_timestamp(out, SystemTime::now());
        self.facts(ended, |name, value| {
            out.extend_from_slice(name.text.as_bytes());
            match value {
                Fact::Word(text) => out.extend_from_slice(text.as_bytes()),
                Fact::Text(text) if is_plain(text) => out.extend_from_slice(text.as_bytes()),
                value => value.write_json(out),
            }
        });
    }

    fn write_json(&self, out: &mut Vec<u8>, ended: Instant) {
        out.extend_from_slice(b"{\"time\":\"");
        write_timestamp(out, SystemTime::now());
        out.push(b'"');
        self.facts(ended, |name, value| {
            out.extend_from_slice(name.json.as_bytes());
            value.write_json(out);
        });
        out.push(b'}');
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.close();
    }
}

/// The most characters of a path that are kept.
const PATH_MAX: usize = 512;

/// Room for a usual access line.
const LINE_USUAL: usize = 512;

/// The most of a caller's tags that is logged: a log holds so much unwritten
/// and no more, and one caller's words must not take the others' lines.
const TAGS_MAX: usize = 1024;

/// The first bytes of a caller's words.
fn cut(text: &str, max: usize) -> &str {
    text.get(..max).unwrap_or(text)
}

/// One value of the access line.
enum Fact<'a> {
    /// A word that needs neither quotes nor escapes: one of ours, or a token.
    Word(&'a str),
    /// Anybody's words.
    Text(&'a str),
    Number(u64),
    Millis(Duration),
    Rate(f64),
    Flag(bool),
}

impl Fact<'_> {
    fn write_json(&self, out: &mut Vec<u8>) {
        // Writing to a Vec does not fail.
        let _ = match self {
            Self::Word(word) => {
                out.push(b'"');
                out.extend_from_slice(word.as_bytes());
                out.push(b'"');
                Ok(())
            }
            Self::Text(text) => serde_json::to_writer(&mut *out, text).map_err(Into::into),
            Self::Number(number) => {
                out.extend_from_slice(itoa::Buffer::new().format(*number).as_bytes());
                Ok(())
            }
            Self::Millis(duration) => {
                write_millis(out, *duration);
                Ok(())
            }
            Self::Rate(rate) => write!(out, "{rate:.1}"),
            Self::Flag(flag) => out.write_all(if *flag { b"true" } else { b"false" }),
        };
    }
}

/// A text that needs no quotes in `key=value`.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| PLAIN[usize::from(byte)])
}

/// The bytes of such a text.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        plain[byte as usize] = byte != b'"' && byte != b'=';
        byte += 1;
    }
    plain
};

/// Milliseconds with three decimals, without floating point.
fn write_millis(out: &mut Vec<u8>, duration: Duration) {
    let seconds = duration.as_secs().saturating_mul(1_000_000);
    let mut left = seconds.saturating_add(u64::from(duration.subsec_micros()));
    // From the last digit on, of which there are 20 at most.
    let mut text = [0; 24];
    let mut from = text.len();
    let mut put = |byte| {
        from -= 1;
        text[from] = byte;
    };
    for place in 0.. {
        if place == 3 {
            put(b'.');
        } else if place > 3 && left == 0 {
            break;
        }
        put(b'0' + (left % 10) as u8);
        left /= 10;
    }
    out.extend_from_slice(&text[from..]);
}

/// A `Server-Timing` value being written.
#[derive(Default)]
struct Line(Vec<u8>);

impl Line {
    fn phase(&mut self, name: &str, took: Option<Duration>) {
        let Some(took) = took else { return };
        if self.0.is_empty() {
            self.0.reserve(128);
        } else {
            self.0.extend_from_slice(b", ");
        }
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b";dur=");
        write_millis(&mut self.0, took);
    }
}

/// A caller's id, where it is one that a log can bear.
fn bearable(id: &[u8]) -> Option<Arc<str>> {
    let fits = (1..=200).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic);
    fits.then(|| std::str::from_utf8(id).ok())
        .flatten()
        .map(Arc::from)
}

/// An id of ours.
fn new_request_id() -> Arc<str> {
    // 128 random bits: two ids meet once in 2^64 requests.
    let bits = fastrand::u128(..);
    let mut text = [0; 36];
    text[..4].copy_from_slice(b"req_");
    for (at, digit) in text[4..].iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(bits >> (4 * at)) as usize & 15];
    }
    std::str::from_utf8(&text)
        .expect("letters and digits")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_have_three_decimals() {
        for (micros, expected) in [
            (0, "0.000"),
            (7, "0.007"),
            (1_050, "1.050"),
            (600_000_123, "600000.123"),
        ] {
            let mut out = Vec::new();
            write_millis(&mut out, Duration::from_micros(micros));
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn phases_that_did_not_happen_are_absent() {
        let mut line = Line::default();
        line.phase("dns", None);
        line.phase("upstream", Some(Duration::from_millis(12)));
        line.phase("gateway", Some(Duration::from_micros(80)));
        assert_eq!(line.0, b"upstream;dur=12.000, gateway;dur=0.080");
    }

    #[test]
    fn a_request_id_is_the_callers_unless_it_could_break_a_line() {
        for (sent, kept) in [
            ("abc-1", true),
            ("has space", false),
            ("", false),
            (&*"x".repeat(201), false),
        ] {
            let id = bearable(sent.as_bytes());
            assert_eq!(id.is_some_and(|id| &*id == sent), kept, "{sent}");
        }
        let ours = new_request_id();
        assert!(ours.starts_with("req_"));
        assert_eq!(bearable(ours.as_bytes()), Some(ours));
    }
}
