//! The list of models: the operator's names and what the providers list.
//!
//! Providers are asked when somebody first wants the list, off that caller's
//! task, and what they said is remembered: a slow or dead provider never fails
//! the list, and delays only the first one, by a second at most.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::auth::Tenant;
use super::headers::{self, Passage};
use super::ledger::Ledger;
use super::plan::Callee;
use super::reply::Answered;
use super::{Caller, Gateway};
use crate::dialect::Dialect;
use crate::error::{Error, Kind};
use crate::upstream::{Body, Limits, Request, Timing};

/// What each provider said it serves. Kept over reloads; a provider that stops
/// answering keeps its last list.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// By the provider's name.
    lists: RwLock<BTreeMap<String, Vec<Listed>>>,
    /// When the providers were last asked.
    asked: Mutex<Option<Instant>>,
    /// Told when all have answered, or not.
    heard: Notify,
}

/// How long a list is believed before the providers are asked again.
const BELIEVED: Duration = Duration::from_secs(600);

/// How soon a provider that has never listed anything is asked again.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a caller waits for a provider that has never listed anything.
const FIRST_WAIT: Duration = Duration::from_secs(1);

impl Catalogue {
    /// Sees to it that the lists are not too old. Nobody is asked before
    /// somebody wants to know: a gateway makes no calls of its own. Only a
    /// provider that was never heard of is waited for, and not for long.
    async fn freshen(&self, gateway: &Arc<Gateway>) {
        let is_unheard =
            {
                let lists = self.lists.read();
                gateway.routes.callees().iter().any(|callee| {
                    can_be_asked(callee) && !lists.contains_key(&callee.provider.name)
                })
            };
        let heard = self.heard.notified();
        let since = {
            let mut asked = self.asked.lock();
            let age = asked.map(|at| at.elapsed());
            let limit = if is_unheard { PATIENCE } else { BELIEVED };
            if age.is_none_or(|age| age > limit) {
                *asked = Some(Instant::now());
                let gateway = Arc::clone(gateway);
                // A task of its own: a caller that leaves stops nothing.
                tokio::spawn(async move {
                    refresh(&gateway).await;
                    gateway.instance.catalogue.heard.notify_waiters();
                });
                Duration::ZERO
            } else {
                age.unwrap_or_default()
            }
        };
        if is_unheard && let Some(wait) = FIRST_WAIT.checked_sub(since) {
            let _ = timeout(wait, heard).await;
        }
    }
}

fn can_be_asked(callee: &Callee) -> bool {
    callee.provider.key.is_some() || callee.provider.simulated
}

/// One model as its provider lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Listed {
    id: String,
    /// Unix seconds; 0 where the provider does not say.
    created: i64,
}

/// The most models remembered of one provider.
const LISTED_MAX: usize = 10_000;

/// The largest list read, in bytes.
const LIST_BYTES_MAX: usize = 8 << 20;

/// How long a provider may take over its list.
const ASK_TIMEOUT: Duration = Duration::from_secs(20);

/// Asks every provider that can be asked without a caller's key, all at once.
async fn refresh(gateway: &Arc<Gateway>) {
    let mut asking = tokio::task::JoinSet::new();
    for callee in gateway.routes.callees() {
        if !can_be_asked(callee) {
            continue;
        }
        let (gateway, callee) = (Arc::clone(gateway), Arc::clone(callee));
        asking.spawn(async move {
            let name = &callee.provider.name;
            match timeout(ASK_TIMEOUT, ask(&gateway, &callee)).await {
                Ok(Ok(list)) => {
                    gateway
                        .instance
                        .catalogue
                        .lists
                        .write()
                        .insert(name.clone(), list);
                }
                Ok(Err(why)) => tracing::debug!("{name} did not list its models: {why}"),
                Err(_) => tracing::debug!("{name} did not list its models within {ASK_TIMEOUT:?}"),
            }
        });
    }
    while asking.join_next().await.is_some() {}
}

