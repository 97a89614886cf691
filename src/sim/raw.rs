//! Endpoints that are no provider's: bytes in, bytes out, for testing what a
//! gateway relays without understanding it.

use bytes::Bytes;
use http::request::Parts;
use http_body::Body;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::dice::Dice;
use super::playback::Source;

/// Bytes in one block of a download.
const BLOCK: usize = 64 << 10;

/// Reads a body to its end without keeping it: its length and SHA-256.
pub(crate) async fn measure<B>(mut body: B) -> Result<Value, B::Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    let (mut length, mut hash) = (0u64, Sha256::new());
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            length += data.len() as u64;
            hash.update(&data);
        }
    }
    let digits = hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>();
    Ok(json!({"length": length, "sha256": digits}))
}

/// What came in, as JSON: method, path, query, version, headers in order, body.
pub(crate) fn echo(head: &Parts, body: &Value) -> Bytes {
    let headers: Vec<_> = head
        .headers
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect();
    let json = json!({
        "method": head.method.as_str(),
        "path": head.uri.path(),
        "query": head.uri.query(),
        "version": format!("{:?}", head.version),
        "headers": headers,
        "body": body,
    });
    Bytes::from(json.to_string())
}

/// `bytes` bytes that do not compress, the same for the same seed.
pub(crate) fn download(bytes: u64, seed: u64) -> Source {
    let mut dice = Dice::new(seed);
    let length = BLOCK.min(usize::try_from(bytes).unwrap_or(BLOCK));
    let block: Vec<u8> = (0..length.div_ceil(8))
        .flat_map(|_| dice.roll().to_le_bytes())
        .collect();
    Source::Blocks {
        left: bytes,
        block: Bytes::from(block),
    }
}
