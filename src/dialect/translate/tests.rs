//! What every format must do: give back what it was given, and say the same
//! whole and streamed.

use bytes::Bytes;

use super::arbitrary::{Arbitrary, Knows};
use super::*;
use crate::dialect::Ending;
use crate::dialect::ir::{Choice, Content, Gather, Opening, Piece, Seal, Start, Text};

/// As many of each as a moment allows.
const SEEDS: u64 = 600;

fn target(wire: Wire) -> Target<'static> {
    Target {
        model: Knows::of(wire).model,
        quirks: Quirks {
            takes_cache_control: true,
            ..Quirks::default()
        },
        marks_cache: false,
    }
}

#[test]
fn a_request_comes_back_as_it_went() {
    for wire in Wire::ALL {
        for seed in 0..SEEDS {
            let request = Arbitrary::new(wire, seed).request();
            let mut out = Outgoing::default();
            wire.codec()
                .encode_request(&request, &target(wire), &mut out)
                .unwrap();
            let body = String::from_utf8(out.body).unwrap();
            let losses: Vec<_> = out.losses.iter().collect();
            assert!(
                losses.is_empty(),
                "{wire:?} {seed}: {losses:?} of {request:#?}"
            );
            let again = wire.codec().decode_request(&body);
            let again = again.unwrap_or_else(|error| panic!("{wire:?} {seed}: {error}: {body}"));
            assert_eq!(again, request, "{wire:?} {seed}: {body}");
        }
    }
}

#[test]
fn an_answer_comes_back_as_it_went() {
    for wire in Wire::ALL {
        for seed in 0..SEEDS {
            let answer = Arbitrary::new(wire, seed).answer();
            let exchange = Exchange::default();
            let mut losses = Losses::default();
            let body = wire.codec().encode_answer(&answer, &exchange, &mut losses);
            let body = String::from_utf8(body).unwrap();
            assert!(losses.is_empty(), "{wire:?} {seed}: {losses:?}");
            let again = wire.codec().decode_answer(&body, &exchange);
            let again = again.unwrap_or_else(|| panic!("{wire:?} {seed}: {body}"));
            assert_eq!(again, answer, "{wire:?} {seed}: {body}");
        }
    }
}

#[test]
fn a_streamed_answer_comes_back_as_it_went() {
    for wire in Wire::ALL {
        for seed in 0..SEEDS {
            let mut answer = Arbitrary::new(wire, seed).answer();
            // Where in the answer a citation belongs, a stream says as it is
            // written so far.
            for choice in &mut answer.choices {
                for part in &mut choice.parts {
                    if let Content::Text { citations, .. } = &mut part.content {
                        citations.clear();
                    }
                }
            }
            let stream = streamed(wire, &answer);
            let text = String::from_utf8_lossy(&stream).into_owned();
            let again = gathered(wire, stream);
            assert_eq!(again, answer, "{wire:?} {seed}: {text}");
        }
    }
}

/// The answer as a stream of the format.
fn streamed(wire: Wire, answer: &Answer<'_>) -> Vec<u8> {
    let exchange = Exchange {
        include_usage: true,
        ..Exchange::default()
    };
    let mut encoder = wire.codec().encoder(&exchange);
    let mut out = Vec::new();
    let mut losses = Losses::default();
    tell(answer, &mut |event| {
        encoder.put(&event, &mut out, &mut losses)
    });
    assert!(losses.is_empty(), "{losses:?}");
    out
}

/// The events of an answer, its texts in several deltas.
fn tell(answer: &Answer<'_>, each: &mut dyn FnMut(Event<'_>)) {
    each(Event::Start(Start {
        id: answer.id.borrowed(),
        model: answer.model.borrowed(),
        created: answer.created,
        service_tier: answer.service_tier.clone(),
    }));
    for (index, choice) in answer.choices.iter().enumerate() {
        tell_choice(index as u32, choice, each);
    }
    each(Event::Usage(answer.usage.unwrap()));
    each(Event::End);
}

