//! Who is asking, and what they may ask for.
//!
//! A gateway key comes as a bearer token or in `x-api-key`. It is told by its
//! SHA-256 and compared in constant time with every key there is, so that
//! neither a key nor its position shows in the time an answer takes. A gateway
//! key is never forwarded.

use std::sync::Arc;

use crate::config::{AuthMode, Config, Key, find_key};
use crate::error::{Error, Kind};
use crate::http1::{Fields, Name, NameSet};

/// The headers a key may come in, ours or a provider's.
const KEY_HEADERS: [Name; 4] = [
    Name::Authorization,
    Name::XApiKey,
    Name::ApiKey,
    Name::XGoogApiKey,
];

/// All of them.
pub(super) const KEYS: NameSet = NameSet::of(&KEY_HEADERS);

/// What stands before a key in `authorization`.
pub(super) const BEARER: &[u8] = b"Bearer ";

/// Everybody who may call.
#[derive(Debug)]
pub struct Tenants {
    /// Empty: anyone who can reach us.
    keys: Vec<Key>,
    nobody: Arc<str>,
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// The gateway key's name, or `-`.
    pub name: Arc<str>,
    /// Their gateway key; `None` where none is asked for.
    key: Option<Arc<Key>>,
    /// The headers that carried it, or another gateway key.
    carried_in: NameSet,
}

impl Tenants {
    /// Those of the configuration.
    pub fn new(config: &Config) -> Self {
        let keys = match config.server.auth {
            AuthMode::Keys => config.keys.clone(),
            AuthMode::None => Vec::new(),
        };
        Self {
            keys,
            nobody: "-".into(),
        }
    }

    /// Tells who is asking from the head of their request alone.
    pub fn authenticate(&self, fields: &Fields) -> Result<Tenant, Error> {
        if self.keys.is_empty() {
            return Ok(self.nobody());
        }
        let (mut any, mut found, mut carried_in) = (false, None, NameSet::NONE);
        for (name, value) in keys(fields) {
            any = true;
            // All of them are looked at: a key may come twice, and none of
            // its copies may travel on.
            if let Some(key) = find_key(&self.keys, credential(name, value)) {
                found.get_or_insert(key);
                carried_in = carried_in.and(name);
            }
        }
        if let Some(key) = found {
            return Ok(Tenant {
                name: key.name.as_str().into(),
                key: Some(Arc::new(key.clone())),
                carried_in,
            });
        }
        let message = if any {
            "the key is not one of this gateway's: check it with whoever runs the gateway"
        } else {
            "no gateway key: send it as `Authorization: Bearer KEY` or `x-api-key: KEY`"
        };
        Err(Error::new(Kind::InvalidApiKey, message))
    }

    /// Whether anyone who can reach us may call.
    pub fn is_open(&self) -> bool {
        self.keys.is_empty()
    }

    /// One who was asked for no key.
    pub fn nobody(&self) -> Tenant {
        Tenant {
            name: Arc::clone(&self.nobody),
            key: None,
            carried_in: NameSet::NONE,
        }
    }
}

impl Tenant {
    /// Whether they may ask for `model` (as they named it) of a target known
    /// as `provider/model`.
    pub fn may_use(&self, model: &str, target: &str) -> Result<(), Error> {
        let Some(key) = &self.key else { return Ok(()) };
        if key.allows(model) || key.allows(target) {
            return Ok(());
        }
        Err(Error::new(
            Kind::Forbidden,
            format!(
                "the key `{}` may not use the model `{model}`: add it to the key's `models`",
                key.name
            ),
        )
        .param("model"))
    }

    /// Whether they may send a provider anything: what a raw call asks for is
    /// not looked into, so the key must cover all of that provider's models.
    pub fn may_use_all_of(&self, provider: &str) -> Result<(), Error> {
        let everything = format!("{provider}/*");
        self.may_use(&everything, &everything)
    }

    /// Whether they may see metrics.
    pub fn must_be_admin(&self) -> Result<(), Error> {
        match &self.key {
            Some(key) if !key.admin => Err(Error::new(
                Kind::Forbidden,
                format!(
                    "the key `{}` is not an admin key: this page needs `admin = true`",
                    key.name
                ),
            )),
            _ => Ok(()),
        }
    }

    /// The headers that hold a gateway key, and so stay here.
    pub(super) fn carried_in(&self) -> NameSet {
        self.carried_in
    }
}

