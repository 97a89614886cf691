//! Deterministic chance: a counter-based generator and a hash, both fixed for
//! good.
//!
//! Written out here and not taken from a crate, because "the same seed gives
//! the same answer" must survive a dependency's update. Neither is fit for
//! secrets.

/// SplitMix64 (Steele, Lea, Flood 2014): one addition and three multiplies per
/// number, and any seed is a good seed.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The sequence that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        finish(self.0)
    }

    /// The next number in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        // 53 bits are what a double holds exactly.
        (self.roll() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// The next number in `0..bound`; 0 where `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        // Multiply-shift: its bias is `bound / 2^64`, nothing anybody can see.
        ((u128::from(self.roll()) * bound as u128) >> 64) as usize
    }

    /// The next number of the standard normal distribution (Box and Muller).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

/// One number out of two, in which every bit depends on every bit.
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    finish(a.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ finish(b))
}

/// A 64-bit hash of `bytes`, eight at a time.
pub(crate) fn digest(seed: u64, bytes: &[u8]) -> u64 {
    let mut hash = mix(seed, bytes.len() as u64);
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x9fb2_1c65_1e98_df25);
        hash ^= hash >> 32;
    }
    let mut word = [0; 8];
    word[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
    mix(hash, u64::from_le_bytes(word))
}

fn finish(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_of_a_seed_never_changes() {
        // The published SplitMix64 test vector for seed 1234567.
        let mut dice = Dice::new(1_234_567);
        assert_eq!(dice.roll(), 6_457_827_717_110_365_317);
        assert_eq!(dice.roll(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn numbers_stay_in_range_and_fill_it() {
        let mut dice = Dice::new(7);
        let mut seen = [0u32; 10];
        for _ in 0..10_000 {
            seen[dice.below(10)] += 1;
            let unit = dice.unit();
            assert!((0.0..1.0).contains(&unit));
        }
        assert!(seen.iter().all(|&n| (850..1150).contains(&n)), "{seen:?}");
        assert_eq!(dice.below(0), 0);
    }

    #[test]
    fn a_digest_depends_on_every_byte_and_on_the_length() {
        let mut seen = std::collections::HashSet::new();
        for length in 0..40usize {
            let mut bytes = vec![0u8; length];
            assert!(seen.insert(digest(1, &bytes)), "length {length}");
            for at in 0..length {
                bytes[at] = 1;
                assert!(seen.insert(digest(1, &bytes)), "length {length} byte {at}");
                bytes[at] = 0;
            }
        }
        assert_ne!(digest(1, b"a"), digest(2, b"a"));
    }
}
