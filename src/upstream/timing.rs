//! What one call waited for on its way to the head of the answer.

use std::time::Duration;

use tokio::time::Instant;

/// Filled along the way by `Upstream::send`. Phases that did not happen are
/// absent: a call on a connection that was ready has none of the first four.
#[derive(Clone, Debug, Default)]
pub struct Timing {
    /// Waiting for a connection, outside any handshake.
    pub queue: Option<Duration>,
    /// The part of a name look-up that this call waited for.
    pub dns: Option<Duration>,
    /// The part of a TCP (and proxy) connect that this call waited for.
    pub connect: Option<Duration>,
    /// The part of a TLS handshake that this call waited for.
    pub tls: Option<Duration>,
    /// The call waited for a handshake.
    pub cold: bool,
    /// The connection had been open and ready before the call came.
    pub reused: bool,
    /// How often the request was handed to a connection; 1 unless resent.
    pub sends: u32,
    /// When it was handed over, the last time.
    pub sent_at: Option<Instant>,
    /// When the head of the answer came.
    pub head_at: Option<Instant>,
    /// What the answering connection spoke.
    pub protocol: Option<Protocol>,
}

/// The version of HTTP a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1 (RFC 9112), one call at a time.
    One,
    /// HTTP/2 (RFC 9113), many calls at a time.
    Two,
}

/// How long opening a connection took, by phase.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Phases {
    pub(super) dns: Option<Duration>,
    pub(super) connect: Option<Duration>,
    pub(super) tls: Option<Duration>,
}

impl Timing {
    /// Books a wait for a connection. Of a handshake that had begun before the
    /// wait did, only its end counts, so that the phases never sum to more
    /// than was waited.
    pub(super) fn waited(&mut self, wait: Duration, handshake: Option<Phases>) {
        let mut left = wait;
        let mut part = |phase: Option<Duration>| {
            let part = phase?.min(left);
            left -= part;
            (!part.is_zero()).then_some(part)
        };
        if let Some(phases) = handshake {
            self.cold = true;
            add(&mut self.tls, part(phases.tls));
            add(&mut self.connect, part(phases.connect));
            add(&mut self.dns, part(phases.dns));
        }
        add(&mut self.queue, (!left.is_zero()).then_some(left));
    }
}

fn add(sum: &mut Option<Duration>, part: Option<Duration>) {
    if let Some(part) = part {
        *sum = Some(sum.unwrap_or_default() + part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_never_exceed_the_wait() {
        let ms = |n| Some(Duration::from_millis(n));
        let phases = Phases {
            dns: ms(5),
            connect: ms(10),
            tls: ms(20),
        };
        for (wait, expected) in [
            (40, (ms(5), ms(10), ms(20), ms(5))),
            (35, (ms(5), ms(10), ms(20), None)),
            (25, (None, ms(5), ms(20), None)),
            (1, (None, None, ms(1), None)),
        ] {
            let mut timing = Timing::default();
            timing.waited(Duration::from_millis(wait), Some(phases));
            let got = (timing.dns, timing.connect, timing.tls, timing.queue);
            assert_eq!(got, expected, "waited {wait} ms");
            assert!(timing.cold);
        }
        let mut timing = Timing::default();
        timing.waited(Duration::from_millis(3), None);
        assert_eq!((timing.queue, timing.cold), (ms(3), false));
    }
}
