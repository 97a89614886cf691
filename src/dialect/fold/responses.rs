//! Responses: the terminal event has the whole response in it.

use super::{Folding, Step, fold_into};
use crate::dialect::json::says_something;
use crate::dialect::members::{Members, ObjectWriter, is_object};

pub(super) fn fold(stream: &[u8]) -> Option<Vec<u8>> {
    let mut answer = Answer::default();
    fold_into(&mut answer, stream)?;
    answer.items.sort_by_key(|(index, _)| *index);
    complete(answer.whole?, &answer.items)
}

#[derive(Debug, Default)]
struct Answer {
    whole: Option<String>,
    /// What is done, by its place in the output.
    items: Vec<(usize, String)>,
}

impl Folding for Answer {
    fn take<'d>(&mut self, event: Option<&[u8]>, data: &'d str) -> Option<Step<'d>> {
        let kind;
        let name = match event {
            Some(name) => std::str::from_utf8(name).ok()?,
            None => {
                kind = Members::of(data)?.text("type")?;
                &kind
            }
        };
        match name {
            "response.output_item.done" => {
                let done = Members::of(data)?;
                let index = done.get("output_index")?.parse().ok()?;
                self.items.push((index, done.get("item")?.to_owned()));
            }
            "response.completed" | "response.incomplete" => {
                let terminal = Members::of(data)?;
                let response = terminal.get("response").filter(|raw| is_object(raw))?;
                self.whole = Some(response.to_owned());
                return Some(Step::End);
            }
            "error" | "response.failed" => return None,
            _ => {}
        }
        Some(Step::More)
    }

    /// Texts are all in the terminal event again.
    fn take_text(&mut self, _: &str) -> Option<()> {
        None
    }
}

/// The response itself, unless its server leaves out the output it has sent
/// already, as ChatGPT's own does.
fn complete(response: String, items: &[(usize, String)]) -> Option<Vec<u8>> {
    let members = Members::of(&response)?;
    if items.is_empty() || members.get("output").is_none_or(says_something) {
        return Some(response.into_bytes());
    }
    let mut out = Vec::with_capacity(2 * response.len());
    let mut whole = ObjectWriter::begin(&mut out);
    for (key, raw) in members.iter() {
        if key != "output" {
            whole.raw(key, raw);
            continue;
        }
        let output = whole.key(key);
        for (at, (_, item)) in items.iter().enumerate() {
            output.push(if at == 0 { b'[' } else { b',' });
            output.extend_from_slice(item.as_bytes());
        }
        output.push(b']');
    }
    whole.end();
    Some(out)
}
