//! Where a call goes: from the model's name to the targets that may answer it.
//!
//! Planning is pure. [`Routes`] is made once per configuration snapshot; a plan
//! is made once per model name and remembered, so that a request costs one
//! look-up and the metric handles of a target live with it.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use http::uri::PathAndQuery;
use parking_lot::RwLock;
use tokio::time::Instant;

use super::attempt::failure::FailureKind;
use super::attempt::policy::Fallbacks;
use super::auth::Tenant;
use super::manner;
use super::traffic::Traffic;
use crate::cache::Label;
use crate::config::{Balance, Config, FallbackOn, Hedge, OnLoss, Share, Timeouts, nearest};
use crate::dialect::translate::Wire;
use crate::dialect::{Dialect, Format};
use crate::error::{Error, Kind};
use crate::http1::{Fields, Name};
use crate::metrics::{Calls, Metrics, Operation};
use crate::provider::{Auth, Provider, family};
use crate::upstream::Upstream;
use crate::upstream::balance::{Policy, Weighted};
use crate::upstream::standing::Standing;

/// A provider that can be called: who it is, and the way there.
#[derive(Debug)]
pub struct Callee {
    /// Who it is.
    pub provider: Arc<Provider>,
    /// Which of its keys it is asked with, counted from 1.
    pub key: usize,
    /// The same provider with its other keys.
    pub others: Vec<Arc<Self>>,
    /// Its connections.
    pub upstream: Arc<Upstream>,
    /// What is known of the calls made with this key.
    pub traffic: Arc<Traffic>,
    /// Where it is, for telling one server of that name from another.
    pub base_url: String,
    /// What every call to it carries: its own key, and the operator's extra
    /// headers.
    pub headers: Fields,
    /// Its own key where it travels in the query, as `name=value`.
    key_query: Option<String>,
    /// The version of its API where that travels in the query, likewise.
    version_query: Option<String>,
    /// Its paths by [`Format`], in the order of [`Format::ALL`].
    paths: Vec<PathAndQuery>,
}

impl Callee {
    /// Makes the constant parts of its requests once, for each of its keys.
    /// `traffic` is that of the key of this number.
    pub fn new(
        provider: Arc<Provider>,
        upstream: Arc<Upstream>,
        traffic: impl Fn(usize) -> Arc<Traffic>,
    ) -> Self {
        let others = provider.more_keys.iter().zip(2..).map(|(key, number)| {
            let provider = Provider {
                key: Some(key.clone()),
                ..Provider::clone(&provider)
            };
            Arc::new(Self::with_key(
                Arc::new(provider),
                Arc::clone(&upstream),
                traffic(number),
                number,
            ))
        });
        let others = others.collect();
        Self {
            others,
            ..Self::with_key(provider, upstream, traffic(1), 1)
        }
    }

    fn with_key(
        provider: Arc<Provider>,
        upstream: Arc<Upstream>,
        traffic: Arc<Traffic>,
        key: usize,
    ) -> Self {
        let paths = Format::ALL
            .iter()
            .map(|format| {
                let path = format!("{}{}", root(&provider, format.dialect()), format.path());
                path.parse()
                    .unwrap_or_else(|_| PathAndQuery::from_static("/"))
            })
            .collect();
        Self {
            base_url: format!(
                "{}://{}:{}{}",
                if provider.base.https { "https" } else { "http" },
                provider.base.host,
                provider.base.port,
                provider.base.prefix
            ),
            headers: own_headers(&provider),
            key_query: key_query(&provider),
            version_query: provider
                .api_version
                .as_ref()
                .map(|version| format!("{VERSION}{version}")),
            provider,
            key,
            others: Vec::new(),
            upstream,
            traffic,
            paths,
        }
    }

    /// It and the same with its other keys.
    pub fn with_each_key(self: &Arc<Self>) -> impl Iterator<Item = &Arc<Self>> {
        std::iter::once(self).chain(&self.others)
    }

