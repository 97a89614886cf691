//! JSON that grows by deltas.
//!
//! Strings are kept as escaped between their quotes, so joining two is one
//! copy, and half a surrogate pair in each of them comes out as the pair.

use crate::dialect::json::{elements, says_something};
use crate::dialect::members::{Members, ObjectWriter, inside_quotes, is_array, is_null, is_object};

/// An object that is put together from deltas.
#[derive(Clone, Debug, Default)]
pub(super) struct Object(Vec<(Box<str>, Value)>);

#[derive(Clone, Debug)]
enum Value {
    /// Any value, as written.
    Raw(Box<str>),
    /// A string: what is between its quotes.
    Text(String),
    /// An array that is only appended to: what is between its brackets.
    Items(String),
    /// An array whose elements grow.
    List(Vec<Value>),
    Object(Object),
}

/// More members or growing elements than any answer has; they are searched
/// one by one.
const MOST: usize = 1024;

/// Deeper than any delta; below it values are taken as they are.
const DEEPEST: u32 = 16;

/// Strings that name something: what comes later replaces what was there.
/// Servers repeat them in every delta.
const NAMES: [&str; 9] = [
    "role", "id", "type", "name", "channel", "format", "status", "object", "model",
];

/// Whether a string of that name is a name and so comes whole.
pub(in crate::dialect) fn is_name(key: &str) -> bool {
    NAMES.contains(&key)
}

impl Object {
    /// An object with these members.
    pub(super) fn of(members: &Members<'_>) -> Self {
        let mut object = Self::default();
        for (key, value) in members.iter() {
            object.put(key, value);
        }
        object
    }

