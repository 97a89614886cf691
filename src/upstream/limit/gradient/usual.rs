//! What a class of calls usually takes to its first token when there is no
//! load.
//!
//! A median, moved a little by each call. Calls that began with little else in
//! flight move it either way. Under load a call says only that without it it
//! would not have taken longer: such calls pull the median down to where three
//! quarters of them are faster, and never above what was learned without
//! load. So neither noise pulls it down nor a standing queue up.

use std::time::Duration;

use super::Class;

/// Classes known at a time. One that meets another in its place takes it: a
/// class that is not known gives no verdict until it is.
const PLACES: usize = 128;

/// How far one call moves the median, without load and under it.
const STEP: f64 = 0.05;
const STEP_LOADED: f64 = 0.02;

/// See the module. 5 KiB once anything is known.
#[derive(Debug, Default)]
pub(super) struct Usual(Vec<Option<Known>>);

#[derive(Clone, Copy, Debug)]
struct Known {
    class: Class,
    /// Calls without load, up to where it makes no difference.
    seen: u32,
    /// In seconds, as all below that has a unit.
    median: f64,
    /// What the median was by calls without load.
    unloaded: f64,
    /// The mean over the median, without load.
    spread: f64,
}

impl Usual {
    /// The usual time of `class`; `None` while it is not known.
    pub(super) fn median(&self, class: Class) -> Option<Duration> {
        self.known(class)
            .map(|known| Duration::from_secs_f64(known.median))
    }

    /// The mean of what `class` usually takes, in seconds; 0 while it is not
    /// known.
    pub(super) fn mean(&self, class: Class) -> f64 {
        self.known(class)
            .map_or(0.0, |known| known.median * known.spread)
    }

    /// A call of `class` took `took`; it began without load if `light`.
    pub(super) fn learn(&mut self, class: Class, took: Duration, light: bool) {
        self.0.resize(PLACES, None);
        let took = took.as_secs_f64().clamp(1e-4, 3600.0);
        let place = &mut self.0[Self::place(class)];
        match place {
            Some(known) if known.class == class => match light {
                true => known.move_either_way(took),
                false => known.move_down(took),
            },
            _ => {
                *place = Some(Known {
                    class,
                    seen: 1,
                    median: took,
                    unloaded: took,
                    spread: 1.0,
                });
            }
        }
    }

    fn known(&self, class: Class) -> Option<&Known> {
        let known = self.0.get(Self::place(class))?.as_ref();
        known.filter(|known| known.class == class)
    }

    fn place(class: Class) -> usize {
        // The upper bits of a product with an odd number depend on all bits.
        let mixed = class.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        mixed as usize % PLACES
    }
}

impl Known {
    fn move_either_way(&mut self, took: f64) {
        self.seen = (self.seen + 1).min(1000);
        let seen = f64::from(self.seen);
        let step = 1.0 + (1.0 / seen).max(STEP);
        match took > self.median {
            true => self.median *= step,
            false => self.median /= step,
        }
        self.unloaded = self.median;
        // One that took ten times as long is no measure of the others.
        let spread = (took / self.median).min(10.0);
        self.spread += (spread - self.spread) * (1.0 / seen).max(STEP_LOADED);
        self.spread = self.spread.max(1.0);
    }

    fn move_down(&mut self, took: f64) {
        match took > self.median {
            true => {
                self.median = (self.median * (1.0 + 3.0 * STEP_LOADED)).min(self.unloaded);
            }
            false => self.median /= 1.0 + STEP_LOADED,
        }
    }
}
