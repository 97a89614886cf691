//! Text, already cut into tokens.

use super::dice::Dice;

/// What the simulated provider says: plain words, so that a reader of a log
/// sees at once that no model wrote them.
const WORDS: [&str; 96] = [
    "river", "lantern", "copper", "morning", "under", "quiet", "seven", "bridge", "paper",
    "window", "slowly", "garden", "over", "winter", "table", "small", "harbor", "letter", "stone",
    "between", "yellow", "market", "answer", "cloud", "round", "engine", "silver", "pocket",
    "after", "forest", "number", "light", "corner", "simple", "voice", "early", "island", "kettle",
    "open", "signal", "north", "button", "carries", "field", "gentle", "hammer", "inside",
    "journey", "known", "ladder", "middle", "needle", "orange", "picture", "rather", "sailor",
    "ticket", "useful", "valley", "wooden", "across", "basket", "candle", "distant", "evening",
    "feather", "given", "hidden", "iron", "joined", "kitchen", "listens", "mirror", "nearly",
    "often", "planted", "question", "returns", "summer", "thread", "until", "village", "waits",
    "young", "anchor", "branch", "circle", "doors", "eleven", "follows", "grain", "horses",
    "includes", "just", "keeps", "long",
];

/// A text and where each of its tokens ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text {
    whole: String,
    /// Byte offsets, ascending, on character boundaries; the last is the length.
    ends: Vec<u32>,
}

impl Text {
    /// `count` words out of `dice`, in sentences.
    pub(crate) fn words(count: u64, dice: &mut Dice) -> Self {
        let mut text = Self::default();
        let mut left_in_sentence = 0;
        for at in 0..count {
            let word = WORDS[dice.below(WORDS.len())];
            if at > 0 {
                text.whole.push(' ');
            }
            if left_in_sentence == 0 {
                left_in_sentence = 6 + dice.below(8);
                text.whole
                    .push(char::from(word.as_bytes()[0].to_ascii_uppercase()));
                text.whole.push_str(&word[1..]);
            } else {
                text.whole.push_str(word);
            }
            left_in_sentence -= 1;
            if left_in_sentence == 0 || at + 1 == count {
                text.whole.push('.');
            }
            text.ends.push(text.whole.len() as u32);
        }
        text
    }

    /// `said` word by word, white space going with the word behind it.
    pub(crate) fn echo(said: &str) -> Self {
        let mut ends = Vec::new();
        let mut in_word = false;
        for (at, character) in said.char_indices() {
            if in_word && character.is_whitespace() {
                ends.push(at as u32);
            }
            in_word = !character.is_whitespace();
        }
        if !said.is_empty() {
            ends.push(said.len() as u32);
        }
        Self {
            whole: said.to_owned(),
            ends,
        }
    }

    /// `whole` in tokens of about four bytes, the way JSON is streamed.
    pub(crate) fn chopped(whole: String) -> Self {
        let mut ends: Vec<u32> = Vec::new();
        for (at, _) in whole.char_indices().skip(1) {
            if at as u32 - ends.last().copied().unwrap_or(0) >= 4 {
                ends.push(at as u32);
            }
        }
        if !whole.is_empty() {
            ends.push(whole.len() as u32);
        }
        Self { whole, ends }
    }

    /// The whole text.
    pub(crate) fn as_str(&self) -> &str {
        &self.whole
    }

    /// How many tokens it has.
    pub(crate) fn len(&self) -> u64 {
        self.ends.len() as u64
    }

    /// One token of it.
    pub(crate) fn token(&self, at: u64) -> &str {
        let at = at as usize;
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.whole[start as usize..self.ends[at] as usize]
    }

    /// Drops everything behind the first `limit` tokens; says whether anything was.
    pub(crate) fn limit(&mut self, limit: u64) -> bool {
        if limit >= self.len() {
            return false;
        }
        self.ends.truncate(limit as usize);
        self.whole
            .truncate(self.ends.last().copied().unwrap_or(0) as usize);
        true
    }

    /// Ends the text before the first of the sequences in `stop`, and says which.
    pub(crate) fn stop_at(&mut self, stop: &[String]) -> Option<String> {
        let found = stop
            .iter()
            .filter_map(|s| Some((self.whole.find(s.as_str())?, s)));
        let (at, sequence) = found.min_by_key(|found| found.0)?;
        self.whole.truncate(at);
        let kept = self.ends.partition_point(|&end| (end as usize) < at);
        self.ends.truncate(kept);
        if at > 0 {
            self.ends.push(at as u32);
        }
        Some(sequence.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &Text) -> Vec<&str> {
        (0..text.len()).map(|at| text.token(at)).collect()
    }

    #[test]
    fn tokens_make_up_the_text() {
        let long = "Grüße an  alle\n\nin Köln 🎈 ";
        let rows = [
            Text::words(40, &mut Dice::new(1)),
            Text::words(0, &mut Dice::new(1)),
            Text::echo(long),
            Text::echo(""),
            Text::chopped(format!("{{\"where\":\"{long}\"}}")),
        ];
        for text in rows {
            assert_eq!(tokens(&text).concat(), text.as_str());
            assert!(tokens(&text).iter().all(|token| !token.is_empty()));
        }
        assert_eq!(
            tokens(&Text::echo(" one two  three ")),
            [" one", " two", "  three", " "]
        );
        assert_eq!(
            tokens(&Text::chopped("abcdefghi".into())),
            ["abcd", "efgh", "i"]
        );
        assert_eq!(Text::words(40, &mut Dice::new(1)).len(), 40);
    }

    #[test]
    fn limits_and_stops_cut() {
        let text = Text::echo("one two three four");
        let mut cut = text.clone();
        assert!(!cut.limit(4));
        assert!(cut.limit(2));
        assert_eq!((cut.as_str(), cut.len()), ("one two", 2));
        assert!(cut.limit(0));
        assert_eq!((cut.as_str(), cut.len()), ("", 0));

        let rows = [
            ("three", "one two ", 3),
            ("one", "", 0),
            (" two", "one", 1),
            ("wo", "one t", 2),
        ];
        for (stop, left, count) in rows {
            let mut cut = text.clone();
            let stops = ["never".to_owned(), stop.to_owned()];
            assert_eq!(cut.stop_at(&stops).as_deref(), Some(stop));
            assert_eq!((cut.as_str(), cut.len()), (left, count));
            assert_eq!(tokens(&cut).concat(), left);
        }
        assert_eq!(text.clone().stop_at(&["five".to_owned()]), None);
    }
}
