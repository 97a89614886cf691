//! The name of an answer: 32 bytes that are equal for two calls exactly where
//! one answer serves both.
//!
//! It is the hash of who may share it, where it comes from, and what the call
//! means ([`canonical`]). Each part that is hashed says where it ends, so that
//! no two calls put the same bytes together from different parts.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use crate::dialect::Format;
use crate::dialect::canonical::{self, Omit};
use crate::http1::{Fields, Name};

/// What of a call counts besides its body.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// Who may share the answer: a name that differs for every gateway key and
    /// every caller's own key. `None`: everybody.
    pub tenant: Option<&'a str>,
    /// The provider's name.
    pub provider: &'a str,
    /// Its base URL, so that a name that was given to another server isn't
    /// answered with what the former one said.
    pub base_url: &'a str,
    /// Whether it is the simulated provider, which headers script.
    pub is_simulated: bool,
    /// The model, by the name the provider knows it by.
    pub model: &'a str,
    /// The wire form the provider is called in.
    pub format: Format,
    /// The caller's headers. Those that count are picked here.
    pub fields: &'a Fields,
    /// The query that is sent upstream.
    pub query: Option<&'a str>,
}

/// What an answer is kept, shared and purged by. It is made by a
/// collision-resistant hash and is no secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key([u8; 32]);

/// The bit of the first byte that tells the two keys of a call apart.
const WITHOUT_USAGE: u8 = 1;

impl Key {
    /// The key of a call. `None` where the body has no canonical form: such a
    /// call is not shared.
    pub fn of(scope: &Scope<'_>, body: &str) -> Option<Self> {
        let mut meaning = scope.meaning(body.len());
        canonical::write(&mut meaning, body, Omit::Delivery)?;
        Some(Self::hash(&meaning))
    }

    /// The same call's key for an answer without token counts: one recorded
    /// from a stream that carried none, which serves only streamed callers who
    /// don't ask for them.
    #[must_use]
    pub fn without_usage(self) -> Self {
        let mut bytes = self.0;
        bytes[0] |= WITHOUT_USAGE;
        Self(bytes)
    }

    /// The other of a call's two keys: that of an answer with token counts for
    /// one without, and the other way round.
    #[must_use]
    pub fn other(self) -> Self {
        let mut bytes = self.0;
        bytes[0] ^= WITHOUT_USAGE;
        Self(bytes)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key of these bytes, as [`Self::as_bytes`] gave them.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    fn hash(meaning: &[u8]) -> Self {
        let mut bytes: [u8; 32] = blake3::hash(meaning).into();
        bytes[0] &= !WITHOUT_USAGE;
        Self(bytes)
    }
}

/// What single embeddings are named by: everything of a call but its inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmbeddingKeys {
    base: [u8; 32],
}

impl EmbeddingKeys {
    /// Those of a call to `/embeddings`. `None` where the body has no canonical
    /// form.
    pub fn of(scope: &Scope<'_>, body: &str) -> Option<Self> {
        let mut meaning = scope.meaning(body.len());
        canonical::write(&mut meaning, body, Omit::DeliveryAndInput)?;
        let base = blake3::hash(&meaning).into();
        Some(Self { base })
    }

    /// The key of one input's vector: `input` is its JSON text, a string or an
    /// array of tokens. It is the same whatever inputs it was sent with.
    /// `None` where it has no canonical form.
    pub fn input(&self, input: &str) -> Option<Key> {
        let mut meaning = self.derived(b'i', input.len());
        canonical::write(&mut meaning, input, Omit::Nothing)?;
        Some(Key::hash(&meaning))
    }

    /// What calls have in common that may travel as one: all but their inputs,
    /// and `payer`, the credential that goes upstream with them, because one of
    /// them pays for all.
    pub fn group(&self, payer: &[u8]) -> Key {
        let mut meaning = self.derived(b'g', payer.len());
        meaning.extend_from_slice(payer);
        Key::hash(&meaning)
    }

    /// The beginning of what is derived for one `purpose`, with room for more.
    fn derived(&self, purpose: u8, room: usize) -> Vec<u8> {
        let mut meaning = Vec::with_capacity(VERSION.len() + 1 + self.base.len() + 2 * room);
        meaning.extend_from_slice(VERSION);
        meaning.push(purpose);
        meaning.extend_from_slice(&self.base);
        meaning
    }
}

/// Hashed before all else. To be changed with whatever changes what a key is
/// made of: replicas of two versions may share a store.
const VERSION: &[u8] = b"nowait 1";

/// Request headers that change what a provider answers.
const SEMANTIC: [Name; 5] = [
    Name::AnthropicVersion,
    Name::AnthropicBeta,
    Name::OpenAiBeta,
    Name::OpenAiOrganization,
    Name::OpenAiProject,
];

