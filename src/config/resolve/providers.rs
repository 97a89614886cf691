//! Who can be called: from the file, else from the keys in the environment,
//! else the simulated provider.

mod base;
mod quirks;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use crate::config::env::Environment;
use crate::config::problem::Place;
use crate::config::raw::{Node, Value};
use crate::config::read::{self, Read};
use crate::config::section::Section;
use crate::config::units::{Invalid, quoted};
use crate::dialect::Dialect;
use crate::provider::presets::{AZURE, PRESETS, Preset, SIM, Scheme, preset};
use crate::provider::{
    Auth, BaseUrl, CallLimit, EmbeddingLimits, HttpVersion, PoolOptions, Provider, Quirks,
    RESERVED_NAMES, Secret, StreamUsage, azure,
};

/// The providers, in the order they were named; empty only with a problem
/// reported.
pub(super) fn providers(
    root: &Section<'_>,
    env: &Environment,
    named_in_file: bool,
) -> Vec<Arc<Provider>> {
    let named = root.section("providers").named();
    let names: Vec<_> = named.iter().map(|(name, _)| *name).collect();
    let mut providers: Vec<_> = named
        .iter()
        .filter_map(|(name, section)| provider(name, section, env))
        .map(Arc::new)
        .collect();
    if named_in_file && !names.is_empty() {
        return providers;
    }
    let found = PRESETS
        .iter()
        .filter(|preset| !names.contains(&preset.name));
    providers.extend(
        found
            .filter_map(|preset| from_environment(preset, root, env))
            .map(Arc::new),
    );
    if providers.is_empty() && names.is_empty() {
        let section = root.section("providers").member(SIM);
        providers.extend(provider_of(SIM, &section, env, "the built-in simulation").map(Arc::new));
    }
    providers
}

/// A known provider whose key is in the environment.
fn from_environment(preset: &Preset, root: &Section<'_>, env: &Environment) -> Option<Provider> {
    if preset.key_variable.is_empty() {
        return None;
    }
    env.filled(preset.key_variable)?;
    if preset.base_url.is_empty() && env.filled(preset.base_variable).is_none() {
        let place = Place::whole(preset.key_variable);
        let message = format!(
            "is set, but not {}, which says where: left out",
            preset.base_variable
        );
        root.report
            .notice(&place, format!("providers.{}", preset.name), message);
        return None;
    }
    let section = root.section("providers").member(preset.name);
    provider_of(preset.name, &section, env, preset.key_variable)
}

/// A provider that was named.
fn provider(name: &str, section: &Section<'_>, env: &Environment) -> Option<Provider> {
    if !section.is_there() {
        return None;
    }
    if let Some(why) = unfit(name) {
        section.report.problem(&section.place, &section.path, why);
        return None;
    }
    provider_of(name, section, env, &section.place.to_string())
}

/// Why a provider cannot be called this.
fn unfit(name: &str) -> Option<String> {
    if RESERVED_NAMES.contains(&name) {
        return Some(format!(
            "is the name of a path of nowait's own and cannot be a provider's; call it my-{}",
            name.trim_end_matches(".json")
        ));
    }
    let fits = !name.is_empty()
        && name.len() <= 64
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && name.contains(|c: char| c.is_ascii_alphanumeric());
    (!fits).then(|| {
        "cannot be a provider's name, which is part of paths; use up to 64 letters, digits, - _ ."
            .to_owned()
    })
}