    /// Whether it has no members.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is such a member, null or not.
    pub(super) fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(name, _)| **name == *key)
    }

    /// The value of `key` where it was put or set and has not grown.
    pub(super) fn raw(&self, key: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(name, _)| **name == *key)?;
        match value {
            Value::Raw(raw) => Some(raw),
            _ => None,
        }
    }

    /// Takes a member out.
    pub(super) fn remove(&mut self, key: &str) {
        self.0.retain(|(name, _)| **name != *key);
    }

    /// Gives `key` this value, whatever it had.
    pub(super) fn put(&mut self, key: &str, json: &str) {
        self.replace(key, Value::Raw(json.into()));
    }

    /// Gives `key` this object, whatever it had.
    pub(super) fn put_object(&mut self, key: &str, object: Self) {
        self.replace(key, Value::Object(object));
    }

    fn replace(&mut self, key: &str, value: Value) {
        match self.0.iter_mut().find(|(name, _)| **name == *key) {
            Some((_, earlier)) => *earlier = value,
            None => self.0.push((key.into(), value)),
        }
    }

    /// Gives `key` the value of a later report: it replaces the earlier one
    /// unless it says nothing.
    pub(super) fn set(&mut self, key: &str, raw: &str) -> Option<()> {
        let value = self.entry(key)?;
        let is_news = match &*value {
            Value::Raw(was) => **was != *raw && (says_something(raw) || **was == *"null"),
            _ => says_something(raw),
        };
        if is_news {
            *value = Value::Raw(raw.into());
        }
        Some(())
    }

    /// Gives `key` the value of a later count of the same thing: the larger
    /// of two numbers, else as [`Self::set`] does.
    pub(super) fn count(&mut self, key: &str, raw: &str) -> Option<()> {
        let number = |json: &str| json.parse::<u64>().ok();
        let earlier = self.raw(key).and_then(number);
        if earlier.is_some() && number(raw) < earlier {
            return Some(());
        }
        self.set(key, raw)
    }

    /// Adds a delta to `key`: strings are joined unless they are names,
    /// objects grow member by member, elements of arrays by their `index`;
    /// null adds nothing, and any other value replaces what was there.
    ///
    /// Nothing where the result would make no sense.
    pub(super) fn grow(&mut self, key: &str, delta: &str) -> Option<()> {
        self.grow_at(key, delta, 0)
    }

    /// Adds a text, as escaped between its quotes, to `key`.
    pub(super) fn add_text(&mut self, key: &str, text: &str) -> Option<()> {
        self.entry(key)?.add_text(key, text)
    }

    fn grow_at(&mut self, key: &str, delta: &str, depth: u32) -> Option<()> {
        if is_null(delta) || depth == DEEPEST || (is_name(key) && !is_array(delta)) {
            return self.set(key, delta);
        }
        let value = self.entry(key)?;
        if let Some(text) = inside_quotes(delta) {
            return value.add_text(key, text);
        }
        if is_object(delta) {
            let members = Members::of(delta)?;
            return value.as_object()?.grow_each(&members, depth + 1);
        }
        if is_array(delta) {
            let elements = elements(delta)?;
            let list = value.as_list()?;
            // Elements of one delta are different ones.
            let known = list.len();
            return elements
                .into_iter()
                .try_for_each(|element| add_element(list, known, key, element, depth + 1));
        }
        *value = Value::Raw(delta.into());
        Some(())
    }

    fn grow_each(&mut self, deltas: &Members<'_>, depth: u32) -> Option<()> {
        deltas
            .iter()
            .try_for_each(|(key, delta)| self.grow_at(key, delta, depth))
    }

    /// Adds to the arrays in the object `key` has; other members of it are
    /// set. Logprobs come like that.
    pub(super) fn append(&mut self, key: &str, delta: &str) -> Option<()> {
        if !is_object(delta) {
            return self.set(key, delta);
        }
        let object = self.entry(key)?.as_object()?;
        for (key, raw) in Members::of(delta)?.iter() {
            match inside_brackets(raw) {
                Some(elements) => object.entry(key)?.append(elements),
                None => object.set(key, raw)?,
            }
        }
        Some(())
    }

    /// Appends one element to the array `key` has.
    pub(super) fn push(&mut self, key: &str, element: &str) -> Option<()> {
        self.entry(key)?.append(element);
        Some(())
    }

    /// The elements of the array `key` has that are objects and grew.
    pub(super) fn elements(&mut self, key: &str) -> impl Iterator<Item = &mut Self> {
        let found = self.0.iter_mut().find(|(name, _)| **name == *key);
        let list = match found {
            Some((_, Value::List(list))) => list.as_mut_slice(),
            _ => &mut [],
        };
        list.iter_mut().filter_map(Value::object)
    }

    /// The value of `key`, null if it was not there.
    fn entry(&mut self, key: &str) -> Option<&mut Value> {
        let at = match self.0.iter().position(|(name, _)| **name == *key) {
            Some(at) => at,
            None if self.0.len() == MOST => return None,
            None => {
                self.0.push((key.into(), Value::Raw("null".into())));
                self.0.len() - 1
            }
        };
        Some(&mut self.0[at].1)
    }

    /// Gives `object` its members.
    pub(super) fn write_into(&self, object: &mut ObjectWriter<'_>) {
        for (key, value) in &self.0 {
            value.write(object.key(key));
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        let mut object = ObjectWriter::begin(out);
        self.write_into(&mut object);
        object.end();
    }
}

impl Value {
    fn is_null(&self) -> bool {
        matches!(self, Self::Raw(raw) if **raw == *"null")
    }

    /// Adds to a string, or to an array of parts what is then a text part.
    fn add_text(&mut self, key: &str, more: &str) -> Option<()> {
        match self {
            // Base64 that was padded can't be added to.
            Self::Text(text) if key == "data" && text.ends_with('=') && !more.is_empty() => {
                return None;
            }
            Self::Text(text) => text.push_str(more),
            Self::List(list) => add_text_part(list, more)?,
            Self::Raw(raw) => {
                let earlier = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"'));
                *self = Self::Text([earlier.unwrap_or_default(), more].concat());
            }
            Self::Items(_) | Self::Object(_) => *self = Self::Text(more.to_owned()),
        }
        Some(())
    }

    /// The object it is, after null.
    fn as_object(&mut self) -> Option<&mut Object> {
        if self.is_null() {
            *self = Self::Object(Object::default());
        }
        self.object()
    }

