//! Whether a call may share an answer, and under what name (contract §6).
//!
//! The rule is the caller's (`x-nowait-cache`), else the model's, else the
//! endpoint's. What the call is decides under it: a provider that did something
//! for one caller would have to do it again for the next, so such an answer is
//! never shared, whatever the rule.

use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::auth::{KEYS, keys};
use super::embed::Inputs;
use super::flight::Keys;
use super::plan::{Candidates, Target};
use super::{Caller, Gateway};
use crate::cache::key::Scope;
use crate::cache::{EmbeddingKeys, Key, Label};
use crate::config::{self, Share};
use crate::dialect::Format;
use crate::dialect::sharing::nature;
use crate::upstream;

/// What a call may share.
pub(super) struct Terms {
    pub(super) keys: Keys,
    /// Whose it is, as long as nobody else has answered.
    pub(super) label: Arc<Label>,
}

/// A call that may turn out to share an answer.
pub(super) struct Asking<'a> {
    pub(super) format: Format,
    pub(super) candidates: &'a Candidates,
    pub(super) query: Option<&'a str>,
    /// JSON in UTF-8, as it was peeked at.
    pub(super) body: &'a [u8],
    /// Its temperature may be 0.
    pub(super) may_be_cold: bool,
    /// The rule, where the caller sets none.
    pub(super) share: Share,
    /// Whether its answer tells what it took.
    pub(super) tells_usage: bool,
}

impl Asking<'_> {
    /// Its terms; `None` where it gets an answer of its own.
    pub(super) fn terms(&self, gateway: &Gateway, caller: &Caller) -> Option<Terms> {
        let directives = &caller.directives;
        if directives.no_store || !self.is_shared(directives.share.unwrap_or(self.share)) {
            return None;
        }
        let body = self.text()?;
        let tenant = self.tenant(gateway, caller);
        let counted = Key::of(&self.scope(caller, tenant.as_deref()), body)?;
        Some(Terms {
            keys: Keys {
                counted,
                own: match self.tells_usage {
                    true => counted,
                    false => counted.without_usage(),
                },
            },
            label: self.target().label(&tenant.unwrap_or_default()),
        })
    }

    /// What the inputs of a call for embeddings are known by, and those of
    /// other callers it may travel with. `None` where it goes by itself.
    pub(super) fn inputs(
        &self,
        gateway: &Gateway,
        caller: &Caller,
        sent: &upstream::Body,
        keeps: bool,
    ) -> Option<Inputs> {
        let travels = self.format == Format::Embeddings && gateway.config.batch.embeddings;
        if !travels || caller.directives.no_store {
            return None;
        }
        let tenant = self.tenant(gateway, caller);
        let names = EmbeddingKeys::of(&self.scope(caller, tenant.as_deref()), self.text()?)?;
        let payer = match self.passes_keys_on() {
            false => None,
            true => self.credentials(caller),
        };
        let label = self.target().label(&tenant.unwrap_or_default());
        let payer = payer.as_ref().map_or(&[][..], |digest| digest.as_slice());
        Inputs::read(sent.joined(), &names, payer, &label, keeps)
    }

    /// Among whom its answer is shared; `None`: everybody.
    fn tenant(&self, gateway: &Gateway, caller: &Caller) -> Option<String> {
        match gateway.config.cache.scope {
            config::Scope::Global => None,
            config::Scope::Tenant => Some(self.own_tenant(caller)),
        }
    }

    /// The callers of one gateway key; and, where it was a key of their own that
    /// the provider was asked with, those who have that key.
    fn own_tenant(&self, caller: &Caller) -> String {
        let mut tenant = caller.tenant.name.to_string();
        if self.passes_keys_on()
            && let Some(digest) = self.credentials(caller)
        {
            tenant.push('#');
            for byte in &digest[..16] {
                // Writing to a String does not fail.
                let _ = write!(tenant, "{byte:02x}");
            }
        }
        tenant
    }

    /// A digest of what travels on and may be a key; `None` where there is nothing.
    fn credentials(&self, caller: &Caller) -> Option<[u8; 32]> {
        let mut digest = Sha256::new();
        let mut any = false;
        let mut add = |name: &[u8], value: &[u8]| {
            any = true;
            digest.update(name);
            digest.update((value.len() as u64).to_le_bytes());
            digest.update(value);
        };
        let stays = caller.tenant.carried_in();
        for (name, value) in keys(&caller.fields).filter(|(name, _)| !stays.has(*name)) {
            add(name.text().unwrap_or_default().as_bytes(), value);
        }
        let reads = |name: &[u8]| {
            let mut all = self.candidates.all.iter();
            all.any(|it| it.target.callee.provider.auth.reads(name))
        };
        for field in caller.fields.iter().filter(|field| !KEYS.has(field.name)) {
            if may_be_secret(field.text) || reads(field.text) {
                add(&field.text.to_ascii_lowercase(), field.value);
            }
        }
        any.then(|| digest.finalize().into())
    }

    fn target(&self) -> &Arc<Target> {
        &self.candidates.lead().target
    }

    /// Whether any of those who may be asked is asked with the caller's own key.
    fn passes_keys_on(&self) -> bool {
        let mut all = self.candidates.all.iter();
        all.any(|it| it.target.callee.provider.key.is_none())
    }

    fn scope<'a>(&'a self, caller: &'a Caller, tenant: Option<&'a str>) -> Scope<'a> {
        let target = self.target();
        let callee = &target.callee;
        // Of several, an answer of any is an answer of all.
        let identity = self.candidates.identity.as_ref();
        Scope {
            tenant,
            provider: &callee.provider.name,
            base_url: identity.unwrap_or(&callee.base_url),
            is_simulated: callee.provider.simulated,
            model: &target.model,
            format: self.format,
            fields: &caller.fields,
            query: self.query,
        }
    }

    fn is_shared(&self, rule: Share) -> bool {
        match rule {
            Share::Off => return false,
            // Most calls aren't, and most bodies are long.
            Share::Deterministic if self.format.streams() && !self.may_be_cold => return false,
            Share::Deterministic | Share::All => {}
        }
        let Some(body) = self.text() else {
            return false;
        };
        let nature = nature(self.format, &self.target().model, body);
        nature.private.is_none() && (rule == Share::All || nature.deterministic)
    }

    fn text(&self) -> Option<&str> {
        simdutf8::basic::from_utf8(self.body).ok()
    }
}

/// Whether a header's name sounds as if it told who is asking: what stands before
/// a provider may want a key of its own, or a cookie.
fn may_be_secret(name: &[u8]) -> bool {
    const SOUNDS: [&[u8]; 7] = [
        b"auth",
        b"key",
        b"token",
        b"secret",
        b"credential",
        b"cookie",
        b"user-project",
    ];
    // Another for each call, and nobody's.
    const EACH: &[u8] = b"idempotency-key";
    !name.eq_ignore_ascii_case(EACH)
        && SOUNDS.into_iter().any(|sound| {
            name.windows(sound.len())
                .any(|part| part.eq_ignore_ascii_case(sound))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_key_sounds_so() {
        for name in [
            "Ocp-Apim-Subscription-Key",
            "cf-aig-authorization",
            "cookie",
            "x-goog-user-project",
            "X-Auth-Request-Email",
        ] {
            assert!(may_be_secret(name.as_bytes()), "{name}");
        }
        for name in [
            "accept",
            "idempotency-key",
            "user-agent",
            "x-stainless-lang",
            "anthropic-version",
            "traceparent",
            "",
        ] {
            assert!(!may_be_secret(name.as_bytes()), "{name}");
        }
    }
}
