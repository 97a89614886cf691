//! Callers against a provider that answers after a while, on virtual time.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::*;
use crate::dialect::embeddings::assemble;

type Told = Result<Answered<u16>, Error<String>>;
type Tested = Batches<&'static str, u16, String>;

const ROOM: Limits = Limits {
    inputs: 256,
    tokens: 10_000,
};

/// What a provider makes of its calls' inputs, as they are written.
type Rule = fn(&[String]) -> Verdict;

enum Verdict {
    Vectors,
    /// One vector for all.
    OneVector,
    Refused,
    Busy,
    Panic,
}

/// Answers every call after `took`, each input by its own text.
struct Provider {
    took: Duration,
    rule: Rule,
    began: Instant,
    /// When each call came, in milliseconds, and with which inputs.
    calls: Mutex<Vec<(u64, String)>>,
    answered: AtomicUsize,
}

impl Provider {
    fn new(took: u64, rule: Rule) -> Arc<Self> {
        Arc::new(Self {
            took: Duration::from_millis(took),
            rule,
            began: Instant::now(),
            calls: Mutex::default(),
            answered: AtomicUsize::new(0),
        })
    }

    async fn answer(&self, body: Bytes) -> Outcome<u16, String> {
        let (inputs, tokens) = read(&body);
        let at = self.began.elapsed().as_millis() as u64;
        self.calls.lock().push((at, inputs.join(" ")));
        sleep(self.took).await;
        self.answered.fetch_add(1, Ordering::Relaxed);
        match (self.rule)(&inputs) {
            Verdict::Vectors => Ok((200, vectors(&inputs, tokens))),
            Verdict::OneVector => Ok((200, vectors(&inputs[..1], tokens))),
            Verdict::Refused => Err(Failure::Refused(format!("400 {}", inputs.join(" ")))),
            Verdict::Busy => Err(Failure::Failed("429".to_owned())),
            Verdict::Panic => panic!("the way upstream has a bug"),
        }
    }

    fn calls(&self) -> Vec<(u64, String)> {
        self.calls.lock().clone()
    }
}

fn read(body: &Bytes) -> (Vec<String>, u64) {
    let ask = Ask::read(body.clone()).expect("a body that can be read");
    let inputs = ask
        .inputs()
        .map(|input| String::from_utf8_lossy(input).replace('"', ""))
        .collect();
    (inputs, ask.tokens())
}

