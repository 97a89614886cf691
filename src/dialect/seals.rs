//! How a seal travels through the format of a caller who isn't its maker's.
//!
//! A provider's mark on its reasoning must come back to it in a later turn,
//! through a caller who speaks another format and keeps what it was given. So
//! the mark goes out with a tag that says whose it is, in the place where the
//! caller's format has its own; a mark without a tag is the format's own.
//!
//! `nowait:<maker>:<kind>:<length of the id>:<id><mark>`

use std::collections::HashMap;

use super::ir::{Content, Maker, Part, Seal, Text};

/// What a mark is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// On reasoning that is shown, or has no words.
    Signature,
    /// The hidden reasoning itself.
    Redacted,
    /// On a tool call, whose id the seal's id is.
    Call,
}

const KINDS: [(Kind, &str); 3] = [
    (Kind::Signature, "signature"),
    (Kind::Redacted, "redacted"),
    (Kind::Call, "call"),
];

const MAKERS: [(Maker, &str); 3] = [
    (Maker::OpenAi, "openai"),
    (Maker::Anthropic, "anthropic"),
    (Maker::Gemini, "gemini"),
];

/// The mark as it goes through a format that isn't its maker's.
pub fn tagged(kind: Kind, seal: &Seal<'_>) -> Text<'static> {
    let maker = MAKERS.iter().find(|(known, _)| *known == seal.maker);
    let kind = KINDS.iter().find(|(known, _)| *known == kind);
    let id = seal.id.as_ref().map_or("", Text::as_escaped);
    let mut text = Text::owned(&format!(
        "nowait:{}:{}:{}:",
        maker.map_or("", |(_, name)| name),
        kind.map_or("", |(_, name)| name),
        id.len()
    ));
    if let Some(id) = &seal.id {
        text.push(id);
    }
    text.push(&seal.data);
    text
}

/// The seal and its kind that a tagged mark is; nothing where it has no tag.
pub fn untagged<'a>(mark: &Text<'a>) -> Option<(Kind, Seal<'a>)> {
    let mut fields = mark.as_escaped().strip_prefix("nowait:")?.splitn(4, ':');
    let maker = fields.next()?;
    let kind = fields.next()?;
    let length: usize = fields.next()?.parse().ok()?;
    let rest = fields.next()?;
    let (maker, _) = MAKERS.iter().find(|(_, name)| *name == maker)?;
    let (kind, _) = KINDS.iter().find(|(_, name)| *name == kind)?;
    let (id, data) = rest.split_at_checked(length)?;
    let start = mark.as_escaped().len() - rest.len();
    let seal = Seal {
        maker: *maker,
        id: (!id.is_empty()).then(|| mark.slice(start, start + id.len())),
        data: mark.slice(start + id.len(), start + id.len() + data.len()),
        is_redacted: *kind == Kind::Redacted,
    };
    Some((*kind, seal))
}

/// Puts marks on calls, each on the first of the call whose id is the mark's; one
/// for which there is none is dropped. Of several for one call the last counts.
pub fn put<'a: 'p, 'p>(marks: Vec<Seal<'a>>, parts: impl Iterator<Item = &'p mut Part<'a>>) {
    let mut marks: HashMap<_, _> = marks
        .into_iter()
        .filter_map(|seal| Some((seal.id.clone()?, Seal { id: None, ..seal })))
        .collect();
    for part in parts {
        // Most conversations have none.
        if marks.is_empty() {
            return;
        }
        if let Content::Call(call) = &mut part.content
            && let Some(seal) = marks.remove(&call.id)
        {
            call.seal = Some(seal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tagged_mark_comes_back_as_it_was() {
        let rows = [
            (Maker::OpenAi, Some("rs_1"), "gAAA==", Kind::Signature),
            (Maker::Anthropic, None, "a:b\\\"c", Kind::Redacted),
            (Maker::Gemini, Some("call:1"), "", Kind::Call),
        ];
        for (maker, id, data, kind) in rows {
            let seal = Seal {
                maker,
                id: id.map(Text::plain),
                data: Text::plain(data),
                is_redacted: kind == Kind::Redacted,
            };
            let mark = tagged(kind, &seal);
            assert_eq!(untagged(&mark), Some((kind, seal)));
        }
        for own in [
            "EqQBCg==",
            "nowait",
            "nowait:openai:seal:9:x",
            "nowait:x:call:0:",
        ] {
            assert_eq!(untagged(&Text::plain(own)), None);
        }
    }
}
