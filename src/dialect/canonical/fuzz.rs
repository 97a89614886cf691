//! The fuzz body: canonical forms are equal where meanings are, and only there.
//!
//! The meaning is found another way here: a tree whose objects are maps and
//! whose numbers are written out digit by digit.

use serde_json::{Map, Value};

use super::super::json::scan::{Invalid, Scan};
use super::{Omit, write};

/// Fuzz body: two texts with a zero byte between them. Panics where they have
/// equal canonical forms and differ in meaning, or the other way round.
#[doc(hidden)]
pub fn fuzz_canonical(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let (one, other) = text.split_once('\0').unwrap_or((text, "null"));
    let forms = [one, other].map(|text| {
        let mut form = Vec::new();
        write(&mut form, text, Omit::Nothing).map(|()| form)
    });
    for omit in [Omit::Delivery, Omit::DeliveryAndInput] {
        let mut form = Vec::new();
        assert!(write(&mut form, one, omit).is_none() || forms[0].is_some());
    }
    if let [Some(form), Some(other_form)] = forms {
        let same = form == other_form;
        let (one, other) = (meaning(one), meaning(other));
        assert!(one.is_none() || other.is_none() || same == (one == other));
    }
}

/// The tree of a text that has a canonical form; nothing where a number would
/// take too many digits.
fn meaning(text: &str) -> Option<Value> {
    tree(&mut Scan::new(text)).ok()
}

fn tree(scan: &mut Scan<'_>) -> Result<Value, Invalid> {
    match scan.peek() {
        b'{' => {
            let mut fields = Map::new();
            scan.object(|scan, key| {
                let value = tree(scan)?;
                assert_eq!(fields.insert(key.into_owned(), value), None, "a key twice");
                Ok(())
            })?;
            Ok(Value::Object(fields))
        }
        b'[' => {
            let mut items = Vec::new();
            scan.array(|scan| {
                items.push(tree(scan)?);
                Ok(())
            })?;
            Ok(Value::Array(items))
        }
        b'"' => Ok(format!("text {}", scan.string()?).into()),
        b't' | b'f' | b'n' => serde_json::from_str(scan.skip()?).map_err(|_| Invalid),
        _ => written_out(scan.skip()?).map(Value::from).ok_or(Invalid),
    }
}

/// A number without an exponent, and without zeros at either end.
fn written_out(number: &str) -> Option<String> {
    const FAR: usize = 1000;
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let exponent: isize = exponent.parse().ok()?;
    let sign = if number.starts_with('-') { "-" } else { "" };
    let mantissa = mantissa.trim_start_matches('-');
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if exponent.unsigned_abs() > FAR {
        return None;
    }
    let shift = FAR.checked_add_signed(exponent)?;
    let digits = format!(
        "{}{whole}{fraction}{}",
        "0".repeat(FAR),
        "0".repeat(2 * FAR)
    );
    // The point lies behind the whole part, moved by the exponent.
    let (before, after) = digits.split_at(whole.len() + shift);
    let (before, after) = (before.trim_start_matches('0'), after.trim_end_matches('0'));
    let is_zero = before.is_empty() && after.is_empty();
    let sign = if is_zero { "" } else { sign };
    Some(format!("{sign}{before}.{after}"))
}
