//! Answers taken apart and put together.

use super::*;

/// As OpenAI prints it.
const PRETTY: &str = r#"{
  "object": "list",
  "data": [
    {
      "object": "embedding",
      "index": 0,
      "embedding": [
        -0.006929283,
        1.0e-5
      ]
    },
    {
      "object": "embedding",
      "index": 1,
      "embedding": [
        0.25,
        -0
      ]
    }
  ],
  "model": "text-embedding-3-small",
  "usage": {
    "prompt_tokens": 5,
    "total_tokens": 5
  }
}
"#;

/// In base64, on one line, the usage first, the items out of order.
const PACKED: &str = r#"{"id":"e1","usage":{"prompt_tokens":6,"details":{"cached":3},"cost":0.5},"data":[{"embedding":"AAA+","index":2},{"index": 0 ,"embedding":"AAC/\u003d"},{"embedding":"AACA","index":1}],"model":"m"}"#;

fn read(body: &str, inputs: usize) -> Result<Answer, Fault> {
    Answer::read(Bytes::copy_from_slice(body.as_bytes()), inputs)
}

fn pieces(body: &str, weights: &[u64]) -> Vec<Piece> {
    read(body, weights.len()).unwrap().pieces(weights)
}

fn text(body: &Bytes) -> &str {
    std::str::from_utf8(body).unwrap()
}

#[test]
fn an_answer_put_together_again_is_the_same_bytes() {
    assert_eq!(text(&assemble(&pieces(PRETTY, &[2, 3]))), PRETTY);
    assert_eq!(text(&assemble(&pieces(PRETTY, &[9, 1]))), PRETTY);
}

#[test]
fn a_piece_alone_is_the_answer_its_input_would_have_got() {
    let alone = |at: usize| {
        text(&pieces(PRETTY, &[2, 3])[at].alone())
            .lines()
            .map(str::trim)
            .collect::<String>()
    };
    let expected = |vector: &str, tokens: u64| {
        format!(
            r#"{{"object": "list","data": [{{"object": "embedding","index": 0,"embedding": [{vector}]}}],"model": "text-embedding-3-small","usage": {{"prompt_tokens": {tokens},"total_tokens": {tokens}}}}}"#
        )
    };
    assert_eq!(alone(0), expected("-0.006929283,1.0e-5", 2));
    assert_eq!(alone(1), expected("0.25,-0", 3));
}

#[test]
fn vectors_go_by_their_index_and_keep_their_bytes() {
    let pieces = pieces(PACKED, &[1, 2, 3]);
    let all = assemble(&pieces);
    assert_eq!(
        text(&all),
        r#"{"id":"e1","usage":{"prompt_tokens":6,"details":{"cached":3},"cost":0.5},"data":[{"index": 0 ,"embedding":"AAC/\u003d"},{"embedding":"AACA","index":1},{"embedding":"AAA+","index":2}],"model":"m"}"#
    );
    let cached = |at: usize| {
        let piece: serde_json::Value = serde_json::from_slice(&pieces[at].alone()).unwrap();
        let usage = &piece["usage"];
        (
            usage["prompt_tokens"].as_u64().unwrap(),
            usage["details"]["cached"].as_u64().unwrap(),
            usage["cost"].as_f64().unwrap(),
        )
    };
    assert_eq!(cached(0), (1, 1, 0.5 / 6.0));
    assert_eq!(cached(2), (3, 1, 0.25));
}

