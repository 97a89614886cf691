//! What goes in comes out, and nothing else does.

use proptest::prelude::*;

use super::super::samples;
use super::*;

const NAME: &[u8] = b"nowait:2:web:openai:gpt-4o:00";
const TTL: Duration = Duration::from_secs(3600);

fn full(body: &[u8]) -> Stored {
    Stored {
        form: Form::Stream,
        usage: Some(Usage {
            input: 1,
            output: 2,
            cached: 3,
            cache_write: 4,
            reasoning: u64::MAX,
            estimated: true,
        }),
        finish: Some(Finish::ToolCalls),
        took: Duration::from_micros(1_234_567),
        dropped: Some("seed,messages[3].content[1]".into()),
        ..samples::stored(body)
    }
}

fn stream() -> Vec<u8> {
    let frames = (0..64).map(|at| format!("data: {{\"id\":\"c1\",\"delta\":\"w{at}\"}}\n\n"));
    frames.collect::<String>().into_bytes()
}

#[test]
fn an_answer_comes_back_whole() {
    let mut odd = full(b"x");
    odd.content_type = HeaderValue::from_static("text/event-stream; charset=utf-8");
    let mut bare = samples::stored("");
    bare.format = Format::CountTokens;
    for stored in [full(b"{}"), full(&stream()), full(&[0; 1 << 20]), odd, bare] {
        let bytes = encode(NAME, &stored, TTL);
        let back = decode(NAME, &stored.label, &bytes);
        assert_eq!(back, Ok((stored, TTL)));
    }
    for finish in FINISHES {
        for format in Format::ALL {
            let stored = Stored {
                finish: Some(finish),
                format,
                ..full(b"{}")
            };
            let back = decode(NAME, &stored.label, &encode(NAME, &stored, TTL));
            assert_eq!(back, Ok((stored, TTL)));
        }
    }
}

#[test]
fn only_what_shrinks_is_packed() {
    let random: Vec<u8> = (0..4096).map(|_| fastrand::u8(..)).collect();
    let is_packed = |body: &[u8]| encode(NAME, &full(body), TTL)[PREFIX] & PACKED != 0;
    assert!(is_packed(&stream()));
    assert!(!is_packed(&random));
    assert!(!is_packed(b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
    let bytes = encode(NAME, &full(&stream()), TTL);
    assert!(
        bytes.len() * 3 < stream().len(),
        "{} of {}",
        bytes.len(),
        stream().len()
    );
}

#[test]
fn cut_damaged_and_foreign_bytes_are_no_answer() {
    let stored = full(&stream());
    let bytes = encode(NAME, &stored, TTL);
    let read = |bytes: &[u8]| decode(NAME, &stored.label, bytes).map(|_| ());
    for cut in 0..bytes.len() {
        assert_eq!(read(&bytes[..cut]), Err(Unreadable::Junk), "cut at {cut}");
    }
    for at in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x40;
        let expected = if at == MAGIC.len() {
            Unreadable::Version
        } else {
            Unreadable::Junk
        };
        assert_eq!(read(&bytes), Err(expected), "damaged at {at}");
    }
    assert_eq!(read(b"{\"some\":\"JSON\"}"), Err(Unreadable::Junk));
    assert_eq!(read(&[&bytes[..], b"x"].concat()), Err(Unreadable::Junk));
    let elsewhere = decode(b"nowait:2:other:openai:gpt-4o:00", &stored.label, &bytes);
    assert_eq!(elsewhere, Err(Unreadable::Junk));
}

/// Where this fails because the layout is another, so must be the version.
#[test]
fn the_layout_is_the_same_in_every_build_of_its_version() {
    let bytes = encode(NAME, &full(b"{}"), TTL);
    let layout = blake3::hash(&bytes[PREFIX..]).to_hex();
    assert_eq!((VERSION, &layout[..16]), (2, "c414d3b6b5436aaa"));
}

/// Bytes that are well-formed up to their checksum, whatever they say.
fn sealed(payload: &[u8]) -> Vec<u8> {
    let mut bytes = [MAGIC, &[VERSION][..], &checksum(NAME, payload)].concat();
    bytes.extend_from_slice(payload);
    bytes
}

#[test]
fn a_bomb_is_refused_before_it_is_unpacked() {
    let stored = full(&vec![0; LARGEST_BODY]);
    let bytes = encode(NAME, &stored, TTL);
    assert!(
        decode(NAME, &stored.label, &bytes).is_ok(),
        "the largest that is kept"
    );
    let len_at = 3 + 7 * 8 + 2 + 2;
    for len in [
        LARGEST_BODY as u32 + 1,
        u32::MAX,
        0,
        LARGEST_BODY as u32 - 1,
    ] {
        let mut payload = bytes[PREFIX..].to_vec();
        payload[len_at..len_at + 4].copy_from_slice(&len.to_le_bytes());
        let back = decode(NAME, &stored.label, &sealed(&payload));
        assert_eq!(back, Err(Unreadable::Junk), "{len}");
    }
    assert_eq!(unpack(b"tiny", LARGEST_BODY), None);
}

proptest! {
    #[test]
    fn any_body_comes_back(body in prop::collection::vec(any::<u8>(), 0..2000)) {
        let stored = full(&body);
        let back = decode(NAME, &stored.label, &encode(NAME, &stored, TTL));
        prop_assert_eq!(back, Ok((stored, TTL)));
    }

    #[test]
    fn no_bytes_break_it(payload in prop::collection::vec(any::<u8>(), 0..400)) {
        let label = samples::label("web", "gpt-4o");
        let _ = decode(NAME, &label, &payload);
        let _ = decode(NAME, &label, &sealed(&payload));
    }
}
