//! What the pieces on the request path cost, each by itself.
//!
//! `cargo bench --bench functions` prints nanoseconds per call, the best of
//! several rounds. Run by `cargo test`, it only runs each piece once.

#![expect(
    clippy::print_stdout,
    reason = "a benchmark reports to whoever runs it"
)]

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use nowait::dialect::error::error_body;
use nowait::dialect::peek::{peek, splice};
use nowait::dialect::translate::{self, Exchange, Quirks, Stream, Target, Wire};
use nowait::dialect::{Dialect, ErrorView, Format, Watch, answer, fold, unfold, usage_of};
use nowait::error::Kind;
use nowait::sse::{Fields, Framer};
use nowait::upstream::balance::{Ask, Policy, Weighted};
use nowait::upstream::standing::{End, Span, Standing, View};
use tokio::time::Instant;

const CHAT_DELTA: &str = "data: {\"id\":\"chatcmpl-0123456789abcdefghijklmnopqrs\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-4o-2024-08-06\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_0123456789\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" token\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null,\"obfuscation\":\"a1b2c3d4\"}\n\n";
const TOOL_DELTA: &str = "data: {\"id\":\"chatcmpl-0123456789abcdefghijklmnopqrs\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-4o-2024-08-06\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"\\\"a\\\"\"}}]},\"logprobs\":null,\"finish_reason\":null}]}\n\n";
const MESSAGES_DELTA: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" token\"}     }\n\n";
const RESPONSES_DELTA: &str = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"content_index\":0,\"delta\":\" token\",\"item_id\":\"msg_0123456789abcdef0123456789abcdef\",\"logprobs\":[],\"obfuscation\":\"a1b2c3d4\",\"output_index\":0,\"sequence_number\":7}\n\n";
const USAGE: &str = "\"usage\":{\"prompt_tokens\":120,\"completion_tokens\":40,\"total_tokens\":160,\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":0,\"audio_tokens\":0}}";

fn main() {
    let full = std::env::args().any(|arg| arg == "--bench");
    let bench = Bench { full };
    frames(&bench);
    requests(&bench);
    answers(&bench);
    foldings(&bench);
    choices(&bench);
    translations(&bench);
    calls(&bench);
}

fn frames(bench: &Bench) {
    let deltas = [
        ("chat", Format::Chat, CHAT_DELTA),
        ("chat tool call", Format::Chat, TOOL_DELTA),
        ("messages", Format::Messages, MESSAGES_DELTA),
        ("responses", Format::Responses, RESPONSES_DELTA),
    ];
    for (name, format, frame) in deltas {
        let chunk = Bytes::from(frame.repeat(64));
        bench.run(&format!("{name}: frame"), 64, || {
            let mut framer = Framer::default();
            framer.push(chunk.clone());
            black_box(framer.next_run().map(|run| run.frames().count()));
        });
        bench.run(&format!("{name}: fields"), 1, || {
            black_box(Fields::of(black_box(frame.as_bytes())));
        });
        let mut watch = Watch::new(format);
        watch.see(frame.as_bytes());
        bench.run(&format!("{name}: watch a delta"), 1, || {
            black_box(watch.see(black_box(frame.as_bytes())));
        });
        bench.run(&format!("{name}: frame and watch"), 64, || {
            let mut framer = Framer::default();
            let mut watch = Watch::new(format);
            framer.push(chunk.clone());
            while let Some(run) = framer.next_run() {
                for frame in run.frames() {
                    black_box(watch.see(frame));
                }
            }
        });
    }
    let last = format!("data: {{\"id\":\"c\",\"choices\":[],{USAGE}}}\n\n");
    let mut watch = Watch::new(Format::Chat);
    bench.run("chat: watch the usage chunk", 1, || {
        black_box(watch.see(black_box(last.as_bytes())));
    });
}

fn requests(bench: &Bench) {
    for size in [1_000, 4_000, 100_000] {
        let text = "Say what the \\\"tide\\\" does, in ten words or fewer.\\n".repeat(size / 50);
        let body = Bytes::from(format!(
            "{{\"model\":\"gpt-4o\",\"messages\":[{{\"role\":\"user\",\"content\":\"{text}\"}}],\"temperature\":0.2,\"stream\":true}}"
        ));
        bench.run(&format!("peek {size} B, one text"), 1, || {
            black_box(peek(black_box(&body)).is_ok());
        });
        let turns = "{\"role\":\"user\",\"content\":\"Say it.\"},".repeat(size / 36);
        let body = Bytes::from(format!(
            "{{\"messages\":[{turns}{{}}],\"model\":\"gpt-4o\",\"stream\":true}}"
        ));
        bench.run(&format!("peek {size} B, many turns"), 1, || {
            black_box(peek(black_box(&body)).is_ok());
        });
    }
    let body = Bytes::from_static(b"{\"model\":\"gpt-4o\",\"messages\":[]}");
    bench.run("splice", 1, || {
        black_box(splice(&body, 9..17, "gpt-4o-mini"));
    });
}

