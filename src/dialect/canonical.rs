//! What a JSON text means, as bytes: equal for two texts that differ only in
//! how they are written, and different for all others.
//!
//! The order of keys, white space, the spelling of numbers and escapes don't
//! count. Array order, unknown fields, and whether a field is null or absent
//! do. A text that providers could understand in two ways has no canonical
//! form: an object with a key twice, half of a surrogate pair.
//!
//! The form: `n`, `t`, `f`; `d` and a decimal; `s` and a text; `[`, values,
//! `]`; `{`, texts and values by turns in the order of the texts, `}`. Decimals
//! and texts end with a byte that UTF-8 never has, so no form is the beginning
//! of another and no two meanings share one.

mod fuzz;

use std::ops::Range;

use super::json::scan::{Invalid, Scan};

pub use fuzz::fuzz_canonical;

/// Ends decimals and texts. No UTF-8 has it.
const END: u8 = 0xFF;

/// How deep values may lie in each other: as deep as serde_json reads them,
/// and deeper than any provider's schema. It bounds the stack, and what
/// sorting may copy.
const MAX_DEPTH: u32 = 128;

/// Which fields of a body don't count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Omit {
    /// All count.
    Nothing,
    /// How the answer is delivered doesn't: `stream`,
    /// `stream_options.include_usage`, `stream_options` where it says nothing
    /// else. Nor `model`, which is an alias for what the plan knows better.
    Delivery,
    /// Nor does `input`: the texts to embed, which count one by one.
    DeliveryAndInput,
}

impl Omit {
    fn leaves_out(self, place: Place, key: &str) -> bool {
        match (place, key) {
            (Place::Body, "model" | "stream") => self != Self::Nothing,
            (Place::Body, "input") => self == Self::DeliveryAndInput,
            (Place::StreamOptions, "include_usage") => true,
            _ => false,
        }
    }
}

/// The object whose fields are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Body,
    StreamOptions,
    Inside,
}

/// Appends the canonical form of `json` without what `omit` says. `None` where
/// it has none: it is not JSON, deeper than 128 levels, has a key twice in one
/// object, a broken surrogate pair, or an exponent beyond 18 digits. What
/// `out` has gained by then is of no use.
pub fn write(out: &mut Vec<u8>, json: &str, omit: Omit) -> Option<()> {
    let mut writer = Writer {
        out,
        omit,
        fields: Vec::new(),
        unsorted: Vec::new(),
    };
    let mut scan = Scan::new(json);
    let place = match omit {
        Omit::Nothing => Place::Inside,
        Omit::Delivery | Omit::DeliveryAndInput => Place::Body,
    };
    writer.value(&mut scan, place, MAX_DEPTH).ok()?;
    scan.end().ok()
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    omit: Omit,
    /// The fields so far of every object that is open, outer ones first.
    fields: Vec<Field>,
    /// Room for an object's fields while they are put in order.
    unsorted: Vec<u8>,
}

/// Where a field lies in what is written.
#[derive(Clone, Copy)]
struct Field {
    key: usize,
    value: usize,
    end: usize,
}

impl Field {
    /// The key, with its end.
    fn name(self, origin: usize) -> Range<usize> {
        self.key - origin..self.value - origin
    }

    /// A field that is left out keeps its key until all keys are compared.
    fn is_left_out(self) -> bool {
        self.value == self.end
    }
}

