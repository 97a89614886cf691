//! Whatever serde_json accepts the cursor accepts, and the other way round.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

#[test]
fn what_serde_json_accepts_is_accepted_and_nothing_else() {
    let texts = [
        "null",
        "nul",
        "nullx",
        "true",
        "false",
        "fals",
        "tru e",
        "",
        " ",
        "\0",
        "\u{feff}1",
        "0",
        "-0",
        "00",
        "01",
        "-",
        "-01",
        "1.",
        ".5",
        "1.5",
        "1e",
        "1e+",
        "1E-9",
        "1.e1",
        "-1.5e+03",
        "1e999",
        "+1",
        "1 ",
        "1x",
        "0x1",
        "--1",
        "123456789012345678901234567890",
        r#""""#,
        r#"""#,
        r#""a"#,
        r#""\"#,
        r#""\""#,
        r#""\\""#,
        r#""\"""#,
        r#""\x""#,
        r#""\/\b\f\n\r\t""#,
        r#""\u12""#,
        r#""\u12g4""#,
        r#""\u00e9""#,
        r#""\ud800""#,
        r#""\ud83d\ude00""#,
        r#""\udc00\ud800""#,
        "\"\n\"",
        "\"\u{1f}\"",
        "\"\u{7f}\"",
        "\"\u{80}é€😀\"",
        "'a'",
        "[]",
        "[ ]",
        "[1]",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1}",
        "[",
        "]",
        "[[]",
        "[]]",
        "[\u{a0}]",
        "{}",
        "{ }",
        r#"{"a":1}"#,
        r#"{"a":1,}"#,
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a" : 1 , "b":[{}]}"#,
        r#"{a:1}"#,
        r#"{1:1}"#,
        r#"{"a":1]"#,
        r#"{"a":1"#,
        r#"{"a":1}}"#,
        r#"{"a":1 "b":2}"#,
        r#"{"a"::1}"#,
        r#"{"\ud800":1}"#,
        r#"{"a":1,"a":2}"#,
        "{}{}",
        "[1,[2,{\"a\":[3,\r\n\t4]}],5]",
    ];
    for text in texts {
        fuzz_scan(text.as_bytes());
    }
}

#[test]
fn a_string_may_end_at_any_place_in_a_block() {
    for len in 0..200 {
        for stop in ["\"", "\\n\"", "\u{1f}\"", "\u{80}\"", "\\", ""] {
            fuzz_scan(format!("\"{}{stop}", "x".repeat(len)).as_bytes());
        }
    }
}

#[test]
fn depth_is_remembered_exactly() {
    for depth in (0..300).chain([64 * 64, 100_001]) {
        let kinds: Vec<bool> = (0..depth).map(|level| level % 3 == level % 7 % 2).collect();
        let open = kinds
            .iter()
            .map(|&object| if object { "{\"\":" } else { "[" });
        let close = kinds
            .iter()
            .rev()
            .map(|&object| if object { "}" } else { "]" });
        let whole: String = open.chain(["1"]).chain(close).collect();
        assert_eq!(Scan::new(&whole).skip(), Ok(whole.as_str()), "{depth}");
        fuzz_scan(&whole.as_bytes()[..whole.len() - 1]);
        fuzz_scan(whole.replacen('}', "]", 1).as_bytes());
    }
}

#[test]
fn a_cursor_stands_behind_what_it_took() {
    let mut scan = Scan::new(r#" {"a":[1,"x"],"b":{}} , 2"#);
    let mut seen = Vec::new();
    let done = scan.object(|scan, key| {
        seen.push((key, scan.skip()?));
        Ok(())
    });
    assert_eq!(done, Ok(()));
    assert_eq!(seen, [("a".into(), r#"[1,"x"]"#), ("b".into(), "{}")]);
    assert_eq!(scan.rest(), " , 2");
    assert_eq!(scan.end(), Err(Invalid));
}

#[test]
fn an_error_leaves_a_cursor_that_still_answers() {
    for text in ["", "é", "-", "\"", "\"\\", "{\"a\":é", "[1,", "{\"a\""] {
        let mut scan = Scan::new(text);
        assert_eq!(scan.skip(), Err(Invalid));
        for _ in 0..3 {
            let _ = scan.string();
            let _ = scan.skip();
            let _ = scan.object(|scan, _| scan.skip().map(drop));
            let _ = scan.array(|scan| scan.skip().map(drop));
            assert!(scan.rest().len() <= text.len());
        }
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(".{0,12}", inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_value_is_read_as_it_is(value in any_value(), pretty: bool) {
        let text = if pretty { format!("{value:#}") } else { value.to_string() };
        fuzz_scan(text.as_bytes());
    }

    #[test]
    fn any_edit_is_judged_alike(value in any_value(), at: prop::sample::Index, with in ".{0,2}", cut in 0..3_usize) {
        let mut text = value.to_string().into_bytes();
        let at = at.index(text.len());
        let to = (at + cut).min(text.len());
        text.splice(at..to, with.bytes());
        fuzz_scan(&text);
    }

    #[test]
    fn any_text_is_judged_alike(text in r#"[\[\]{}:,"\\ \n01eE.+\-a-fntrul]{0,24}"#) {
        fuzz_scan(text.as_bytes());
    }
}
