//! How long a target is left alone that refuses calls for their number (429).
//!
//! As long as it says. Some refusals say nothing, and such a target looks like the
//! best there is: nothing fails there and nothing is on its way. So it is left
//! alone for a moment, and for twice as long each time it refuses again.

use std::time::Duration;

use tokio::time::Instant;

/// The first pause where nothing is said: less than what a per-second limit takes
/// to let calls in again, many times what a refusal takes.
const FIRST: Duration = Duration::from_millis(250);
/// It doubles so often, to 8 s: the longest back-off of the official SDKs.
const DOUBLINGS: u32 = 5;

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pause {
    /// What was said.
    said: Option<Instant>,
    /// What is guessed, and when that was.
    guessed: Option<Instant>,
    since: Option<Instant>,
    /// Guesses in a row that were too short.
    doublings: u32,
}

impl Pause {
    /// A call that began at `begun` was refused; its provider `said` how long to
    /// wait, or did not. What is said shortens no longer pause.
    pub(super) fn refused(&mut self, now: Instant, begun: Instant, said: Option<Duration>) {
        if let Some(said) = said {
            self.said = self.said.max(now.checked_add(said));
        } else if self.guessed.is_none_or(|until| until <= begun) {
            // What began before the pause was over does not say that it was too short.
            self.guessed = Some(now + FIRST * 2_u32.pow(self.doublings));
            self.since = Some(now);
            self.doublings = (self.doublings + 1).min(DOUBLINGS);
        }
    }

    /// A call that began at `begun` was answered: the guess was too long, if that
    /// was after it.
    pub(super) fn answered(&mut self, begun: Instant) {
        if self.since.is_some_and(|since| since < begun) {
            self.guessed = None;
            self.since = None;
            self.doublings = 0;
        }
    }

    /// Until when, if that is to come.
    pub(super) fn until(&self, now: Instant) -> Option<Instant> {
        self.said.max(self.guessed).filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// What happens to a call that began so many milliseconds after the start.
    enum Happens {
        Refused(u64),
        Says(u64, u64),
        Answered(u64),
    }

    #[test]
    fn a_pause_is_what_was_said_else_twice_the_last() {
        use Happens::{Answered, Refused, Says};
        let zero = Instant::now();
        let mut pause = Pause::default();
        // When, what happens, and until when it is paused then.
        for (at, happens, until) in [
            (10, Says(0, 500), Some(510)),
            // Shorter, and so none.
            (20, Says(5, 200), Some(510)),
            (600, Refused(510), Some(850)),
            // It was on its way when the pause began, or began in spite of it.
            (610, Refused(599), Some(850)),
            (840, Refused(820), Some(850)),
            (900, Refused(850), Some(1_400)),
            (1_500, Refused(1_450), Some(2_500)),
            // An answer to a call from before the pause, and to one from within.
            (1_600, Answered(1_490), Some(2_500)),
            (1_700, Answered(1_510), None),
            (1_800, Refused(1_790), Some(2_050)),
            // What was said holds, whatever is answered.
            (2_000, Says(1_900, 1_000), Some(3_000)),
            (2_500, Answered(2_100), Some(3_000)),
        ] {
            let (now, begun) = match happens {
                Refused(begun) | Says(begun, _) | Answered(begun) => {
                    (zero + ms(at), zero + ms(begun))
                }
            };
            match happens {
                Refused(_) => pause.refused(now, begun, None),
                Says(_, wait) => pause.refused(now, begun, Some(ms(wait))),
                Answered(_) => pause.answered(begun),
            }
            let paused = pause.until(now).map(|until| (until - zero).as_millis());
            assert_eq!(paused, until, "at {at} ms");
        }
        let mut now = zero + ms(10_000);
        for _ in 0..9 {
            pause.refused(now, now, None);
            now = pause.until(now).expect("a pause");
        }
        let waited = 250 + 500 + 1_000 + 2_000 + 4_000 + 4 * 8_000;
        assert_eq!(now, zero + ms(10_000 + waited));
    }
}