async fn ask(gateway: &Gateway, callee: &Arc<Callee>) -> Result<Vec<Listed>, String> {
    // Anthropic and Gemini list twenty and fifty at a time unless asked for
    // more; a thousand is the most both take.
    let (path, query) = match callee.provider.dialect {
        Dialect::OpenAi => ("/models", None),
        Dialect::Sim => ("/v1/models", None),
        Dialect::Anthropic => ("/v1/models", Some("limit=1000")),
        Dialect::Gemini => ("/v1beta/models", Some("pageSize=1000")),
    };
    let target = callee
        .raw_path(path, query)
        .map_err(|error| error.to_string())?;
    let nobody = Caller::nobody(gateway);
    let passage = Passage::Own(callee.provider.dialect);
    let id = "nowait-models";
    let request = Request {
        method: Method::GET,
        target,
        fields: headers::outgoing(&nobody, callee, passage, &gateway.instance, id),
        body: Body::Empty,
    };
    let limits = Limits {
        connect: gateway.routes.timeouts().connect,
        deadline: Instant::now() + ASK_TIMEOUT,
    };
    let mut timing = Timing::default();
    let response = callee.upstream.send(request, &mut timing, limits).await;
    let response = response.map_err(|fault| fault.to_string())?;
    let status = response.status;
    let body = http_body_util::Limited::new(response.body, LIST_BYTES_MAX);
    let body = http_body_util::BodyExt::collect(body)
        .await
        .map_err(|fault| fault.to_string())?;
    if status != StatusCode::OK {
        return Err(format!("it answered {status}"));
    }
    read(&body.to_bytes()).map_err(|fault| fault.to_string())
}

/// Reads any provider's list: OpenAI's and Anthropic's `data`, Gemini's
/// `models`.
fn read(body: &[u8]) -> serde_json::Result<Vec<Listed>> {
    #[derive(Deserialize)]
    struct List {
        #[serde(default)]
        data: Vec<Entry>,
        #[serde(default)]
        models: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        #[serde(alias = "name")]
        id: Option<String>,
        #[serde(default)]
        created: Option<serde_json::Number>,
    }
    let list: List = serde_json::from_slice(body)?;
    let entries = list.data.into_iter().chain(list.models);
    Ok(entries
        .filter_map(|entry| {
            let id = entry.id?;
            Some(Listed {
                id: id.strip_prefix("models/").map(str::to_owned).unwrap_or(id),
                created: entry.created.and_then(|at| at.as_i64()).unwrap_or(0),
            })
        })
        .take(LISTED_MAX)
        .collect())
}

/// A model as callers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shown {
    id: String,
    created: i64,
    owner: String,
    /// Who answers to it, as `provider/model`.
    target: String,
}

/// The names a caller may use, the operator's own first. A name that leads to
/// its provider by itself is bare, any other carries its provider.
fn shown(gateway: &Gateway, tenant: &Tenant) -> Vec<Shown> {
    let mut names = known(gateway);
    names.retain(|name| tenant.may_use(&name.id, &name.target).is_ok());
    names
}

/// Every name there is.
fn known(gateway: &Gateway) -> Vec<Shown> {
    let mut names: Vec<Shown> = gateway
        .routes
        .names()
        .map(|name| Shown {
            id: name.to_owned(),
            created: 0,
            owner: "nowait".to_owned(),
            target: target_of(gateway, name),
        })
        .collect();
    names.sort_by(|a, b| a.id.cmp(&b.id));
    let catalogue = gateway.instance.catalogue.lists.read();
    for callee in gateway.routes.callees() {
        let owner = &callee.provider.name;
        for listed in catalogue.get(owner).into_iter().flatten() {
            let leads_there = gateway
                .routes
                .leads_to(&listed.id)
                .is_some_and(|name| name == owner);
            let id = if leads_there {
                listed.id.clone()
            } else {
                format!("{owner}/{}", listed.id)
            };
            if !names
                .iter()
                .take(gateway.routes.names().count())
                .any(|known| known.id == id)
            {
                names.push(Shown {
                    target: format!("{owner}/{}", listed.id),
                    id,
                    created: listed.created,
                    owner: owner.clone(),
                });
            }
        }
    }
    names
}

/// Who answers to one of the operator's names first.
fn target_of(gateway: &Gateway, name: &str) -> String {
    let plan = gateway.routes.plan(name).ok();
    let target = plan.as_ref().and_then(|plan| plan.targets.first());
    target.map_or_else(|| name.to_owned(), |target| target.full_name.clone())
}

