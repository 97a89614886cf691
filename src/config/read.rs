//! One reader per form of value: from what was written to what is meant.
//!
//! A refusal says what the value is, quotes it as written (never what a
//! variable expanded to), and shows the valid form.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use crate::provider::Secret;

use super::nearest::nearest;
use super::raw::{Node, Text, Value};
use super::units::{self, DURATION_FORM, Invalid, Ratio, SIZE_FORM, quoted};

/// What a reader makes of a value; `None` where it was reported before.
pub(super) type Read<T> = Result<Option<T>, Invalid>;

/// Refuses a value for not being of the right type.
fn mistyped<T>(value: &Value, form: &str) -> Read<T> {
    match value {
        Value::Broken => Ok(None),
        Value::Integer(number) => Err(Invalid::new(format!(
            "{number} is an integer; write {form}"
        ))),
        Value::Float(number) => Err(Invalid::new(format!("{number} is a number; write {form}"))),
        other => Err(Invalid::new(format!("is {}; write {form}", other.kind()))),
    }
}

/// Any string that is not empty.
pub(super) fn text(node: &Node) -> Read<String> {
    match &node.value {
        Value::Text(text) if text.text.trim().is_empty() => Err(Invalid::new(
            "is empty; write a string, or leave the key out",
        )),
        Value::Text(text) => Ok(Some(text.text.clone())),
        other => mistyped(other, "a string"),
    }
}

/// A string that is never shown, fit to travel in a header.
pub(super) fn secret(node: &Node) -> Read<Secret> {
    let Value::Text(text) = &node.value else {
        return match &node.value {
            Value::Broken => Ok(None),
            other => Err(Invalid::new(format!("is {}; write a string", other.kind()))),
        };
    };
    secret_text(&text.text).map(Some)
}

/// A secret out of a variable or a file. Line breaks around it come from how
/// it got there and are dropped; inside it they are a mistake.
pub(super) fn secret_text(text: &str) -> Result<Secret, Invalid> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Invalid::new(
            "is empty; leave the key out to pass the caller's own through",
        ));
    }
    if http::HeaderValue::from_str(text).is_err() || !text.is_ascii() {
        return Err(Invalid::new(
            "holds a character no header can carry (a line break inside it?)",
        ));
    }
    Ok(Secret::new(text))
}

/// `true` or `false`.
pub(super) fn flag(node: &Node) -> Read<bool> {
    match &node.value {
        Value::Flag(flag) => Ok(Some(*flag)),
        other => mistyped(other, "true or false, without quotes"),
    }
}

/// A whole number within bounds.
pub(super) fn count(low: u64, high: u64) -> impl Fn(&Node) -> Read<u64> {
    move |node| {
        let form = format!("a whole number from {low} to {high}");
        match &node.value {
            Value::Integer(number) => match u64::try_from(*number) {
                Ok(count) if (low..=high).contains(&count) => Ok(Some(count)),
                _ => Err(Invalid::new(format!(
                    "{number} is out of range; write {form}"
                ))),
            },
            other => mistyped(other, &form),
        }
    }
}

/// The greatest count taken for things that are held in memory or opened.
pub(super) const MOST: u64 = 100_000;

/// A whole number from 1, as a size.
pub(super) fn some(node: &Node) -> Read<NonZeroUsize> {
    Ok(count(1, MOST)(node)?.and_then(|count| NonZeroUsize::new(count as usize)))
}

/// Upstream calls for one call.
pub(super) fn attempts(node: &Node) -> Read<NonZeroU32> {
    Ok(count(1, 100)(node)?.and_then(|count| NonZeroU32::new(count as u32)))
}

/// A duration, zero included.
pub(super) fn duration(node: &Node) -> Read<Duration> {
    match &node.value {
        Value::Text(text) => as_written(text, units::duration, "a duration", DURATION_FORM),
        other => mistyped(other, DURATION_FORM),
    }
}

/// A duration of more than nothing.
pub(super) fn wait(node: &Node) -> Read<Duration> {
    match duration(node)? {
        Some(wait) if wait.is_zero() => Err(Invalid::new("must be longer than nothing")),
        read => Ok(read),
    }
}

/// A size of more than nothing, in bytes.
pub(super) fn size(node: &Node) -> Read<u64> {
    match &node.value {
        Value::Text(text) => match as_written(text, units::size, "a size", SIZE_FORM)? {
            Some(0) => Err(Invalid::new("must be more than nothing")),
            read => Ok(read),
        },
        other => mistyped(other, SIZE_FORM),
    }
}