    fn object(&mut self) -> Option<&mut Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The list it is, after null or a text, which becomes its first part.
    fn as_list(&mut self) -> Option<&mut Vec<Self>> {
        if self.is_null() {
            *self = Self::List(Vec::new());
        } else if let Self::Text(text) = self {
            let text = std::mem::take(text);
            *self = Self::List(Vec::new());
            if let Self::List(list) = self
                && !text.is_empty()
            {
                add_text_part(list, &text)?;
            }
        }
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }

    /// Appends `elements`, the inside of an array, to an array; what is none
    /// becomes one.
    fn append(&mut self, elements: &str) {
        if let Self::Raw(raw) = self {
            *self = Self::Items(inside_brackets(raw).unwrap_or_default().to_owned());
        }
        if let Self::Items(items) = self
            && !elements.is_empty()
        {
            if !items.is_empty() {
                items.push(',');
            }
            items.push_str(elements);
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        let mut quoted = |open, inside: &str, close| {
            out.push(open);
            out.extend_from_slice(inside.as_bytes());
            out.push(close);
        };
        match self {
            Self::Raw(raw) => out.extend_from_slice(raw.as_bytes()),
            Self::Text(text) => quoted(b'"', text, b'"'),
            Self::Items(items) => quoted(b'[', items, b']'),
            Self::Object(object) => object.write(out),
            Self::List(list) => {
                out.push(b'[');
                for (at, value) in list.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    value.write(out);
                }
                out.push(b']');
            }
        }
    }
}

/// What is between the brackets of an array.
fn inside_brackets(json: &str) -> Option<&str> {
    let inside = json.strip_prefix('[')?.strip_suffix(']')?;
    Some(inside.trim_ascii())
}

/// Adds an element of the array `key` to the one it continues, which is among
/// the first `known`, else to the end.
fn add_element(
    list: &mut Vec<Value>,
    known: usize,
    key: &str,
    element: &str,
    depth: u32,
) -> Option<()> {
    let Some(members) = Members::of(element) else {
        list.push(Value::Raw(element.into()));
        return (list.len() <= MOST).then_some(());
    };
    let reach = match members.get("index") {
        Some(_) => known,
        None => 1.min(known),
    };
    let place = list[..known]
        .iter_mut()
        .rev()
        .take(reach)
        .filter_map(Value::object)
        .find(|object| continues(key, object, &members));
    if let Some(object) = place {
        return object.grow_each(&members, depth);
    }
    let mut object = Object::default();
    object.grow_each(&members, depth)?;
    list.push(Value::Object(object));
    (list.len() <= MOST).then_some(())
}

/// Whether `delta` is more of the element `object` of the array `key`.
///
/// That is what `index` is for. Servers that leave it out continue the last
/// tool call or text; and some number all their calls 0, but name each.
fn continues(key: &str, object: &Object, delta: &Members<'_>) -> bool {
    let told = |key| delta.get(key).filter(|raw| says_something(raw));
    let same = |key| match (object.raw(key), told(key)) {
        (Some(ours), Some(theirs)) => ours == theirs,
        _ => true,
    };
    match delta.get("index") {
        Some(index) => {
            object.raw("index") == Some(index) && same("type") && (same("id") || !opens_call(delta))
        }
        None if key == "tool_calls" => same("id"),
        None => {
            let kind = delta.text("type");
            matches!(kind.as_deref(), Some("text" | "thinking")) && same("type")
        }
    }
}

/// Whether a delta of a tool call names the function.
fn opens_call(delta: &Members<'_>) -> bool {
    let function = delta.get("function").and_then(Members::of);
    let name = function.and_then(|function| function.get("name"));
    name.is_some_and(says_something)
}

/// Adds a text to an array of content parts.
fn add_text_part(list: &mut Vec<Value>, text: &str) -> Option<()> {
    let is_text = |object: &&mut Object| object.raw("type") == Some("\"text\"");
    let last = list.last_mut().and_then(Value::object);
    if let Some(part) = last.filter(is_text) {
        return part.entry("text")?.add_text("text", text);
    }
    list.push(Value::Object(Object(vec![
        ("type".into(), Value::Raw("\"text\"".into())),
        ("text".into(), Value::Text(text.to_owned())),
    ])));
    (list.len() <= MOST).then_some(())
}