impl Scope<'_> {
    /// The beginning of a call's meaning, with room for a body of `room` bytes.
    fn meaning(&self, room: usize) -> Vec<u8> {
        // Some hundreds of bytes are the scope's; a canonical form is rarely
        // longer than its text.
        let mut out = Vec::with_capacity(512 + room);
        out.extend_from_slice(VERSION);
        out.push(b'c');
        optional(&mut out, self.tenant);
        part(&mut out, self.provider.as_bytes());
        part(&mut out, self.base_url.as_bytes());
        part(&mut out, self.model.as_bytes());
        part(&mut out, self.format.as_str().as_bytes());
        optional(&mut out, self.query);
        for name in SEMANTIC {
            for value in self.fields.all(name) {
                part(&mut out, name.text().unwrap_or_default().as_bytes());
                part(&mut out, value);
            }
        }
        if self.is_simulated {
            self.script(&mut out);
        }
        // No header has an empty name.
        part(&mut out, b"");
        out
    }

    /// The headers that script a simulated provider, in an order of their own.
    /// No other provider is sent them.
    fn script(&self, out: &mut Vec<u8>) {
        let mut script: Vec<_> = (self.fields.iter())
            .filter(|field| field.name == Name::XSim)
            .map(|field| (field.text.to_ascii_lowercase(), field.value))
            .collect();
        script.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (name, value) in script {
            part(out, &name);
            part(out, value);
        }
    }
}

/// Appends `bytes`, their length first.
fn part(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Appends a part that is not the same where it is empty and where it is
/// absent.
fn optional(out: &mut Vec<u8>, text: Option<&str>) {
    out.push(u8::from(text.is_some()));
    part(out, text.unwrap_or_default().as_bytes());
}

/// Its first eight bytes are as good a hash as any.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (first, _) = (self.0.split_first_chunk::<8>()).expect("a key has 32 bytes");
        state.write_u64(u64::from_le_bytes(*first));
    }
}

/// 64 hexadecimal digits.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 64];
        for (two, byte) in text.chunks_exact_mut(2).zip(self.0) {
            two[0] = DIGITS[usize::from(byte >> 4)];
            two[1] = DIGITS[usize::from(byte & 15)];
        }
        f.write_str(std::str::from_utf8(&text).expect("hexadecimal digits are ASCII"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

/// The text is not a key's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a cache key is 64 hexadecimal digits")]
pub struct NotAKey;

impl FromStr for Key {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
            return Err(NotAKey);
        };
        let pairs: &[[u8; 2]; 32] = pairs.try_into().map_err(|_| NotAKey)?;
        let mut bytes = [0; 32];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Ok(Self(bytes))
    }
}