    /// The same with its key of that number.
    pub fn with_key_number(self: &Arc<Self>, key: usize) -> Option<&Arc<Self>> {
        self.with_each_key().nth(key - 1)
    }

    /// Sets the gauges of its limits and targets.
    pub fn count(self: &Arc<Self>, now: Instant) {
        for callee in self.with_each_key() {
            callee.traffic.count(now);
        }
    }

    /// The path of a call in `format` to `model`, with the caller's query.
    pub fn path(&self, format: Format, model: &str, query: Option<&str>) -> PathAndQuery {
        let path = match self.deployment(model, format.path()) {
            Some(path) => path.parse().ok(),
            None => None,
        };
        let path = path.unwrap_or_else(|| self.paths[format as usize].clone());
        self.with_query(path, query)
    }

    /// The path of a call that names the model there, where `path` is of one
    /// that does (openai-python `lib/azure.py`).
    fn deployment(&self, model: &str, path: &str) -> Option<String> {
        let names_it = matches!(path, "/chat/completions" | "/completions" | "/embeddings");
        (self.provider.deployments && names_it).then(|| {
            let prefix = &self.provider.base.prefix;
            format!("{prefix}/deployments/{}{path}", percent_encode(model))
        })
    }

    /// The path of a call to `model` that a translation has written: `path` is
    /// below the base URL, and may have a query.
    pub fn path_of(
        &self,
        path: &str,
        model: &str,
        dialect: Dialect,
    ) -> Result<PathAndQuery, Error> {
        let whole = self
            .deployment(model, path)
            .unwrap_or_else(|| format!("{}{path}", root(&self.provider, dialect)));
        let whole: PathAndQuery = whole.parse().map_err(|fault| {
            Error::invalid("the model's name can't be part of a path: name another")
                .because(http::Error::from(fault))
                .param("model")
        })?;
        let query = whole.query().map(str::to_owned);
        Ok(self.with_query(whole, query.as_deref()))
    }

    /// How a call in `format` is made of it, if it can be.
    pub fn way(&self, format: Format) -> Option<Way> {
        let dialect = self.provider.dialect;
        let quirks = &self.provider.quirks;
        let lacks = match format {
            Format::Completions => quirks.lacks_completions,
            Format::Responses => quirks.lacks_responses,
            Format::Chat => quirks.lacks_chat,
            Format::Embeddings | Format::Messages | Format::CountTokens => false,
        };
        if dialect.speaks(format) && !lacks {
            return Some(Way::AsItIs);
        }
        let native = Wire::native(dialect)?;
        let wire = match native {
            Wire::Chat if quirks.lacks_chat => Wire::Responses,
            native => native,
        };
        wire.says(format).then_some(Way::Through(wire))
    }

    /// The path of a raw call: `rest` below the base URL, with or without the
    /// version that base URLs of OpenAI's dialect end in and those of
    /// Anthropic's do not; for a base URL below `/openai` also from there.
    ///
    /// # Errors
    /// If it leads out of there: some servers go up at `..`, however it is
    /// spelt (RFC 3986, section 5.2.4), and the provider's key goes along.
    pub fn raw_path(&self, rest: &str, query: Option<&str>) -> Result<PathAndQuery, Error> {
        if leaves(rest.strip_prefix("/v1").unwrap_or(rest)) {
            return Err(Error::invalid(format!(
                "the path {rest} leads out of the provider's base URL: leave out its `..`"
            )));
        }
        let prefix = &self.provider.base.prefix;
        let versioned = rest == "/v1" || rest.starts_with("/v1/");
        let path = match self.provider.dialect {
            Dialect::Sim => format!("{}{rest}", prefix.strip_suffix("/v1").unwrap_or(prefix)),
            // Azure's SDKs have all of the path in their calls.
            Dialect::OpenAi if prefix.starts_with("/openai") && rest.starts_with("/openai/") => {
                rest.to_owned()
            }
            Dialect::Anthropic if !versioned => format!("{prefix}/v1{rest}"),
            _ if versioned && prefix.ends_with("/v1") => format!("{prefix}{}", &rest[3..]),
            _ => format!("{prefix}{rest}"),
        };
        let path = path.parse().map_err(|fault| {
            Error::invalid(format!("the path {rest} can't be passed on"))
                .because(http::Error::from(fault))
        })?;
        Ok(self.with_query(path, query))
    }

