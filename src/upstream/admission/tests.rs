//! Permits on virtual time, and with two runtimes on two threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn of(priority: Priority) -> Ask {
    Ask {
        priority,
        ..Ask::default()
    }
}

fn fixed(limit: usize, queue: usize) -> Arc<Admission> {
    Admission::new(Rule::Fixed(limit), queue, Instant::now())
}

/// Enters as a task of its own and waits until it stands in the queue.
async fn joins(
    admission: &Arc<Admission>,
    ask: Ask,
) -> tokio::task::JoinHandle<Result<Permit, Turned>> {
    let admission = admission.clone();
    let task = tokio::spawn(async move { admission.enter(Instant::now(), &ask).await });
    tokio::task::yield_now().await;
    task
}

#[tokio::test(start_paused = true)]
async fn a_healthy_hosted_api_never_waits() {
    let now = Instant::now();
    let admission = Admission::new(Rule::Aimd, 1000, now);
    let mut permits = Vec::new();
    for _ in 0..500 {
        let mut permit = admission.enter(now, &Ask::default()).await.unwrap();
        permit.report(now, Outcome::Answered);
        permits.push(permit);
    }
    assert!(!admission.gate.see().is_attended(), "no lock was taken");
    assert!(!admission.is_near());
    assert_eq!(admission.gauges(now).in_flight, 500);
    drop(permits);
    assert_eq!(admission.gauges(now).in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_permit_goes_to_the_next_and_past_those_who_have_left() {
    let admission = fixed(1, 10);
    let first = admission.enter(Instant::now(), &Ask::default()).await;
    let gone = joins(&admission, Ask::default()).await;
    let next = joins(&admission, Ask::default()).await;
    let batch = joins(&admission, of(Priority::Batch)).await;
    gone.abort();
    tokio::task::yield_now().await;
    assert_eq!(admission.gauges(Instant::now()).interactive, 1);
    drop(first);
    let permit = next.await.unwrap().unwrap();
    assert!(!batch.is_finished());
    drop(permit);
    drop(batch.await.unwrap().unwrap());
    assert_eq!(admission.gauges(Instant::now()).in_flight, 0);
    assert!(!admission.gate.see().is_attended());
}

#[tokio::test(start_paused = true)]
async fn who_is_dropped_while_being_handed_a_permit_gives_it_to_the_next() {
    let admission = fixed(1, 10);
    let first = admission.enter(Instant::now(), &Ask::default()).await;
    let ask = Ask::default();
    let mut one = Box::pin(admission.enter(Instant::now(), &ask));
    let mut two = Box::pin(admission.enter(Instant::now(), &ask));
    // Both stand in the queue.
    assert!(poll_once(&mut one).await.is_none());
    assert!(poll_once(&mut two).await.is_none());
    drop(first);
    // The permit is on its way to the first, who leaves without having seen
    // it.
    drop(one);
    assert!(two.await.is_ok());
}

/// Polls once.
async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|cx| match std::pin::Pin::new(&mut *future).poll(cx) {
        std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_the_wait() {
    let admission = fixed(1, 10);
    let now = Instant::now();
    let _first = admission.enter(now, &Ask::default()).await;
    let ask = Ask {
        by: Some(now + seconds(3)),
        ..Ask::default()
    };
    let turned = admission.enter(now, &ask).await.unwrap_err();
    assert_eq!(turned.why, Why::Late);
    assert_eq!(now.elapsed(), seconds(3));
    assert_eq!(admission.gauges(now).interactive, 0);
}

#[tokio::test(start_paused = true)]
async fn what_need_not_be_done_does_not_wait_and_does_not_overtake() {
    let admission = fixed(2, 10);
    let now = Instant::now();
    let ask = Ask::default();
    let one = admission.try_enter(now, &ask).unwrap();
    let two = admission.try_enter(now, &ask).unwrap();
    assert!(admission.try_enter(now, &ask).is_none());
    assert!(admission.is_near());
    let waits = joins(&admission, ask).await;
    drop(two);
    assert!(
        admission.try_enter(now, &ask).is_none(),
        "it was waited for"
    );
    drop((one, waits.await.unwrap()));
    assert!(admission.try_enter(now, &ask).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_recovers_lets_in_without_anything_happening() {
    let now = Instant::now();
    let admission = Admission::new(Rule::Aimd, 100, now);
    let ask = Ask::default();
    let mut permits = Vec::new();
    for _ in 0..10 {
        permits.push(admission.enter(now, &ask).await.unwrap());
    }
    assert_eq!(admission.gauges(now).limit, None);
    assert!(!admission.is_near());
    for _ in 0..6 {
        let mut refused = admission.enter(now, &ask).await.unwrap();
        refused.report(now, Outcome::Overloaded { again: None });
    }
    assert_eq!(
        admission.gauges(now).limit,
        Some(9),
        "below what is in flight"
    );
    let began = Instant::now();
    let permit = admission.enter(now, &ask).await.unwrap();
    // Eleven are past the ten that fitted.
    let waited = began.elapsed();
    assert!(
        waited > Duration::from_millis(500) && waited < seconds(2),
        "{waited:?}"
    );
    drop((permit, permits));
    assert_eq!(admission.gauges(now + seconds(4)).limit, None);
}

/// Two threads with a runtime each enter and leave as fast as they can, some
/// leaving the queue at any moment. No permit is lost or made, nobody waits
/// for ever.
#[test]
fn two_runtimes_share_a_limit() {
    const LIMIT: usize = 3;
    const CALLS: usize = 3000;
    let admission = fixed(LIMIT, 10_000);
    let in_flight = Arc::new(AtomicUsize::new(0));
    let served = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..2u64)
        .map(|seed| {
            let (admission, in_flight) = (admission.clone(), in_flight.clone());
            let served = served.clone();
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .build()
                    .unwrap();
                let mut rng = fastrand::Rng::with_seed(seed);
                let tasks = tokio::task::LocalSet::new();
                for call in 0..CALLS {
                    let (admission, in_flight) = (admission.clone(), in_flight.clone());
                    let served = served.clone();
                    let polls = (call % 3 == 0).then(|| rng.usize(0..4));
                    let held = rng.usize(0..3);
                    let priority = match rng.bool() {
                        true => Priority::Interactive,
                        false => Priority::Batch,
                    };
                    tasks.spawn_local(async move {
                        let ask = of(priority);
                        let mut enters = Box::pin(admission.enter(Instant::now(), &ask));
                        // Some give up after a few looks.
                        let permit = match polls {
                            None => Some(enters.await.unwrap()),
                            Some(polls) => {
                                let mut permit = None;
                                for _ in 0..polls {
                                    permit = poll_once(&mut enters).await;
                                    if permit.is_some() {
                                        break;
                                    }
                                    tokio::task::yield_now().await;
                                }
                                drop(enters);
                                permit.map(Result::unwrap)
                            }
                        };
                        if let Some(mut permit) = permit {
                            assert!(in_flight.fetch_add(1, Ordering::SeqCst) < LIMIT);
                            for _ in 0..held {
                                tokio::task::yield_now().await;
                            }
                            permit.report(Instant::now(), Outcome::Answered);
                            in_flight.fetch_sub(1, Ordering::SeqCst);
                            served.fetch_add(1, Ordering::SeqCst);
                        }
                    });
                }
                runtime.block_on(tasks);
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(served.load(Ordering::SeqCst) >= 2 * CALLS * 2 / 3);
    let gauges = admission.gauges(Instant::now());
    assert_eq!(
        (gauges.in_flight, gauges.interactive, gauges.batch),
        (0, 0, 0)
    );
    assert!(!admission.gate.see().is_attended());
    assert_eq!(admission.gate.see().answering(), 0);
}
