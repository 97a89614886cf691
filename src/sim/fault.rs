//! The ways a provider can fail, each with the word that asks for it.
//!
//! A fault is written `KIND[@N]`, in the header `x-sim-fault` of one request or
//! as `KIND[@N]:PROBABILITY` in the settings. Which bytes a fault puts on the
//! wire is decided where it strikes: `serve` (before the head), `playback` (in
//! the body), `line` (below HTTP).

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// One way to fail. `N` counts events of a stream already sent, unless the
/// variant says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `503`, `status=503`, `429@7`: this status with the provider's error
    /// body; 429, 503 and 529 carry `Retry-After: N` (default 1).
    Status(u16, u64),
    /// `refuse`: the connection is closed instead of an answer (HTTP/2: the
    /// stream is reset with `REFUSED_STREAM`).
    Refuse,
    /// `hangup`: like `refuse`, but the whole connection goes, whatever else
    /// rides on it; as a probability it strikes connections, before they are read.
    Hangup,
    /// `reset`: a TCP reset before the head (HTTP/2: `RST_STREAM`).
    Reset,
    /// `reset-head`: a TCP reset in the middle of the head; on HTTP/2 in the
    /// middle of a frame, which takes the whole connection.
    ResetHead,
    /// `reset@N`: a TCP reset (HTTP/2: `RST_STREAM`) after N events; of an
    /// unstreamed answer, in the middle of its body.
    ResetAt(u64),
    /// `stall`: no answer, ever.
    Stall,
    /// `stall@N`: nothing more after N events, and no end either.
    StallAt(u64),
    /// `malformed@N`: an event that is not JSON after N events; an unstreamed
    /// answer is not JSON.
    Malformed(u64),
    /// `oversized@N`: an event of 2 MiB after N events.
    Oversized(u64),
    /// `error@N`: the provider's error event after N events, then the end.
    Error(u64),
    /// `truncate@N`: a clean end of the body after N events, without the
    /// terminal event; of an unstreamed answer, half of it.
    Truncate(u64),
    /// `drip@N`: the body in pieces of N bytes (default 7), 10 ms apart.
    Drip(u64),
    /// `wrong-length`: a `Content-Length` greater than the body.
    WrongLength,
    /// `gzip`: a compressed body nobody asked for.
    Gzip,
    /// `goaway`: this call is answered, and the connection takes no further
    /// one (HTTP/2: GOAWAY at once; HTTP/1.1: `Connection: close`).
    Goaway,
    /// `close-idle@N`: this call is answered, and N milliseconds later
    /// (default 0) the connection is closed without a word.
    CloseIdle(u64),
    /// `junk`: bytes that are not HTTP instead of an answer.
    Junk,
    /// `early-hints`: a 103 before the answer (HTTP/1.1 only).
    EarlyHints,
    /// `trailers`: `x-sim-trailer: 1` after the body (HTTP/1.1: where the
    /// request said `TE: trailers`).
    Trailers,
}

/// Every fault, as `--help` and error messages list them: word, meaning.
pub const FAULTS: [(&str, &str); 19] = [
    (
        "503, 429[@SECONDS], …",
        "that status, in the provider's form; Retry-After on 429, 503, 529",
    ),
    ("refuse", "close instead of an answer (h2: REFUSED_STREAM)"),
    ("hangup", "close the connection, with all that rides on it"),
    ("reset", "TCP reset before the head (h2: RST_STREAM)"),
    ("reset-head", "TCP reset in the middle of the head"),
    ("reset@N", "TCP reset after N events (h2: RST_STREAM)"),
    ("stall", "no answer, ever"),
    ("stall@N", "nothing more after N events"),
    ("malformed@N", "after N events one that is not JSON"),
    ("oversized@N", "after N events one of 2 MiB"),
    (
        "error@N",
        "after N events the provider's error event, then the end",
    ),
    (
        "truncate@N",
        "a clean end after N events, no terminal event",
    ),
    (
        "drip[@BYTES]",
        "the body a few bytes at a time, 10 ms apart",
    ),
    ("wrong-length", "a Content-Length greater than the body"),
    ("gzip", "a compressed body nobody asked for"),
    (
        "goaway",
        "answer, then take no more calls on this connection",
    ),
    (
        "close-idle[@MS]",
        "answer, then close the idle connection without a word",
    ),
    (
        "junk | early-hints",
        "bytes that are not HTTP | a 103 before the answer (h1)",
    ),
    ("trailers", "a trailer after the body"),
];

/// A fault that strikes at random.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chance {
    /// What happens.
    pub fault: Fault,
    /// To which share of the calls, 0 to 1.
    pub probability: f64,
}

/// A fault that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadFault {
    /// The word is unknown, or its `@N` is missing, wrong or out of place.
    #[error("{0:?} is not a fault; write one of {words}", words = words())]
    Word(String),
    /// The probability is missing or not between 0 and 1.
    #[error("{0:?} has no probability between 0 and 1; write FAULT:PROBABILITY like stall@3:0.01")]
    Probability(String),
}

fn words() -> String {
    let words: Vec<_> = FAULTS.iter().map(|(word, _)| *word).collect();
    words.join(", ")
}

