//! Golden files: what the readers of a dialect make of its frames and bodies.
//!
//! `tests/golden/<dialect>/<format>-<case>.<kind>` is written by hand, from
//! the protocol; beside it `….seen` holds what is read from it. The kinds are
//! `sse` (a stream), `json` (a whole answer), `error.json` (an error body) and
//! `request.json`. A stream that folds has its whole answer in `….folded`, an
//! answer that unfolds its stream in `….unfolded`; what it is in another format
//! that it can be translated into is in `….as-<format>`. `NOWAIT_BLESS=1`
//! writes all of these anew.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use nowait::dialect::generate::{Event, StreamDecoder, decode, refusal};
use nowait::dialect::ir::Failure;
use nowait::dialect::loss::Losses;
use nowait::dialect::peek::{ask_usage, peek, splice};
use nowait::dialect::translate::{self, Exchange, Quirks, Stream, Target, Wire};
use nowait::dialect::{Finish, Format, Seen, Usage, answer, fold, unfold};
use nowait::sse::{Framer, Piece};

#[test]
fn golden_files_are_read_as_before() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let bless = std::env::var_os("NOWAIT_BLESS").is_some();
    let mut cases = 0;
    for path in sources(&root) {
        if let Some(seen) = read_case(&path) {
            compare(&path, "seen", &seen, bless);
        }
        if let Some((made, text)) = turned(&path) {
            compare(&path, made, &text, bless);
        }
        for (made, text) in translations(&path) {
            compare(&path, &made, &text, bless);
        }
        cases += 1;
    }
    assert!(cases > 0, "no golden files under {}", root.display());
}

/// Compares `text` with the file beside `path`, or writes it there.
fn compare(path: &Path, made: &str, text: &str, bless: bool) {
    let expected_at = path.with_added_extension(made);
    if bless {
        fs::write(&expected_at, text).unwrap();
    }
    let expected = fs::read_to_string(&expected_at).unwrap_or_default();
    assert_eq!(
        text,
        expected,
        "{} differs from what is made of it (NOWAIT_BLESS=1 updates it)",
        expected_at.display()
    );
}

/// The whole answer of a stream, or the stream of a whole answer, where there
/// is one.
fn turned(path: &Path) -> Option<(&'static str, String)> {
    let name = path.file_name()?.to_str()?;
    let bytes = fs::read(path).unwrap();
    let format = format_of(name)?;
    let (made, bytes) = match name.split_once('.')?.1 {
        "sse" => ("folded", fold(format, &bytes)?),
        "json" => ("unfolded", unfold(format, &bytes, true)?),
        _ => return None,
    };
    let mut text = String::from_utf8(bytes.to_vec()).unwrap();
    if made == "folded" {
        text.push('\n');
    }
    Some((made, text))
}

/// The case in each of the other formats it can be translated into, with what
/// is lost on the way.
fn translations(path: &Path) -> Vec<(String, String)> {
    let name = path.file_name().unwrap().to_str().unwrap();
    let bytes = fs::read(path).unwrap();
    let from = match format_of(name) {
        Some(format) => Wire::of(format),
        None => Some(Wire::Gemini),
    };
    let Some(from) = from else {
        return Vec::new();
    };
    let others = Wire::ALL.into_iter().filter(|other| *other != from);
    let translate: fn(Wire, Wire, &[u8]) -> String = match name.split_once('.').unwrap().1 {
        "sse" => translated_stream,
        "json" => translated_answer,
        "error.json" => translated_error,
        "request.json" => translated_request,
        _ => return Vec::new(),
    };
    let translated = |other: Wire| {
        (
            format!("as-{}", other.as_str()),
            translate(from, other, &bytes),
        )
    };
    others.map(translated).collect()
}

fn exchange() -> Exchange {
    Exchange {
        model: "asked".to_owned(),
        id: "golden".to_owned(),
        created: 1_750_000_001,
        include_usage: true,
        ..Exchange::default()
    }
}

