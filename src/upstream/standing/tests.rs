//! What calls tell a target's standing, end by end.

use super::*;
use crate::upstream::quota::Unit;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn target() -> (Arc<Standing>, Instant) {
    (Standing::new(1, 1), Instant::now())
}

/// A call that ends after so many milliseconds, with content after as many.
fn call(standing: &Arc<Standing>, now: Instant, span: Span, content: Option<u64>, end: (u64, End)) {
    let mut pending = standing.begin(now, span, 0);
    if let Some(content) = content {
        pending.first_content(now + ms(content));
    }
    pending.end(now + ms(end.0), end.1);
}

const ANSWERED: End = End::Answered { tokens: None };

/// Whether a time is what is expected, but for rounding.
fn is_near(time: Option<Duration>, expected: Option<u64>) -> bool {
    match (time, expected) {
        (Some(time), Some(expected)) => time.abs_diff(ms(expected)) < ms(1),
        (time, expected) => time.is_none() && expected.is_none(),
    }
}

#[test]
fn each_end_says_what_it_says() {
    use Span::{FirstContent, Whole};
    // Span, content after, end; then: time to first content, whole time, share of
    // failures, calls that ended in the two sketches.
    type Row = (
        Span,
        Option<u64>,
        (u64, End),
        Option<u64>,
        Option<u64>,
        f64,
        [u32; 2],
    );
    let rows: &[Row] = &[
        (
            FirstContent,
            Some(200),
            (900, ANSWERED),
            Some(200),
            None,
            0.0,
            [1, 0],
        ),
        // An answer without content is one nevertheless.
        (
            FirstContent,
            None,
            (900, ANSWERED),
            Some(900),
            None,
            0.0,
            [1, 0],
        ),
        (Whole, None, (900, ANSWERED), None, Some(900), 0.0, [0, 1]),
        // The first bytes of an answer in one piece say nothing.
        (
            Whole,
            Some(200),
            (900, ANSWERED),
            None,
            Some(900),
            0.0,
            [0, 1],
        ),
        (
            FirstContent,
            None,
            (300, End::Failed),
            Some(300),
            None,
            1.0,
            [0, 0],
        ),
        (
            FirstContent,
            Some(200),
            (300, End::Failed),
            Some(200),
            None,
            1.0 / 16.0,
            [1, 0],
        ),
        (
            Whole,
            None,
            (300, End::Failed),
            None,
            Some(300),
            1.0,
            [0, 0],
        ),
        (
            FirstContent,
            None,
            (300, End::Refused),
            None,
            None,
            0.0,
            [0, 0],
        ),
        (
            FirstContent,
            None,
            (300, End::Cut),
            Some(300),
            None,
            0.0,
            [0, 0],
        ),
        (
            FirstContent,
            Some(200),
            (300, End::Cut),
            Some(200),
            None,
            0.0,
            [1, 0],
        ),
        (Whole, None, (300, End::Cut), None, Some(300), 0.0, [0, 0]),
    ];
    for (span, content, end, first_content, whole, failing, ended) in rows {
        let (standing, now) = target();
        call(&standing, now, *span, *content, *end);
        let view = standing.view(now + ms(1_000));
        let case = format!("{span:?} {content:?} {end:?}");
        assert!(
            is_near(view.first_content, *first_content),
            "{case}: {view:?}"
        );
        assert!(is_near(view.whole, *whole), "{case}: {view:?}");
        assert!((view.failing - failing).abs() < 0.01, "{case}: {view:?}");
        let mut known = standing.known.lock();
        let samples = [FirstContent, Whole].map(|span| known.pace(span).sketch.samples(now));
        assert_eq!(samples, *ended, "{case}");
    }
}

#[test]
fn calls_on_their_way_are_counted_however_they_end() {
    let (standing, now) = target();
    let in_flight = || standing.view(now).in_flight;
    let mut pending: Vec<Pending> = (0..4)
        .map(|_| standing.begin(now, Span::Whole, 0))
        .collect();
    assert_eq!(in_flight(), 4);
    for (left, end) in [(3, ANSWERED), (2, End::Failed), (1, End::Cut)] {
        pending.pop().unwrap().end(now, end);
        assert_eq!(in_flight(), left);
    }
    drop(pending);
    assert_eq!(in_flight(), 0);
    // From many threads at once.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    call(&standing, now, Span::FirstContent, Some(1), (2, ANSWERED));
                }
            });
        }
    });
    assert_eq!(in_flight(), 0);
    assert_eq!(
        standing.known.lock().first_content.sketch.samples(now),
        4_000
    );
}

