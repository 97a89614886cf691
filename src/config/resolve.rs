//! From the file to the configuration: one function per section.
//!
//! Each reads all its keys before it gives up on any, so that everything
//! wrong is told at once. Pure: whether files exist is `files`' to find out.

mod callers;
mod models;
mod providers;
mod simulated;

use std::path::{Path, PathBuf};

use super::env::Environment;
use super::problem::{Place, Problem, Problems, Report};
use super::proxy::ProxyRules;
use super::raw::{Node, Parsed, Value};
use super::read::{self, Read};
use super::section::Section;
use super::{
    AuthMode, Batch, Cache, Config, Generate, HedgeBudget, RedisUrl, Retry, Roots, Scope, Secret,
    Server, ServerTls, Share, Source, Timeouts, Tls, known, overrides,
};

use crate::provider::Provider;

/// A file the configuration names, for whoever checks that it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NamedFile {
    pub(super) path: PathBuf,
    pub(super) place: Place,
    pub(super) key: String,
}

/// What the values are read in the light of.
pub(super) struct Context<'a> {
    pub(super) source: Source,
    /// The file as a whole, for messages.
    pub(super) file: Place,
    /// What relative paths are relative to.
    pub(super) folder: &'a Path,
    pub(super) env: &'a Environment,
    /// The address and the flag or variable that asks for it.
    pub(super) listen: Option<(Place, &'a str)>,
}

/// The configuration, and the files it names.
pub(super) fn resolve(
    mut parsed: Parsed,
    report: Report,
    context: &Context<'_>,
) -> Result<(Config, Vec<NamedFile>), Problems> {
    let named_in_file = parsed.root.get("providers").is_some();
    overrides::apply(&mut parsed.root, context.env, &report);
    known::check(&parsed.root, &report);
    let root = Section::root(&parsed.root, &context.file, &report);
    let mut files = Vec::new();
    let config = whole(&root, context, named_in_file, parsed.whole, &mut files);
    let notices = report.close()?;
    let mut config = config.ok_or_else(|| lost(&context.file))?;
    config.notices = notices;
    Ok((config, files))
}

/// A section that could not be read and did not say why.
fn lost(file: &Place) -> Problems {
    Problems::from(Problem {
        place: file.clone(),
        key: String::new(),
        message: "cannot be used, and nowait lost the reason; this is a bug in nowait".to_owned(),
    })
}

fn whole(
    root: &Section<'_>,
    context: &Context<'_>,
    named_in_file: bool,
    is_whole: bool,
    files: &mut Vec<NamedFile>,
) -> Option<Config> {
    let keys = callers::keys(root, is_whole);
    // Keys that are there and wrong are told as that.
    let is_open = is_whole && root.node("keys").is_none_or(is_empty);
    let server = server(&root.section("server"), context, files, is_open);
    let tls = tls(&root.section("tls"), context, files);
    let timeout = timeouts(&root.section("timeout"), None);
    let retry = retry(&root.section("retry"));
    let hedge = hedge(&root.section("hedge"));
    let cache = cache(&root.section("cache"), context.env);
    let batch = batch(&root.section("batch"));
    let providers = providers::providers(root, context.env, named_in_file);
    let models = models::models(root, &providers, timeout, is_whole);
    let generate = generate(&root.section("generate"), &providers);
    let sim = simulated::settings(&root.section("sim"), &providers);
    let proxy = ProxyRules::of(context.env, root.report);
    Some(Config {
        source: context.source.clone(),
        server: server?,
        tls: tls?,
        providers,
        models,
        timeout: timeout?,
        retry: retry?,
        hedge: hedge?,
        cache: cache?,
        batch: batch?,
        generate: generate?,
        keys,
        sim: sim?,
        proxy,
        notices: Vec::new(),
    })
}

fn is_empty(node: &Node) -> bool {
    matches!(&node.value, Value::List(items) if items.is_empty())
}

/// `is_open`: there are no gateway keys.
fn server(
    section: &Section<'_>,
    context: &Context<'_>,
    files: &mut Vec<NamedFile>,
    is_open: bool,
) -> Option<Server> {
    let (listen, listen_place) = match &context.listen {
        Some((place, text)) => {
            let read = read::parse_address(text);
            if let Err(why) = &read {
                section.report.problem(place, "", why.to_string());
            }
            (read.ok(), place.clone())
        }
        None => (
            section.value("listen", read::address),
            section.place_of("listen").clone(),
        ),
    };
    let max_body = section.value("max_body", read::size);
    let drain = section.value("drain", read::duration);
    let auth = section.value(
        "auth",
        read::word(&[("keys", AuthMode::Keys), ("none", AuthMode::None)]),
    );
    let threads = section.get("threads", read::some);
    let tls = server_tls(&section.section("tls"), context, files);
    if let (Some(listen), Some(AuthMode::Keys), true) = (listen, auth, is_open)
        && !listen.ip().to_canonical().is_loopback()
    {
        let message = format!(
            "{listen} is reachable from outside and anybody there could spend your keys; \
             add [[keys]], or write auth = \"none\" under [server], or listen on 127.0.0.1"
        );
        section
            .report
            .problem(&listen_place, "server.listen", message);
    }
    if auth == Some(AuthMode::None) && !is_open {
        section.notice(
            "auth",
            "is \"none\": [[keys]] are not asked for, but for metrics and status",
        );
    }
    Some(Server {
        listen: listen?,
        max_body: max_body?,
        drain: drain?,
        tls,
        auth: auth?,
        threads,
    })
}