fn lossy(body: &[u8], losses: &Losses) -> String {
    let mut out = String::from_utf8(body.to_vec()).unwrap();
    if !out.ends_with('\n') {
        out.push('\n');
    }
    for loss in losses.iter() {
        writeln!(out, "loss: {loss}").unwrap();
    }
    out
}

fn translated_request(from: Wire, to: Wire, body: &[u8]) -> String {
    // The model that the case names, without its provider's name.
    let model = serde_json::from_slice::<serde_json::Value>(body).unwrap_or_default();
    let model = model["model"].as_str().unwrap_or("m").to_owned();
    let model = model.rsplit('/').next().unwrap();
    let target = Target {
        model: match to {
            Wire::Gemini if !model.starts_with("gemini-") => "gemini-3-flash-preview",
            _ => model,
        },
        quirks: Quirks::default(),
        marks_cache: false,
    };
    match translate::request(from, to, body, &target, "golden", 1_750_000_001) {
        Err(error) => format!("{error}\nparam: {}\n", error.field().unwrap_or("-")),
        Ok((out, _)) => format!("{}\n{}", out.path, lossy(&out.body, &out.losses)),
    }
}

fn translated_answer(from: Wire, to: Wire, body: &[u8]) -> String {
    match translate::answer(from, to, body, &exchange()) {
        Ok(translated) => lossy(&translated.body, &translated.losses),
        Err(failure) => format!("{failure:?}\n"),
    }
}

fn translated_error(from: Wire, to: Wire, body: &[u8]) -> String {
    let class = Failure::read(None, body).class;
    let refused = translate::failure(to, class.status(), body, &exchange());
    let body = lossy(&refused.body, &Losses::default());
    format!("{from:?} {class:?}: {}\n{body}", refused.status)
}

fn translated_stream(from: Wire, to: Wire, stream: &[u8]) -> String {
    let mut translation = Stream::new(from, to, &exchange());
    let mut out = Vec::new();
    translation.push(Bytes::copy_from_slice(stream), &mut out);
    let ending = translation.end(&mut out);
    lossy(&out, translation.losses()) + &format!("ending: {ending:?}\n")
}