    fn with_query(&self, path: PathAndQuery, query: Option<&str>) -> PathAndQuery {
        let theirs = query.filter(|query| !query.is_empty());
        // A caller who names a version knows better, and Azure's API below `/v1`
        // knows no dates.
        let versioned = theirs.is_some_and(|query| query.contains(VERSION));
        let of_v1 = self.provider.deployments && path.path().contains("/openai/v1/");
        let version = self.version_query.as_deref();
        let version = version.filter(|_| !versioned && !of_v1);
        let parts = [theirs, version, self.key_query.as_deref()];
        let parts: Vec<&str> = parts.into_iter().flatten().collect();
        if parts.is_empty() {
            return path;
        }
        // A query that arrived in a request is one that can be sent in one.
        let whole = format!("{}?{}", path.path(), parts.join("&"));
        whole.parse().unwrap_or(path)
    }
}

const VERSION: &str = "api-version=";

/// Whether a path has more `..` than there is before them. What may be taken for a
/// slash or a dot is taken for one where that leads up.
fn leaves(path: &str) -> bool {
    let mut depth = 0_usize;
    for segment in path.split('/') {
        let mut plain = segment.to_ascii_lowercase();
        for (encoded, it) in [
            ("%2e", "."),
            ("%2f", "/"),
            ("%5c", "/"),
            ("\\", "/"),
            (";", "/"),
        ] {
            plain = plain.replace(encoded, it);
        }
        let ups = plain.split('/').filter(|part| *part == "..").count();
        match (ups, depth.checked_sub(ups)) {
            (0, _) => {
                let first = plain.split('/').next();
                depth += usize::from(first.is_some_and(|part| !matches!(part, "" | ".")));
            }
            (_, Some(left)) => depth = left,
            (_, None) => return true,
        }
    }
    false
}

/// `text` as one segment of a path: a model's name is the caller's.
fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    // By themselves dots lead elsewhere.
    match &*out {
        "." | ".." => out.replace('.', "%2E"),
        _ => out,
    }
}

/// What every call to a provider carries. A key that no header can carry is
/// refused where configuration is read.
fn own_headers(provider: &Provider) -> Fields {
    let mut fields = Fields::default();
    if let Some(key) = &provider.key {
        match &provider.auth {
            Auth::Bearer => fields.push(Name::Authorization, format!("Bearer {}", key.expose())),
            Auth::Header(name) => {
                fields.push_text(name.as_str().as_bytes(), key.expose().as_bytes());
            }
            Auth::Query(_) | Auth::None => {}
        }
    }
    for (name, value) in &provider.headers {
        fields.push_text(name.as_str().as_bytes(), value.as_bytes());
    }
    fields
}

fn key_query(provider: &Provider) -> Option<String> {
    match (&provider.auth, &provider.key) {
        (Auth::Query(name), Some(key)) => Some(format!("{name}={}", key.expose())),
        _ => None,
    }
}

/// What a provider's paths begin with. OpenAI's base URLs end in the version
/// and its paths don't have it; Anthropic's are the other way round; the
/// simulated provider serves both below one base.
fn root(provider: &Provider, dialect: Dialect) -> String {
    let prefix = &provider.base.prefix;
    match (provider.dialect, dialect) {
        (Dialect::Sim, Dialect::OpenAi) => {
            format!("{}/v1", prefix.strip_suffix("/v1").unwrap_or(prefix))
        }
        (Dialect::Sim, _) => prefix.strip_suffix("/v1").unwrap_or(prefix).to_owned(),
        _ => prefix.clone(),
    }
}

