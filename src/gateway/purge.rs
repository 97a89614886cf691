//! `POST /cache/purge`: drops kept answers by key, model, tenant, or all.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::reply::Answered;
use super::{Caller, Gateway, generate};
use crate::cache::store::Remote;
use crate::cache::{Key, Purge};
use crate::error::{Error, Kind};

/// Purges what `body` (or the query) names, for a caller who may.
pub(super) async fn answer(
    gateway: &Gateway,
    caller: &Caller,
    body: &[u8],
) -> Result<Answered, Error> {
    let what = read(&generate::fields(caller.query.as_deref(), body)?)?;
    let mut purged = gateway.cache.purge(&what).await;
    for other in alike(gateway, &what) {
        let other = gateway.cache.purge(&other).await;
        purged.memory += other.memory;
        purged.redis = purged.redis.and(other.redis);
    }
    let (status, state, dropped) = match purged.redis {
        Remote::None => (StatusCode::OK, "none", None),
        Remote::Dropped(dropped) => (StatusCode::OK, "done", Some(dropped)),
        Remote::Unfinished => (StatusCode::ACCEPTED, "unfinished", None),
        Remote::Failed => {
            return Err(Error::new(
                Kind::UpstreamUnreachable,
                format!(
                    "{} answers were dropped from memory, but Redis can't be reached and keeps what it has: \
                     purge again when it is back",
                    purged.memory
                ),
            ));
        }
    };
    let told = json!({
        "memory": purged.memory,
        "redis": { "state": state, "dropped": dropped },
    });
    Ok(Answered::whole(
        status,
        "application/json",
        told.to_string(),
    ))
}

/// What goes by the same name: a call has two keys and shows one, and a model
/// of the operator's own stands for others.
fn alike(gateway: &Gateway, what: &Purge) -> Vec<Purge> {
    match what {
        Purge::Key(key) => vec![Purge::Key(key.other())],
        Purge::Model(name) => gateway
            .config
            .models
            .get(name)
            .map(|model| &model.targets[..])
            .unwrap_or_default()
            .iter()
            .map(|target| Purge::Model(format!("{}/{}", target.provider.name, target.model)))
            .collect(),
        Purge::Tenant(_) | Purge::All => Vec::new(),
    }
}

fn read(fields: &Map<String, Value>) -> Result<Purge, Error> {
    let mut fields = fields.iter();
    let (Some((name, value)), None) = (fields.next(), fields.next()) else {
        return Err(Error::invalid(
            "say what to drop, one thing at a time: {\"key\": …}, {\"model\": …}, {\"tenant\": …} or {\"all\": true}",
        ));
    };
    let text = || {
        let text = value.as_str().filter(|text| !text.is_empty());
        text.map(str::to_owned)
            .ok_or_else(|| Error::invalid(format!("{name} must be a string")).param(name.clone()))
    };
    Ok(match name.as_str() {
        "key" => Purge::Key(text()?.parse::<Key>().map_err(|fault| {
            Error::invalid(format!("key: {fault}; x-nowait-cache-key has it")).param("key")
        })?),
        "model" => Purge::Model(text()?),
        "tenant" => Purge::Tenant(text()?),
        "all" if *value == Value::Bool(true) || value == "true" => Purge::All,
        "all" => return Err(Error::invalid("all must be true").param("all")),
        other => {
            let name: String = other.chars().take(60).collect();
            return Err(Error::invalid(format!(
                "`{name}` is nothing to drop answers by: there are key, model, tenant and all"
            ))
            .param(name));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_named_and_nothing_is_guessed() {
        let key = "00".repeat(32);
        let hex: Key = key.parse().unwrap();
        for (body, expected) in [
            (format!(r#"{{"key":"{key}"}}"#), Some(Purge::Key(hex))),
            (
                r#"{"model":"openai/gpt-4o"}"#.to_owned(),
                Some(Purge::Model("openai/gpt-4o".to_owned())),
            ),
            (
                r#"{"tenant":"web"}"#.to_owned(),
                Some(Purge::Tenant("web".to_owned())),
            ),
            (r#"{"all":true}"#.to_owned(), Some(Purge::All)),
            (r#"{"all":false}"#.to_owned(), None),
            (r#"{"key":"x"}"#.to_owned(), None),
            (r#"{"model":""}"#.to_owned(), None),
            (r#"{"tenant":5}"#.to_owned(), None),
            (r#"{"everything":true}"#.to_owned(), None),
            (r#"{"all":true,"model":"m"}"#.to_owned(), None),
            ("{}".to_owned(), None),
        ] {
            let read = read(&generate::fields(None, body.as_bytes()).unwrap());
            assert_eq!(read.ok(), expected, "{body}");
        }
        let query = generate::fields(Some("all=true"), b"").unwrap();
        assert_eq!(read(&query).unwrap(), Purge::All);
    }
}
