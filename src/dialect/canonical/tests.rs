//! Forms as rows, and random meanings written in random ways.

use proptest::prelude::*;

use super::*;

fn form(json: &str, omit: Omit) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    write(&mut out, json, omit).map(|()| out)
}

/// The form in letters: its end marks are shown as `.`.
fn shown(json: &str, omit: Omit) -> String {
    let Some(form) = form(json, omit) else {
        return "none".to_owned();
    };
    form.split(|byte| *byte == END)
        .map(|part| std::str::from_utf8(part).expect("text between the marks"))
        .collect::<Vec<_>>()
        .join(".")
}

#[test]
fn the_form_of_a_text() {
    let rows = [
        ("null", "n"),
        (" true\n", "t"),
        ("false", "f"),
        (r#""""#, "s."),
        (r#""a\u0062\/\n\u00e9\uD83d\ude00""#, "sab/\né😀."),
        (r#""\"\\\b\f\r\t\\u0041""#, "s\"\\\u{8}\u{c}\r\t\\u0041."),
        ("[]", "[]"),
        ("{}", "{}"),
        ("[1,[2],\"\",null]", "[d1.[d2.]s.n]"),
        (r#"{"b":1,"a":{"d":[],"c":2}}"#, "{a.{c.d2.d.[]}b.d1.}"),
        // Key bytes are compared, with what ends them.
        (r#"{"a":1,"ab":2,"":3}"#, "{ab.d2.a.d1..d3.}"),
        (r#"{"\u0061":1,"b":2}"#, "{a.d1.b.d2.}"),
        ("0", "d0."),
        ("-0", "d0."),
        ("0.000", "d0."),
        ("-0e99999999999999999999999", "d0."),
        ("1", "d1."),
        ("-1", "d-1."),
        ("1.0", "d1."),
        ("10e-1", "d1."),
        ("0.1E+01", "d1."),
        ("100", "d1e2."),
        ("0.012", "d12e-3."),
        ("-1.20e3", "d-12e2."),
        ("1e400", "d1e400."),
        (
            "123456789012345678901234567890",
            "d12345678901234567890123456789e1.",
        ),
        ("12345678901234567.5", "d123456789012345675e-1."),
    ];
    for (json, expected) in rows {
        assert_eq!(shown(json, Omit::Nothing), expected, "{json}");
    }
}

#[test]
fn what_can_be_understood_in_two_ways_has_no_form() {
    let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    let rows = [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"b":2,"\u0061":1}"#,
        r#"[{"x":{"a":1,"a":2}}]"#,
        r#""\ud800""#,
        r#""\ud800\u0041""#,
        r#""\ud800\n""#,
        r#""\udc00\ud800""#,
        r#"{"\udc00":1}"#,
        "1e9223372036854775808",
        "10e9223372036854775807",
        "0.1e-9223372036854775808",
        "",
        "{} {}",
        "[1,]",
        &deep(129),
    ];
    for json in rows {
        assert_eq!(form(json, Omit::Nothing), None, "{json}");
    }
    assert!(form(&deep(128), Omit::Nothing).is_some());
    // What doesn't count must still be there once: providers differ in which
    // of two they believe.
    for json in [
        r#"{"input":1,"input":2}"#,
        r#"{"stream":true,"stream":true}"#,
    ] {
        assert_eq!(form(json, Omit::DeliveryAndInput), None, "{json}");
    }
}

#[test]
fn how_an_answer_is_delivered_does_not_count() {
    let rows = [
        (r#"{"model":"m","a":1}"#, "{a.d1.}"),
        (r#"{"a":1,"stream":true}"#, "{a.d1.}"),
        (r#"{"stream":false,"model":null}"#, "{}"),
        (r#"{"stream_options":{"include_usage":true}}"#, "{}"),
        (r#"{"stream_options":{}}"#, "{}"),
        (r#"{"stream_options":null,"b":[]}"#, "{b.[]}"),
        (
            r#"{"stream_options":{"include_usage":true,"include_obfuscation":false}}"#,
            "{stream_options.{include_obfuscation.f}}",
        ),
        (
            r#"{"x":{"model":"m","stream":true,"stream_options":{"include_usage":1}}}"#,
            "{x.{model.sm.stream_options.{include_usage.d1.}stream.t}}",
        ),
        (r#"{"a":null}"#, "{a.n}"),
        (r#"{"include_usage":true}"#, "{include_usage.t}"),
        (
            r#"{"stream_options":[{"include_usage":true}]}"#,
            "{stream_options.[{include_usage.t}]}",
        ),
    ];
    for (json, expected) in rows {
        assert_eq!(shown(json, Omit::Delivery), expected, "{json}");
    }
    let embed = r#"{"input":["a"],"model":"m","dimensions":8}"#;
    assert_eq!(shown(embed, Omit::Delivery), "{dimensions.d8.input.[sa.]}");
    assert_eq!(shown(embed, Omit::DeliveryAndInput), "{dimensions.d8.}");
    assert_eq!(
        shown(embed, Omit::Nothing),
        "{dimensions.d8.input.[sa.]model.sm.}"
    );
}

/// A value by its meaning: the fields of an object sorted and unique, the
/// digits of a number without zeros at either end.
#[derive(Clone, Debug, PartialEq)]
enum Meaning {
    Word(&'static str),
    Number {
        negative: bool,
        digits: String,
        power: i32,
    },
    Text(String),
    Array(Vec<Self>),
    Object(std::collections::BTreeMap<String, Self>),
}

fn any_meaning() -> impl Strategy<Value = Meaning> {
    let leaf = prop_oneof![
        prop::sample::select(vec!["null", "true", "false"]).prop_map(Meaning::Word),
        (any::<bool>(), "[1-9]([0-9]{0,24}[1-9])?", -30..30_i32).prop_map(
            |(negative, digits, power)| Meaning::Number {
                negative,
                digits,
                power
            }
        ),
        Just(Meaning::Number {
            negative: false,
            digits: String::new(),
            power: 0
        }),
        r#"[a-c"\\/\n\u{1}\u{7f}é€😀]{0,6}"#.prop_map(Meaning::Text),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Meaning::Array),
            prop::collection::btree_map(r#"[ab"é\n]{0,3}"#, inner, 0..5).prop_map(Meaning::Object),
        ]
    })
}

impl Meaning {
    /// One of the ways to write it.
    fn spelled(&self, random: &mut fastrand::Rng) -> String {
        let (open, close) = (space(random), space(random));
        let inner = match self {
            Self::Word(word) => (*word).to_owned(),
            Self::Number {
                negative,
                digits,
                power,
            } => {
                let sign = if *negative { "-" } else { "" };
                sign.to_owned() + &number(digits, *power, random)
            }
            Self::Text(text) => string(text, random),
            Self::Array(items) => {
                let items: Vec<_> = items.iter().map(|item| item.spelled(random)).collect();
                format!("[{}]", items.join(","))
            }
            Self::Object(fields) => {
                let mut fields: Vec<_> = fields
                    .iter()
                    .map(|(key, value)| {
                        let key = string(key, random);
                        format!(
                            "{}{key}{}:{}",
                            space(random),
                            space(random),
                            value.spelled(random)
                        )
                    })
                    .collect();
                random.shuffle(&mut fields);
                format!("{{{}}}", fields.join(","))
            }
        };
        let inner = match inner.as_str() {
            "[]" => format!("[{}]", space(random)),
            "{}" => format!("{{{}}}", space(random)),
            _ => inner,
        };
        format!("{open}{inner}{close}")
    }

    /// The same with the value at `at`, counted from the outside in, replaced.
    fn with(&self, at: &mut usize, new: &Self) -> Self {
        if *at == 0 {
            *at = usize::MAX;
            return new.clone();
        }
        *at -= 1;
        match self {
            Self::Array(items) => {
                Self::Array(items.iter().map(|item| item.with(at, new)).collect())
            }
            Self::Object(fields) => Self::Object(
                fields
                    .iter()
                    .map(|(key, value)| (key.clone(), value.with(at, new)))
                    .collect(),
            ),
            leaf => leaf.clone(),
        }
    }
}

fn space(random: &mut fastrand::Rng) -> &'static str {
    ["", "", " ", "\n", "\t \r\n"][random.usize(..5)]
}

/// `digits` × 10^`power`, with the point anywhere; zero where there are none.
fn number(digits: &str, power: i32, random: &mut fastrand::Rng) -> String {
    let more = random.usize(..4);
    let digits = digits.to_owned() + &"0".repeat(more);
    let behind = random.usize(..digits.len() + 3);
    let padded = "0".repeat((behind + 1).saturating_sub(digits.len())) + &digits;
    let (whole, fraction) = padded.split_at(padded.len() - behind);
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if fraction.is_empty() { "" } else { "." };
    let behind = i32::try_from(behind).expect("few digits");
    let power = power - i32::try_from(more).expect("few zeros") + behind;
    let exponent = match power {
        0 if random.bool() => String::new(),
        0.. => format!(
            "{}{}0{power}",
            ["e", "E"][random.usize(..2)],
            ["", "+"][random.usize(..2)]
        ),
        _ => format!("e-00{}", -power),
    };
    format!("{whole}{point}{fraction}{exponent}")
}

fn string(text: &str, random: &mut fastrand::Rng) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' if random.bool() => out.extend(['\\', c]),
            '\n' if random.bool() => out.push_str("\\n"),
            '/' if random.bool() => out.push_str("\\/"),
            '"' | '\\' | '\0'..' ' => out.push_str(&escaped(c, random)),
            c if random.bool() => out.push_str(&escaped(c, random)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn escaped(c: char, random: &mut fastrand::Rng) -> String {
    let mut units = [0; 2];
    c.encode_utf16(&mut units)
        .iter()
        .map(|unit| match random.bool() {
            true => format!("\\u{unit:04x}"),
            false => format!("\\u{unit:04X}"),
        })
        .collect()
}

proptest! {
    #[test]
    fn a_spelling_does_not_change_the_form(meaning in any_meaning(), seed: u64) {
        let mut random = fastrand::Rng::with_seed(seed);
        let (one, other) = (meaning.spelled(&mut random), meaning.spelled(&mut random));
        let form_of_one = form(&one, Omit::Nothing);
        prop_assert!(form_of_one.is_some(), "{one}");
        prop_assert_eq!(form_of_one, form(&other, Omit::Nothing), "{} {}", one, other);
    }

    #[test]
    fn a_change_of_meaning_changes_the_form(
        meaning in any_meaning(),
        new in any_meaning(),
        at in 0..12_usize,
        seed: u64,
    ) {
        let changed = meaning.with(&mut at.clone(), &new);
        let mut random = fastrand::Rng::with_seed(seed);
        let (one, other) = (meaning.spelled(&mut random), changed.spelled(&mut random));
        let equal = form(&one, Omit::Nothing) == form(&other, Omit::Nothing);
        prop_assert_eq!(equal, meaning == changed, "{} {}", &one, &other);
        fuzz_canonical(format!("{one}\0{other}").as_bytes());
    }

    #[test]
    fn a_body_means_the_same_however_it_is_delivered(fields in prop::collection::btree_map("[ab]{1,2}", any_meaning(), 0..5), seed: u64) {
        let plain = Meaning::Object(fields.clone());
        let mut delivered = fields;
        let options = [("include_usage".to_owned(), Meaning::Word("true"))].into();
        delivered.insert("stream_options".to_owned(), Meaning::Object(options));
        delivered.insert("stream".to_owned(), Meaning::Word("true"));
        delivered.insert("model".to_owned(), Meaning::Text("m".to_owned()));
        let mut random = fastrand::Rng::with_seed(seed);
        prop_assert_eq!(
            form(&Meaning::Object(delivered).spelled(&mut random), Omit::Delivery),
            form(&plain.spelled(&mut random), Omit::Nothing)
        );
    }

    #[test]
    fn any_text_has_one_form_or_none(text in r#"[\[\]{}:,"\\ 01eE.+\-a-bntrue]{0,24}"#) {
        fuzz_canonical(text.as_bytes());
        fuzz_canonical(format!("[{text}]\0{text}").as_bytes());
    }
}