/// A model of a provider: who answers.
#[derive(Debug)]
pub struct Target {
    /// Who is asked.
    pub callee: Arc<Callee>,
    /// What that provider calls the model.
    pub model: String,
    /// The same, as a header shows it.
    pub shown: String,
    /// `provider/model`, the name that always works.
    pub full_name: String,
    /// How it does.
    pub standing: Arc<Standing>,
    /// A hash of that name.
    pub id: u64,
    /// The name in the metrics: the model's, or `other` past the bound.
    label: String,
    /// What its answers are kept as, by tenant.
    labels: RwLock<HashMap<Arc<str>, Arc<Label>>>,
    /// By operation, in the order they were first used; a handful.
    calls: [OnceLock<Arc<Calls>>; OPERATIONS.len()],
}

/// Every operation a target may serve, one set of metric handles each.
const OPERATIONS: [Operation; 9] = [
    operation("chat", "chat"),
    operation("responses", "chat"),
    operation("completions", "text_completion"),
    operation("embeddings", "embeddings"),
    operation("messages", "chat"),
    operation("count_tokens", "count_tokens"),
    operation("generate", "chat"),
    operation("generate_claude", "chat"),
    operation("batch_item", "chat"),
];

const fn operation(endpoint: &'static str, operation: &'static str) -> Operation {
    Operation {
        endpoint,
        operation,
    }
}

impl Target {
    fn new(callee: &Arc<Callee>, model: &str, labelled: bool) -> Self {
        let full_name = format!("{}/{model}", callee.provider.name);
        Self {
            callee: Arc::clone(callee),
            model: model.to_owned(),
            shown: visible(model),
            standing: callee.traffic.standing(&full_name),
            id: manner::hash(&full_name),
            full_name,
            label: if labelled {
                // A scraper's text is lines; a control character is none of it.
                model.replace(char::is_control, "?")
            } else {
                "other".to_owned()
            },
            labels: RwLock::default(),
            calls: Default::default(),
        }
    }

    /// What answers of this target to `tenant` are kept as: the same for all of
    /// them, up to a bound on tenants.
    pub fn label(&self, tenant: &str) -> Arc<Label> {
        if let Some(label) = self.labels.read().get(tenant) {
            return Arc::clone(label);
        }
        let label = Arc::new(Label {
            tenant: tenant.into(),
            provider: self.callee.provider.name.as_str().into(),
            model: self.model.as_str().into(),
        });
        let mut labels = self.labels.write();
        if labels.len() < REMEMBERED {
            labels.insert(Arc::clone(&label.tenant), Arc::clone(&label));
        }
        label
    }

    /// The metric handles of calls through `endpoint`.
    pub fn calls(&self, metrics: &Metrics, endpoint: &'static str) -> Arc<Calls> {
        let provider = &self.callee.provider.name;
        let make = |operation| Arc::new(metrics.calls(operation, provider, &self.label));
        match OPERATIONS
            .iter()
            .position(|known| known.endpoint == endpoint)
        {
            Some(at) => Arc::clone(self.calls[at].get_or_init(|| make(OPERATIONS[at]))),
            None => make(operation(endpoint, endpoint)),
        }
    }
}

/// What we intend for one model name.
#[derive(Debug)]
pub struct Plan {
    /// The name asked for.
    pub name: String,
    /// Who may answer, in the order of the configuration; a provider with
    /// several keys is there with each. Never empty.
    pub targets: Vec<Arc<Target>>,
    /// How many calls each of them gets beside the others, where they are
    /// picked by weight: several keys of one provider share its weight.
    weights: Vec<f64>,
    /// How one of them is picked.
    pub balance: Balance,
    /// When a second one is asked as well.
    pub hedge: Hedge,
    /// Refusals after which another is asked.
    pub fallback_on: Fallbacks,
    /// What becomes of a call some of which a target can't be told.
    pub on_loss: OnLoss,
    /// Whether the stable beginning of translated prompts is marked for the
    /// provider's cache.
    pub marks_cache: bool,
    /// The deadlines of its calls.
    pub timeouts: Timeouts,
    /// Which of its calls may share an answer, where the model has a rule of
    /// its own.
    pub share: Option<Share>,
    /// How the name was found, for people.
    pub why: String,
    /// Who can be asked what, by [`Format`], made when it is first asked for.
    candidates: [OnceLock<Arc<Candidates>>; Format::ALL.len()],
    /// The same for the plain endpoint.
    plain: OnceLock<Arc<Candidates>>,
}