const LIMITED: End = End::Limited { pause: None };

#[test]
fn refusals_and_cuts_never_put_a_target_out() {
    let (standing, now) = target();
    for _ in 0..1_000 {
        call(&standing, now, Span::Whole, None, (1, End::Refused));
        call(&standing, now, Span::Whole, None, (1, LIMITED));
        call(&standing, now, Span::Whole, None, (1, End::Cut));
        drop(standing.begin(now, Span::Whole, 0));
    }
    assert_eq!(standing.view(now).state, State::Well);
}

#[test]
fn a_target_that_fails_goes_out_is_probed_and_comes_back() {
    let (standing, now) = target();
    call(&standing, now, Span::FirstContent, Some(50), (60, ANSWERED));
    for failures in 0..5 {
        assert_eq!(standing.view(now).state, State::Well, "{failures}");
        assert!(standing.view(now).is_usable());
        call(&standing, now, Span::FirstContent, None, (1, End::Failed));
    }
    let now = now + ms(1);
    let view = standing.view(now);
    assert!(matches!(view.state, State::Out(_)) && !view.is_usable());
    assert_eq!(
        view.first_content, None,
        "a sick target's times are forgotten"
    );
    assert_eq!(view.failing, 0.0);
    assert!(standing.try_begin(now, Span::FirstContent, 0).is_none());

    let due = view.back(now);
    assert!(due > now && standing.view(due).state == State::Due);
    let probe = standing.try_begin(due, Span::FirstContent, 0).unwrap();
    assert!(standing.try_begin(due, Span::FirstContent, 0).is_none());
    assert!(!standing.view(due).is_usable());
    // A call with nowhere else to go does not take the probe's place with it.
    drop(standing.begin(due, Span::FirstContent, 0));
    assert!(standing.try_begin(due, Span::FirstContent, 0).is_none());
    // A probe that is dropped frees its place.
    drop(probe);
    let mut probe = standing.try_begin(due, Span::FirstContent, 0).unwrap();
    // It need not end: that content comes is enough.
    probe.first_content(due + ms(10));
    assert!(matches!(
        standing.view(due + ms(10)).state,
        State::Recovering(_)
    ));
    assert!(
        standing
            .try_begin(due + ms(10), Span::FirstContent, 0)
            .is_some()
    );
    probe.end(due + ms(20), ANSWERED);
    assert_eq!(standing.view(due + ms(10_010)).state, State::Well);
}

#[test]
fn a_pause_ends_by_itself_and_is_never_shortened() {
    let (standing, now) = target();
    for pause in [Some(ms(500)), Some(ms(200)), None] {
        let call = standing.begin(now, Span::FirstContent, 0);
        call.end(now, End::Limited { pause });
    }
    for (at, is_paused) in [(0, true), (499, true), (500, false)] {
        let view = standing.view(now + ms(at));
        assert_eq!(view.is_usable(), !is_paused, "{at}");
        let back = if is_paused {
            now + ms(500)
        } else {
            now + ms(at)
        };
        assert_eq!(view.back(now + ms(at)), back, "{at}");
    }
}

#[test]
fn a_quota_is_shared_by_those_that_begin_and_those_that_wait() {
    let (standing, now) = target();
    assert_eq!(standing.view(now).quota, 1.0);
    assert!(standing.turn(now, 100, false).is_none(), "nothing is known");
    let told = |remaining| Told {
        limit: 60.0,
        remaining,
        resets_in: ms(60_000),
        unit: Unit::Calls,
    };
    let first = standing.begin(now, Span::Whole, 100);
    first.told(now, told(2.0));
    assert!(standing.view(now).is_scarce());
    let others = [0, 1].map(|_| standing.begin(now, Span::Whole, 100));
    assert!(
        !standing.view(now).is_usable(),
        "both that were left are taken"
    );
    let turn = standing.turn(now, 100, false).expect("it has to wait");
    let next = standing.turn(now, 100, false).expect("behind that");
    assert!(turn.at() > now + ms(1_000) && turn.at() < now + ms(1_100));
    assert!((next.at() - turn.at()).abs_diff(turn.at() - now) < ms(1));
    drop((turn, next));
    // Full, as far as is known.
    assert!(standing.view(now + ms(60_000)).is_usable());
    others[1].told(now + ms(10), told(59.0));
    assert!(standing.turn(now + ms(10), 100, false).is_none());
    // For a year, and so for a day.
    let last = standing.begin(now + ms(20), Span::Whole, 0);
    let year = Told {
        resets_in: Duration::MAX,
        ..told(0.0)
    };
    last.told(now + ms(30), year);
    assert!(!standing.view(now + ms(30)).is_usable());
    assert!(standing.turn(now + ms(30), 0, false).is_none());
    assert!(standing.view(now + ms(86_400_030)).is_usable());
}

