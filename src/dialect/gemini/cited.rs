//! Citations: what words rest on.
//!
//! A search of the web lists its pages and which stretch of the answer rests
//! on which; a recitation names its source directly. Places are counted in
//! bytes of UTF-8 here, and in characters everywhere else.

use crate::dialect::ir::{Choice, Citation, Content, Text};
use crate::dialect::loss::Losses;
use crate::dialect::members::{Members, ObjectWriter};

/// What `candidate` says that its words, `said`, rest on.
pub(super) fn citations<'a>(candidate: &Members<'a>, said: &str) -> Vec<Citation<'a>> {
    let of = |key: &str| candidate.get(key).and_then(Members::of);
    let mut cited = Vec::new();
    if let Some(grounding) = of("groundingMetadata") {
        grounded(&grounding, said, &mut cited);
    }
    let recited = of("citationMetadata").unwrap_or_default();
    for source in recited
        .list("citations")
        .into_iter()
        .filter_map(Members::of)
    {
        if let Some(page) = page(&source) {
            let span = span(&source, said);
            cited.push(Citation { span, ..page });
        }
    }
    cited
}

fn grounded<'a>(grounding: &Members<'a>, said: &str, cited: &mut Vec<Citation<'a>>) {
    let kinds = ["web", "retrievedContext", "maps"];
    let pages: Vec<Option<Citation<'a>>> = grounding
        .list("groundingChunks")
        .into_iter()
        .map(|json| {
            let chunk = Members::of(json)?;
            let inner = kinds.iter().find_map(|kind| chunk.get(kind))?;
            page(&Members::of(inner)?)
        })
        .collect();
    let supports = grounding.list("groundingSupports");
    for support in supports.iter().copied().filter_map(Members::of) {
        let segment = support.get("segment").and_then(Members::of);
        let span = segment.and_then(|segment| span(&segment, said));
        for index in support.list("groundingChunkIndices") {
            let page = index
                .parse()
                .ok()
                .and_then(|at: usize| pages.get(at)?.clone());
            cited.extend(page.map(|page| Citation { span, ..page }));
        }
    }
    // Pages that nothing says the place of.
    if supports.is_empty() {
        cited.extend(pages.into_iter().flatten());
    }
}

fn page<'a>(source: &Members<'a>) -> Option<Citation<'a>> {
    let text = |key: &str| source.get(key).and_then(Text::of_json);
    Some(Citation {
        url: Some(text("uri")?),
        title: text("title"),
        ..Citation::default()
    })
}

/// The stretch of `said` in characters, unless it is all of it.
fn span(place: &Members<'_>, said: &str) -> Option<(u64, u64)> {
    let index = |key: &str| place.get(key)?.parse::<usize>().ok();
    let end = index("endIndex")?;
    let chars = |byte: usize| {
        let before = said.char_indices().take_while(|(at, _)| *at < byte);
        before.count() as u64
    };
    // A place at the very beginning isn't written.
    let span = (chars(index("startIndex").unwrap_or(0)), chars(end));
    (span != (0, chars(said.len()))).then_some(span)
}

/// Writes the citations of what was said in `choice`.
pub(super) fn write(candidate: &mut ObjectWriter<'_>, choice: &Choice<'_>, losses: &mut Losses) {
    let said = choice.parts.iter().filter_map(|part| match &part.content {
        Content::Text {
            text, citations, ..
        } => Some((text, citations)),
        _ => None,
    });
    let cited: Vec<_> = said.filter(|(_, list)| !list.is_empty()).collect();
    if cited.is_empty() {
        return;
    }
    let mut metadata = candidate.object("citationMetadata");
    let mut list = metadata.list("citations");
    for (text, citations) in cited {
        let said = text.resolved();
        for citation in citations {
            match &citation.url {
                Some(_) => write_one(list.next(), citation, &said),
                None => losses.dropped("response.citations"),
            }
        }
    }
    list.end();
    metadata.end();
}

/// Writes one citation of a page.
pub(super) fn write_one(out: &mut Vec<u8>, citation: &Citation<'_>, said: &str) {
    let mut source = ObjectWriter::begin(out);
    if let Some((from, to)) = citation.span {
        let bytes = |chars: u64| {
            let mut places = said.char_indices().map(|(at, _)| at);
            places.nth(chars as usize).unwrap_or(said.len()) as u64
        };
        source
            .count("startIndex", bytes(from))
            .count("endIndex", bytes(to));
    }
    source
        .said_if("uri", citation.url.as_ref())
        .said_if("title", citation.title.as_ref());
    source.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_in_characters() {
        let said = "Café: 5 €.";
        let candidate = r#"{"groundingMetadata":{"webSearchQueries":["q"],
            "groundingChunks":[{"web":{"uri":"https://a.b/","title":"A"}},{"web":{"uri":"https://c.d/"}}],
            "groundingSupports":[
              {"segment":{"endIndex":6,"text":"Café:"},"groundingChunkIndices":[0,1],"confidenceScores":[0.9,0.8]},
              {"segment":{"startIndex":7,"endIndex":13},"groundingChunkIndices":[1,7]},
              {"segment":{"endIndex":13},"groundingChunkIndices":[0]}]},
            "citationMetadata":{"citations":[{"startIndex":0,"endIndex":4,"uri":"https://e.f/","license":"mit"}]}}"#;
        let cited = citations(&Members::of(candidate).unwrap(), said);
        let told: Vec<_> = cited
            .iter()
            .map(|it| (it.url.as_ref().unwrap().as_escaped(), it.span))
            .collect();
        assert_eq!(
            told,
            [
                ("https://a.b/", Some((0, 5))),
                ("https://c.d/", Some((0, 5))),
                ("https://c.d/", Some((6, 10))),
                ("https://a.b/", None),
                ("https://e.f/", Some((0, 4))),
            ]
        );
        let mut out = Vec::new();
        write_one(&mut out, &cited[2], said);
        let json = String::from_utf8(out).unwrap();
        assert_eq!(
            json,
            r#"{"startIndex":7,"endIndex":13,"uri":"https://c.d/"}"#
        );
    }

    #[test]
    fn pages_without_a_place_are_told() {
        let candidate = r#"{"groundingMetadata":{"groundingChunks":[{"web":{"uri":"u","title":"t"}},{"image":{}}]}}"#;
        let cited = citations(&Members::of(candidate).unwrap(), "x");
        assert_eq!(cited.len(), 1);
        assert_eq!(cited[0].span, None);
    }
}