/// Every file under `root` that isn't itself a result, in order.
fn sources(root: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(root)
        .unwrap()
        .flat_map(|dialect| fs::read_dir(dialect.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .filter(|path| {
            path.extension()
                .and_then(|kind| kind.to_str())
                .is_some_and(|kind| {
                    !["seen", "folded", "unfolded"].contains(&kind) && !kind.starts_with("as-")
                })
        })
        .collect();
    files.sort();
    files
}

fn read_case(path: &Path) -> Option<String> {
    let name = path.file_name().unwrap().to_str().unwrap();
    let bytes = fs::read(path).unwrap();
    let format = format_of(name)?;
    Some(match name.split_once('.').unwrap().1 {
        "sse" => stream(format, bytes.into()),
        "json" => whole(format, &bytes),
        "error.json" => error(&bytes),
        "request.json" => request(bytes.into()),
        kind => panic!("{name}: no such kind of case as {kind}"),
    })
}

/// The format that a name begins with; none for Gemini's, which is only
/// translated.
fn format_of(name: &str) -> Option<Format> {
    let format = Format::ALL
        .into_iter()
        .find(|format| name.starts_with(&format!("{}-", format.as_str())));
    let is_known = format.is_some() || name.starts_with("gemini-");
    assert!(is_known, "{name} begins with no format's name");
    format
}

fn stream(format: Format, bytes: Bytes) -> String {
    let mut out = String::new();
    let mut framer = Framer::default();
    let mut decoder = StreamDecoder::new(format);
    let mut watch = nowait::dialect::Watch::new(format);
    framer.push(bytes);
    let frames: Vec<Bytes> = std::iter::from_fn(|| framer.next())
        .map(Piece::into_bytes)
        .collect();
    let rest = framer.rest();
    for frame in frames.iter().chain((!rest.is_empty()).then_some(&rest)) {
        let line = format!("{:?}", String::from_utf8_lossy(frame));
        let event = match decoder.push(frame) {
            None => String::new(),
            Some(Event::Delta(text)) => format!("delta {text:?}"),
            Some(Event::End) => "end".to_owned(),
            Some(Event::Failed(refusal, _)) => format!("failed {refusal:?}"),
        };
        let start: String = line.chars().take(72).collect();
        writeln!(out, "{start:72} | {:7} | {event}", words(watch.see(frame))).unwrap();
    }
    writeln!(out, "ending: {:?}", watch.ending()).unwrap();
    told(
        &mut out,
        watch.id(),
        watch.model(),
        watch.finish(),
        watch.usage(),
    );
    out
}

fn words(seen: Seen) -> String {
    let names = [
        (seen.content, "content"),
        (seen.end, "end"),
        (seen.error, "error"),
        (seen.usage_only, "usage"),
    ];
    let set: Vec<&str> = names
        .into_iter()
        .filter_map(|(is, name)| is.then_some(name))
        .collect();
    set.join("+")
}

fn whole(format: Format, bytes: &[u8]) -> String {
    let mut out = String::new();
    let generates = matches!(format, Format::Chat | Format::Messages);
    match decode(format, bytes) {
        _ if !generates => {}
        Ok(answer) => writeln!(out, "text: {:?}", answer.text).unwrap(),
        Err(error) => writeln!(out, "no text: {error}").unwrap(),
    }
    let found = answer::read(format, bytes);
    told(
        &mut out,
        found.id.as_deref(),
        found.model.as_deref(),
        found.finish,
        found.usage,
    );
    out
}

fn told(
    out: &mut String,
    id: Option<&str>,
    model: Option<&str>,
    finish: Option<Finish>,
    usage: Option<Usage>,
) {
    writeln!(out, "id: {}", id.unwrap_or("-")).unwrap();
    writeln!(out, "model: {}", model.unwrap_or("-")).unwrap();
    writeln!(out, "finish: {}", finish.map_or("-", Finish::as_str)).unwrap();
    match usage {
        None => writeln!(out, "usage: -").unwrap(),
        Some(usage) => writeln!(
            out,
            "usage: input {} (cached {}, written {}), output {} (reasoning {}){}",
            usage.input,
            usage.cached,
            usage.cache_write,
            usage.output,
            usage.reasoning,
            if usage.estimated { ", estimated" } else { "" }
        )
        .unwrap(),
    }
}

fn error(bytes: &[u8]) -> String {
    let refusal = refusal(bytes);
    format!(
        "message: {}\ncode: {}\n",
        refusal.message,
        refusal.code.as_deref().unwrap_or("-")
    )
}

fn request(bytes: Bytes) -> String {
    let peeked = match peek(&bytes) {
        Ok(peeked) => peeked,
        Err(fault) => return format!("fault: {fault}\nparam: {}\n", fault.param.unwrap_or("-")),
    };
    let mut out = String::new();
    let model = peeked.model.as_ref();
    writeln!(out, "model: {}", model.map_or("-", |field| &field.value)).unwrap();
    writeln!(out, "stream: {}", peeked.stream).unwrap();
    writeln!(out, "include_usage: {}", peeked.include_usage).unwrap();
    if let Some(field) = model {
        let spliced = splice(&bytes, field.span.clone(), "other/model").concat();
        writeln!(
            out,
            "spliced:\n{}",
            String::from_utf8(spliced).unwrap().trim_end()
        )
        .unwrap();
    }
    let asked = ask_usage(&bytes, &peeked, None);
    writeln!(
        out,
        "asking for usage:\n{}",
        String::from_utf8_lossy(&asked).trim_end()
    )
    .unwrap();
    out
}