fn answers(bench: &Bench) {
    let chat = format!(
        "{{\"id\":\"c\",\"object\":\"chat.completion\",\"model\":\"m\",\"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":\"{}\"}},\"finish_reason\":\"stop\"}}],{USAGE}}}",
        "All is well with the tide. ".repeat(25)
    );
    bench.run("usage of a 1 KB answer", 1, || {
        black_box(usage_of(Format::Chat, black_box(chat.as_bytes())));
    });
    bench.run("outcome of a 1 KB answer", 1, || {
        black_box(answer::outcome(Format::Chat, black_box(chat.as_bytes())));
    });
    bench.run("all that a 1 KB answer tells", 1, || {
        black_box(answer::read(Format::Chat, black_box(chat.as_bytes())));
    });
    let vector = "-0.0123456789,".repeat(7_000);
    let embeddings =
        format!("{{\"data\":[{{\"embedding\":[{vector}0]}}],\"usage\":{{\"prompt_tokens\":4}}}}");
    bench.run("usage of a 100 KB embedding", 1, || {
        black_box(usage_of(
            Format::Embeddings,
            black_box(embeddings.as_bytes()),
        ));
    });
    let view = ErrorView {
        kind: Kind::ModelNotFound,
        message: "no provider serves the model \"gpt-5o\"; the nearest configured is \"gpt-4o\"",
        param: Some("model"),
        request_id: "req_0123456789",
    };
    bench.run("an error body", 1, || {
        black_box(error_body(Dialect::OpenAi, black_box(&view)));
    });
}

fn foldings(bench: &Bench) {
    let text = "All is well with the tide, and will be, until it is not. 1234";
    let chat = CHAT_DELTA.replace(" token", text).repeat(64)
        + "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let message = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"content\":[]}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n".to_owned()
        + &MESSAGES_DELTA.replace(" token", text).repeat(64)
        + "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    for (name, format, stream) in [
        ("chat", Format::Chat, chat),
        ("messages", Format::Messages, message),
    ] {
        bench.run(&format!("{name}: fold 64 events, 4 KB"), 1, || {
            black_box(fold(format, black_box(stream.as_bytes())));
        });
        let whole = fold(format, stream.as_bytes()).unwrap_or_default();
        bench.run(&format!("{name}: unfold 4 KB"), 1, || {
            black_box(unfold(format, black_box(&whole), true));
        });
    }
}

/// What deciding where a call goes, and learning from it, adds to each call.
fn choices(bench: &Bench) {
    let start = Instant::now();
    let targets: Vec<_> = (0..3).map(|id| Standing::new(id, id)).collect();
    let mut rng = fastrand::Rng::with_seed(1);
    let mut now = start;
    for (name, policy) in [
        ("order", Policy::Order),
        ("latency", Policy::Latency),
        ("weighted", Policy::Weighted(Weighted::new([3.0, 2.0, 1.0]))),
        ("least pending", Policy::LeastPending),
        ("sticky", Policy::Sticky),
    ] {
        bench.run(&format!("one of three, observed: {name}"), 1, || {
            now += Duration::from_millis(3);
            let ask = Ask {
                span: Span::FirstContent,
                session: Some(rng.u64(..)),
                prefix: None,
                output: None,
            };
            let views: [View; 3] = std::array::from_fn(|at| targets[at].view(now));
            let ranking = policy.rank(&ask, &views, now, &mut rng);
            let mut pending = targets[ranking.targets()[0]].begin(now, Span::FirstContent, 0);
            pending.first_content(now + Duration::from_micros(rng.u64(200_000..900_000)));
            pending.end(
                now + Duration::from_secs(2),
                End::Answered { tokens: Some(90) },
            );
        });
    }
    bench.run("a quantile of the last minute", 1, || {
        black_box(targets[0].quantile(now, Span::FirstContent, 0.95));
    });
}

/// What it costs to speak another format, beside what the same bytes cost in
/// their own ("frame and watch" above).
fn translations(bench: &Bench) {
    let message = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":\"m\",\"usage\":{\"input_tokens\":9}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n".to_owned()
        + &MESSAGES_DELTA.repeat(64)
        + "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":64}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    let chat = CHAT_DELTA.repeat(64)
        + "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let exchange = Exchange::default();
    let streams = [
        (
            "messages to chat",
            Wire::Messages,
            Wire::Chat,
            Format::Messages,
            message,
        ),
        (
            "chat to messages",
            Wire::Chat,
            Wire::Messages,
            Format::Chat,
            chat,
        ),
    ];
    for (name, provider, client, format, stream) in streams {
        // One event per chunk, as they arrive.
        let mut framer = Framer::default();
        framer.push(Bytes::from(stream));
        let chunks: Vec<Bytes> = std::iter::from_fn(|| framer.next())
            .map(nowait::sse::Piece::into_bytes)
            .collect();
        bench.run(&format!("{name}: watch 64 events"), 1, || {
            let mut framer = Framer::default();
            let mut watch = Watch::new(format);
            for chunk in &chunks {
                framer.push(chunk.clone());
                while let Some(run) = framer.next_run() {
                    for frame in run.frames() {
                        black_box(watch.see(frame));
                    }
                }
            }
        });
        bench.run(&format!("{name}: 64 events"), 1, || {
            let mut translation = Stream::new(provider, client, &exchange);
            for chunk in &chunks {
                let mut out = Vec::with_capacity(512);
                translation.push(chunk.clone(), &mut out);
                black_box(out);
            }
        });
    }
}