fn tell_choice(index: u32, choice: &Choice<'_>, each: &mut dyn FnMut(Event<'_>)) {
    for (part, said) in choice.parts.iter().enumerate() {
        let place = Place {
            choice: index,
            part: part as u32,
        };
        let (opening, text, seal): (_, _, Option<&Seal<'_>>) = match &said.content {
            Content::Text { text, .. } => (Opening::Text, text.borrowed(), None),
            Content::Refusal(text) => (Opening::Refusal, text.borrowed(), None),
            Content::Reasoning(it) if !it.seal.as_ref().is_some_and(|seal| seal.is_redacted) => {
                let is_summary = it.is_summary;
                let opening = Opening::Reasoning { is_summary };
                (opening, it.text.borrowed(), it.seal.as_ref())
            }
            Content::Call(call) => {
                let opening = Opening::Call {
                    id: call.id.borrowed(),
                    name: call.name.borrowed(),
                    is_custom: call.is_custom,
                };
                (opening, call.arguments.borrowed(), call.seal.as_ref())
            }
            content => (Opening::Whole(content.clone()), Text::default(), None),
        };
        each(Event::Open { place, opening });
        let resolved = text.resolved();
        for piece in resolved.split_inclusive(' ') {
            let piece = Piece::Text(Text::plain(piece));
            each(Event::Delta { place, piece });
        }
        if let Content::Text {
            logprobs: Some(logprobs),
            ..
        } = &said.content
        {
            let piece = Piece::Logprobs(logprobs.borrowed());
            each(Event::Delta { place, piece });
        }
        if let Some(seal) = seal {
            let piece = Piece::Seal(seal.clone());
            each(Event::Delta { place, piece });
        }
        each(Event::Close { place });
    }
    each(Event::Finish {
        choice: index,
        finish: choice.finish.unwrap(),
        stopped_by: choice.stopped_by.clone(),
    });
}

fn gathered(wire: Wire, stream: Vec<u8>) -> Answer<'static> {
    let mut framer = sse::Framer::default();
    framer.push(Bytes::from(stream));
    let mut decoder = wire.codec().decoder(&Exchange::default());
    let mut gather = Gather::default();
    while let Some(run) = framer.next_run() {
        for frame in run.frames() {
            let fields = sse::Fields::of(frame);
            let Some(data) = fields.data else { continue };
            let data = std::str::from_utf8(&data).unwrap();
            decoder.take(fields.event, data, &mut |event| gather.take(event));
        }
    }
    if decoder.may_end() {
        gather.take(Event::End);
    }
    gather.finish().unwrap()
}

#[test]
fn a_stream_that_breaks_off_ends_with_an_error() {
    for provider in Wire::ALL {
        let answer = Arbitrary::new(provider, 4).answer();
        let stream = streamed(provider, &answer);
        for client in Wire::ALL {
            for cut in 0..stream.len() - 1 {
                let mut translation = Stream::new(provider, client, &Exchange::default());
                let mut out = Vec::new();
                translation.push(Bytes::copy_from_slice(&stream[..cut]), &mut out);
                let open = translation.ending();
                let ending = translation.end(&mut out);
                let out = String::from_utf8(out).unwrap();
                let has_error = out.contains("\"error\":{");
                // A chat stream may leave its sentinel out.
                assert_eq!(ending == Ending::Failed, has_error, "{out}");
                assert!(ending == Ending::Failed || ending == Ending::Terminal);
                if open == Ending::Open && provider == Wire::Messages && ending != Ending::Terminal
                {
                    assert!(
                        !out.contains("[DONE]") && !out.contains("message_stop"),
                        "{out}"
                    );
                }
            }
        }
    }
}

/// Such an event may have been some of the answer: what comes behind it is not
/// told as if nothing were missing.
#[test]
fn an_event_that_cant_be_read_ends_a_stream() {
    let rows: [(&[u8], Option<&str>); 8] = [
        (b"data: {\"a\":w\"}\n\n", Some("an event that is not JSON")),
        (
            b"event: content_block_delta\ndata: {\"a\":1}}\n\n",
            Some("an event that is not JSON"),
        ),
        (
            b"data: {\"a\":\"\xe2\xff\"}\n\n",
            Some("an event that is not UTF-8"),
        ),
        (b": note\n\n", None),
        (b"data: \n\n", None),
        (b"event: ping\ndata: still here\n\n", None),
        (b"event: strange\ndata: {\"type\":\"strange\"}\n\n", None),
        (b"data: [1, \"x\"]\n\n", None),
    ];
    for provider in Wire::ALL {
        let stream = streamed(provider, &Arbitrary::new(provider, 4).answer());
        let first = stream.windows(2).position(|two| two == b"\n\n").unwrap() + 2;
        for client in Wire::ALL {
            for (event, expected) in rows {
                let mut translation = Stream::new(provider, client, &Exchange::default());
                let mut out = Vec::new();
                let whole = [&stream[..first], event, &stream[first..]].concat();
                translation.push(Bytes::from(whole), &mut out);
                let shown = format!("{provider:?} {client:?} {}", event.escape_ascii());
                assert_eq!(translation.fault(), expected, "{shown}");
                let ending = match expected {
                    None => Ending::Terminal,
                    Some(_) => Ending::Failed,
                };
                assert_eq!(translation.end(&mut out), ending, "{shown}");
                let out = String::from_utf8(out).unwrap();
                let last = out.trim_end().rsplit("\n\n").next().unwrap();
                let is_told = expected.is_none_or(|what| last.contains(what));
                assert!(is_told, "{shown}: {out}");
            }
        }
    }
}
