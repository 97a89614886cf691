//! Replays recorded traffic through a running gateway: what a client sent
//! arrives at its provider, and what the provider answered arrives at the
//! client, byte for byte, however the bytes are cut on their way.
//!
//! Every recording goes through: calls nowait knows by their endpoints, pinned
//! to their provider by path, by a name with its provider, by a name of the
//! operator's and by a bare one; everything else raw. Streams are also broken
//! off half way. The recordings are other people's traffic and not part of
//! the project (`recordings` says where they are read from).

mod cast;
mod check;
mod recording;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, Version};
use nowait::dialect::Dialect;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::cast::Cast;
use self::recording::Recording;
use crate::recordings::{json_files, recordings};
use crate::stage::scripted::{Beat, Played, Scripted, Seen, json};
use crate::stage::{Answer, Caller, Stage, call, get};

/// Replays at once.
const AT_ONCE: usize = 16;

#[tokio::test]
async fn recorded_traffic_passes_byte_for_byte() {
    let Some(root) = recordings() else {
        println!("no recordings found (NOWAIT_RECORDINGS is unset): nothing replayed");
        return;
    };
    let mut recorded: Vec<Recording> = json_files(&root)
        .iter()
        .map(|path| {
            let text = fs::read_to_string(path).unwrap();
            Recording::read(path.strip_prefix(&root).unwrap(), &text)
        })
        .collect();
    let reported = fs::read_to_string(root.join("errors_reported.jsonl")).unwrap();
    recorded.extend(Recording::reported(&reported));
    replay(recorded).await;
}

#[tokio::test]
async fn golden_traffic_passes_byte_for_byte() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut paths: Vec<_> = ["openai", "anthropic"]
        .iter()
        .flat_map(|dialect| fs::read_dir(root.join(dialect)).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let golden = paths.iter().filter_map(|path| Recording::golden(path));
    replay(golden.collect()).await;
}

/// An answer too large to be held passes as it comes, and its usage is read
/// from its end.
#[tokio::test]
async fn a_large_answer_passes_byte_for_byte() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/openai");
    let mut large = Recording::golden(&root.join("embeddings-one.json")).unwrap();
    let small = String::from_utf8(large.body.to_vec()).unwrap();
    let (start, end) = small.split_at(small.find('[').unwrap() + 1);
    large.body = format!("{start}{}{end}", " ".repeat(3 << 20)).into();
    replay(vec![large]).await;
}

/// Plays every recording in every way it can be asked for.
async fn replay(recorded: Vec<Recording>) {
    let recorded: Vec<_> = recorded.into_iter().map(Arc::new).collect();
    assert!(!recorded.is_empty());
    let mut cast = Cast::new(5);
    let replays: Vec<Replay> = recorded
        .iter()
        .flat_map(|recording| cast.replays(recording))
        .collect();
    let replays: Arc<[Replay]> = replays.into();

    let arrived: Arc<[Mutex<Option<Seen>>]> = replays.iter().map(|_| Mutex::default()).collect();
    let provider = {
        let (replays, arrived) = (Arc::clone(&replays), Arc::clone(&arrived));
        Scripted::start(move |seen| {
            let answer = play(&replays, &arrived, seen);
            async move { answer }
        })
        .await
    };
    let stage = Stage::set(&cast.config(&provider));
    let answers = replay_all(&stage, &replays).await;
    for (at, (replay, answer)) in replays.iter().zip(&answers).enumerate() {
        let seen = arrived[at].lock().take();
        let seen = seen.unwrap_or_else(|| panic!("{replay}: never arrived: {}", answer.text()));
        replay.check_request(&seen);
        replay.check_answer(answer);
    }
    let metrics = call(stage.address(), get("/metrics")).await;
    let lines = stage.strike().await;
    check::books(&replays, &lines, metrics.text());
    println!("{} recordings, {} replays", recorded.len(), replays.len());
}

/// A call to be made, and how its answer is to be played.
struct Replay {
    recording: Arc<Recording>,
    id: String,
    way: &'static str,
    /// The path and body the caller sends.
    path: String,
    body: Bytes,
    caller: Version,
    provider: Version,
    /// The size of the largest chunk.
    chunk: usize,
    broken: Option<Broken>,
    seed: u64,
}

/// Where and how a stream breaks off.
#[derive(Clone, Copy)]
struct Broken {
    at: usize,
    /// Its connection is cut, rather than ended in good order.
    cut: bool,
}

impl std::fmt::Display for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}, {})", self.recording.name, self.way, self.id)
    }
}

/// The key a caller brings, which is not for a provider that has its own.
const CALLERS_KEY: &str = "sk-of-the-caller";

impl Replay {
    fn request(&self, at: usize) -> Request<Bytes> {
        let mut request = Request::new(self.body.clone());
        *request.method_mut() = self.recording.method.clone();
        *request.uri_mut() = self.path.parse().unwrap();
        let headers = request.headers_mut();
        *headers = self.recording.request_headers.clone();
        let key = match self.recording.dialect() {
            Dialect::Anthropic => ("x-api-key", CALLERS_KEY.to_owned()),
            _ => ("authorization", format!("Bearer {CALLERS_KEY}")),
        };
        headers.insert(key.0, key.1.parse().unwrap());
        headers.insert("x-case", at.into());
        headers.insert("x-request-id", self.id.parse().unwrap());
        headers.insert("x-nowait-tags", "test=replay".parse().unwrap());
        request
    }
}

/// Makes every call, some at once.
async fn replay_all(stage: &Stage, replays: &Arc<[Replay]>) -> Vec<Answer> {
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let address = stage.address();
    let mut running = JoinSet::new();
    for at in 0..replays.len() {
        let permit = Arc::clone(&permits).acquire_owned().await.unwrap();
        let replays = Arc::clone(replays);
        running.spawn(async move {
            let request = replays[at].request(at);
            let answer = if replays[at].caller == Version::HTTP_2 {
                Caller::connect_h2(address).await.call(request).await
            } else {
                call(address, request).await
            };
            drop(permit);
            (at, answer)
        });
    }
    let mut answers = running.join_all().await;
    answers.sort_by_key(|(at, _)| *at);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// The provider's part.
fn play(replays: &[Replay], arrived: &[Mutex<Option<Seen>>], seen: Seen) -> Response<Played> {
    let Ok(at) = seen.header("x-case").parse::<usize>() else {
        // nowait asks for lists of models by itself.
        return json(404, "{}");
    };
    *arrived[at].lock() = Some(seen);
    let replay = &replays[at];
    let recording = &replay.recording;
    let mut random = fastrand::Rng::with_seed(replay.seed);
    let mut chunked = |body: &[u8]| {
        if replay.chunk == 1 && body.len() > SINGLE_BYTES {
            let (single, rest) = body.split_at(SINGLE_BYTES);
            let rest = Played::chunked(rest, 300, &mut random);
            return Played::chunked(single, 1, &mut random).and(rest);
        }
        Played::chunked(body, replay.chunk, &mut random)
    };
    let body = match replay.broken {
        Some(Broken { at, cut: true }) => chunked(&recording.body[..at]).then(Beat::Cut),
        Some(Broken { at, cut: false }) => chunked(&recording.body[..at]),
        None if recording.streamed => chunked(&recording.body),
        None => Played::whole(recording.body.clone()),
    };
    let mut response = Response::new(body);
    *response.status_mut() = recording.status;
    *response.headers_mut() = recording.headers.clone();
    response
}

/// Where most bytes of an answer are sent one by one, the rest is not: every
/// position of a boundary has been met by then.
const SINGLE_BYTES: usize = 1 << 10;
