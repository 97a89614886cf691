//! Bodies as tables, and cut in every way.

use proptest::prelude::*;

use super::*;

/// The data of `wire` when it comes in pieces of `sizes` in turn (whole, if
/// there are none), what follows the body, and how it ended.
fn read(framing: Framing, wire: &[u8], sizes: &[usize]) -> (Vec<u8>, usize, Decoder) {
    let mut decoder = Decoder::new(framing);
    let (mut data, mut taken) = (Vec::new(), 0);
    let mut sizes = sizes.iter().copied().cycle();
    while taken < wire.len() {
        let size = sizes.next().unwrap_or(wire.len()).max(1);
        let end = wire.len().min(taken + size);
        let mut piece = wire[taken..end].to_vec();
        let decoded = decoder.decode(&mut piece);
        data.extend_from_slice(&piece[decoded.data]);
        taken += decoded.taken;
        if decoder.is_over() {
            break;
        }
    }
    (data, taken, decoder)
}

#[test]
fn bodies_end_where_they_say() {
    use Framing::{Chunked, Length, UntilClose};
    for (framing, wire, data, rest) in [
        (Length(5), "hellorest", "hello", "rest"),
        (Length(0), "rest", "", "rest"),
        (UntilClose, "hello", "hello", ""),
        (Chunked, "5\r\nhello\r\n0\r\n\r\nrest", "hello", "rest"),
        (Chunked, "1\r\na\r\n2\r\nbc\r\n000\r\n\r\n", "abc", ""),
        (
            Chunked,
            "A\r\n0123456789\r\n0a\r\n0123456789\r\n0\r\n\r\n",
            "01234567890123456789",
            "",
        ),
        (Chunked, "1;x=\"y\"\r\na\r\n0 ;z\r\n\r\n", "a", ""),
        (Chunked, "1\t\r\na\r\n0\r\na: b\r\n\r\nrest", "a", "rest"),
    ] {
        for size in 1..=wire.len() {
            let (got, taken, mut decoder) = read(framing, wire.as_bytes(), &[size]);
            let ended = decoder.is_done() || framing == UntilClose;
            assert!(ended && decoder.wrong().is_none(), "{wire:?} by {size}");
            let got = (String::from_utf8(got).unwrap(), &wire[taken..]);
            assert_eq!(got, (data.to_owned(), rest), "by {size}");
            assert_eq!(decoder.has_fields(), wire.contains("a: b"));
            assert_eq!(decoder.take_fields().is_some(), wire.contains("a: b"));
            assert!(decoder.close());
        }
    }
}

#[test]
fn what_is_not_a_chunk_is_refused_after_the_data_before_it() {
    let long = format!("1;{}", "x".repeat(20_000));
    let trailers = format!("0\r\na: {}\r\n\r\n", "x".repeat(20_000));
    for (wire, data) in [
        ("zz\r\n", ""),
        ("\r\n", ""),
        (";\r\n", ""),
        ("-1\r\n", ""),
        ("0x1\r\n", ""),
        ("1\na\r\n", ""),
        ("1;\na\r\n", ""),
        ("1\r\nab", "a"),
        ("1\r\na\rb", "a"),
        ("1\r\na\n0\r\n\r\n", "a"),
        ("00000000000000001\r\na", ""),
        ("5\r\nhello\r\nzz", "hello"),
        ("0\r\na\r\n\r\n", ""),
        ("0\r\na : b\r\n\r\n", ""),
        (long.as_str(), ""),
        (trailers.as_str(), ""),
    ] {
        for size in [1, 2, 3, wire.len()] {
            let (got, _, mut decoder) = read(Framing::Chunked, wire.as_bytes(), &[size]);
            assert!(decoder.wrong().is_some(), "{wire:.20?} by {size}");
            assert_eq!(String::from_utf8(got).unwrap(), data, "{wire:.20?}");
            assert!(!decoder.close() && !decoder.has_fields());
        }
    }
}

#[test]
fn a_body_cut_short_is_not_whole() {
    for (framing, wire) in [
        (Framing::Length(9), "hello"),
        (Framing::Chunked, "5\r\nhello\r\n"),
        (Framing::Chunked, "5\r\nhel"),
        (Framing::Chunked, "0\r\n"),
        (Framing::Chunked, "0\r\na: b\r\n"),
        (Framing::Chunked, ""),
    ] {
        let (_, _, mut decoder) = read(framing, wire.as_bytes(), &[]);
        assert!(!decoder.close(), "{wire:?}");
        assert_eq!(decoder.wrong(), None);
    }
}

proptest! {
    #[test]
    fn chunks_come_out_as_they_went_in(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..8),
        sizes in prop::collection::vec(1_usize..200, 1..6),
    ) {
        let mut wire = Vec::new();
        for piece in &pieces {
            wire.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            wire.extend_from_slice(piece);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b"0\r\n\r\nrest");
        let (data, taken, decoder) = read(Framing::Chunked, &wire, &sizes);
        prop_assert!(decoder.is_done());
        prop_assert_eq!(data, pieces.concat());
        prop_assert_eq!(&wire[taken..], b"rest");
    }
}