/// The targets that may answer a call, and how one is picked.
#[derive(Debug)]
pub struct Candidates {
    /// All of them, in the order of the configuration.
    pub all: Vec<Candidate>,
    /// How they are ranked.
    pub policy: Policy,
    /// What becomes of a call some of which one of them can't be told.
    pub on_loss: OnLoss,
    /// What tells them from others, where they are several or refuse what
    /// others answer: an answer of any of them is an answer of all.
    pub identity: Option<String>,
}

impl Candidates {
    /// The first of the configuration, which stands for all of them until one
    /// has answered.
    pub fn lead(&self) -> &Candidate {
        &self.all[0]
    }

    /// Those that a caller may use who asks for `name`.
    pub(super) fn allowed(
        self: &Arc<Self>,
        tenant: &Tenant,
        name: &str,
    ) -> Result<Arc<Self>, Error> {
        if tenant.may_use(name, name).is_ok() {
            return Ok(Arc::clone(self));
        }
        let may_use = |candidate: &&Candidate| {
            let name = &candidate.target.full_name;
            tenant.may_use(name, name).is_ok()
        };
        let all: Vec<_> = self.all.iter().filter(may_use).cloned().collect();
        match all.len() {
            0 => Err(tenant
                .may_use(name, name)
                .expect_err("it was refused above")),
            count if count == self.all.len() => Ok(Arc::clone(self)),
            // Weights are of the whole list; a rarity like this does without.
            _ => Ok(Arc::new(Self::new(all, Policy::Order, self.on_loss))),
        }
    }

    fn new(all: Vec<Candidate>, policy: Policy, on_loss: OnLoss) -> Self {
        let first = all.first().map(|first| &first.target);
        let is_one = first.is_none_or(|first| {
            let mut all = all.iter();
            all.all(|other| other.target.full_name == first.full_name)
        });
        let identity = (!is_one || on_loss == OnLoss::Reject).then(|| {
            let names = all.iter().map(|it| {
                let target = &it.target;
                format!("{} {}\n", target.callee.base_url, target.full_name)
            });
            let names: String = names.collect();
            match on_loss {
                OnLoss::Report => names,
                OnLoss::Reject => format!("without loss\n{names}"),
            }
        });
        Self {
            all,
            policy,
            on_loss,
            identity,
        }
    }
}

/// How a call goes to a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// In the form it has.
    AsItIs,
    /// Translated into this one, and its answer back.
    Through(Wire),
}

/// A target that may answer a call.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Who it is.
    pub target: Arc<Target>,
    /// The form the call has and its answer is to have. Nothing but the way
    /// there knows another.
    pub format: Format,
    /// How it goes there.
    pub way: Way,
    /// Mark the stable beginning of its prompt for the provider's cache, where
    /// it is translated.
    pub marks_cache: bool,
    /// How many calls it gets beside the others.
    pub weight: f64,
}

impl Plan {
    /// The share (0 to 1) of the calls that each target gets, where they are picked
    /// by weight.
    pub fn shares(&self) -> impl Iterator<Item = f64> {
        let all: f64 = self.weights.iter().sum();
        self.weights.iter().map(move |weight| weight / all)
    }

