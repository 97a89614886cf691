//! Prompts that repeat as people's do: the n-th most frequent one comes with a
//! probability of 1/n (Zipf, s = 1), and how often the best possible cache
//! would have had the answer.

use std::collections::{BTreeSet, HashMap};

use fastrand::Rng;

/// `draws` numbers below `prompts`, the small ones most often.
pub fn draw(seed: u64, prompts: u32, draws: usize) -> Vec<u32> {
    let mut sums = Vec::with_capacity(prompts as usize);
    let mut sum = 0.0;
    for rank in 1..=prompts {
        sum += 1.0 / f64::from(rank);
        sums.push(sum);
    }
    let mut random = Rng::with_seed(seed);
    let one = || {
        let at = random.f64() * sum;
        let rank = sums.partition_point(|&below| below <= at);
        u32::try_from(rank).unwrap_or(u32::MAX).min(prompts - 1)
    };
    std::iter::repeat_with(one).take(draws).collect()
}

/// Hits of a cache that knows the future (Belady): it keeps what is wanted
/// again soonest, and nothing that is wanted later than all it has. With
/// entries of one size nothing does better.
pub fn best(draws: &[u32], entries: usize) -> usize {
    let mut next = vec![usize::MAX; draws.len()];
    let mut seen = HashMap::new();
    for (at, &prompt) in draws.iter().enumerate().rev() {
        next[at] = seen.insert(prompt, at).unwrap_or(usize::MAX);
    }
    // When each kept answer is wanted again.
    let mut kept = BTreeSet::new();
    let mut hits = 0;
    for (at, &prompt) in draws.iter().enumerate() {
        hits += usize::from(kept.remove(&(at, prompt)));
        if next[at] != usize::MAX {
            kept.insert((next[at], prompt));
        }
        if kept.len() > entries {
            kept.pop_last();
        }
    }
    hits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_repeat_and_follow_their_ranks() {
        let draws = draw(7, 1000, 100_000);
        assert_eq!(draws, draw(7, 1000, 100_000));
        assert_ne!(draws, draw(8, 1000, 100_000));
        let many = |prompt| draws.iter().filter(|&&drawn| drawn == prompt).count() as f64;
        // The harmonic number of 1,000 is 7.485.
        for (prompt, expected) in [(0, 13_359.0), (1, 6_680.0), (9, 1_336.0)] {
            let share = many(prompt) / expected;
            assert!((0.9..1.1).contains(&share), "{prompt}: {share}");
        }
        assert!(draws.iter().all(|&prompt| prompt < 1000));
    }

    #[test]
    fn the_best_keeps_what_comes_next() {
        for (draws, entries, hits) in [
            (&[1, 1, 1, 1][..], 1, 3),
            (&[1, 2, 1, 2], 1, 1),
            (&[1, 2, 1, 2], 2, 2),
            // 3 and 4 never come again and push nothing out.
            (&[1, 2, 3, 4, 1, 2], 2, 2),
            (&[1, 2, 3, 1, 2, 3], 2, 2),
            (&[1, 2, 3], 3, 0),
            (&[1, 1], 0, 0),
        ] {
            assert_eq!(best(draws, entries), hits, "{draws:?} in {entries}");
        }
    }
}