/// Every key there is, ours or a provider's, in an order of their own.
pub(super) fn keys(fields: &Fields) -> impl Iterator<Item = (Name, &[u8])> {
    let all = |name| fields.all(name).map(move |value| (name, value));
    KEY_HEADERS.into_iter().flat_map(all)
}

/// The key in a header's value, to be sent in another header; `None` where it is
/// something else, such as a password (RFC 7617).
pub(super) fn key(name: Name, value: &[u8]) -> Option<&[u8]> {
    let key = credential(name, value);
    let is_one_word = !key.is_empty() && !key.contains(&b' ');
    is_one_word.then_some(key)
}

/// The key in a header's value: after `Bearer` where that scheme is written.
fn credential(name: Name, value: &[u8]) -> &[u8] {
    if name == Name::Authorization
        && let Some((scheme, rest)) = value.split_at_checked(BEARER.len())
        && scheme.eq_ignore_ascii_case(BEARER)
    {
        return rest.trim_ascii();
    }
    value.trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest as _, Sha256};

    use crate::config::ModelPattern;

    fn tenants() -> Tenants {
        let key = |name: &str, text: &str, models: &[&str], admin| Key {
            name: name.into(),
            hash: Sha256::digest(text).into(),
            models: models.iter().map(|m| ModelPattern::new(*m)).collect(),
            admin,
        };
        Tenants {
            keys: vec![
                key("web", "k-web", &["gpt-*", "sim/*"], false),
                key("ops", "k-ops", &["*"], true),
            ],
            nobody: "-".into(),
        }
    }

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        pairs.iter().copied().collect()
    }

    #[test]
    fn a_key_is_found_in_any_of_its_headers() {
        for (sent, expected) in [
            (&[("authorization", "Bearer k-web")][..], Ok("web")),
            (&[("authorization", "bearer  k-ops ")], Ok("ops")),
            (&[("x-api-key", "k-web")], Ok("web")),
            (
                &[
                    ("authorization", "Bearer sk-provider"),
                    ("x-api-key", "k-web"),
                ],
                Ok("web"),
            ),
            (&[("authorization", "Bearer nope")], Err("is not one of")),
            (&[("authorization", "Bearer ")], Err("is not one of")),
            (&[], Err("no gateway key")),
        ] {
            let found = tenants().authenticate(&fields(sent));
            match (found, expected) {
                (Ok(tenant), Ok(name)) => assert_eq!(&*tenant.name, name),
                (Err(error), Err(part)) => {
                    assert_eq!(error.kind(), Kind::InvalidApiKey);
                    assert!(error.message().contains(part), "{error}");
                    assert!(!error.message().contains("nope"));
                }
                (found, _) => panic!("{sent:?}: {found:?}"),
            }
        }
    }

    #[test]
    fn no_copy_of_a_gateway_key_travels_on() {
        use Name::{ApiKey, Authorization, XApiKey};
        for (sent, name, expected) in [
            (
                &[("authorization", "Bearer sk-own"), ("x-api-key", "k-web")][..],
                "web",
                NameSet::of(&[XApiKey]),
            ),
            (
                &[
                    ("authorization", "Bearer k-web"),
                    ("x-api-key", "k-ops"),
                    ("api-key", "k-web"),
                    ("x-goog-api-key", "own"),
                ],
                "web",
                NameSet::of(&[Authorization, XApiKey, ApiKey]),
            ),
        ] {
            let tenant = tenants().authenticate(&fields(sent)).unwrap();
            assert_eq!((&*tenant.name, tenant.carried_in()), (name, expected));
        }
    }

    #[test]
    fn a_key_is_held_to_its_models() {
        let tenant = tenants()
            .authenticate(&fields(&[("x-api-key", "k-web")]))
            .unwrap();
        for (model, target, allowed) in [
            ("gpt-4o", "openai/gpt-4o", true),
            ("fast", "sim/words", true),
            ("claude-x", "anthropic/claude-x", false),
        ] {
            assert_eq!(tenant.may_use(model, target).is_ok(), allowed, "{model}");
        }
        assert!(tenant.may_use_all_of("sim").is_ok());
        assert_eq!(
            tenant.may_use_all_of("openai").unwrap_err().kind(),
            Kind::Forbidden
        );
        assert!(tenant.must_be_admin().is_err());
    }
}
