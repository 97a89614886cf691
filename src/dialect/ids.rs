//! Ids of tool calls, made valid for those who are strict about them.
//!
//! An id only ties a call to its result within one conversation, so it may be
//! spelled differently for a provider, as long as equal ids stay equal and
//! different ones different.

use std::borrow::Cow;

use super::ir::Text;

/// `id` where it has only ASCII letters, digits, `_` and `-` and is no longer
/// than `longest` (at least 16); else another that is and has.
pub fn fit<'a>(id: &'a Text<'_>, longest: usize) -> Text<'a> {
    let is_valid = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let resolved = id.resolved();
    let all_valid = resolved.bytes().all(|byte| is_valid(char::from(byte)));
    if !resolved.is_empty() && resolved.len() <= longest && all_valid {
        return id.borrowed();
    }
    let mark = format!("_{:08x}", hash(&resolved));
    let kept = resolved.chars().take(longest.saturating_sub(mark.len()));
    let mut fitted: String = kept.map(|c| if is_valid(c) { c } else { '_' }).collect();
    fitted.push_str(&mark);
    Text::owned(&fitted)
}

/// The id of the `index`th call of the answer `answer`, for formats whose
/// calls have none: the same whenever the same answer is read.
pub fn made_up(answer: &Text<'_>, index: usize) -> Text<'static> {
    let answer: Cow<'_, str> = answer.resolved();
    Text::owned(&format!("call_{:08x}_{index}", hash(&answer)))
}

/// FNV-1a, folded to 32 bits: ids of one conversation are few.
fn hash(text: &str) -> u32 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash ^ (hash >> 32)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_ids_stay_and_others_become_valid_and_stay_different() {
        for id in ["call_1", "toolu_01A-b", "x"] {
            assert_eq!(fit(&Text::plain(id), 64), Text::plain(id));
        }
        let long = "a".repeat(70);
        let ids = [
            "",
            "a b",
            "a.b",
            "a_b",
            "é",
            &long,
            &long[1..],
            "functions.f:0",
        ];
        let mut seen: Vec<String> = Vec::new();
        for id in ids {
            let text = Text::plain(id);
            let fitted = fit(&text, 64).resolved().into_owned();
            assert!(!fitted.is_empty() && fitted.len() <= 64, "{fitted}");
            assert!(
                fitted
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)),
                "{fitted}"
            );
            assert_eq!(fit(&Text::plain(&fitted), 64).resolved(), fitted);
            assert!(!seen.contains(&fitted), "{id} and another");
            seen.push(fitted);
        }
    }
}