/// What it costs to write a call of 100 KB in another format.
fn calls(bench: &Bench) {
    let write = |from: Wire, to: Wire, body: &[u8]| {
        let target = Target {
            model: match to {
                Wire::Messages => "claude-sonnet-4-5",
                Wire::Gemini => "gemini-2.5-flash",
                _ => "gpt-4o",
            },
            quirks: Quirks::default(),
            marks_cache: false,
        };
        let (out, _) = translate::request(from, to, body, &target, "id", 1)
            .expect("each of these calls can be asked of anybody");
        out.body
    };
    for (name, chat) in conversations() {
        for (from, to) in [
            (Wire::Chat, Wire::Messages),
            (Wire::Chat, Wire::Gemini),
            (Wire::Messages, Wire::Chat),
            (Wire::Responses, Wire::Chat),
        ] {
            let body = match from {
                Wire::Chat => chat.clone().into_bytes(),
                _ => write(Wire::Chat, from, chat.as_bytes()),
            };
            let size = body.len() / 1000;
            let pair = format!("{} to {}", from.as_str(), to.as_str());
            bench.run(&format!("{pair}: {size} KB, {name}"), 1, || {
                black_box(write(from, to, black_box(&body)));
            });
        }
    }
}

/// Chat calls of 100 KB that differ in what there is much of.
fn conversations() -> Vec<(&'static str, String)> {
    let turn = |role: &str, text: &str| format!(r#"{{"role":"{role}","content":"{text}"}}"#);
    let round = |n: usize, arguments: &str, result: &str| {
        let call = format!(
            r#"{{"id":"call_{n}","type":"function","function":{{"name":"tide","arguments":"{{{arguments}}}"}}}}"#
        );
        [
            turn("user", "What does the tide do there, and when?"),
            format!(r#"{{"role":"assistant","content":null,"tool_calls":[{call}]}}"#),
            format!(r#"{{"role":"tool","tool_call_id":"call_{n}","content":"{result}"}}"#),
        ]
        .join(",")
    };
    let plain = "Say what the tide does, in ten words or fewer, or more. ";
    let code = r#"    let \"tide\" = \u00e9tude(\"noon\"); // \ud83c\udf0a\n"#;
    let short = "Say why a warm connection matters, and to whom. ";
    let places = r#"\"a\":{\"name\":\"Cuxhaven\",\"at\":[53.86,8.69],\"note\":\"by the pier\"},"#;
    let heights =
        r#"{\"at\": \"2026-11-22T12:00\", \"height\": 3.21, \"note\": \"it rises\\n\"},\n"#;
    let long_round = |n| {
        let arguments = places.repeat(28) + r#"\"b\":1"#;
        round(n, &arguments, &heights.repeat(28))
    };
    let short_round = |n| round(n, r#"\"at\":\"noon\""#, "it rises");
    let call = |turns: Vec<String>| {
        let turns = turns.join(",");
        let last = turn("user", "And then?");
        format!(r#"{{"model":"m","messages":[{turns},{last}],"stream":true}}"#)
    };
    let turns = |many: usize, text: &str| {
        let roles = ["user", "assistant"].into_iter().cycle().take(many);
        roles.map(|role| turn(role, text)).collect()
    };
    vec![
        ("one text", call(turns(1, &plain.repeat(1828)))),
        ("20 texts of code", call(turns(20, &code.repeat(86)))),
        ("1,270 short texts", call(turns(1270, short))),
        (
            "20 large tool calls",
            call((0..20).map(long_round).collect()),
        ),
        (
            "370 small tool calls",
            call((0..370).map(short_round).collect()),
        ),
    ]
}

struct Bench {
    full: bool,
}

impl Bench {
    /// Prints the nanoseconds that `piece` takes for one of its `items`.
    fn run(&self, name: &str, items: u32, mut piece: impl FnMut()) {
        piece();
        if !self.full {
            return;
        }
        let round = |piece: &mut dyn FnMut(), calls: u32| {
            let start = Instant::now();
            (0..calls).for_each(|_| piece());
            start.elapsed()
        };
        let mut calls = 1;
        while round(&mut piece, calls) < Duration::from_millis(5) {
            calls *= 2;
        }
        let best = (0..15).map(|_| round(&mut piece, calls)).min();
        let nanos = best.unwrap_or_default().as_nanos() as f64 / f64::from(calls * items);
        println!("{name:34} {nanos:10.1} ns");
    }
}
