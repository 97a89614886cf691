//! The valid name somebody probably meant.
//!
//! Used wherever an unknown name is refused: keys and providers here, models
//! in a 404.

/// The candidate nearest to `written`, if one is near enough to be meant.
///
/// Near enough is one slip in three characters: `opnai` for `openai`, not
/// `sim` for `xai`. Case, `-` and `_` are not counted as slips.
pub fn nearest<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // A name longer than this is no slip of anything, and the comparison is
    // quadratic in it: it may come from a caller.
    const LONGEST: usize = 128;
    if written.len() > LONGEST {
        return None;
    }
    let folded = fold(written);
    let limit = (folded.len() / 3).max(1);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= LONGEST)
        .map(|candidate| (distance(&folded, &fold(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= limit && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn fold(name: &str) -> Vec<char> {
    name.chars()
        .map(|c| {
            if c == '_' {
                '-'
            } else {
                c.to_ascii_lowercase()
            }
        })
        .collect()
}

/// Insertions, deletions, replacements and swaps of neighbours that turn one
/// into the other (optimal string alignment), in three rows.
fn distance(from: &[char], to: &[char]) -> usize {
    let mut before: Vec<usize> = vec![0; to.len() + 1];
    let mut previous: Vec<usize> = (0..=to.len()).collect();
    let mut current = previous.clone();
    for (i, a) in from.iter().enumerate() {
        current[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let mut cost = (previous[j] + usize::from(a != b))
                .min(previous[j + 1] + 1)
                .min(current[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                cost = cost.min(before[j - 1] + 1);
            }
            current[j + 1] = cost;
        }
        std::mem::swap(&mut before, &mut previous);
        std::mem::swap(&mut previous, &mut current);
    }
    previous[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        let names = [
            "openai",
            "anthropic",
            "sim",
            "xai",
            "max_body",
            "gpt-4o-mini",
        ];
        let rows = [
            ("opnai", Some("openai")),
            ("OpenAI", Some("openai")),
            ("antrhopic", Some("anthropic")),
            ("max-body", Some("max_body")),
            ("maxbody", Some("max_body")),
            ("gpt-4o-mni", Some("gpt-4o-mini")),
            ("sm", Some("sim")),
            ("llama", None),
            ("", None),
            ("q", None),
        ];
        for (written, expected) in rows {
            assert_eq!(nearest(written, names), expected, "{written}");
        }
        assert_eq!(nearest(&"x".repeat(10_000), names), None);
    }

    #[test]
    fn distances() {
        let rows = [
            ("", "", 0),
            ("a", "", 1),
            ("", "ab", 2),
            ("ab", "ba", 1),
            ("kitten", "sitting", 3),
        ];
        for (a, b, expected) in rows {
            assert_eq!(distance(&fold(a), &fold(b)), expected, "{a} {b}");
        }
    }
}
