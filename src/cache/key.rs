//! The name of an answer: 32 bytes that are equal for two calls exactly where
//! one answer serves both.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// What an answer is kept, shared and purged by. It is made by a
/// collision-resistant hash and is no secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key([u8; 32]);

impl Key {
    /// The same call's key for an answer without token counts: one recorded
    /// from a stream that carried none, which serves only streamed callers who
    /// don't ask for them. The two differ in one bit that the hash doesn't use.
    #[must_use]
    pub fn without_usage(self) -> Self {
        let mut bytes = self.0;
        bytes[0] |= 1;
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
}

/// Its first eight bytes are as good a hash as any.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [first, ..] = self.0.as_chunks::<8>().0 else {
            return;
        };
        state.write_u64(u64::from_le_bytes(*first));
    }
}

/// 64 hexadecimal digits.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
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
    use super::*;

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