#[derive(Serialize)]
struct OpenAiModel<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    owned_by: &'a str,
}

#[derive(Serialize)]
struct AnthropicModel<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    display_name: &'a str,
    created_at: String,
}

impl Shown {
    fn openai(&self) -> OpenAiModel<'_> {
        OpenAiModel {
            id: &self.id,
            object: "model",
            created: self.created,
            owned_by: &self.owner,
        }
    }

    fn anthropic(&self) -> AnthropicModel<'_> {
        let created =
            std::time::UNIX_EPOCH + Duration::from_secs(u64::try_from(self.created).unwrap_or(0));
        let mut at = Vec::new();
        crate::telemetry::write_timestamp(&mut at, created);
        AnthropicModel {
            kind: "model",
            id: &self.id,
            display_name: &self.id,
            created_at: String::from_utf8(at).unwrap_or_default(),
        }
    }
}

/// Sees to fresh lists; a wait for providers is not the gateway's own time.
async fn heard(gateway: &Arc<Gateway>, ledger: &mut Ledger) {
    let asked = Instant::now();
    gateway.instance.catalogue.freshen(gateway).await;
    ledger.attempt.waited += asked.elapsed();
}

/// The whole list, in the dialect of the caller.
pub async fn list(
    gateway: &Arc<Gateway>,
    dialect: Dialect,
    tenant: &Tenant,
    ledger: &mut Ledger,
) -> Result<Answered, Error> {
    heard(gateway, ledger).await;
    let names = shown(gateway, tenant);
    let body = match dialect {
        Dialect::Anthropic => json(&serde_json::json!({
            "data": names.iter().map(Shown::anthropic).collect::<Vec<_>>(),
            "has_more": false,
            "first_id": names.first().map(|name| &name.id),
            "last_id": names.last().map(|name| &name.id),
        })),
        Dialect::OpenAi | Dialect::Gemini | Dialect::Sim => json(&serde_json::json!({
            "object": "list",
            "data": names.iter().map(Shown::openai).collect::<Vec<_>>(),
        })),
    }?;
    Ok(Answered::whole(StatusCode::OK, "application/json", body))
}

/// One model of it.
pub async fn one(
    gateway: &Arc<Gateway>,
    id: &str,
    dialect: Dialect,
    tenant: &Tenant,
    ledger: &mut Ledger,
) -> Result<Answered, Error> {
    heard(gateway, ledger).await;
    let found = known(gateway).into_iter().find(|name| name.id == id);
    let model = match found {
        Some(listed) => listed,
        // A name can be callable without being listed.
        None => {
            let plan = gateway.routes.plan(id)?;
            Shown {
                id: id.to_owned(),
                created: 0,
                owner: plan.targets[0].callee.provider.name.clone(),
                target: plan.targets[0].full_name.clone(),
            }
        }
    };
    tenant.may_use(&model.id, &model.target)?;
    let body = match dialect {
        Dialect::Anthropic => json(&model.anthropic()),
        Dialect::OpenAi | Dialect::Gemini | Dialect::Sim => json(&model.openai()),
    }?;
    Ok(Answered::whole(StatusCode::OK, "application/json", body))
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|fault| {
        Error::new(Kind::Internal, "the list of models could not be written").because(fault)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_providers_list_is_read() {
        for (body, expected) in [
            (
                r#"{"object":"list","data":[{"id":"a","object":"model","created":7,"owned_by":"x"}]}"#,
                &[("a", 7)][..],
            ),
            (
                r#"{"data":[{"type":"model","id":"b","created_at":"2025-01-01T00:00:00Z"}],"has_more":false}"#,
                &[("b", 0)],
            ),
            (
                r#"{"models":[{"name":"models/c","supportedGenerationMethods":[]}]}"#,
                &[("c", 0)],
            ),
            (r#"{"data":[{"id":null},{"other":1}]}"#, &[]),
        ] {
            let found = read(body.as_bytes()).unwrap();
            let found: Vec<_> = found
                .iter()
                .map(|listed| (listed.id.as_str(), listed.created))
                .collect();
            assert_eq!(found, expected, "{body}");
        }
        assert!(read(b"<html>").is_err());
    }
}
