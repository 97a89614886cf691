//! Eight bytes at a time: names and values are short, so that wider steps would
//! cost more to begin with than they save.

/// Bytes of a word.
pub(super) const SIZE: usize = 8;

/// The word at `at`, its first byte lowest; `None` past the last whole one.
pub(super) fn at(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(SIZE)?)?;
    bytes.first_chunk().map(|word| u64::from_le_bytes(*word))
}

/// That byte, eight times.
pub(super) const fn of(byte: u8) -> u64 {
    u64::from_le_bytes([byte; SIZE])
}

/// Marks bytes below `least`, which is ASCII. The [`first`] mark is right; marks
/// behind it may not be.
pub(super) fn below(word: u64, least: u8) -> u64 {
    word.wrapping_sub(of(least)) & !word & of(0x80)
}

/// Marks bytes that are `byte`, as [`below`] does.
pub(super) fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ of(byte), 1)
}

/// Marks bytes that are none of what names are made of as a rule: letters,
/// digits and hyphens.
pub(super) fn unnamed(word: u64) -> u64 {
    const HIGH: u64 = of(0x80);
    // No sum here is carried into the next byte.
    let low = word & !HIGH;
    let small = low | of(0x20);
    let letter = (small + of(0x80 - b'a')) & !(small + of(0x7f - b'z'));
    let digit = (low + of(0x80 - b'0')) & !(low + of(0x7f - b'9'));
    let hyphen = !((low ^ of(b'-')) + of(0x7f));
    !(letter | digit | hyphen) & HIGH | word & HIGH
}

/// Which byte is marked first; some is.
pub(super) fn first(marks: u64) -> usize {
    marks.trailing_zeros() as usize / 8
}