/// As many tokens as are expected, so that every part is exact.
fn vectors(inputs: &[String], tokens: u64) -> Bytes {
    let items: Vec<_> = (0..)
        .zip(inputs)
        .map(|(at, input)| format!(r#"{{"index":{at},"embedding":"<{input}>"}}"#))
        .collect();
    format!(
        r#"{{"data":[{}],"usage":{{"prompt_tokens":{tokens}}}}}"#,
        items.join(",")
    )
    .into()
}

/// What `input` (JSON) gets alone.
fn alone(input: &str) -> Bytes {
    let (inputs, tokens) = read(&body(input));
    vectors(&inputs, tokens)
}

fn body(input: &str) -> Bytes {
    format!(r#"{{"model":"m", "input":{input}}}"#).into()
}

fn bytes(told: &Told) -> Result<Bytes, String> {
    match told {
        Ok(answered) => Ok(match &answered.got {
            Got::Whole(body) => body.clone(),
            Got::Pieces(pieces) => assemble(pieces),
        }),
        Err(Error::Upstream(error)) => Err(error.clone()),
        Err(other) => Err(other.to_string()),
    }
}

fn call(
    batches: &Tested,
    provider: &Arc<Provider>,
    limits: Limits,
    input: &str,
) -> JoinHandle<Told> {
    let (batches, provider) = (batches.clone(), Arc::clone(provider));
    let ask = Ask::read(body(input)).expect("an input");
    tokio::spawn(async move {
        let send = move |body| {
            let provider = Arc::clone(&provider);
            async move { provider.answer(body).await }
        };
        batches.ask("group", limits, ask, send).await
    })
}

/// Runs callers who come at given milliseconds, and gives what each got.
async fn play(provider: &Arc<Provider>, limits: Limits, arrivals: &[(u64, &str)]) -> Vec<Told> {
    let batches = Tested::new();
    let mut callers = Vec::new();
    for (at, input) in arrivals {
        sleep_until(provider.began + Duration::from_millis(*at)).await;
        callers.push(call(&batches, provider, limits, input));
        // It has come before the next one does.
        tokio::task::yield_now().await;
    }
    let mut told = Vec::new();
    for caller in callers {
        told.push(caller.await.unwrap());
    }
    assert_eq!(batches.table.groups(), 0, "an idle group is kept");
    told
}

fn all_vectors(_: &[String]) -> Verdict {
    Verdict::Vectors
}

#[tokio::test(start_paused = true)]
async fn calls_go_when_they_should_and_with_whom() {
    struct Row {
        what: &'static str,
        took: u64,
        limits: Limits,
        arrivals: &'static [(u64, &'static str)],
        calls: &'static [(u64, &'static str)],
    }
    let room = |inputs, tokens| Limits { inputs, tokens };
    let rows = [
        Row {
            what: "one after the other: nobody waits",
            took: 10,
            limits: ROOM,
            arrivals: &[(0, r#""a""#), (11, r#""b""#), (22, r#"["c","d"]"#)],
            calls: &[(0, "a"), (11, "b"), (22, "c d")],
        },
        Row {
            what: "the window runs from the first who waits",
            took: 40,
            limits: ROOM,
            arrivals: &[(0, r#""a""#), (1, r#""b""#), (3, r#""c""#), (7, r#""d""#)],
            calls: &[(0, "a"), (6, "b c"), (12, "d")],
        },
        Row {
            what: "who waits goes when a call returns",
            took: 4,
            limits: ROOM,
            arrivals: &[(0, r#""a""#), (1, r#""b""#), (3, r#""c""#), (7, r#""d""#)],
            calls: &[(0, "a"), (4, "b c"), (8, "d")],
        },
        Row {
            what: "a full batch goes at once",
            took: 40,
            limits: room(2, 10_000),
            arrivals: &[(0, r#""a""#), (1, r#""b""#), (2, r#""c""#), (3, r#""d""#)],
            calls: &[(0, "a"), (2, "b c"), (8, "d")],
        },
        Row {
            what: "a caller's inputs stay together",
            took: 40,
            limits: room(3, 10_000),
            arrivals: &[(0, r#""a""#), (1, r#"["b","c"]"#), (2, r#"["d","e"]"#)],
            calls: &[(0, "a"), (2, "b c"), (7, "d e")],
        },
        Row {
            what: "tokens are bounded",
            took: 40,
            limits: room(256, 6),
            arrivals: &[
                (0, "[1]"),
                (1, "[[1,2],[3,4]]"),
                (2, "[5,6,7]"),
                (3, "[[8],[9,10]]"),
            ],
            calls: &[(0, "[1]"), (2, "[1,2] [3,4]"), (3, "[5,6,7] [8] [9,10]")],
        },
        Row {
            what: "a caller who fills a call goes alone, at once",
            took: 40,
            limits: room(2, 6),
            arrivals: &[
                (0, r#""a""#),
                (1, r#""b""#),
                (2, r#"["c","d","e"]"#),
                (3, r#""12345678901234567890123456""#),
            ],
            calls: &[
                (0, "a"),
                (2, "c d e"),
                (3, "12345678901234567890123456"),
                (6, "b"),
            ],
        },
        Row {
            what: "texts and tokens don't mix",
            took: 40,
            limits: ROOM,
            arrivals: &[
                (0, r#""a""#),
                (0, "[1]"),
                (1, "[2,3]"),
                (2, r#""b""#),
                (3, "[[4]]"),
            ],
            calls: &[(0, "a"), (0, "[1]"), (6, "[2,3] [4]"), (7, "b")],
        },
    ];
    for Row {
        what,
        took,
        limits,
        arrivals,
        calls,
    } in rows
    {
        let provider = Provider::new(took, all_vectors);
        let told = play(&provider, limits, arrivals).await;
        let expected: Vec<_> = calls
            .iter()
            .map(|(at, inputs)| (*at, (*inputs).to_owned()))
            .collect();
        assert_eq!(provider.calls(), expected, "{what}");
        for (told, (_, input)) in told.iter().zip(arrivals) {
            assert_eq!(bytes(told), Ok(alone(input)), "{what}: {input}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn callers_learn_how_their_call_travelled() {
    let provider = Provider::new(40, all_vectors);
    let arrivals = [(0, r#""a""#), (1, r#""b""#), (3, r#"["c","d"]"#)];
    let told = play(&provider, ROOM, &arrivals).await;
    let how: Vec<_> = told
        .iter()
        .map(|told| {
            let answered = told.as_ref().unwrap();
            let waited = answered.waited.as_millis();
            (answered.callers, answered.inputs, answered.carried, waited)
        })
        .collect();
    assert_eq!(how, [(1, 1, true, 0), (2, 3, true, 5), (2, 3, false, 3)]);
}

/// Two hundred callers, each with ten calls one after the other, against 30 ms
/// a call.
#[tokio::test(start_paused = true)]
async fn many_callers_make_few_calls() {
    let provider = Provider::new(30, all_vectors);
    let batches = Tested::new();
    let mut callers = JoinSet::new();
    for caller in 0..200 {
        let (batches, provider) = (batches.clone(), Arc::clone(&provider));
        callers.spawn(async move {
            for turn in 0..10 {
                let input = format!(r#""{caller}.{turn}""#);
                let told = call(&batches, &provider, ROOM, &input).await.unwrap();
                assert_eq!(bytes(&told), Ok(alone(&input)));
            }
        });
    }
    callers.join_all().await;
    let calls = provider.calls().len();
    let took = provider.began.elapsed();
    assert!(calls <= 40, "{calls} calls");
    assert!(took < Duration::from_millis(450), "{took:?}");
    assert_eq!(batches.table.groups(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_is_taken_out() {
    let provider = Provider::new(40, all_vectors);
    let batches = Tested::new();
    let first = call(&batches, &provider, ROOM, r#""a""#);
    sleep(Duration::from_millis(1)).await;
    let leaver = call(&batches, &provider, ROOM, r#""b""#);
    let stayer = call(&batches, &provider, ROOM, r#""c""#);
    sleep(Duration::from_millis(1)).await;
    leaver.abort();
    assert_eq!(bytes(&stayer.await.unwrap()), Ok(alone(r#""c""#)));
    assert_eq!(bytes(&first.await.unwrap()), Ok(alone(r#""a""#)));
    assert_eq!(provider.calls(), [(0, "a".to_owned()), (6, "c".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_everybody_left_is_not_sent() {
    let provider = Provider::new(40, all_vectors);
    let batches = Tested::new();
    let first = call(&batches, &provider, ROOM, r#""a""#);
    sleep(Duration::from_millis(1)).await;
    for input in [r#""b""#, r#""c""#] {
        let leaver = call(&batches, &provider, ROOM, input);
        tokio::task::yield_now().await;
        leaver.abort();
    }
    first.await.unwrap().unwrap();
    sleep(Duration::from_millis(10)).await;
    assert_eq!(provider.calls(), [(0, "a".to_owned())]);
    assert_eq!(batches.table.groups(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_everybody_left_is_cancelled() {
    let provider = Provider::new(40, all_vectors);
    let batches = Tested::new();
    let at = |ms| sleep_until(provider.began + Duration::from_millis(ms));
    let lone = call(&batches, &provider, ROOM, r#""a""#);
    at(1).await;
    let both = [r#""b""#, r#""c""#].map(|input| call(&batches, &provider, ROOM, input));
    at(10).await;
    assert_eq!(provider.calls().len(), 2);
    let [one, other] = both;
    one.abort();
    at(20).await;
    // One of two is still there.
    assert_eq!(batches.table.groups(), 1);
    other.abort();
    lone.abort();
    at(100).await;
    assert_eq!(batches.table.groups(), 0);
    assert_eq!(provider.answered.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn only_who_is_at_fault_is_refused() {
    fn refuses_bad(inputs: &[String]) -> Verdict {
        match inputs.iter().any(|input| input.starts_with("bad")) {
            true => Verdict::Refused,
            false => Verdict::Vectors,
        }
    }
    // Besides the first call, which goes alone: callers, those at fault, calls.
    let rows: [(usize, &[usize], usize); 8] = [
        (8, &[], 1),
        (8, &[0], 7),
        (8, &[7], 7),
        (8, &[0, 7], 11),
        (5, &[0], 7),
        (5, &[2], 5),
        (1, &[0], 1),
        (8, &[0, 1, 2, 3, 4, 5, 6, 7], 15),
    ];
    for (callers, at_fault, calls) in rows {
        let names: Vec<_> = (0..callers)
            .map(|at| match at_fault.contains(&at) {
                true => format!(r#""bad{at}""#),
                false => format!(r#"["good{at}","more"]"#),
            })
            .collect();
        let mut arrivals = vec![(0, r#""first""#)];
        arrivals.extend(names.iter().map(|name| (1, name.as_str())));
        let provider = Provider::new(40, refuses_bad);
        let told = play(&provider, ROOM, &arrivals).await;
        for (at, (told, name)) in told[1..].iter().zip(&names).enumerate() {
            let expected = match at_fault.contains(&at) {
                true => Err(format!("400 bad{at}")),
                false => Ok(alone(name)),
            };
            assert_eq!(bytes(told), expected, "{callers} {at_fault:?}");
        }
        assert_eq!(provider.calls().len(), 1 + calls, "{callers} {at_fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_takes_no_lists_gets_none() {
    fn one_vector(_: &[String]) -> Verdict {
        Verdict::OneVector
    }
    let provider = Provider::new(4, one_vector);
    let arrivals = [(0, r#""a""#), (1, r#""b""#), (1, r#""c""#)];
    let told = play(&provider, ROOM, &arrivals).await;
    for (told, (_, input)) in told.iter().zip(arrivals) {
        assert_eq!(bytes(told), Ok(alone(input)));
    }
    let calls: Vec<_> = provider
        .calls()
        .into_iter()
        .map(|(_, inputs)| inputs)
        .collect();
    assert_eq!(calls, ["a", "b c", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_is_nobodys_is_everybodys_and_is_not_tried_again() {
    fn busy_with_many(inputs: &[String]) -> Verdict {
        match inputs.len() {
            1 => Verdict::Vectors,
            _ => Verdict::Busy,
        }
    }
    let provider = Provider::new(40, busy_with_many);
    let arrivals = [(0, r#""a""#), (1, r#""b""#), (1, r#""c""#)];
    let told = play(&provider, ROOM, &arrivals).await;
    let told: Vec<_> = told.iter().map(bytes).collect();
    let busy = || Err("429".to_owned());
    assert_eq!(told, [Ok(alone(r#""a""#)), busy(), busy()]);
    assert_eq!(provider.calls().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_bug_on_the_way_upstream_holds_nobody() {
    fn panics_with_many(inputs: &[String]) -> Verdict {
        match inputs.len() {
            1 => Verdict::Vectors,
            _ => Verdict::Panic,
        }
    }
    let provider = Provider::new(40, panics_with_many);
    let arrivals = [(0, r#""a""#), (1, r#""b""#), (1, r#""c""#)];
    let told = play(&provider, ROOM, &arrivals).await;
    assert!(told[0].is_ok());
    assert!(matches!(told[1..], [Err(Error::Lost), Err(Error::Lost)]));
}

#[tokio::test(start_paused = true)]
async fn a_part_of_a_call_comes_in_pieces_or_not_at_all() {
    fn one_vector(inputs: &[String]) -> Verdict {
        match inputs[0].as_str() {
            "odd" => Verdict::OneVector,
            _ => Verdict::Vectors,
        }
    }
    let provider = Provider::new(40, one_vector);
    let batches = Tested::new();
    let part = async |input| {
        let ask = Ask::read(body(input)).unwrap().only(|at| at != 1).unwrap();
        let provider = Arc::clone(&provider);
        let send = move |body| {
            let provider = Arc::clone(&provider);
            async move { provider.answer(body).await }
        };
        batches.ask("group", ROOM, ask, send).await
    };
    let told = part(r#"["a","known","b"]"#).await;
    assert!(matches!(&told.as_ref().unwrap().got, Got::Pieces(pieces) if pieces.len() == 2));
    assert_eq!(bytes(&told), Ok(alone(r#"["a","b"]"#)));
    let told = part(r#"["odd","known","b"]"#).await;
    assert_eq!(
        bytes(&told),
        Err("the answer has 1 vectors for 2 inputs".to_owned())
    );
}

/// Callers of all sizes who come, leave and are refused as chance has it.
#[tokio::test(start_paused = true)]
async fn whatever_happens_everyone_gets_its_own() {
    fn refuses_bad(inputs: &[String]) -> Verdict {
        match inputs.iter().any(|input| input.ends_with("bad")) {
            true => Verdict::Refused,
            false => Verdict::Vectors,
        }
    }
    for seed in 0..100 {
        let mut random = fastrand::Rng::with_seed(seed);
        let provider = Provider::new(random.u64(1..20), refuses_bad);
        let limits = Limits {
            inputs: random.usize(1..8),
            tokens: random.u64(1..20),
        };
        let batches = Tested::new();
        let mut callers = Vec::new();
        for caller in 0..30 {
            sleep(Duration::from_millis(random.u64(0..4))).await;
            let what = if random.u8(..) < 30 { "bad" } else { "good" };
            let inputs: Vec<_> = (0..random.usize(1..4))
                .map(|at| format!(r#""{caller}.{at}.{what}""#))
                .collect();
            let input = format!("[{}]", inputs.join(","));
            let handle = call(&batches, &provider, limits, &input);
            if random.u8(..) < 40 {
                let (leaver, after) = (handle.abort_handle(), random.u64(0..15));
                tokio::spawn(async move {
                    sleep(Duration::from_millis(after)).await;
                    leaver.abort();
                });
            }
            callers.push((input, handle));
        }
        for (input, handle) in callers {
            let Ok(told) = handle.await else {
                continue;
            };
            match input.contains("bad") {
                true => {
                    let words = read(&body(&input)).0.join(" ");
                    assert_eq!(bytes(&told), Err(format!("400 {words}")), "seed {seed}");
                }
                false => assert_eq!(bytes(&told), Ok(alone(&input)), "seed {seed}"),
            }
        }
        // What the last leavers left behind.
        sleep(Duration::from_millis(50)).await;
        assert_eq!(batches.table.groups(), 0, "seed {seed}");
        let calls = provider.calls();
        assert!(calls.len() < 60, "seed {seed}: {} calls", calls.len());
        for (_, inputs) in calls {
            let callers: std::collections::HashSet<_> = inputs
                .split(' ')
                .map(|input| input.split('.').next())
                .collect();
            let size = inputs.split(' ').count();
            assert!(
                size <= limits.inputs || callers.len() == 1,
                "seed {seed}: {inputs}"
            );
        }
    }
}

/// What gathers is begun on one runtime, joined and sent away from another.
#[test]
fn callers_of_two_runtimes_share_a_call() {
    let batches = Batches::<&str, u16, String>::new();
    let (is_asked, may_answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let ask = |input| Ask::read(body(input)).unwrap();
    let run = |future: Pin<Box<dyn Future<Output = Told> + Send>>| {
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .unwrap();
            runtime.block_on(async { timeout(Duration::from_secs(60), future).await.unwrap() })
        })
    };
    let echo = |body: Bytes| async move {
        let (inputs, tokens) = read(&body);
        Ok((200, vectors(&inputs, tokens)))
    };
    let first = run(Box::pin({
        let (batches, is_asked, may_answer) = (
            batches.clone(),
            Arc::clone(&is_asked),
            Arc::clone(&may_answer),
        );
        async move {
            let send = move |body| {
                let (is_asked, may_answer) = (Arc::clone(&is_asked), Arc::clone(&may_answer));
                async move {
                    is_asked.notify_one();
                    may_answer.notified().await;
                    echo(body).await
                }
            };
            batches.ask("group", ROOM, ask(r#""a""#), send).await
        }
    }));
    let limits = Limits { inputs: 2, ..ROOM };
    let others = [r#""b""#, r#""c""#].map(|input| {
        let (batches, is_asked) = (batches.clone(), Arc::clone(&is_asked));
        run(Box::pin(async move {
            is_asked.notified().await;
            is_asked.notify_one();
            batches.ask("group", limits, ask(input), echo).await
        }))
    });
    for (other, input) in others.into_iter().zip([r#""b""#, r#""c""#]) {
        assert_eq!(bytes(&other.join().unwrap()), Ok(alone(input)));
    }
    may_answer.notify_one();
    assert_eq!(bytes(&first.join().unwrap()), Ok(alone(r#""a""#)));
    assert_eq!(batches.table.groups(), 0);
}
