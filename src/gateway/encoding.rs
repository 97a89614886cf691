//! Content codings of answers that have to be read.
//!
//! Calls whose answers are looked at ask for none; a provider that compresses
//! all the same is understood where nowait is the reader, and relayed
//! untouched where the caller is.

use std::io::{self, Read as _};

use bytes::Bytes;
use flate2::read::{GzDecoder, ZlibDecoder};

use crate::error::{Error, Kind};
use crate::http1::{Fields, Name};

/// How a body is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// As it is.
    Identity,
    /// `gzip`.
    Gzip,
    /// `deflate`, which is zlib's form (RFC 9110 §8.4.1.2).
    Deflate,
}

impl Coding {
    /// That of an answer with these headers.
    pub(super) fn of(fields: &Fields) -> Result<Self, Error> {
        let Some(value) = fields.get(Name::ContentEncoding) else {
            return Ok(Self::Identity);
        };
        match value.to_ascii_lowercase().as_slice() {
            b"" | b"identity" => Ok(Self::Identity),
            b"gzip" | b"x-gzip" => Ok(Self::Gzip),
            b"deflate" => Ok(Self::Deflate),
            _ => Err(Error::new(
                Kind::UpstreamProtocol,
                format!(
                    "the answer came in the content coding {:?}, which was not asked for",
                    String::from_utf8_lossy(value)
                ),
            )),
        }
    }

    /// The bytes behind the coding; an error where they would be more than
    /// `max`, however small the coded form is.
    pub(super) fn decode(self, body: Bytes, max: usize) -> io::Result<Bytes> {
        let mut plain = Vec::new();
        let limit = max as u64 + 1;
        match self {
            Self::Identity => return Ok(body),
            Self::Gzip => GzDecoder::new(&body[..])
                .take(limit)
                .read_to_end(&mut plain)?,
            Self::Deflate => ZlibDecoder::new(&body[..])
                .take(limit)
                .read_to_end(&mut plain)?,
        };
        if plain.len() > max {
            return Err(io::Error::other(format!(
                "decompressed, it has over {max} bytes"
            )));
        }
        Ok(plain.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};
    use std::io::Write as _;

    #[test]
    fn what_was_coded_is_read_back_within_its_bound() {
        let text = vec![b'x'; 10_000];
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&text).unwrap();
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(&text).unwrap();
        for (name, coded) in [
            ("gzip", gzip.finish().unwrap()),
            ("deflate", zlib.finish().unwrap()),
            ("identity", text.clone()),
        ] {
            let headers = Fields::from_iter([("content-encoding", name)]);
            let coding = Coding::of(&headers).unwrap();
            let coded = Bytes::from(coded);
            assert_eq!(
                coding.decode(coded.clone(), 10_000).unwrap(),
                text,
                "{name}"
            );
            assert!(
                coding == Coding::Identity || coding.decode(coded, 9_999).is_err(),
                "{name}"
            );
        }
        let headers = Fields::from_iter([("content-encoding", "br")]);
        assert!(Coding::of(&headers).is_err());
    }
}
