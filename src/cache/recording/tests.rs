//! Recordings under one thread and under a runtime. What several threads may
//! do to each other is checked in `model`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use tokio::time::{Instant, sleep};

use super::{Broken, Log, Recorder, Replay, recording};

type Writer = Recorder<u8, u16>;
type Reader = Replay<u8, u16>;
type Next = Poll<Result<Option<Bytes>, Broken<u16>>>;

/// Counts its wake-ups.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Bell {
    fn rung(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

fn next(reader: &mut Reader) -> Next {
    reader.poll_next(&mut Context::from_waker(Waker::noop()))
}

/// What a reader gets until it must wait, and the end, if it saw one.
fn drain(reader: &mut Reader) -> (Vec<u8>, Option<Result<(), Broken<u16>>>) {
    let mut bytes = Vec::new();
    loop {
        match next(reader) {
            Poll::Pending => return (bytes, None),
            Poll::Ready(Ok(Some(piece))) => bytes.extend_from_slice(&piece),
            Poll::Ready(end) => return (bytes, Some(end.map(|_| ()))),
        }
    }
}

fn join(recorder: &Writer) -> Option<Reader> {
    Log::join(recorder.log())
}

fn held(recorder: &Writer) -> usize {
    let held = recorder.log().state.lock().pieces.held();
    held.iter().map(Bytes::len).sum()
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

#[test]
fn readers_from_every_index_in_every_chunking_read_the_same() {
    const TEXT: &str = "deadline";
    for cuts in 0..1_u32 << (TEXT.len() - 1) {
        let (mut recorder, mut live) = recording(64);
        recorder.head(1);
        let mut seen = Vec::new();
        let mut joined = vec![(join(&recorder).expect("open"), 0)];
        let mut from = 0;
        for to in 1..=TEXT.len() {
            if to < TEXT.len() && cuts >> (to - 1) & 1 == 0 {
                continue;
            }
            recorder.push(bytes(&TEXT[from..to]));
            from = to;
            // The live one gets each piece as it came.
            assert_eq!(
                next(&mut live),
                Poll::Ready(Ok(Some(bytes(&TEXT[seen.len()..to]))))
            );
            seen.extend_from_slice(&TEXT.as_bytes()[seen.len()..to]);
            // A newcomer gets all there is, at once; it reads on at the end.
            let mut newcomer = join(&recorder).expect("open");
            assert_eq!(
                next(&mut newcomer),
                Poll::Ready(Ok(Some(bytes(&TEXT[..to]))))
            );
            joined.push((newcomer, to));
            joined.push((join(&recorder).expect("open"), 0));
        }
        assert_eq!(recorder.complete().as_deref(), Some(TEXT.as_bytes()));
        joined.push((join(&recorder).expect("complete"), 0));
        for (reader, at) in &mut joined {
            assert_eq!(
                drain(reader),
                (TEXT.as_bytes()[*at..].to_vec(), Some(Ok(())))
            );
        }
    }
}

#[test]
fn readers_leave_at_every_index_without_hurting_others() {
    for leaves in 0..=4 {
        let (mut recorder, leader) = recording(64);
        let mut leader = Some(leader);
        let mut follower = join(&recorder).expect("open");
        for index in 0..4 {
            if index == leaves {
                leader = None;
            }
            recorder.push(bytes("ab"));
        }
        recorder.head(1);
        recorder.complete();
        drop(leader);
        assert_eq!(drain(&mut follower), (b"abababab".to_vec(), Some(Ok(()))));
    }
}

#[test]
fn every_end_comes_after_the_bytes_and_stays() {
    type Ending = fn(Writer);
    let endings: [(Ending, Result<(), Broken<u16>>); 3] = [
        (|mut recorder| _ = recorder.complete(), Ok(())),
        (|mut recorder| recorder.fail(503), Err(Broken::Failed(503))),
        (drop, Err(Broken::Abandoned)),
    ];
    for (ending, end) in endings {
        let (mut recorder, mut replay) = recording(64);
        recorder.head(1);
        recorder.push(bytes("a"));
        ending(recorder);
        assert_eq!(drain(&mut replay), (b"a".to_vec(), Some(end)));
        assert_eq!(drain(&mut replay), (Vec::new(), Some(end)));
    }
}

#[test]
fn the_first_head_and_the_first_end_count() {
    let (mut recorder, mut replay) = recording(64);
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(replay.poll_head(cx).is_pending());
    recorder.head(1);
    recorder.head(2);
    recorder.fail(503);
    recorder.fail(504);
    recorder.push(bytes("late"));
    assert_eq!(recorder.complete(), None);
    assert_eq!(replay.poll_head(cx), Poll::Ready(Ok(Arc::new(1))));
    assert_eq!(
        drain(&mut replay),
        (Vec::new(), Some(Err(Broken::Failed(503))))
    );
}

#[test]
fn a_recording_that_ends_without_a_head_has_none() {
    type Ending = fn(&mut Writer);
    let ends: [(Ending, Broken<u16>); 2] = [
        (|recorder| recorder.fail(429), Broken::Failed(429)),
        (|recorder| _ = recorder.complete(), Broken::Abandoned),
    ];
    for (end, broken) in ends {
        let (mut recorder, mut replay) = recording(64);
        end(&mut recorder);
        let head = replay.poll_head(&mut Context::from_waker(Waker::noop()));
        assert_eq!(head, Poll::Ready(Err(broken)));
        assert!(join(&recorder).is_none());
    }
}

#[test]
fn what_is_kept_has_an_allocation_of_its_own() {
    let buffer = Bytes::from(vec![7; 1 << 16]);
    let (mut recorder, _replay) = recording::<u8, u16>(64);
    recorder.head(1);
    recorder.push(buffer.slice(..4));
    let body = recorder.complete().expect("within the limit");
    assert_eq!(*body, [7; 4]);
    assert!(
        buffer.try_into_mut().is_ok(),
        "nothing holds the buffer it came in"
    );
}

#[test]
fn a_burst_wakes_each_reader_once() {
    let (mut recorder, leader) = recording(64);
    let mut readers = vec![leader];
    readers.extend((1..1_000).map(|_| join(&recorder).expect("open")));
    let bells: Vec<Arc<Bell>> = readers.iter().map(|_| Arc::default()).collect();
    for (reader, bell) in readers.iter_mut().zip(&bells) {
        let waker = Waker::from(bell.clone());
        let cx = &mut Context::from_waker(&waker);
        assert!(reader.poll_next(cx).is_pending());
        assert!(reader.poll_head(cx).is_pending());
    }
    recorder.head(1);
    for piece in ["a", "b", "c"] {
        recorder.push(bytes(piece));
    }
    assert!(bells.iter().all(|bell| bell.rung() == 1));
    for reader in &mut readers {
        assert_eq!(next(reader), Poll::Ready(Ok(Some(bytes("abc")))));
    }
}

/// What a recording should do, in as few words as possible.
struct Reference {
    limit: usize,
    pushed: Vec<u8>,
    end: Option<Result<(), Broken<u16>>>,
    deserted: bool,
}

struct Follower {
    reader: Reader,
    bell: Arc<Bell>,
    /// It waits, and had heard so much when it began to.
    waits_since: Option<usize>,
    at: usize,
    cut: bool,
}

impl Follower {
    fn new(reader: Reader) -> Self {
        Self {
            reader,
            bell: Arc::default(),
            waits_since: None,
            at: 0,
            cut: false,
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Push(usize),
    Join,
    Read(prop::sample::Index),
    Leave(prop::sample::Index),
    Room,
    End(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop::sample::select(vec![0, 1, 1, 2, 30, 200, 5_000, 17_000, 40_000]);
    prop_oneof![
        8 => size.prop_map(Step::Push),
        4 => Just(Step::Join),
        12 => any::<prop::sample::Index>().prop_map(Step::Read),
        2 => any::<prop::sample::Index>().prop_map(Step::Leave),
        5 => Just(Step::Room),
        1 => (0..40_u8).prop_map(Step::End),
    ]
}

impl Reference {
    fn joinable(&self) -> bool {
        let lives = self.end.map_or(!self.deserted, |end| end.is_ok());
        lives && self.pushed.len() <= self.limit
    }

    fn check_next(&self, follower: &mut Follower) {
        let waker = Waker::from(follower.bell.clone());
        let heard = follower.bell.rung();
        let next = follower.reader.poll_next(&mut Context::from_waker(&waker));
        follower.waits_since = next.is_pending().then_some(heard);
        match next {
            Poll::Ready(Ok(Some(piece))) => {
                assert!(!piece.is_empty() && !follower.cut);
                assert_eq!(piece, self.pushed[follower.at..][..piece.len()]);
                follower.at += piece.len();
            }
            _ if follower.cut => assert_eq!(next, Poll::Ready(Err(Broken::Lagging))),
            other => {
                assert_eq!(follower.at, self.pushed.len(), "nothing is left out");
                let end = self.end.map(|end| end.map(|()| None));
                assert_eq!(other, end.map_or(Poll::Pending, Poll::Ready));
            }
        }
    }

    /// Whoever waits and has something to see was woken.
    fn check_bells(&self, followers: &[Follower]) {
        for follower in followers {
            let sees = follower.cut || follower.at < self.pushed.len() || self.end.is_some();
            if let Some(heard) = follower.waits_since.filter(|_| sees) {
                assert!(follower.bell.rung() > heard, "a lost wake-up");
            }
        }
    }

    fn check_room(&self, recorder: &mut Writer, followers: &mut [Follower]) {
        let len = self.pushed.len();
        let mut reading: Vec<_> = followers.iter_mut().filter(|one| !one.cut).collect();
        let slowest = reading.iter().map(|one| one.at).min().unwrap_or(len);
        let fastest = reading.iter().map(|one| one.at).max().unwrap_or(len);
        let room = len - slowest <= self.limit || fastest == len;
        let polled = recorder.poll_room(&mut Context::from_waker(Waker::noop()));
        assert_eq!(polled.is_ready(), room);
        if room {
            for one in &mut reading {
                one.cut = len - one.at > self.limit;
            }
        }
        if room && len > self.limit {
            // A piece that is read in part is held whole.
            assert!(held(recorder) <= self.limit + 40_000);
        }
    }
}

proptest! {
    #[test]
    fn any_interleaving_is_read_as_it_was_written(
        limit in prop::sample::select(vec![0_usize, 1, 300, 20_000, 100_000, 1 << 20]),
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let (recorder, leader) = recording(limit);
        let mut recorder = Some(recorder);
        let log = recorder.as_ref().expect("just made").log().clone();
        let mut reference = Reference { limit, pushed: Vec::new(), end: None, deserted: false };
        let mut followers = vec![Follower::new(leader)];
        for step in steps {
            match (step, &mut recorder) {
                (Step::Push(size), Some(recorder)) => {
                    if reference.end.is_none() {
                        let from = reference.pushed.len();
                        reference.pushed.extend((from..from + size).map(|at| (at % 251) as u8));
                    }
                    let from = reference.pushed.len() - if reference.end.is_none() { size } else { 0 };
                    recorder.push(Bytes::copy_from_slice(&reference.pushed[from..]));
                }
                (Step::Room, Some(recorder)) if reference.end.is_none() => {
                    reference.check_room(recorder, &mut followers);
                }
                (Step::End(kind), writer) => {
                    if let Some(recorder) = writer {
                        let end = match kind {
                            0 => Err(Broken::Failed(500)),
                            1 => Err(Broken::Abandoned),
                            2 => Ok(()),
                            _ => continue,
                        };
                        let is_first = reference.end.is_none();
                        reference.end.get_or_insert(end);
                        match kind {
                            0 => recorder.fail(500),
                            1 => *writer = None,
                            _ => {
                                recorder.head(1);
                                let body = recorder.complete();
                                let whole = reference.pushed.len() <= limit && is_first;
                                prop_assert_eq!(body, whole.then(|| reference.pushed.clone().into()));
                            }
                        }
                    }
                }
                (Step::Join, _) => {
                    let joined = Log::join(&log);
                    prop_assert_eq!(joined.is_some(), reference.joinable());
                    followers.extend(joined.map(Follower::new));
                }
                (Step::Read(index), _) if !followers.is_empty() => {
                    let index = index.index(followers.len());
                    reference.check_next(&mut followers[index]);
                }
                (Step::Leave(index), _) if !followers.is_empty() => {
                    let index = index.index(followers.len());
                    let was_cut = followers.swap_remove(index).cut;
                    let last = !followers.iter().any(|one| !one.cut);
                    reference.deserted |= last && !was_cut && reference.end.is_none();
                }
                _ => {}
            }
            reference.check_bells(&followers);
        }
        if let Some(recorder) = &recorder {
            let deserted = recorder.poll_deserted(&mut Context::from_waker(Waker::noop()));
            prop_assert_eq!(deserted.is_ready(), reference.deserted);
        }
    }
}

/// A thousand followers of 200 events over two seconds, one of whom takes a
/// byte a second.
async fn thousand_followers(limit: usize) -> (Vec<u8>, Result<(), Broken<u16>>, Duration) {
    const EVENTS: usize = 200;
    const SIZE: usize = 100;
    let (mut recorder, mut slow) = recording::<u8, u16>(limit);
    recorder.head(1);
    let begun = Instant::now();
    let followers: Vec<_> = (1..1_000)
        .map(|_| {
            let mut replay = join(&recorder).expect("open");
            tokio::spawn(async move {
                let mut read = 0;
                while let Some(piece) = replay.next().await.expect("never cut") {
                    read += piece.len();
                    // As it comes, and never later.
                    assert_eq!(
                        begun.elapsed(),
                        Duration::from_millis(10) * (read / SIZE) as u32
                    );
                }
                assert_eq!(read, EVENTS * SIZE);
            })
        })
        .collect();
    let slow = tokio::spawn(async move {
        let mut read = Vec::new();
        let end = loop {
            match slow.next().await {
                Ok(Some(piece)) => {
                    sleep(Duration::from_secs(piece.len() as u64)).await;
                    read.extend_from_slice(&piece);
                }
                Ok(None) => break Ok(()),
                Err(broken) => break Err(broken),
            }
        };
        (read, end, begun.elapsed())
    });
    for event in 0..EVENTS {
        sleep(Duration::from_millis(10)).await;
        recorder.room().await;
        assert!(held(&recorder) <= limit + SIZE);
        recorder.push(vec![event as u8; SIZE].into());
    }
    recorder.complete();
    drop(recorder);
    for follower in followers {
        follower.await.expect("undelayed");
    }
    assert_eq!(begun.elapsed(), Duration::from_secs(2));
    slow.await.expect("read")
}

#[tokio::test(start_paused = true)]
async fn one_in_a_thousand_who_reads_a_byte_a_second_delays_nobody() {
    let all: Vec<u8> = (0..200).flat_map(|event| [event; 100]).collect();
    let (read, end, took) = thousand_followers(1 << 20).await;
    assert_eq!((read, end), (all.clone(), Ok(())));
    assert_eq!(took.as_secs(), 20_000);
    // Where not all of it may be held, the slow one is cut.
    let (read, end, _) = thousand_followers(2_000).await;
    assert!(all.starts_with(&read));
    assert_eq!(end, Err(Broken::Lagging));
}

#[tokio::test(start_paused = true)]
async fn readers_who_are_all_slow_hold_the_recorder_to_a_window() {
    let (mut recorder, mut replay) = recording::<u8, u16>(1_000);
    recorder.head(1);
    let mut other = join(&recorder).expect("open");
    let reading = tokio::spawn(async move {
        let mut read = [0, 0];
        for _ in 0..100 {
            sleep(Duration::from_secs(1)).await;
            for (replay, read) in [&mut replay, &mut other].into_iter().zip(&mut read) {
                *read += replay
                    .next()
                    .await
                    .expect("not cut")
                    .map_or(0, |piece| piece.len());
            }
        }
        read
    });
    for _ in 0..100 {
        recorder.room().await;
        assert!(held(&recorder) <= 1_000 + 100);
        recorder.push(vec![0; 100].into());
    }
    assert_eq!(recorder.complete(), None);
    assert_eq!(reading.await.expect("read"), [10_000, 10_000]);
}

#[test]
fn readers_on_another_runtime_are_woken() {
    let (mut recorder, mut replay) = recording::<u8, u16>(1 << 20);
    let reading = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.expect("a runtime").block_on(async {
            let mut read = 0;
            while let Some(piece) = replay.next().await.expect("whole") {
                read += piece.len();
            }
            read
        })
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime").block_on(async {
        recorder.head(1);
        for _ in 0..1_000 {
            recorder.push(bytes("data: word\n\n"));
            tokio::task::yield_now().await;
        }
        recorder.complete();
    });
    assert_eq!(reading.join().expect("read"), 12_000);
}