    /// The targets that can be asked a call in `format`, as it stands or
    /// translated, in the order of the configuration; never empty.
    ///
    /// Vectors of different models don't mix: of those that embed only the
    /// ones of the first one's model count.
    pub fn candidates(&self, format: Format) -> Result<&Arc<Candidates>, Error> {
        let candidates = self.candidates[format as usize].get_or_init(|| {
            let mut candidates = self.those(|callee| Some((format, callee.way(format)?)));
            if format == Format::Embeddings
                && let Some(first) = candidates.first().map(|first| first.target.model.clone())
            {
                candidates.retain(|candidate| candidate.target.model == first);
            }
            self.picked(candidates)
        });
        if !candidates.all.is_empty() {
            return Ok(candidates);
        }
        let provider = &self.targets[0].callee.provider;
        Err(Error::invalid(format!(
            "the model `{}` is served by {}, which speaks the {} dialect, and {} of the {} dialect can't be \
             translated to it: {}",
            self.name,
            provider.name,
            provider.dialect.as_str(),
            format.path(),
            format.dialect().as_str(),
            match format {
                Format::Embeddings | Format::CountTokens => "name a model of a provider that has this endpoint",
                _ => "call /v1/chat/completions or /v1/messages",
            }
        ))
        .param("model"))
    }

    /// The targets the plain endpoint can speak to, in the order of the
    /// configuration; never empty.
    pub fn plain_candidates(&self) -> Result<&Arc<Candidates>, Error> {
        let candidates = self.plain.get_or_init(|| {
            self.picked(self.those(|callee| {
                let format = match callee.provider.dialect {
                    Dialect::Anthropic => Format::Messages,
                    Dialect::OpenAi | Dialect::Sim | Dialect::Gemini => Format::Chat,
                };
                Some((format, callee.way(format)?))
            }))
        });
        if !candidates.all.is_empty() {
            return Ok(candidates);
        }
        Err(Error::invalid(format!(
            "the model `{}` is served by {}, which /generate can't speak to in this version",
            self.name, self.targets[0].callee.provider.name
        ))
        .param("model"))
    }

    fn picked(&self, all: Vec<Candidate>) -> Arc<Candidates> {
        let weights = || {
            all.iter()
                .map(|candidate| candidate.weight)
                .collect::<Vec<_>>()
        };
        let policy = match self.balance {
            Balance::Order => Policy::Order,
            Balance::Latency => Policy::Latency,
            Balance::Weighted => Policy::Weighted(Weighted::new(weights())),
            Balance::LeastPending => Policy::LeastPending,
            Balance::Sticky => Policy::Sticky,
        };
        Arc::new(Candidates::new(all, policy, self.on_loss))
    }

    fn those(&self, ways: impl Fn(&Callee) -> Option<(Format, Way)>) -> Vec<Candidate> {
        let weighed = self.targets.iter().zip(&self.weights);
        weighed
            .filter_map(|(target, weight)| {
                let (format, way) = ways(&target.callee)?;
                Some(Candidate {
                    format,
                    way,
                    marks_cache: self.marks_cache,
                    target: Arc::clone(target),
                    weight: *weight,
                })
            })
            .collect()
    }
}

fn fallbacks(on: &[FallbackOn]) -> Fallbacks {
    let kinds = on.iter().map(|on| match on {
        FallbackOn::ContextLength => FailureKind::ContextLength,
        FallbackOn::ContentPolicy => FailureKind::ContentPolicy,
        FallbackOn::Status(status) => FailureKind::Status(*status),
    });
    kinds.fold(Fallbacks::default(), Fallbacks::on)
}

/// Plans remembered per snapshot. Names come from callers, so there is a
/// bound; past it a plan is made anew each time.
const REMEMBERED: usize = 1024;

/// Names that are labels of metrics, beside the operator's own; later ones are
/// counted together as `other`. A label is about ninety series.
const LABELLED: usize = 100;

/// The longest name of a model, in bytes; the longest that providers list have
/// about a hundred.
const NAME_MAX: usize = 512;

/// Refuses names that no provider has and that logs and labels could not bear.
fn check_name(name: &str) -> Result<(), Error> {
    if name.len() > NAME_MAX {
        return Err(Error::new(
            Kind::ModelNotFound,
            format!(
                "a model's name has at most {NAME_MAX} bytes, and `{}…` has {}",
                cut(name),
                name.len()
            ),
        )
        .param("model"));
    }
    Ok(())
}