fn provider_of(
    name: &str,
    section: &Section<'_>,
    env: &Environment,
    found: &str,
) -> Option<Provider> {
    let row = preset(name);
    let dialects = Dialect::ALL.map(|dialect| (dialect.as_str(), dialect));
    let written = section.get("dialect", read::word(&dialects));
    let dialect = written
        .or(row.map(|row| row.dialect))
        .unwrap_or(Dialect::OpenAi);
    let base = base::base(name, section, row, dialect, env);
    let is_azure = |base: &BaseUrl| azure::is_host(&base.host);
    let row = match base.as_ref().is_some_and(is_azure) {
        true => row.or_else(|| preset(AZURE)),
        false => row,
    };
    let api_version = base::api_version(section, row, env);
    let (base, api_version, deployments) = match (base, row) {
        (Some(base), Some(row)) if row.name == AZURE => {
            let place = azure::place(base, api_version);
            (Some(place.base), place.version, place.deployments)
        }
        (base, _) => (base, api_version, false),
    };
    let auth = section.get("auth", auth);
    let (key, more_keys) = keys(section, row, env);
    let limit = section.value("limit", limit);
    let queue = section.value("queue", read::count(0, read::MOST));
    let headers = headers(section);
    let words = [
        ("estimate", StreamUsage::Estimate),
        ("ask", StreamUsage::Ask),
    ];
    let stream_usage = section.value("stream_usage", read::word(&words));
    let default_model = section.get("default_model", read::text);
    let simulated = dialect == Dialect::Sim;
    if name == SIM && !simulated {
        section.problem(
            "dialect",
            "sim is the simulated provider; give this one another name",
        );
    }
    let usual = row.map_or_else(Quirks::default, |row| row.quirks_of(dialect));
    let quirks = quirks::over(&section.section("quirks"), usual);
    let pool = pool(&section.section("pool"));
    for field in ["api_key", "api_keys"] {
        if auth == Some(Auth::None) && section.node(field).is_some() {
            section.notice(field, "is never sent, for auth is \"none\"");
        }
    }
    // A row's own scheme is for its own dialect; a key that is given to a
    // server that usually wants none is meant to be sent.
    let scheme = match row.filter(|row| row.dialect == dialect) {
        Some(row) if row.auth == Scheme::None && key.is_some() => Scheme::of(dialect),
        Some(row) => row.auth,
        None => Scheme::of(dialect),
    };
    let auth = auth.unwrap_or_else(|| scheme.into());
    Some(Provider {
        name: name.to_owned(),
        dialect,
        base: base?,
        api_version,
        deployments,
        auth,
        key,
        more_keys,
        limit: limit?,
        queue: queue? as usize,
        headers: headers?,
        pool: pool?,
        stream_usage: stream_usage?,
        default_model: default_model.or_else(|| row?.default_model.map(str::to_owned)),
        quirks,
        embeddings: row.map_or(EmbeddingLimits::CAREFUL, |row| row.embeddings),
        simulated,
        found: found.to_owned(),
    })
}

/// Its key and any others: those of the list, else the one of [`key`].
fn keys(
    section: &Section<'_>,
    row: Option<&Preset>,
    env: &Environment,
) -> (Option<Secret>, Vec<Secret>) {
    if section.node("api_keys").is_none() {
        return (key(section, row, env), Vec::new());
    }
    if section.node("api_key").is_some() {
        section.problem("api_keys", "stands beside api_key; put all of them here");
    }
    let mut keys = section
        .get("api_keys", read::list(read::secret))
        .unwrap_or_default()
        .into_iter();
    (keys.next(), keys.collect())
}

/// `"auto"`, `"aimd"`, `"gradient"` or a number.
fn limit(node: &Node) -> Read<CallLimit> {
    if let Value::Integer(_) = node.value {
        return Ok(read::some(node)?.map(CallLimit::Fixed));
    }
    read::word(&[
        ("auto", CallLimit::Auto),
        ("aimd", CallLimit::Aimd),
        ("gradient", CallLimit::Gradient),
    ])(node)
}

/// Its key: the file's, else that of its own variable.
fn key(section: &Section<'_>, row: Option<&Preset>, env: &Environment) -> Option<Secret> {
    if section.node("api_key").is_some() {
        return section.get("api_key", read::secret);
    }
    let variable = row?.key_variable;
    let text = env.filled(variable)?;
    read::secret_text(text)
        .map_err(|why| {
            section
                .report
                .problem(&Place::whole(variable), "", why.to_string())
        })
        .ok()
}

