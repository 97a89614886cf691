//! What a class of calls takes to its first token at most, usually, when there
//! is no load.
//!
//! The 80th percentile, moved a little by each call: high enough that a class
//! with two humps (a prompt that is cached, or not) is measured by the slower
//! one, low enough that stragglers don't count. Calls that went without load
//! move it either way. Under load a call says only that without it it would
//! not have taken longer: such calls pull it down to where nine of ten of them
//! are faster, and never push it above what was learned without load. So
//! neither noise pulls it down nor a standing queue up.

use std::time::Duration;

use super::Class;

/// Classes known at a time. One that meets another in its place takes it: a
/// class that is not known gives no verdict until it is.
const PLACES: usize = 128;

/// How far a call that took longer moves it.
const UP: f64 = 0.08;

/// How far the others move it: four of them make up for one.
const DOWN: f64 = UP / 4.0;

/// How far the others move it under load: nine make up for one.
const DOWN_LOADED: f64 = UP / 9.0;

/// So many calls have to be seen before anything is usual.
const FIRST: usize = 8;

/// See the module. 8 KiB once anything is known.
#[derive(Debug, Default)]
pub(super) struct Usual(Vec<Option<Known>>);

#[derive(Clone, Copy, Debug)]
struct Known {
    class: Class,
    /// The first calls, loaded or not, and how many there were; all times in
    /// seconds.
    first: [f32; FIRST],
    seen: usize,
    usual: f64,
    /// What it was when the last call without load had come.
    unloaded: f64,
}

impl Usual {
    /// The usual time of `class`; `None` while it is not known.
    pub(super) fn of(&self, class: Class) -> Option<Duration> {
        let known = self.0.get(Self::place(class))?.as_ref();
        let known = known.filter(|known| known.class == class && known.seen == FIRST)?;
        Some(Duration::from_secs_f64(known.usual))
    }

    /// A call of `class` took `took`, without load if `light`.
    pub(super) fn learn(&mut self, class: Class, took: Duration, light: bool) {
        self.0.resize(PLACES, None);
        let took = took.as_secs_f64().clamp(1e-4, 3600.0);
        let place = &mut self.0[Self::place(class)];
        let known = match place {
            Some(known) if known.class == class => known,
            _ => place.insert(Known::new(class)),
        };
        match light {
            _ if known.seen < FIRST => known.first(took),
            true => known.unloaded(took),
            false => known.loaded(took),
        }
    }

    fn place(class: Class) -> usize {
        // The upper bits of a product with an odd number depend on all bits.
        let mixed = class.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        mixed as usize % PLACES
    }
}

impl Known {
    fn new(class: Class) -> Self {
        Self {
            class,
            first: [0.0; FIRST],
            seen: 0,
            usual: 0.0,
            unloaded: 0.0,
        }
    }

    fn first(&mut self, took: f64) {
        #[expect(clippy::cast_possible_truncation, reason = "seven digits are enough")]
        let first = took as f32;
        self.first[self.seen] = first;
        self.seen += 1;
        if self.seen == FIRST {
            self.first.sort_by(f32::total_cmp);
            // The seventh of eight.
            self.usual = f64::from(self.first[FIRST - 2]);
            self.unloaded = self.usual;
        }
    }

    fn unloaded(&mut self, took: f64) {
        match took > self.usual {
            true => self.usual *= 1.0 + UP,
            false => self.usual /= 1.0 + DOWN,
        }
        self.unloaded = self.usual;
    }

    fn loaded(&mut self, took: f64) {
        match took > self.usual {
            true => self.usual = (self.usual * (1.0 + UP)).min(self.unloaded),
            false => self.usual /= 1.0 + DOWN_LOADED,
        }
    }
}