/// From names to plans.
#[derive(Debug)]
pub struct Routes {
    callees: Vec<Arc<Callee>>,
    models: HashMap<String, Arc<Plan>>,
    timeouts: Timeouts,
    /// Read for every request, written once per new name.
    made: RwLock<HashMap<String, Arc<Plan>>>,
}

impl Routes {
    /// Those of a configuration whose providers can be called as `callees`.
    pub fn new(config: &Config, callees: Vec<Arc<Callee>>) -> Self {
        let find = |provider: &Provider| {
            callees
                .iter()
                .find(|callee| callee.provider.name == provider.name)
        };
        let models = config
            .models
            .values()
            .map(|model| {
                let mut targets = Vec::new();
                let mut weights = Vec::new();
                for (target, weight) in model.targets.iter().zip(&model.weights) {
                    let keys = find(&target.provider).into_iter();
                    let keys: Vec<_> = keys.flat_map(Callee::with_each_key).collect();
                    let share = f64::from(*weight) / keys.len().max(1) as f64;
                    for callee in keys {
                        targets.push(Arc::new(Target::new(callee, &target.model, true)));
                        weights.push(share);
                    }
                }
                let plan = Plan {
                    name: model.name.clone(),
                    targets,
                    weights,
                    balance: model.balance,
                    hedge: model.hedge,
                    fallback_on: fallbacks(&model.fallback_on),
                    on_loss: model.on_loss,
                    marks_cache: model.prompt_cache,
                    timeouts: model.timeout,
                    share: model.share,
                    why: format!("[models.{}]", model.name),
                    candidates: Default::default(),
                    plain: OnceLock::new(),
                };
                (model.name.clone(), Arc::new(plan))
            })
            .collect();
        Self {
            callees,
            models,
            timeouts: config.timeout,
            made: RwLock::default(),
        }
    }

    /// Everybody who can be called, in the order of the configuration.
    pub fn callees(&self) -> &[Arc<Callee>] {
        &self.callees
    }

    /// The names of those who can be called.
    pub fn providers(&self) -> impl Iterator<Item = &str> {
        self.callees
            .iter()
            .map(|callee| callee.provider.name.as_str())
    }