fn server_tls(
    section: &Section<'_>,
    context: &Context<'_>,
    files: &mut Vec<NamedFile>,
) -> Option<ServerTls> {
    let cert = file(section, "cert", context, files);
    let key = file(section, "key", context, files);
    let is_set = |name| section.node(name).is_some();
    if section.is_there() {
        for (name, other) in [("cert", "key"), ("key", "cert")] {
            if !is_set(name) {
                let why = if is_set(other) {
                    format!("is missing; {other} needs it")
                } else {
                    "is missing".to_owned()
                };
                section.problem(name, why);
            }
        }
    }
    Some(ServerTls {
        cert: cert?,
        key: key?,
    })
}

fn tls(section: &Section<'_>, context: &Context<'_>, files: &mut Vec<NamedFile>) -> Option<Tls> {
    let words = [("system", Roots::System), ("bundled", Roots::Bundled)];
    let roots = section.value("roots", read::word(&words));
    let ca_file = file(section, "ca_file", context, files);
    Some(Tls {
        roots: roots?,
        ca_file,
    })
}

/// A file named by a key; what is relative is relative to the configuration.
fn file(
    section: &Section<'_>,
    key: &str,
    context: &Context<'_>,
    files: &mut Vec<NamedFile>,
) -> Option<PathBuf> {
    let path = context.folder.join(section.get(key, read::path)?);
    files.push(NamedFile {
        path: path.clone(),
        place: section.place_of(key).clone(),
        key: super::raw::join(&section.path, key),
    });
    Some(path)
}

/// Deadlines; what is not written comes from `base`, else from the defaults.
pub(super) fn timeouts(section: &Section<'_>, base: Option<Timeouts>) -> Option<Timeouts> {
    let read = |key, base: Option<std::time::Duration>| match (section.node(key), base) {
        (None, Some(base)) => Some(base),
        _ => section.value(key, read::wait),
    };
    let connect = read("connect", base.map(|base| base.connect));
    let first_token = read("first_token", base.map(|base| base.first_token));
    let idle = read("idle", base.map(|base| base.idle));
    let total = read("total", base.map(|base| base.total));
    let timeouts = Timeouts {
        connect: connect?,
        first_token: first_token?,
        idle: idle?,
        total: total?,
    };
    for (key, value) in [
        ("connect", timeouts.connect),
        ("first_token", timeouts.first_token),
        ("idle", timeouts.idle),
    ] {
        if section.node(key).is_some() && value > timeouts.total {
            section.notice(key, "is longer than total, which ends the call before");
        }
    }
    Some(timeouts)
}

fn retry(section: &Section<'_>) -> Option<Retry> {
    let attempts = section.value("attempts", read::attempts);
    let budget = section.value("budget", read::ratio);
    let floor = section.value("floor", read::count(0, read::MOST));
    Some(Retry {
        attempts: attempts?,
        budget: budget?,
        floor: floor? as u32,
    })
}

fn hedge(section: &Section<'_>) -> Option<HedgeBudget> {
    let budget = section.value("budget", read::ratio);
    let min = section.value("min", read::duration);
    let max = section.value("max", read::wait);
    let (budget, min, max) = (budget?, min?, max?);
    if min > max {
        section.problem("min", "is longer than max; swap them");
    }
    Some(HedgeBudget { budget, min, max })
}

/// Which calls may share an answer.
pub(super) fn share(node: &Node) -> Read<Share> {
    read::word(&[
        ("off", Share::Off),
        ("deterministic", Share::Deterministic),
        ("all", Share::All),
    ])(node)
}

fn cache(section: &Section<'_>, env: &Environment) -> Option<Cache> {
    let share = section.value("share", share);
    let ttl = section.value("ttl", read::wait);
    let memory = section.value("memory", read::size);
    let words = [("tenant", Scope::Tenant), ("global", Scope::Global)];
    let scope = section.value("scope", read::word(&words));
    let written = section.get("redis", read::secret);
    let mut redis = written.and_then(|url| match RedisUrl::parse(&url) {
        Ok(url) => Some(url),
        Err(why) => {
            section.problem("redis", why.to_string());
            None
        }
    });
    // In the environment it may be there for somebody else, in a form that is
    // not ours to judge.
    if let (None, Some(url)) = (section.node("redis"), env.filled("REDIS_URL")) {
        match RedisUrl::parse(&Secret::new(url.trim())) {
            Ok(url) => redis = Some(url),
            Err(why) => {
                let place = Place::whole("REDIS_URL");
                let message = format!("is ignored: it {why}");
                section.report.notice(&place, "cache.redis", message);
            }
        }
    }
    Some(Cache {
        share: share?,
        ttl: ttl?,
        memory: memory?,
        scope: scope?,
        redis,
    })
}

fn batch(section: &Section<'_>) -> Option<Batch> {
    let embeddings = section.value("embeddings", read::flag);
    let concurrency = section.value("concurrency", read::some);
    Some(Batch {
        embeddings: embeddings?,
        concurrency: concurrency?,
    })
}

fn generate(section: &Section<'_>, providers: &[std::sync::Arc<Provider>]) -> Option<Generate> {
    let written = section.get("model", read::text);
    let claude_model = section.value("claude_model", read::text);
    let share = section.value("share", share);
    let model = written.or_else(|| {
        // What everybody's first program asks for, where it is there to be asked.
        if providers
            .iter()
            .any(|provider| provider.name == "openai" || provider.simulated)
        {
            return Some("gpt-4o".to_owned());
        }
        let first = providers.first()?;
        let model = first.default_model.as_ref()?;
        Some(format!("{}/{model}", first.name))
    });
    let claude_model = claude_model?;
    for (key, name) in [
        ("model", model.as_ref()),
        ("claude_model", Some(&claude_model)),
    ] {
        if let Some(name) = name {
            models::warn_if_retired(section, key, name, providers);
        }
    }
    Some(Generate {
        model,
        claude_model,
        share: share?,
    })
}