/// A share.
pub(super) fn ratio(node: &Node) -> Read<f64> {
    let form = "a number from 0 to 1 like 0.2, or \"20%\"";
    match &node.value {
        Value::Float(number) => Ratio::new(*number).map(|ratio| Some(ratio.get())),
        Value::Integer(number) => Ratio::new(*number as f64).map(|ratio| Some(ratio.get())),
        Value::Text(text) => as_written(
            text,
            |text| text.parse::<Ratio>().map(Ratio::get),
            "a ratio",
            form,
        ),
        other => mistyped(other, form),
    }
}

/// Reads a text; what is refused is shown as it was written.
pub(super) fn as_written<T, E: std::fmt::Display>(
    text: &Text,
    read: impl FnOnce(&str) -> Result<T, E>,
    what: &str,
    form: &str,
) -> Read<T> {
    match read(&text.text) {
        Ok(value) => Ok(Some(value)),
        Err(why) if text.text == text.written => Err(Invalid::new(why.to_string())),
        Err(_) => Err(Invalid::new(format!(
            "{} does not expand to {what}; it should be {form}",
            quoted(&text.written)
        ))),
    }
}

/// An address to listen on.
pub(super) fn address(node: &Node) -> Read<SocketAddr> {
    match &node.value {
        Value::Text(text) => as_written(text, parse_address, "an address", ADDRESS_FORM),
        other => mistyped(other, ADDRESS_FORM),
    }
}

const ADDRESS_FORM: &str = "IP:PORT like \"127.0.0.1:4000\", \"0.0.0.0:4000\" or \"[::1]:4000\"";

/// Reads `IP:PORT` and `localhost:PORT`.
pub(super) fn parse_address(text: &str) -> Result<SocketAddr, Invalid> {
    let refuse = || {
        Invalid::new(format!(
            "{} is not an address; write {ADDRESS_FORM}",
            quoted(text)
        ))
    };
    match text.trim().strip_prefix("localhost:") {
        Some(port) => {
            let port: u16 = port.parse().map_err(|_| refuse())?;
            Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        }
        None => text.trim().parse().map_err(|_| refuse()),
    }
}

/// A file.
pub(super) fn path(node: &Node) -> Read<PathBuf> {
    Ok(text(node)?.map(PathBuf::from))
}

/// One of some words.
pub(super) fn word<T: Copy>(words: &[(&str, T)]) -> impl Fn(&Node) -> Read<T> {
    move |node| {
        let names = words.iter().map(|(name, _)| *name);
        let form = one_of(names.clone());
        let Value::Text(text) = &node.value else {
            return mistyped(&node.value, &form);
        };
        if let Some((_, value)) = words.iter().find(|(name, _)| *name == text.text) {
            return Ok(Some(*value));
        }
        let shown = quoted(&text.written);
        Err(Invalid::new(match nearest(&text.text, names) {
            Some(near) => format!("{shown} is unknown; did you mean {near:?}? It takes {form}"),
            None => format!("{shown} is unknown; write {form}"),
        }))
    }
}

/// A list, each of whose entries `read` reads.
pub(super) fn list<T>(read: impl Fn(&Node) -> Read<T>) -> impl Fn(&Node) -> Read<Vec<T>> {
    move |node| {
        let Value::List(items) = &node.value else {
            return match &node.value {
                Value::Broken => Ok(None),
                other => Err(Invalid::new(format!("is {}; write a list", other.kind()))),
            };
        };
        let mut list = Vec::with_capacity(items.len());
        for item in items {
            list.extend(read(item)?);
        }
        // What is missing was reported before.
        Ok((list.len() == items.len()).then_some(list))
    }
}

/// `"a", "b" or "c"`.
pub(super) fn one_of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let quoted: Vec<_> = names.map(|name| format!("{name:?}")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// A list of strings, each with its own node. One that is broken is dropped.
pub(super) fn texts(node: &Node) -> Read<Vec<(&Node, &Text)>> {
    let form = "a list of strings like [\"a\", \"b\"]";
    let Value::List(items) = &node.value else {
        return mistyped(&node.value, form);
    };
    let mut texts = Vec::with_capacity(items.len());
    for item in items {
        match &item.value {
            Value::Text(text) => texts.push((item, text)),
            Value::Broken => {}
            other => {
                return Err(Invalid::new(format!(
                    "holds {}; write {form}",
                    other.kind()
                )));
            }
        }
    }
    Ok(Some(texts))
}