    /// The operator's own names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.models.keys().map(String::as_str)
    }

    /// The plans that were asked for, and the operator's own.
    pub(super) fn plans(&self) -> Vec<Arc<Plan>> {
        let made = self.made.read();
        let mut plans: Vec<_> = self.models.values().chain(made.values()).cloned().collect();
        plans.sort_by(|a, b| a.name.cmp(&b.name));
        plans
    }

    /// The provider of that name.
    pub fn callee(&self, name: &str) -> Option<&Arc<Callee>> {
        self.callees
            .iter()
            .find(|callee| callee.provider.name == name)
    }

    /// The deadlines of a call that no `[models]` entry speaks for.
    pub fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// The plan for the name a caller asked for.
    pub fn plan(&self, name: &str) -> Result<Arc<Plan>, Error> {
        if let Some(plan) = self.models.get(name) {
            return Ok(Arc::clone(plan));
        }
        if let Some(plan) = self.made.read().get(name) {
            return Ok(Arc::clone(plan));
        }
        check_name(name)?;
        let (callee, model, why) = self.find(name)?;
        let mut made = self.made.write();
        let labelled = made.len() < LABELLED;
        let targets: Vec<_> = callee
            .with_each_key()
            .map(|callee| Arc::new(Target::new(callee, model, labelled)))
            .collect();
        let plan = Arc::new(Plan {
            name: name.to_owned(),
            weights: vec![1.0; targets.len()],
            // Several keys of one provider are as good as each other.
            balance: match targets.len() {
                1 => Balance::Order,
                _ => Balance::LeastPending,
            },
            targets,
            hedge: Hedge::Off,
            fallback_on: Fallbacks::default(),
            on_loss: OnLoss::Report,
            marks_cache: false,
            timeouts: self.timeouts,
            share: None,
            why,
            candidates: Default::default(),
            plain: OnceLock::new(),
        });
        if made.len() < REMEMBERED {
            made.insert(name.to_owned(), Arc::clone(&plan));
        }
        Ok(plan)
    }

    /// The provider a bare name leads to by itself.
    pub fn leads_to(&self, name: &str) -> Option<&str> {
        if self.models.contains_key(name) {
            return None;
        }
        let (callee, model, _) = self.find(name).ok()?;
        (model == name).then_some(callee.provider.name.as_str())
    }

    /// The plan of a call addressed to one provider by its path.
    pub fn plan_of(&self, callee: &Callee, model: &str) -> Result<Arc<Plan>, Error> {
        self.plan(&format!("{}/{model}", callee.provider.name))
    }

    /// Who serves a name that `[models]` does not have, and what they call it.
    fn find<'a>(&self, name: &'a str) -> Result<(&Arc<Callee>, &'a str, String), Error> {
        if let Some((provider, model)) = name.split_once('/')
            && !model.is_empty()
            && let Some(callee) = self.callee(provider)
        {
            return Ok((callee, model, format!("`{provider}/…` names the provider")));
        }
        let known = family(name);
        if let Some(callee) = known.and_then(|provider| self.callee(provider)) {
            let why = format!("the name is of {}'s family", callee.provider.name);
            return Ok((callee, name, why));
        }
        if let [only] = &self.callees[..]
            && only.provider.simulated
        {
            let why = "with nothing but the simulated provider every name is its".to_owned();
            return Ok((only, name, why));
        }
        Err(self.unknown(name, known))
    }

    fn unknown(&self, name: &str, family: Option<&str>) -> Error {
        let mut message = format!("no provider serves the model `{}`", cut(name));
        if let Some(family) = family {
            message.push_str(&format!(
                ": it is of {family}'s family, and {family} is not configured (set its key, or add [providers.{family}])"
            ));
        }
        let made = self.made.read();
        let defaults = self
            .callees
            .iter()
            .filter_map(|callee| callee.provider.default_model.as_deref());
        let candidates = self
            .names()
            .chain(made.keys().map(String::as_str))
            .chain(defaults);
        if let Some(near) = nearest(name, candidates) {
            message.push_str(&format!("; did you mean `{near}`?"));
        } else if let Some((provider, model)) = name.split_once('/')
            && let Some(near) = nearest(provider, self.providers())
            && near != provider
        {
            message.push_str(&format!("; did you mean `{near}/{}`?", cut(model)));
        }
        let prefixes: Vec<_> = self
            .callees
            .iter()
            .map(|callee| format!("{}/MODEL", callee.provider.name))
            .collect();
        message.push_str(&format!("; {} always works", prefixes.join(", ")));
        Error::new(Kind::ModelNotFound, message).param("model")
    }
}

/// At most 100 characters of a name a caller made up.
fn cut(name: &str) -> &str {
    match name.char_indices().nth(100) {
        Some((at, _)) => &name[..at],
        None => name,
    }
}

/// `text` as a header's value, with `?` for what a header can't carry. A model
/// name is the caller's, and must not write headers of its own.
fn visible(text: &str) -> String {
    cut(text)
        .chars()
        .map(|c| {
            if c.is_ascii_graphic() || c == ' ' {
                c
            } else {
                '?'
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_go_up_where_it_came_down() {
        for path in [
            "",
            "/",
            "/a/../b",
            "/a%2Fb/../c//d",
            "/a/b/../..",
            "/a/..b/...",
            "/x;v=1",
        ] {
            assert!(!leaves(path), "{path}");
        }
        for path in [
            "/..",
            "/../admin",
            "/a/../../b",
            "/%2e%2E/admin",
            "/a/..%2f..",
            "//../x",
            "/./../x",
            "/%2e/../x",
            "/..;/x",
            "/a/..\\..\\x",
        ] {
            assert!(leaves(path), "{path}");
        }
    }
}