#[test]
fn late_calls_are_counted_once_and_told_from_twenty_on() {
    let (standing, now) = target();
    for begun in 1..=40_u32 {
        let mut pending = standing.begin(now, Span::Whole, 0);
        if begun.is_multiple_of(4) {
            pending.late(now + ms(500));
            pending.late(now + ms(600));
        }
        let expected = (begun >= 20).then(|| f64::from(begun / 4) / f64::from(begun));
        assert_eq!(standing.view(now + ms(700)).late, expected);
    }
    assert_eq!(standing.view(now + ms(10_000)).late, None);
}

#[test]
fn speed_is_told_by_the_tokens_after_the_first() {
    for (tokens, expected) in [(None, None), (Some(8), None), (Some(101), Some(50.0))] {
        let (standing, now) = target();
        let end = (2_500, End::Answered { tokens });
        call(&standing, now, Span::FirstContent, Some(500), end);
        assert_eq!(standing.view(now).speed, expected, "{tokens:?}");
    }
    // All tokens at once tell no speed.
    let (standing, now) = target();
    let end = (500, End::Answered { tokens: Some(100) });
    call(&standing, now, Span::FirstContent, Some(500), end);
    assert_eq!(standing.view(now).speed, None);
}

#[test]
fn it_is_idle_since_it_was_last_heard() {
    let (standing, now) = target();
    assert_eq!(standing.view(now + ms(5_000)).idle, Duration::ZERO);
    call(&standing, now, Span::Whole, None, (1_000, ANSWERED));
    assert_eq!(standing.view(now + ms(5_000)).idle, ms(4_000));
    call(
        &standing,
        now,
        Span::FirstContent,
        None,
        (3_000, End::Failed),
    );
    assert_eq!(standing.view(now + ms(5_000)).idle, ms(2_000));
}

#[test]
fn quantiles_are_those_of_the_span() {
    let (standing, now) = target();
    for _ in 0..20 {
        call(
            &standing,
            now,
            Span::FirstContent,
            Some(100),
            (4_000, ANSWERED),
        );
        call(&standing, now, Span::Whole, None, (4_000, ANSWERED));
    }
    for (span, expected) in [(Span::FirstContent, 0.1), (Span::Whole, 4.0)] {
        let p95 = standing.quantile(now, span, 0.95).unwrap().as_secs_f64();
        assert!((p95 / expected - 1.0).abs() < 0.04, "{span:?}: {p95}");
        assert_eq!(standing.quantile(now, span, 0.99), None);
    }
}

#[test]
fn a_call_from_before_its_target_went_out_says_nothing_of_it_after() {
    let (standing, now) = target();
    let early = [
        standing.begin(now, Span::Whole, 0),
        standing.begin(now, Span::Whole, 0),
    ];
    for _ in 0..5 {
        call(&standing, now, Span::Whole, None, (1, End::Failed));
    }
    let out = standing.view(now);
    for (pending, end) in early.into_iter().zip([End::Failed, ANSWERED]) {
        pending.end(now + ms(100), end);
        assert_eq!(standing.view(now + ms(100)).failing, 0.0, "{end:?}");
        assert_eq!(standing.view(now + ms(100)).whole, None, "{end:?}");
        assert_eq!(standing.view(now + ms(100)).state, out.state, "{end:?}");
    }
}

#[test]
fn memory_is_what_is_said() {
    assert!(size_of::<Standing>() <= 1_024, "{}", size_of::<Standing>());
}

#[test]
fn what_is_waited_for_is_worked_out_once_in_a_moment() {
    let (standing, now) = target();
    let took = |millis| {
        let end = (millis, End::Answered { tokens: None });
        call(&standing, now, Span::Whole, None, end);
    };
    (0..20).for_each(|_| took(100));
    let bound = |at| standing.bound(now + ms(at), Span::Whole, 0.5);
    let before = bound(100);
    assert_eq!(before, standing.bound(now + ms(100), Span::Whole, 0.9));
    (0..100).for_each(|_| took(900));
    assert_eq!(standing.bound(now + ms(105), Span::Whole, 0.9), before);
    assert!(bound(105) > before, "another share is another question");
    assert!(standing.bound(now + ms(115), Span::Whole, 0.9) > before);
}