fn digit(hex: u8) -> Result<u8, NotAKey> {
    match hex {
        b'0'..=b'9' => Ok(hex - b'0'),
        b'a'..=b'f' => Ok(hex - b'a' + 10),
        b'A'..=b'F' => Ok(hex - b'A' + 10),
        _ => Err(NotAKey),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const BODY: &str =
        r#"{"model":"alias","messages":[{"role":"user","content":"hi"}],"temperature":0}"#;

    /// The key of `BODY` with these headers under a scope that was changed.
    fn key(rows: &[(&'static str, &'static str)], change: impl Fn(&mut Scope<'_>)) -> Key {
        let mut fields = Fields::default();
        for (name, value) in rows {
            fields.push_text(name.as_bytes(), value.as_bytes());
        }
        let mut scope = scope(&fields);
        change(&mut scope);
        Key::of(&scope, BODY).expect("a canonical body")
    }

    fn scope(fields: &Fields) -> Scope<'_> {
        Scope {
            tenant: Some("web"),
            provider: "openai",
            base_url: "https://api.openai.com/v1",
            is_simulated: false,
            model: "gpt-4o",
            format: Format::Chat,
            fields,
            query: None,
        }
    }

    #[test]
    fn all_that_an_answer_depends_on_counts() {
        let keys = [
            key(&[], |_| {}),
            key(&[], |scope| scope.tenant = None),
            key(&[], |scope| scope.tenant = Some("")),
            key(&[], |scope| scope.tenant = Some("other")),
            key(&[], |scope| scope.provider = "vllm"),
            key(&[], |scope| scope.base_url = "http://localhost/v1"),
            key(&[], |scope| scope.model = "gpt-4o-mini"),
            key(&[], |scope| scope.format = Format::Completions),
            key(&[], |scope| scope.query = Some("")),
            key(&[], |scope| scope.query = Some("beta=true")),
            // What moves from one part to the next is not the same.
            key(&[], |scope| {
                (scope.tenant, scope.provider) = (Some("webo"), "penai")
            }),
            key(&[("anthropic-beta", "a")], |_| {}),
            key(&[("anthropic-beta", "b")], |_| {}),
            key(&[("anthropic-beta", "a"), ("anthropic-beta", "b")], |_| {}),
            key(&[("anthropic-beta", "b"), ("anthropic-beta", "a")], |_| {}),
            key(&[("anthropic-version", "a")], |_| {}),
            key(&[("openai-beta", "a")], |_| {}),
            key(&[("openai-organization", "a")], |_| {}),
            key(&[("openai-project", "a")], |_| {}),
            key(&[("x-sim-ttft", "1ms")], |scope| scope.is_simulated = true),
            key(&[("x-sim-gap", "1ms")], |scope| scope.is_simulated = true),
        ];
        let distinct: HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
    }

    #[test]
    fn what_changes_no_answer_does_not_count() {
        let plain = key(&[], |_| {});
        assert_eq!(key(&[("x-request-id", "1")], |_| {}), plain);
        assert_eq!(key(&[("authorization", "Bearer k")], |_| {}), plain);
        assert_eq!(key(&[("x-sim-ttft", "1ms")], |_| {}), plain);
        assert_eq!(key(&[], |scope| scope.is_simulated = true), plain);
        let simulated = |scope: &mut Scope<'_>| scope.is_simulated = true;
        assert_eq!(
            key(&[("x-sim-gap", "1ms"), ("x-sim-ttft", "2ms")], simulated),
            key(&[("x-sim-ttft", "2ms"), ("x-sim-gap", "1ms")], simulated),
        );
        let none = Fields::default();
        let streamed = r#"{"stream_options":{"include_usage":true},"stream":true,"model":"m",
            "temperature":-0.0,"messages":[{"content":"h\u0069","role":"user"}]}"#;
        assert_eq!(Key::of(&scope(&none), streamed), Some(plain));
        assert_eq!(Key::of(&scope(&none), r#"{"a":1,"a":1}"#), None);
    }

    #[test]
    fn a_key_is_the_same_in_every_build_of_its_version() {
        let key = key(&[("openai-beta", "x")], |_| {});
        assert_eq!(
            key.to_string(),
            "205862bf011f85039657c3b0dd4164fb1bdc2fad16c20d77c17bdfa71bd1918d"
        );
    }

    #[test]
    fn an_answer_without_usage_has_a_key_of_its_own() {
        let with = key(&[], |_| {});
        let without = with.without_usage();
        assert_ne!(with, without);
        assert_eq!(without, without.without_usage());
        assert_eq!((with.other(), without.other()), (without, with));
        let other = key(&[], |scope| scope.tenant = None);
        assert_ne!(other.without_usage(), without);
    }

    #[test]
    fn an_input_is_named_alike_in_any_company() {
        let none = Fields::default();
        let scope = Scope {
            format: Format::Embeddings,
            ..scope(&none)
        };
        let of = |body: &str| EmbeddingKeys::of(&scope, body);
        let keys = of(r#"{"model":"m","input":["a","b"],"dimensions":8}"#).expect("a body");
        assert_eq!(
            of(r#"{"input":"c","dimensions":8.0,"model":"n"}"#),
            Some(keys)
        );
        let others = [
            r#"{"input":"c"}"#,
            r#"{"input":"c","dimensions":8,"encoding_format":"base64"}"#,
            r#"{"input":"c","dimensions":8,"user":"u"}"#,
        ];
        for other in others {
            assert_ne!(of(other), Some(keys), "{other}");
        }
        assert_eq!(of(r#"{"input":"a","input":"b"}"#), None);
        assert_eq!(keys.input(r#""a""#), keys.input(r#" "\u0061""#));
        assert_eq!(keys.input("[1,2]"), keys.input("[1, 2.0]"));
        assert_eq!(keys.input(r#""\ud800""#), None);
        let distinct = [
            keys.input(r#""a""#),
            keys.input(r#""b""#),
            keys.input(r#"["a"]"#),
            keys.input("[1]"),
            of(others[0]).expect("a body").input(r#""a""#),
            Some(keys.group(b"")),
            Some(keys.group(b"k")),
            Some(keys.group(b"sa\xff")),
            Key::of(&scope, r#"{"model":"m","dimensions":8}"#),
        ];
        assert_eq!(HashSet::from(distinct).len(), distinct.len());
    }

    #[test]
    fn a_key_is_read_as_it_is_written() {
        let bytes = std::array::from_fn(|at| u8::try_from(at * 8).expect("at most 248"));
        let key = Key::from_bytes(bytes);
        let text = key.to_string();
        assert_eq!(&text[..12], "000810182028");
        assert_eq!(text.parse(), Ok(key));
        assert_eq!(text.to_uppercase().parse(), Ok(key));
        for wrong in [
            "",
            &text[..63],
            &text[..62],
            &format!("{text}00"),
            &text.replace("08", "0g"),
            &text.replace("08", "é"),
        ] {
            assert_eq!(wrong.parse::<Key>(), Err(NotAKey), "{wrong}");
        }
    }
}
