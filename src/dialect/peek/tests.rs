//! What a body is read as, what is refused and in which words, what an edit keeps.

use proptest::prelude::*;

use super::*;

/// What a body is read as: model, stream, include_usage.
fn check(body: &str, model: Option<&str>, stream: bool, include_usage: bool) {
    let peek = peek(body.as_bytes()).unwrap_or_else(|fault| panic!("{body}: {fault}"));
    let value = peek.model.as_ref().map(|field| field.value.as_str());
    assert_eq!(value, model, "{body}");
    assert_eq!(peek.stream, stream, "{body}");
    assert_eq!(peek.include_usage, include_usage, "{body}");
    if let Some(field) = peek.model {
        let raw: String = serde_json::from_str(&body[field.span]).unwrap();
        assert_eq!(raw, field.value, "{body}");
    }
}

#[test]
fn the_fields_are_read_wherever_they_stand() {
    check("{}", None, false, false);
    check(r#"{"model":"m"}"#, Some("m"), false, false);
    check(
        r#" { "stream" : true , "model" : "m" } "#,
        Some("m"),
        true,
        false,
    );
    check(r#"{"model":"m","stream":null}"#, Some("m"), false, false);
    check(r#"{"model":"m","stream":false}"#, Some("m"), false, false);
    check(r#"{"model":"gpt\u002d4o"}"#, Some("gpt-4o"), false, false);
    check(r#"{"mod\u0065l":"m"}"#, Some("m"), false, false);
    check(
        r#"{"model":"modèle-\"é\""}"#,
        Some("modèle-\"é\""),
        false,
        false,
    );
    check(
        r#"{"stream":true,"stream_options":{"x":{},"include_usage":true}}"#,
        None,
        true,
        true,
    );
    check(r#"{"stream_options":null}"#, None, false, false);
    check(
        r#"{"stream_options":{"include_usage":null}}"#,
        None,
        false,
        false,
    );
    // What isn't read may be anything, there twice or deep.
    check(
        r#"{"a":1,"a":2,"x":{"model":1,"stream":"s"},"model":"m"}"#,
        Some("m"),
        false,
        false,
    );
}

#[test]
fn what_is_wrong_is_named() {
    let rows = [
        ("", None, "the body is empty; send a JSON object"),
        (" \n", None, "the body is empty; send a JSON object"),
        ("[]", None, "the body must be a JSON object"),
        ("\"x\"", None, "the body must be a JSON object"),
        ("null", None, "the body must be a JSON object"),
        (
            "\u{feff}{}",
            None,
            "the body begins with a byte order mark; send JSON without one",
        ),
        (
            "{",
            None,
            "the body is not valid JSON: EOF while parsing an object at line 1 column 1",
        ),
        (
            "{}{}",
            None,
            "the body is not valid JSON: trailing characters at line 1 column 3",
        ),
        (
            "{\n\"a\":tru}",
            None,
            "the body is not valid JSON: expected ident at line 2 column 8",
        ),
        (
            "{\"a\":1,}",
            None,
            "the body is not valid JSON: trailing comma at line 1 column 8",
        ),
        (
            "{'a':1}",
            None,
            "the body is not valid JSON: key must be a string at line 1 column 2",
        ),
        (
            "{\"a\":\"\n\"}",
            None,
            "the body is not valid JSON: control character (\\u0000-\\u001F) found while parsing a string at line 1 column 6",
        ),
        (
            r#"{"model":1}"#,
            Some("model"),
            "model must be a string, not a number",
        ),
        (
            r#"{"model":null}"#,
            Some("model"),
            "model must be a string, not null",
        ),
        (
            r#"{"model":["m"]}"#,
            Some("model"),
            "model must be a string, not an array",
        ),
        (
            r#"{"model":""}"#,
            Some("model"),
            "model is empty; name the model to call",
        ),
        (
            r#"{"model":"\ud800"}"#,
            Some("model"),
            "model is a string with a broken escape; write the name plainly",
        ),
        (
            r#"{"model":"a","model":"b"}"#,
            Some("model"),
            "model is in the body twice; send it once",
        ),
        (
            r#"{"model":"a","mod\u0065l":"a"}"#,
            Some("model"),
            "model is in the body twice; send it once",
        ),
        (
            r#"{"stream":true,"stream":true}"#,
            Some("stream"),
            "stream is in the body twice; send it once",
        ),
        (
            r#"{"stream":"yes"}"#,
            Some("stream"),
            "stream must be true or false, not a string",
        ),
        (
            r#"{"stream":1}"#,
            Some("stream"),
            "stream must be true or false, not a number",
        ),
        (
            r#"{"stream_options":true}"#,
            Some("stream_options"),
            "stream_options must be an object, not a boolean",
        ),
        (
            r#"{"stream_options":{"include_usage":"x"}}"#,
            Some("stream_options.include_usage"),
            "stream_options.include_usage must be true or false, not a string",
        ),
        (
            r#"{"stream_options":{"include_usage":true,"include_usage":true}}"#,
            Some("stream_options"),
            "stream_options has include_usage twice; send it once",
        ),
    ];
    for (body, param, message) in rows {
        let fault = peek(body.as_bytes()).expect_err(body);
        assert_eq!(fault.message, message, "{body:?}");
        assert_eq!(fault.param, param, "{body:?}");
    }
    let fault = peek(b"{\"a\":\"\xff\"}").expect_err("not UTF-8");
    assert_eq!(
        fault.message,
        "the body is not UTF-8 (first at byte 6); send JSON in UTF-8"
    );
}

#[test]
fn depth_costs_no_stack() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let depth = 1_000_000;
        let body = format!(
            "{{\"x\":{}1{},\"model\":\"m\"}}",
            open.repeat(depth),
            close.repeat(depth)
        );
        assert_eq!(peek(body.as_bytes()).unwrap().model.unwrap().value, "m");
        assert!(peek(&body.as_bytes()[..depth]).is_err());
    }
}

#[test]
fn a_splice_copies_nothing_but_the_name() {
    let body = Bytes::from_static(br#"{"a":1, "model" : "gpt\u002d4o" ,"b":[ ]}"#);
    let span = peek(&body).unwrap().model.unwrap().span;
    let parts = splice(&body, span, "o\"1");
    assert_eq!(parts[0], r#"{"a":1, "model" : "#);
    assert_eq!(parts[1], r#""o\"1""#);
    assert_eq!(parts[2], r#" ,"b":[ ]}"#);
    assert_eq!(parts[0].as_ptr(), body.as_ptr());
}

#[test]
fn usage_is_asked_for_beside_what_is_there() {
    let rows = [
        ("{}", r#"{"stream_options":{"include_usage":true}}"#),
        (
            r#" {"model":"m"}"#,
            r#" {"stream_options":{"include_usage":true},"model":"n"}"#,
        ),
        (
            r#"{"stream_options":null,"model":"m"}"#,
            r#"{"stream_options":{"include_usage":true},"model":"n"}"#,
        ),
        (
            r#"{"model":"m","stream_options":{ }}"#,
            r#"{"model":"n","stream_options":{"include_usage":true }}"#,
        ),
        (
            r#"{"stream_options":{"include_obfuscation":false}}"#,
            r#"{"stream_options":{"include_usage":true,"include_obfuscation":false}}"#,
        ),
        (
            r#"{"stream_options":{"include_usage":false},"a":1}"#,
            r#"{"stream_options":{"include_usage":true},"a":1}"#,
        ),
        (
            r#"{"stream_options":{"include_usage":null}}"#,
            r#"{"stream_options":{"include_usage":true}}"#,
        ),
        (
            r#"{"stream_options":{"include_usage":true}}"#,
            r#"{"stream_options":{"include_usage":true}}"#,
        ),
    ];
    for (body, expected) in rows {
        let seen = peek(body.as_bytes()).unwrap();
        assert_eq!(ask_usage(body.as_bytes(), &seen, Some("n")), expected);
    }
}

#[test]
fn a_fault_is_the_callers_error() {
    let error = Error::from(peek(br#"{"model":7}"#).expect_err("a number"));
    assert_eq!(error.kind(), crate::error::Kind::InvalidRequest);
    assert_eq!(error.field(), Some("model"));
}

proptest! {
    #[test]
    fn any_object_survives_an_edit(
        name in ".{0,12}",
        head in r#"[a-z]{1,5}"#,
        value in r#"(null|true|-1\.5e3|"[a-z\\" ]{0,9}"|\[\{\},\[\]\])"#,
        options in r#"(null|\{\}|\{"include_usage":(true|false|null)\}|\{"x":1\})"#,
        space in r#"[ \n\t]{0,3}"#,
    ) {
        let body = format!(
            r#"{{{space}"{head}":{value},"model":{space}"m",{space}"stream_options":{options}{space}}}"#
        );
        let mut input = vec![u8::try_from(name.len()).unwrap_or(u8::MAX)];
        input.extend(name.as_bytes());
        input.extend(body.as_bytes());
        fuzz_peek(&input);
    }

    #[test]
    fn any_object_is_read_as_a_tree_of_it_would_be(
        fields in prop::collection::vec((
            prop_oneof![
                Just(r#""model""#), Just(r#""mod\u0065l""#), Just(r#""stream""#),
                Just(r#""stream_options""#), Just(r#""other""#), Just(r#""\ud800""#),
            ],
            prop_oneof![
                Just("null"), Just("true"), Just("false"), Just("-1.5e3"), Just("[1,{}]"), Just("{}"),
                Just(r#""""#), Just(r#""m\t\"é""#), Just(r#""\udc00""#), Just(r#"{"include_usage":true}"#),
                Just(r#"{"x":[], "include\u005fusage" : null}"#), Just(r#"{"include_usage":0}"#),
                Just(r#"{"include_usage":true,"include_usage":true}"#), Just("01"), Just("tru"),
            ],
        ), 0..5),
        space in r#"[ \n\t\r]{0,2}"#,
    ) {
        let listed: Vec<String> = fields
            .iter()
            .map(|(key, value)| format!("{space}{key}{space}:{space}{value}{space}"))
            .collect();
        let body = format!("{space}{{{}}}{space}", listed.join(","));
        prop_assert_eq!(peek(body.as_bytes()).ok().map(told), by_tree(&fields), "{}", body);
    }
}

/// Model, stream and include_usage.
type Read = (Option<String>, bool, bool);

fn told(peek: Peek) -> Read {
    let model = peek.model.map(|field| field.value);
    (model, peek.stream, peek.include_usage)
}

/// What an object of these fields says, by serde_json's trees; nothing where
/// it is to be refused.
fn by_tree(fields: &[(&str, &str)]) -> Option<Read> {
    use serde_json::Value;

    let mut once = std::collections::HashMap::new();
    for (key, raw) in fields {
        let key: String = serde_json::from_str(key).ok()?;
        serde_json::from_str::<IgnoredAny>(raw).ok()?;
        let is_read = matches!(&*key, "model" | "stream" | "stream_options");
        if is_read && once.insert(key, *raw).is_some() {
            return None;
        }
    }
    let tree = |key: &str| match once.get(key) {
        None => Ok(None),
        Some(raw) => serde_json::from_str::<Value>(raw).map(Some),
    };
    let flag = |value: Option<&Value>| match value {
        None | Some(Value::Null) => Some(false),
        Some(value) => value.as_bool(),
    };
    let model = match tree("model").ok()? {
        None => None,
        Some(Value::String(name)) if !name.is_empty() => Some(name),
        Some(_) => return None,
    };
    let include_usage = match tree("stream_options").ok()? {
        None | Some(Value::Null) => false,
        Some(Value::Object(_)) if once["stream_options"].matches("usage").count() > 1 => {
            return None;
        }
        Some(Value::Object(options)) => flag(options.get("include_usage"))?,
        Some(_) => return None,
    };
    Some((model, flag(tree("stream").ok()?.as_ref())?, include_usage))
}