/// `"bearer"`, `"none"` or `{ header = "NAME" }`.
fn auth(node: &Node) -> Read<Auth> {
    let form = "\"bearer\", \"none\" or { header = \"NAME\" }";
    match &node.value {
        Value::Text(_) => match read::word(&[("bearer", false), ("none", true)])(node)? {
            Some(true) => Ok(Some(Auth::None)),
            Some(false) => Ok(Some(Auth::Bearer)),
            None => Ok(None),
        },
        Value::Table(table) => match table.entries.as_slice() {
            [
                (
                    name,
                    Node {
                        value: Value::Text(text),
                        ..
                    },
                ),
            ] if name == "header" => {
                let header: HeaderName = text.text.parse().map_err(|_| {
                    Invalid::new(format!(
                        "{} is not the name of a header",
                        quoted(&text.written)
                    ))
                })?;
                Ok(Some(Auth::Header(header)))
            }
            _ => Err(Invalid::new(format!(
                "is a table of another form; write {form}"
            ))),
        },
        Value::Broken => Ok(None),
        other => Err(Invalid::new(format!("is {}; write {form}", other.kind()))),
    }
}

/// Headers that belong to the message itself or to the hop, or are nowait's.
const OWN_HEADERS: &[&str] = &[
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "proxy-connection",
    "via",
];

/// Headers every call carries. Any of them may be a credential, so none of
/// their values is ever shown.
fn headers(section: &Section<'_>) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let Some(node) = section.node("headers") else {
        return Some(Vec::new());
    };
    let Value::Table(table) = &node.value else {
        section.problem(
            "headers",
            format!("is {}; write {{ \"NAME\" = \"VALUE\" }}", node.value.kind()),
        );
        return None;
    };
    let mut headers = Vec::with_capacity(table.entries.len());
    let mut sound = true;
    for (name, node) in &table.entries {
        match header(name, &node.value) {
            Ok(Some(header)) => headers.push(header),
            Ok(None) => sound = false,
            Err(why) => {
                sound = false;
                let path = format!("{}.headers.{name}", section.path);
                section.report.problem(&node.place, path, why.to_string());
            }
        }
    }
    sound.then_some(headers)
}

fn header(name: &str, value: &Value) -> Read<(HeaderName, HeaderValue)> {
    let header: HeaderName = name
        .parse()
        .map_err(|_| Invalid::new("is not the name of a header"))?;
    if OWN_HEADERS.contains(&header.as_str()) || header.as_str().starts_with("x-nowait-") {
        return Err(Invalid::new("is set by nowait itself; leave it out"));
    }
    let Value::Text(text) = value else {
        return match value {
            Value::Broken => Ok(None),
            other => Err(Invalid::new(format!("is {}; write a string", other.kind()))),
        };
    };
    let mut value = HeaderValue::from_str(text.text.trim())
        .map_err(|_| Invalid::new("holds a character no header can carry (a line break?)"))?;
    value.set_sensitive(true);
    Ok(Some((header, value)))
}

fn pool(section: &Section<'_>) -> Option<PoolOptions> {
    // Spares are kept alive by real handshakes: more than this is a slip that
    // the provider would take for an attack.
    let warm = section.value("warm", read::count(0, 256));
    let words = [
        ("auto", HttpVersion::Auto),
        ("1", HttpVersion::One),
        ("2", HttpVersion::Two),
    ];
    let http = section.value("http", |node: &Node| match node.value {
        Value::Integer(1) => Ok(Some(HttpVersion::One)),
        Value::Integer(2) => Ok(Some(HttpVersion::Two)),
        _ => read::word(&words)(node),
    });
    let streams = section.value("max_streams_per_connection", read::some);
    let idle_timeout = section.value("idle_timeout", read::wait);
    let most = section.value("max_connections", read::some);
    let pool = PoolOptions {
        warm: warm? as usize,
        http: http?,
        max_streams_per_connection: streams?.get(),
        idle_timeout: idle_timeout?,
        max_connections: most?.get(),
    };
    if pool.warm > pool.max_connections {
        section.problem("warm", "is more than max_connections; lower it");
    }
    if section.node("idle_timeout").is_some() && pool.idle_timeout < Duration::from_secs(1) {
        section.notice(
            "idle_timeout",
            "is under a second: connections are hardly ever reused",
        );
    }
    Some(pool)
}
