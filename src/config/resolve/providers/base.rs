//! Where a provider is, and which version of its API is called.

use crate::config::env::Environment;
use crate::config::nearest::nearest;
use crate::config::problem::Place;
use crate::config::raw::{Node, Value};
use crate::config::read::{self, Read};
use crate::config::section::Section;
use crate::config::units::{Invalid, quoted};
use crate::dialect::Dialect;
use crate::provider::presets::{AZURE, PRESETS, Preset};
use crate::provider::{BaseUrl, InvalidBaseUrl, azure, redacted};

/// Where it is: the file, else its own variable, else what everybody knows.
pub(super) fn base(
    name: &str,
    section: &Section<'_>,
    row: Option<&Preset>,
    dialect: Dialect,
    env: &Environment,
) -> Option<BaseUrl> {
    if section.node("base_url").is_some() {
        let base = section.get("base_url", url)?;
        // A resource of Azure's is all that its SDKs take.
        let is_azure = row.is_some_and(|row| row.name == AZURE) || azure::is_host(&base.host);
        if let Some(odd) = odd_path(&base, dialect).filter(|_| !is_azure) {
            section.notice("base_url", odd);
        }
        return Some(base);
    }
    let variable = row.map_or("", |row| row.base_variable);
    if let Some(text) = env.filled(variable) {
        return parse_url(text)
            .map_err(|why| {
                let place = Place::whole(variable);
                section.report.problem(&place, "", why.to_string());
            })
            .ok();
    }
    if dialect == Dialect::Sim {
        return Some(BaseUrl::in_process());
    }
    if let Some(url) = row.and_then(|row| row.base_of(dialect)) {
        return url.parse().ok();
    }
    let known = PRESETS.iter().map(|row| row.name);
    let message = match (row, nearest(name, known)) {
        (Some(_), _) if !variable.is_empty() => {
            format!("is missing; write it, or set {variable}")
        }
        (None, Some(near)) => format!(
            "is missing, and {name:?} is no provider nowait knows; did you mean [providers.{near}]?"
        ),
        _ => "is missing; write base_url = \"https://HOST/v1\"".to_owned(),
    };
    section.problem("base_url", message);
    None
}

fn url(node: &Node) -> Read<BaseUrl> {
    match &node.value {
        Value::Text(text) => match text.text.parse() {
            Ok(url) => Ok(Some(url)),
            Err(why) => Err(shown(&text.written, why)),
        },
        Value::Broken => Ok(None),
        other => Err(Invalid::new(format!(
            "is {}; write a URL like \"https://HOST/v1\"",
            other.kind()
        ))),
    }
}

fn parse_url(text: &str) -> Result<BaseUrl, Invalid> {
    text.parse().map_err(|why| shown(text, why))
}

fn shown(written: &str, why: InvalidBaseUrl) -> Invalid {
    Invalid::new(format!("{} {why}", quoted(&redacted(written))))
}

/// A `/v1` too many or too few is the commonest slip, and one that only shows
/// as a 404 much later.
fn odd_path(base: &BaseUrl, dialect: Dialect) -> Option<String> {
    match dialect {
        Dialect::Anthropic if base.prefix.ends_with("/v1") => Some(format!(
            "ends in /v1, and Anthropic's paths begin with it; write \"{}\"",
            base.to_string().trim_end_matches("/v1")
        )),
        Dialect::OpenAi if base.prefix.is_empty() => Some(format!(
            "has no path, and OpenAI's has /v1; if calls end in 404, write \"{base}/v1\""
        )),
        _ => None,
    }
}

/// The version in the query of its calls: the file's; for Azure also that of
/// the variable its SDKs read.
pub(super) fn api_version(
    section: &Section<'_>,
    row: Option<&Preset>,
    env: &Environment,
) -> Option<String> {
    if section.node("api_version").is_some() {
        return section.get("api_version", version);
    }
    let is_azure = row.is_some_and(|row| row.name == AZURE);
    let text = env.filled(VERSION_VARIABLE).filter(|_| is_azure)?;
    if !is_version(text) {
        let place = Place::whole(VERSION_VARIABLE);
        section.report.problem(&place, "", VERSION_FORM);
        return None;
    }
    Some(text.to_owned())
}

/// What openai-python's `lib/azure.py` reads the version from.
const VERSION_VARIABLE: &str = "OPENAI_API_VERSION";

const VERSION_FORM: &str =
    "is not a version of an API; write one like \"2024-10-21\" or \"preview\"";

fn version(node: &Node) -> Read<String> {
    match read::text(node)? {
        Some(text) if !is_version(&text) => Err(Invalid::new(VERSION_FORM)),
        read => Ok(read),
    }
}

fn is_version(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    !text.is_empty() && text.chars().all(fits)
}
