//! Who may call: `[[keys]]`.

use crate::config::Key;
use crate::config::keys::{ModelPattern, parse_hash};
use crate::config::raw::{Node, Value};
use crate::config::read::{self, Read};
use crate::config::section::Section;
use crate::config::units::Invalid;

/// The gateway keys, in the order of the file.
pub(super) fn keys(root: &Section<'_>, is_whole: bool) -> Vec<Key> {
    let mut keys: Vec<Key> = Vec::new();
    for section in root.listed("keys") {
        let Some(key) = key(&section, is_whole) else {
            continue;
        };
        // Named by place and not by name, which may come out of a variable.
        if let Some(at) = keys.iter().position(|other| other.name == key.name) {
            section.problem(
                "name",
                format!("is that of keys[{at}]; names tell callers apart"),
            );
        }
        if let Some(at) = keys.iter().position(|other| other.hash == key.hash) {
            section.problem(
                "hash",
                format!("is that of keys[{at}]; every caller needs a key of its own"),
            );
        }
        keys.push(key);
    }
    keys
}

fn key(section: &Section<'_>, is_whole: bool) -> Option<Key> {
    for required in ["name", "hash"] {
        if section.node(required).is_none() && is_whole && section.is_there() {
            section.problem(required, "is missing");
        }
    }
    let name = section.get("name", name);
    let hash = section.get("hash", hash);
    let models = section.value("models", patterns);
    let admin = section.value("admin", read::flag);
    Some(Key {
        name: name?,
        hash: hash?,
        models: models?,
        admin: admin?,
    })
}

/// A name that can stand in logs and metrics.
fn name(node: &Node) -> Read<String> {
    let name = read::text(node)?;
    match &name {
        Some(text) if text.len() > 128 || text.chars().any(char::is_control) => Err(Invalid::new(
            "is no name; use up to 128 characters on one line",
        )),
        _ => Ok(name),
    }
}

/// Never quoted: what stands here by mistake is the key itself.
fn hash(node: &Node) -> Read<[u8; 32]> {
    match &node.value {
        Value::Text(text) => match parse_hash(&text.text) {
            Some(hash) => Ok(Some(hash)),
            None => Err(Invalid::new(
                "is not sha256: and 64 hex digits; make one with: printf %s \"$KEY\" | sha256sum",
            )),
        },
        Value::Broken => Ok(None),
        other => Err(Invalid::new(format!(
            "is {}; write \"sha256:…\"",
            other.kind()
        ))),
    }
}

fn patterns(node: &Node) -> Read<Vec<ModelPattern>> {
    let Some(texts) = read::texts(node)? else {
        return Ok(None);
    };
    if texts.is_empty() {
        return Err(Invalid::new(
            "is empty, so that nothing may be asked for; write [\"*\"] for everything",
        ));
    }
    if texts.iter().any(|(_, text)| text.text.trim().is_empty()) {
        return Err(Invalid::new("holds an empty name"));
    }
    Ok(Some(
        texts
            .iter()
            .map(|(_, text)| ModelPattern::new(&text.text))
            .collect(),
    ))
}
