//! The fuzz body of what reads answers: chunking changes nothing.

use super::reading::Beginning;
use crate::http1::Malformed;

/// What an answer has turned out to be.
#[derive(Debug, Default, PartialEq)]
struct Told {
    head: Option<String>,
    data: Vec<u8>,
    trailers: Option<String>,
    wrong: Option<Malformed>,
    /// It had come to its end.
    done: bool,
}

/// Fuzz body: the first byte chooses the method, the next eight how the rest
/// is cut into reads. Panics where the answer differs from that of the same
/// bytes in one read.
#[doc(hidden)]
pub fn fuzz_answer(input: &[u8]) {
    let Some((choice, wire)) = input.split_at_checked(9) else {
        return;
    };
    let to_head = choice[0] % 4 == 3;
    let whole = read(wire, &[], to_head);
    let cut = read(wire, &choice[1..], to_head);
    assert_eq!(whole, cut, "cut: the answer differs");
    assert!(whole.data.len() <= wire.len(), "data from nowhere");
}

/// Reads `wire` in pieces of `sizes` in turn; in one, if there are none.
fn read(wire: &[u8], sizes: &[u8], to_head: bool) -> Told {
    let mut told = Told::default();
    let mut beginning = Beginning::new(to_head);
    let mut reading = None;
    let mut sizes = sizes.iter().map(|size| usize::from(*size).max(1)).cycle();
    let mut at = 0;
    while at < wire.len() {
        let end = wire.len().min(at + sizes.next().unwrap_or(wire.len()));
        let mut bytes = wire[at..end].to_vec();
        at = end;
        match &mut reading {
            None => match beginning.take(&mut bytes) {
                Ok(None) => continue,
                Ok(Some((head, body))) => {
                    told.head = Some(format!("{head:?}"));
                    reading = Some(body);
                }
                Err(wrong) => {
                    told.wrong = Some(wrong);
                    return told;
                }
            },
            Some(body) => body.take(&mut bytes),
        }
        let Some(body) = &mut reading else { continue };
        told.data.extend_from_slice(&body.ready);
        if let Some(wrong) = body.decoder.wrong() {
            told.wrong = Some(wrong);
            return told;
        }
        if body.decoder.is_done() {
            break;
        }
    }
    if let Some(body) = &mut reading {
        told.done = body.decoder.close();
        let trailers = body.decoder.take_fields();
        told.trailers = trailers.map(|fields| format!("{fields:?}"));
    }
    told
}