impl Fault {
    fn read(text: &str) -> Option<Self> {
        let (word, count) = match text.split_once('@') {
            Some((word, digits)) => (word, Some(digits.parse::<u64>().ok()?)),
            None => (text, None),
        };
        let status = word.strip_prefix("status=").unwrap_or(word);
        if let Ok(status) = status.parse::<u16>() {
            return (200..=599)
                .contains(&status)
                .then(|| Self::Status(status, count.unwrap_or(1)));
        }
        let at = count.unwrap_or(0);
        Some(match (word, count) {
            ("refuse", None) => Self::Refuse,
            ("hangup", None) => Self::Hangup,
            ("reset", None) => Self::Reset,
            ("reset-head", None) => Self::ResetHead,
            ("reset", Some(at)) => Self::ResetAt(at),
            ("stall", None) => Self::Stall,
            ("stall", Some(at)) => Self::StallAt(at),
            ("malformed", _) => Self::Malformed(at),
            ("oversized", _) => Self::Oversized(at),
            ("error", _) => Self::Error(at),
            ("truncate", _) => Self::Truncate(at),
            ("drip", None) => Self::Drip(7),
            ("drip", Some(bytes)) if bytes > 0 => Self::Drip(bytes),
            ("wrong-length", None) => Self::WrongLength,
            ("gzip", None) => Self::Gzip,
            ("goaway", None) => Self::Goaway,
            ("close-idle", _) => Self::CloseIdle(at),
            ("junk", None) => Self::Junk,
            ("early-hints", None) => Self::EarlyHints,
            ("trailers", None) => Self::Trailers,
            _ => return None,
        })
    }
}

impl FromStr for Fault {
    type Err = BadFault;

    fn from_str(text: &str) -> Result<Self, BadFault> {
        Self::read(text.trim()).ok_or_else(|| BadFault::Word(text.to_owned()))
    }
}

impl FromStr for Chance {
    type Err = BadFault;

    fn from_str(text: &str) -> Result<Self, BadFault> {
        let bad = || BadFault::Probability(text.to_owned());
        let (fault, probability) = text.rsplit_once(':').ok_or_else(bad)?;
        let probability = match probability.trim().strip_suffix('%') {
            Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
            None => probability.trim().parse(),
        };
        let probability = probability.map_err(|_| bad())?;
        if !(0.0..=1.0).contains(&probability) {
            return Err(bad());
        }
        Ok(Self {
            fault: fault.parse()?,
            probability,
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status, 1) => write!(f, "{status}"),
            Self::Status(status, wait) => write!(f, "{status}@{wait}"),
            Self::Refuse => f.write_str("refuse"),
            Self::Hangup => f.write_str("hangup"),
            Self::Reset => f.write_str("reset"),
            Self::ResetHead => f.write_str("reset-head"),
            Self::ResetAt(at) => write!(f, "reset@{at}"),
            Self::Stall => f.write_str("stall"),
            Self::StallAt(at) => write!(f, "stall@{at}"),
            Self::Malformed(at) => write!(f, "malformed@{at}"),
            Self::Oversized(at) => write!(f, "oversized@{at}"),
            Self::Error(at) => write!(f, "error@{at}"),
            Self::Truncate(at) => write!(f, "truncate@{at}"),
            Self::Drip(bytes) => write!(f, "drip@{bytes}"),
            Self::WrongLength => f.write_str("wrong-length"),
            Self::Gzip => f.write_str("gzip"),
            Self::Goaway => f.write_str("goaway"),
            Self::CloseIdle(millis) => write!(f, "close-idle@{millis}"),
            Self::Junk => f.write_str("junk"),
            Self::EarlyHints => f.write_str("early-hints"),
            Self::Trailers => f.write_str("trailers"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_faults_and_faults_are_words() {
        let rows = [
            ("503", Fault::Status(503, 1)),
            ("429@7", Fault::Status(429, 7)),
            ("refuse", Fault::Refuse),
            ("hangup", Fault::Hangup),
            ("reset", Fault::Reset),
            ("reset-head", Fault::ResetHead),
            ("reset@0", Fault::ResetAt(0)),
            ("stall", Fault::Stall),
            ("stall@3", Fault::StallAt(3)),
            ("malformed@1", Fault::Malformed(1)),
            ("oversized@1", Fault::Oversized(1)),
            ("error@2", Fault::Error(2)),
            ("truncate@5", Fault::Truncate(5)),
            ("drip@1", Fault::Drip(1)),
            ("wrong-length", Fault::WrongLength),
            ("gzip", Fault::Gzip),
            ("goaway", Fault::Goaway),
            ("close-idle@50", Fault::CloseIdle(50)),
            ("junk", Fault::Junk),
            ("early-hints", Fault::EarlyHints),
            ("trailers", Fault::Trailers),
        ];
        for (text, fault) in rows {
            assert_eq!(text.parse(), Ok(fault));
            assert_eq!(fault.to_string(), text);
        }
        assert_eq!("status=503".parse(), Ok(Fault::Status(503, 1)));
        assert_eq!("drip".parse(), Ok(Fault::Drip(7)));
        assert_eq!("error".parse(), Ok(Fault::Error(0)));
    }

    #[test]
    fn other_words_are_refused_with_the_list() {
        for text in [
            "", "boom", "stall@", "stall@x", "gzip@3", "99", "status=", "drip@0",
        ] {
            let error = text.parse::<Fault>().expect_err(text).to_string();
            assert!(error.contains("wrong-length"), "{error}");
        }
    }

    #[test]
    fn a_chance_is_a_fault_and_a_share() {
        let chance = |fault, probability| Ok(Chance { fault, probability });
        assert_eq!("stall@3:0.01".parse(), chance(Fault::StallAt(3), 0.01));
        assert_eq!("429@7: 5%".parse(), chance(Fault::Status(429, 7), 0.05));
        for text in ["stall", "stall:", "stall:2", "stall:-1", "stall:NaN"] {
            assert!(
                matches!(text.parse::<Chance>(), Err(BadFault::Probability(_))),
                "{text}"
            );
        }
        assert!(matches!(
            "boom:0.1".parse::<Chance>(),
            Err(BadFault::Word(_))
        ));
    }
}
