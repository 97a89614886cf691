//! `/generate/batch` end to end: many prompts in one request, so many at once
//! as the bound says, each answered or failed by itself.

use std::future::pending;
use std::sync::Arc;

use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::sync::{Barrier, oneshot, watch};

use crate::stage::parrot::{self, both};
use crate::stage::scripted::{self, Scripted, Seen};
use crate::stage::{Answer, Caller, Stage, post, with};

const BATCH: &str = "/generate/batch";

async fn ask(stage: &Stage, body: &Value) -> Answer {
    stage.call(post(BATCH, body.to_string())).await
}

fn prompts(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("prompt {n}")).collect()
}

fn prompt_of(seen: &Seen) -> String {
    let asked: Value = seen.text().parse().unwrap();
    let messages = asked["messages"].as_array().unwrap();
    messages.last().unwrap()["content"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// The items of an NDJSON answer.
fn lines(text: &str) -> Vec<Value> {
    let lines = text.split_terminator('\n');
    lines.map(|line| line.parse().unwrap()).collect()
}

/// Calls under way at a provider, now and at most.
#[derive(Clone)]
struct Gauge(Arc<watch::Sender<(usize, usize)>>);

struct Entered(Gauge);

impl Gauge {
    fn new() -> Self {
        Self(Arc::new(watch::Sender::new((0, 0))))
    }

    fn enter(&self) -> Entered {
        self.0.send_modify(|(now, most)| {
            *now += 1;
            *most = (*most).max(*now);
        });
        Entered(self.clone())
    }

    async fn reaches(&self, count: usize) {
        let mut seen = self.0.subscribe();
        seen.wait_for(|(now, _)| *now == count).await.unwrap();
    }

    fn most(&self) -> usize {
        self.0.borrow().1
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.0.send_modify(|(now, _)| *now -= 1);
    }
}

#[tokio::test]
async fn items_run_at_once_up_to_the_bound() {
    for (config, field, bound) in [
        ("", None, 16),
        ("[batch]\nconcurrency = 3\n", None, 3),
        ("[batch]\nconcurrency = 3\n", Some(5), 5),
        ("", Some(1), 1),
        ("", Some(1_000_000), 256),
    ] {
        let gauge = Gauge::new();
        // Nobody is answered before as many as the bound are there.
        let all_there = Arc::new(Barrier::new(bound));
        let theirs = gauge.clone();
        let provider = Scripted::start(move |seen| {
            let (gauge, all_there) = (theirs.clone(), Arc::clone(&all_there));
            async move {
                let _entered = gauge.enter();
                all_there.wait().await;
                parrot::repeat(&seen)
            }
        })
        .await;
        let stage = Stage::set(&format!("{}{config}", both(&provider)));
        let asked = prompts(bound * 3);
        let answer = ask(&stage, &json!({"prompts": asked, "concurrency": field})).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answers = answer.json();
        let said: Vec<_> = answers["responses"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["response"].as_str().unwrap())
            .collect();
        assert_eq!(said, asked, "in the order asked");
        assert_eq!(gauge.most(), bound);
    }
}

#[tokio::test]
async fn an_item_that_fails_is_an_error_in_its_place() {
    let provider = Scripted::start(|seen| async move {
        if prompt_of(&seen) != "refuse" {
            return parrot::repeat(&seen);
        }
        scripted::json(
            429,
            r#"{"error":{"message":"slow down","code":"rate_limit_exceeded"}}"#,
        )
    })
    .await;
    let nobody = "[providers.nobody]\nbase_url = \"http://127.0.0.1:9/v1\"\npool.warm = 0\n";
    let stage = Stage::set(&format!("{}{nobody}", both(&provider)));
    let body = json!({"prompts": [
        "one",
        {"prompt": "refuse"},
        {"prompt": "two", "model": "claude-x"},
        {"prompt": "x", "model": "nobodys"},
        {"prompt": "x", "model": "nobody/m"},
        "three",
    ]});
    let whole = ask(&stage, &body).await;
    let by_line = stage
        .call(with(
            post(BATCH, body.to_string()),
            "accept",
            "application/x-ndjson",
        ))
        .await;
    assert_eq!(by_line.header("content-type"), "application/x-ndjson");
    let mut numbered = lines(by_line.text());
    numbered.sort_by_key(|item| item["index"].as_u64());
    for (index, item) in numbered.iter_mut().enumerate() {
        let told = item.as_object_mut().unwrap().remove("index");
        assert_eq!(told, Some(index.into()));
    }
    for answer in [whole.json()["responses"].clone(), Value::Array(numbered)] {
        let items = answer.as_array().unwrap();
        assert_eq!(items.len(), 6);
        for (at, said, by) in [
            (0, "one", "openai"),
            (2, "two", "anthropic"),
            (5, "three", "openai"),
        ] {
            assert_eq!(items[at]["response"], said);
            assert_eq!(items[at]["provider"], by);
            assert_eq!(items[at]["error"], Value::Null);
        }
        for (at, status, code) in [
            (1, 429, "rate_limit_exceeded"),
            (3, 404, "model_not_found"),
            (4, 502, "upstream_unreachable"),
        ] {
            let error = &items[at]["error"];
            assert_eq!(error["status"], status, "{error}");
            assert_eq!(error["code"], code, "{error}");
            assert!(error["detail"].is_string(), "{error}");
        }
    }
}

#[tokio::test]
async fn lines_come_as_items_finish() {
    let (go_on, told) = oneshot::channel::<()>();
    let told = Arc::new(parking_lot::Mutex::new(Some(told)));
    let provider = Scripted::start(move |seen| {
        let told = Arc::clone(&told);
        async move {
            if prompt_of(&seen) == "slow" {
                let told = told.lock().take().unwrap();
                told.await.unwrap();
            }
            parrot::repeat(&seen)
        }
    })
    .await;
    let stage = Stage::set(&both(&provider));
    let body = json!({"prompts": ["slow", "b", "c"]}).to_string();
    let request = with(post(BATCH, body), "accept", "application/x-ndjson");
    let mut caller = Caller::connect(stage.address()).await;
    let mut answer = caller.begin(request).await;
    let mut text = String::new();
    while lines(&text).len() < 2 {
        let data = answer.frame().await.unwrap().unwrap().into_data().unwrap();
        text.push_str(std::str::from_utf8(&data).unwrap());
    }
    go_on.send(()).unwrap();
    let rest = answer.collect().await.unwrap().to_bytes();
    text.push_str(std::str::from_utf8(&rest).unwrap());
    let items = lines(&text);
    assert_eq!(items.len(), 3, "{text}");
    assert_eq!(items[2]["index"], 0, "the slow one is last: {text}");
    assert_eq!(items[2]["response"], "slow");
}

#[tokio::test]
async fn a_batch_may_be_empty_or_long() {
    let (provider, asked) = parrot::start().await;
    let stage = Stage::set(&both(&provider));
    let by_line = |body: &Value| {
        with(
            post(BATCH, body.to_string()),
            "accept",
            "application/x-ndjson",
        )
    };

    let none = json!({"prompts": []});
    assert_eq!(ask(&stage, &none).await.json(), json!({"responses": []}));
    let answer = stage.call(by_line(&none)).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, ""));

    let many = json!({"prompts": prompts(1_000)});
    let answer = ask(&stage, &many).await.json();
    let said = answer["responses"].as_array().unwrap().iter();
    let said: Vec<_> = said
        .map(|item| item["response"].as_str().unwrap())
        .collect();
    assert_eq!(said, prompts(1_000));

    let mut items = lines(stage.call(by_line(&many)).await.text());
    items.sort_by_key(|item| item["index"].as_u64());
    let told: Vec<_> = items
        .iter()
        .map(|item| {
            (
                item["index"].as_u64().unwrap(),
                item["response"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    assert_eq!(told, (0..).zip(prompts(1_000)).collect::<Vec<_>>());
    assert_eq!(asked.lock().len(), 2_000);

    // Each item has a line of its own, beside that of its batch.
    let log = stage.strike().await;
    let count = |endpoint: &str| {
        log.iter()
            .filter(|line| line["endpoint"] == endpoint)
            .count()
    };
    assert_eq!((count("batch_item"), count("generate_batch")), (2_000, 4));
    assert!(log.iter().all(|line| line["cancelled"].is_null()));
}

#[tokio::test]
async fn a_caller_who_leaves_takes_all_items_along() {
    for accept in ["application/json", "application/x-ndjson"] {
        let gauge = Gauge::new();
        let theirs = gauge.clone();
        let provider = Scripted::start(move |_| {
            let gauge = theirs.clone();
            async move {
                let _entered = gauge.enter();
                pending().await
            }
        })
        .await;
        let stage = Stage::set(&both(&provider));
        let body = json!({"prompts": prompts(40), "concurrency": 4}).to_string();
        let mut caller = Caller::connect(stage.address()).await;
        caller.send.ready().await.unwrap();
        let request = with(post(BATCH, body), "accept", accept);
        let asking = tokio::spawn(async move {
            let answer = caller.begin(request).await;
            answer.collect().await.unwrap()
        });
        gauge.reaches(4).await;
        asking.abort();
        gauge.reaches(0).await;
        assert_eq!(gauge.most(), 4, "nobody else was asked");
        let log = stage.strike().await;
        let left = log.iter().filter(|line| line["cancelled"] == true);
        assert_eq!(left.count(), 41, "forty items and their batch");
    }
}

#[tokio::test]
async fn items_take_from_the_batch_what_they_do_not_say() {
    let (provider, asked) = parrot::start().await;
    let stage = Stage::set(&both(&provider));
    let body = json!({
        "prompts": [
            "plain",
            {"prompt": "own", "system": "mine", "temperature": 0.5, "model": "gpt-4o-mini", "stop": []},
        ],
        "system": "theirs", "max_tokens": 5, "temperature": 1, "stop": ["END"], "seed": 3,
        "model": "gpt-4.1", "stream": true, "concurrency": 1, "mood": "calm",
    });
    let answer = ask(&stage, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-nowait-dropped"), "mood");
    let turns = |system: &str, user: &str| json!([{"role": "system", "content": system}, {"role": "user", "content": user}]);
    let expected = [
        json!({
            "model": "gpt-4.1", "messages": turns("theirs", "plain"), "max_completion_tokens": 5,
            "temperature": 1.0, "stop": ["END"], "seed": 3,
        }),
        json!({
            "model": "gpt-4o-mini", "messages": turns("mine", "own"), "max_completion_tokens": 5,
            "temperature": 0.5, "seed": 3,
        }),
    ];
    let asked: Vec<Value> = asked
        .lock()
        .iter()
        .map(|seen| seen.text().parse().unwrap())
        .collect();
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn what_is_wrong_with_a_batch_is_named_before_anything_is_asked() {
    let (provider, asked) = parrot::start().await;
    let stage = Stage::set(&both(&provider));
    for (body, param) in [
        (json!({}), "prompts"),
        (json!({"prompts": "x"}), "prompts"),
        (json!({"prompts": ["x", 1]}), "prompts[1]"),
        (
            json!({"prompts": ["x", {"prompt": "y", "stop": 1}]}),
            "prompts[1].stop",
        ),
        (
            json!({"prompts": ["x", {"model": "m"}]}),
            "prompts[1].prompt",
        ),
        (json!({"prompts": ["x"], "concurrency": 0}), "concurrency"),
        (
            json!({"prompts": ["x"], "concurrency": "all"}),
            "concurrency",
        ),
    ] {
        let answer = ask(&stage, &body).await;
        assert_eq!(answer.status, 400, "{body}");
        let problem = answer.json();
        assert_eq!(problem["param"], param, "{problem}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
    assert!(asked.lock().is_empty());
}

#[tokio::test]
async fn the_wait_for_items_is_not_the_gateways_own_time() {
    let provider = Scripted::start(|_| pending()).await;
    let stage = Stage::set(&both(&provider));
    let body = json!({"prompts": ["a", {"prompt": "b", "timeout": "80ms"}], "timeout": 0.08});
    let answer = ask(&stage, &body).await.json();
    for item in answer["responses"].as_array().unwrap() {
        assert_eq!(item["error"]["code"], "timeout", "{item}");
        let detail = item["error"]["detail"].as_str().unwrap();
        assert!(
            detail.ends_with("within 80ms (the caller's field `timeout`)"),
            "{detail}"
        );
    }
    let log = stage.strike().await;
    let line = log
        .iter()
        .find(|line| line["endpoint"] == "generate_batch")
        .unwrap();
    assert!(line["total_ms"].as_f64().unwrap() >= 80.0, "{line}");
    assert!(line["gateway_ms"].as_f64().unwrap() < 80.0, "{line}");
}

#[tokio::test]
async fn the_simulated_provider_takes_batches_too() {
    let stage = Stage::set("");
    let asked = prompts(50);
    let answer = ask(&stage, &json!({"prompts": asked, "model": "echo"})).await;
    assert_eq!(answer.header("x-nowait-simulated"), "true");
    let answers = answer.json();
    let said = answers["responses"].as_array().unwrap().iter();
    let said: Vec<_> = said
        .map(|item| item["response"].as_str().unwrap())
        .collect();
    assert_eq!(said, asked);
}
