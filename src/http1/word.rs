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

/// Which byte is marked first; some is.
pub(super) fn first(marks: u64) -> usize {
    marks.trailing_zeros() as usize / 8
}