#[test]
fn what_is_kept_fills_the_gaps_of_what_is_new() {
    let kept: Vec<Bytes> = pieces(PRETTY, &[2, 3]).iter().map(Piece::alone).collect();
    let again = |at: usize| Piece::read(kept[at].clone()).unwrap();
    // All from the cache, in the order asked, one of them twice.
    let twice = assemble(&[again(1), again(0), again(1)]);
    let value: serde_json::Value = serde_json::from_slice(&twice).unwrap();
    assert_eq!(value["usage"]["prompt_tokens"], 8);
    assert_eq!(value["usage"]["total_tokens"], 8);
    assert_eq!(value["data"][2]["index"], 2);
    assert_eq!(value["data"][2]["embedding"], value["data"][0]["embedding"]);
    assert_eq!(text(&assemble(&[again(0), again(1)])), PRETTY);
    // The frame is the one with several vectors; what the other has no count
    // for is not counted.
    let new = pieces(PACKED, &[1, 2, 3]);
    let mixed = assemble(&[again(0), new[1].clone()]);
    assert!(
        text(&mixed)
            .starts_with(r#"{"id":"e1","usage":{"prompt_tokens":4,"details":{"cached":1},"cost":"#)
    );
    // A piece that is alone already is itself.
    assert_eq!(again(0).alone(), kept[0]);
}

#[test]
fn a_vector_goes_on_whatever_is_in_it() {
    for vector in [
        "[]",
        "[ 1,\n NaN ]",
        "[[1],[2]]",
        r#"["]",1]"#,
        r#""]""#,
        "null",
        r#"{"a":[1]}"#,
    ] {
        let body = format!(
            r#"{{"data":[{{"embedding":{vector},"index":0}},{{"index":1,"embedding": {vector}}}]}}"#
        );
        assert_eq!(text(&assemble(&pieces(&body, &[1, 1]))), body);
    }
    for vector in ["[1", "[[1]", r#"["]"#, "1]"] {
        assert!(
            read(
                &format!(r#"{{"data":[{{"index":0,"embedding":{vector}}}]}}"#),
                1
            )
            .is_err()
        );
    }
}

#[test]
fn a_usage_that_is_not_there_is_not_made_up() {
    for usage in [
        "",
        r#","usage":null"#,
        r#","usage":{}"#,
        r#","usage":"none""#,
    ] {
        let body = format!(r#"{{"data":[{{"index":0,"embedding":[1]}}]{usage}}}"#);
        assert_eq!(text(&pieces(&body, &[4])[0].alone()), body);
    }
}

#[test]
fn answers_that_do_not_fit_are_refused() {
    let item = |index: &str| format!(r#"{{"index":{index},"embedding":[1]}}"#);
    let data = |items: &[String]| format!(r#"{{"data":[{}]}}"#, items.join(","));
    let rows = [
        (data(&[item("0")]), "has 1 vectors for 2 inputs"),
        (data(&[]), "has 0 vectors for 2 inputs"),
        (
            data(&[item("0"), item("0")]),
            "has an index twice or leaves one out",
        ),
        (
            data(&[item("0"), item("2")]),
            "has an index twice or leaves one out",
        ),
        (
            data(&[item("1"), item("2")]),
            "has an index twice or leaves one out",
        ),
        (
            data(&[item("0"), item("-1")]),
            "is not a list of embeddings",
        ),
        (
            data(&[item("0"), item("null")]),
            "is not a list of embeddings",
        ),
        (
            data(&[item("0"), r#"{"embedding":[1]}"#.to_owned()]),
            "is not a list of embeddings",
        ),
        (
            data(&[item("0"), r#"{"index":1,"index":1}"#.to_owned()]),
            "is not a list of embeddings",
        ),
        (
            r#"{"data":[],"data":[]}"#.to_owned(),
            "is not a list of embeddings",
        ),
        (r#"{"error":{}}"#.to_owned(), "is not a list of embeddings"),
        ("<html>".to_owned(), "is not a list of embeddings"),
        (
            format!(
                r#"{{"data":[{},{}],"usage":{{"n":1e999}}}}"#,
                item("0"),
                item("1")
            ),
            "has a usage that can't be read",
        ),
    ];
    for (body, why) in rows {
        let fault = read(&body, 2).unwrap_err();
        assert_eq!(fault.to_string(), format!("the answer {why}"), "{body}");
    }
    assert!(Answer::read(Bytes::from_static(b"\xff"), 1).is_err());
    assert!(read(r#"{"data":[]}"#, 0).is_err());
}
