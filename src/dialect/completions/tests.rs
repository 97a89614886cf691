//! What a legacy completion is in chat and Messages, and what its answers are.

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::dialect::translate::{self, Quirks, Stream, Wire};

fn target(model: &str) -> Target<'_> {
    Target {
        model,
        quirks: Quirks::default(),
        marks_cache: false,
    }
}

/// What a completion call is for a provider of that form.
fn asked(provider: Wire, body: &str) -> Result<(Value, Outgoing, Exchange), Error> {
    let target = target("m");
    let (out, exchange) = translate::request(
        Wire::Completions,
        provider,
        body.as_bytes(),
        &target,
        "id",
        7,
    )?;
    Ok((serde_json::from_slice(&out.body).unwrap(), out, exchange))
}

#[test]
fn a_prompt_is_what_its_user_says() {
    let body = r#"{"model":"x","prompt":"Say \"hi\"","max_tokens":9,"temperature":0.5,"n":2,
        "logprobs":3,"stop":"\n","user":"u","seed":1,"best_of":1,"echo":false,"suffix":null,
        "presence_penalty":0,"logit_bias":{}}"#;
    let (chat, out, _) = asked(Wire::Chat, body).unwrap();
    assert_eq!(
        chat,
        json!({"model":"m","messages":[{"role":"user","content":"Say \"hi\""}],"max_tokens":9,
            "temperature":0.5,"n":2,"logprobs":true,"top_logprobs":3,"stop":["\n"],"user":"u","seed":1})
    );
    assert!(out.losses.is_empty());
    let one = r#"{"prompt":["a"],"stream":true,"stream_options":{"include_usage":true},"seed":1}"#;
    let (messages, out, exchange) = asked(Wire::Messages, one).unwrap();
    assert_eq!(messages["messages"], json!([{"role":"user","content":"a"}]));
    assert_eq!(out.losses.header().as_deref(), Some("seed"));
    assert!(exchange.stream && exchange.include_usage);
}

#[test]
fn what_only_a_model_that_goes_on_writing_can_do_is_refused_by_its_path() {
    let rows = [
        (r#"{}"#, "prompt"),
        (r#"{"prompt":[]}"#, "prompt"),
        (r#"{"prompt":["a","b"]}"#, "prompt"),
        (r#"{"prompt":[1,2]}"#, "prompt"),
        (r#"{"prompt":[[1],[2]]}"#, "prompt"),
        (r#"{"prompt":{"a":1}}"#, "prompt"),
        (r#"{"prompt":"a","suffix":"b"}"#, "suffix"),
        (r#"{"prompt":"a","echo":true}"#, "echo"),
        (r#"{"prompt":"a","best_of":2}"#, "best_of"),
        (r#"{"prompt":"a","max_tokens":"9"}"#, "max_tokens"),
        (r#"{"prompt":"a","n":3}"#, "n"),
    ];
    for (body, path) in rows {
        let error = asked(Wire::Messages, body).unwrap_err();
        assert_eq!(error.field(), Some(path), "{body}: {error}");
    }
}

#[test]
fn answers_are_words_and_name_what_else_there_was() {
    let (_, _, exchange) = asked(Wire::Chat, r#"{"model":"x","prompt":"a"}"#).unwrap();
    let chat = json!({"id":"c","created":5,"model":"m","choices":[
        {"index":0,"message":{"role":"assistant","content":"hié","reasoning_content":"hm"},"finish_reason":"length",
         "logprobs":{"content":[
            {"token":"hi","logprob":-0.5,"bytes":[104,105],"top_logprobs":[{"token":"hi","logprob":-0.5,"bytes":null}]},
            {"token":"é","logprob":-1,"bytes":null,"top_logprobs":[]}]}},
        {"index":1,"message":{"role":"assistant","content":null,"refusal":"no"},"finish_reason":"stop"}],
        "usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}});
    let body = chat.to_string();
    let told = translate::answer(Wire::Chat, Wire::Completions, body.as_bytes(), &exchange);
    let told = told.unwrap();
    let answer: Value = serde_json::from_slice(&told.body).unwrap();
    assert_eq!(
        answer["choices"],
        json!([
            {"text":"hié","index":0,"finish_reason":"length","logprobs":{"tokens":["hi","é"],
                "token_logprobs":[-0.5,-1],"top_logprobs":[{"hi":-0.5},{}],"text_offset":[0,2]}},
            {"text":"no","index":1,"finish_reason":"stop","logprobs":null}])
    );
    assert_eq!(
        (&answer["id"], &answer["object"]),
        (&json!("c"), &json!("text_completion"))
    );
    assert_eq!(answer["usage"]["total_tokens"], 5);
    assert_eq!(told.losses.header().as_deref(), Some("response.content[0]"));
    // And read again as what it was.
    let text = std::str::from_utf8(&told.body).unwrap();
    let again = Completions.decode_answer(text, &exchange).unwrap();
    let mut losses = Losses::default();
    assert_eq!(
        Completions.encode_answer(&again, &exchange, &mut losses),
        told.body
    );
}

/// A stream of that provider's, as a caller of completions gets it.
fn streamed(provider: Wire, events: &str) -> (Vec<Value>, bool) {
    let exchange = Exchange {
        model: "x".to_owned(),
        id: "id".to_owned(),
        created: 7,
        stream: true,
        include_usage: true,
        ..Exchange::default()
    };
    let mut stream = Stream::new(provider, Wire::Completions, &exchange);
    let mut out = Vec::new();
    stream.push(Bytes::copy_from_slice(events.as_bytes()), &mut out);
    stream.end(&mut out);
    let text = String::from_utf8(out).unwrap();
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let (done, chunks): (Vec<&str>, Vec<&str>) = data.partition(|data| *data == "[DONE]");
    let chunks = chunks
        .iter()
        .map(|data| serde_json::from_str(data).unwrap());
    (chunks.collect(), done.len() == 1)
}

#[test]
fn streams_are_words_too() {
    let events = concat!(
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m1\",\"model\":\"c\",\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\n",
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n",
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"max_tokens\"},\"usage\":{\"output_tokens\":2}}\n\n",
    );
    let end = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    let (chunks, done) = streamed(Wire::Messages, &format!("{events}{end}"));
    let choices: Vec<_> = chunks
        .iter()
        .map(|chunk| chunk["choices"].clone())
        .collect();
    assert_eq!(
        choices,
        [
            json!([{"text":"hi","index":0,"logprobs":null,"finish_reason":null}]),
            json!([{"text":"","index":0,"logprobs":null,"finish_reason":"length"}]),
            json!([]),
        ]
    );
    assert!(
        done && chunks
            .iter()
            .all(|chunk| chunk["object"] == "text_completion")
    );
    assert_eq!(chunks[2]["usage"]["completion_tokens"], 2);
    let (chunks, done) = streamed(Wire::Messages, events);
    assert!(!done && chunks.last().unwrap()["error"].is_object());

    let chat = concat!(
        "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"logprobs\":{\"content\":[{\"token\":\"a\",\"logprob\":-1,\"top_logprobs\":[]}]}}]}\n\n",
        "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"b\"},\"logprobs\":{\"content\":[{\"token\":\"b\",\"logprob\":-2,\"top_logprobs\":[]}]},\"finish_reason\":\"stop\"}]}\n\n",
        "data: [DONE]\n\n",
    );
    let (chunks, done) = streamed(Wire::Chat, chat);
    let offsets: Vec<_> = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["logprobs"]["text_offset"].as_array())
        .map(|offsets| offsets[0].clone())
        .collect();
    assert_eq!((offsets, done), (vec![json!(0), json!(1)], true));
}