impl Writer<'_> {
    fn value(&mut self, scan: &mut Scan<'_>, place: Place, depth: u32) -> Result<(), Invalid> {
        match scan.peek() {
            b'"' => {
                self.out.push(b's');
                self.quoted(scan.skip()?).ok_or(Invalid)?;
            }
            b'{' => self.object(scan, place, depth.checked_sub(1).ok_or(Invalid)?)?,
            b'[' => {
                let depth = depth.checked_sub(1).ok_or(Invalid)?;
                self.out.push(b'[');
                scan.array(|scan| self.value(scan, Place::Inside, depth))?;
                self.out.push(b']');
            }
            word @ (b't' | b'f' | b'n') => {
                scan.skip()?;
                self.out.push(word);
            }
            _ => self.decimal(scan.skip()?)?,
        }
        Ok(())
    }

    fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(END);
    }

    /// A string as it is written, its quotes included. Prompts are long and
    /// full of `\n`, so they are not copied twice.
    fn quoted(&mut self, string: &str) -> Option<()> {
        let mut left = string.strip_prefix('"')?.strip_suffix('"')?;
        while let Some(at) = memchr::memchr(b'\\', left.as_bytes()) {
            self.out.extend_from_slice(&left.as_bytes()[..at]);
            let escape = *left.as_bytes().get(at + 1)?;
            left = left.get(at + 2..)?;
            let resolved = match escape {
                b'n' => '\n',
                b't' => '\t',
                b'r' => '\r',
                b'b' => '\u{8}',
                b'f' => '\u{c}',
                b'u' => {
                    let (c, rest) = unicode(left)?;
                    left = rest;
                    c
                }
                same => char::from(same),
            };
            let utf8 = &mut [0; 4];
            self.out
                .extend_from_slice(resolved.encode_utf8(utf8).as_bytes());
        }
        self.text(left);
        Some(())
    }

    fn object(&mut self, scan: &mut Scan<'_>, place: Place, depth: u32) -> Result<(), Invalid> {
        let first = self.fields.len();
        self.out.push(b'{');
        scan.object(|scan, name| {
            let key = self.out.len();
            self.text(&name);
            let value = self.out.len();
            if self.omit.leaves_out(place, &name) {
                scan.skip()?;
            } else if place == Place::Body && name == "stream_options" {
                self.value(scan, Place::StreamOptions, depth)?;
                if matches!(&self.out[value..], b"{}" | b"n") {
                    self.out.truncate(value);
                }
            } else {
                self.value(scan, Place::Inside, depth)?;
            }
            let end = self.out.len();
            self.fields.push(Field { key, value, end });
            Ok(())
        })?;
        self.sort(first)?;
        self.out.push(b'}');
        Ok(())
    }

    /// Puts the fields of the innermost object, which are those from `first`
    /// on, in the order of their keys, and drops those that are left out.
    fn sort(&mut self, first: usize) -> Result<(), Invalid> {
        let fields = &mut self.fields[first..];
        let in_order = fields
            .windows(2)
            .all(|two| self.out[two[0].name(0)] < self.out[two[1].name(0)]);
        if !in_order || fields.iter().any(|field| field.is_left_out()) {
            let origin = fields[0].key;
            self.unsorted.clear();
            self.unsorted.extend_from_slice(&self.out[origin..]);
            self.out.truncate(origin);
            let name = |field: Field| &self.unsorted[field.name(origin)];
            fields.sort_unstable_by(|a, b| name(*a).cmp(name(*b)));
            if fields.windows(2).any(|two| name(two[0]) == name(two[1])) {
                return Err(Invalid);
            }
            for field in fields.iter().filter(|field| !field.is_left_out()) {
                let range = field.key - origin..field.end - origin;
                self.out.extend_from_slice(&self.unsorted[range]);
            }
        }
        self.fields.truncate(first);
        Ok(())
    }

    /// A JSON number: its sign, its digits without zeros at either end, and
    /// the power of ten they are multiplied by. Exact, whatever its size.
    fn decimal(&mut self, number: &str) -> Result<(), Invalid> {
        self.out.push(b'd');
        // Nearly all are: tokens come by the thousands.
        if number.bytes().all(|byte| byte.is_ascii_digit()) && !number.ends_with('0') {
            self.text(number);
            return Ok(());
        }
        let start = self.out.len();
        let (number, sign) = match number.strip_prefix('-') {
            Some(rest) => (rest, &b"-"[..]),
            None => (number, &b""[..]),
        };
        let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        self.out.extend_from_slice(sign);
        // A whole part begins with a zero only where it is nothing else.
        let fraction_only = whole == "0";
        if !fraction_only {
            self.out.extend_from_slice(whole.as_bytes());
        }
        let digits = if fraction_only {
            fraction.trim_start_matches('0')
        } else {
            fraction
        };
        self.out.extend_from_slice(digits.as_bytes());
        let mut dropped = 0_i64;
        while self.out[start..].last() == Some(&b'0') {
            self.out.pop();
            dropped += 1;
        }
        if self.out.len() == start + sign.len() {
            self.out.truncate(start);
            self.out.push(b'0');
        } else {
            let exponent: i64 = exponent.parse().map_err(|_| Invalid)?;
            let fraction = i64::try_from(fraction.len()).map_err(|_| Invalid)?;
            let power = (exponent.checked_add(dropped))
                .and_then(|power| power.checked_sub(fraction))
                .ok_or(Invalid)?;
            if power != 0 {
                self.out.push(b'e');
                self.out
                    .extend_from_slice(itoa::Buffer::new().format(power).as_bytes());
            }
        }
        self.out.push(END);
        Ok(())
    }
}

/// The character of an escape `\u` by what follows it, and what follows that.
fn unicode(text: &str) -> Option<(char, &str)> {
    let unit = |text: &str| u16::from_str_radix(text.get(..4)?, 16).ok();
    let (first, rest) = (unit(text)?, text.get(4..)?);
    if let Some(c) = char::from_u32(first.into()) {
        return Some((c, rest));
    }
    let rest = rest.strip_prefix(r"\u")?;
    let c = char::decode_utf16([first, unit(rest)?]).next()?.ok()?;
    Some((c, &rest[4..]))
}

#[cfg(test)]
mod tests;
