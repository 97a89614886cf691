//! Who waits for whom, and for how long.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_head_has_its_time_and_a_silent_connection_has_more() {
    for (sent, took, status) in [
        ("", IDLE, ""),
        ("GET /a HT", 10, "408"),
        ("GET /a HTTP/1.1\r\nhost: x\r\n", 10, "408"),
        ("GET /a HTTP/1.1\r\nhost: x\r\n\r\nGET", 10, "408"),
    ] {
        let (heard, after) = hear(sent.as_bytes(), usize::MAX).await;
        assert_eq!(after, took, "{sent:?}");
        assert!(heard.contains(status), "{sent:?}: {heard}");
    }
    // The time counts from the first byte, and anew for each request.
    let (mut caller, end) = open(&Parrot::default());
    for turn in 0..3 {
        tokio::time::sleep(Duration::from_secs(70)).await;
        caller.write_all(b"GET /a HTTP/1.1\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_secs(9)).await;
        caller.write_all(b"host: x\r\n\r\n").await.unwrap();
        let mut heard = vec![0; said("GET /a ").len()];
        caller.read_exact(&mut heard).await.unwrap();
        assert_eq!(heard, said("GET /a ").as_bytes(), "{turn}");
    }
    let begun = Instant::now();
    end.await.unwrap();
    assert_eq!(begun.elapsed(), IDLE_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_asks_first_is_told_to_go_on_when_its_body_is_wanted() {
    let head = |path: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n"
        )
    };
    let (mut caller, _) = open(&Parrot::default());
    for _ in 0..2 {
        caller.write_all(head("/a").as_bytes()).await.unwrap();
        let mut word = [0; 25];
        caller.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"HTTP/1.1 100 Continue\r\n\r\n");
        caller.write_all(b"abc").await.unwrap();
        let mut heard = vec![0; said("POST /a abc").len()];
        caller.read_exact(&mut heard).await.unwrap();
        assert_eq!(heard, said("POST /a abc").as_bytes());
    }
    // Not where it is not wanted, nor where it came along, nor for HTTP/1.0.
    for (sent, close) in [
        (head("/early"), true),
        (head("/a") + "abc", false),
        (head("/a").replace("1.1", "1.0") + "abc", true),
    ] {
        let (heard, _) = hear(sent.as_bytes(), usize::MAX).await;
        assert!(!heard.contains(" 100 "), "{sent:?}: {heard}");
        assert_eq!(
            heard.contains("connection: close"),
            close,
            "{sent:?}: {heard}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_takes_its_call_along() {
    for path in ["/never", "/endless"] {
        let parrot = Parrot::default();
        let (mut caller, end) = open(&parrot);
        // The next request is there already, and read.
        let sent = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\nGET /a HTTP/1.1\r\n");
        caller.write_all(sent.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(300)).await;
        assert_eq!(parrot.left.load(Ordering::SeqCst), 0, "{path}");
        drop(caller);
        let begun = Instant::now();
        end.await.unwrap();
        assert_eq!(parrot.left.load(Ordering::SeqCst), 1, "{path}");
        assert!(begun.elapsed().is_zero(), "{path}: at once");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_read_ahead_is_bounded_and_in_order() {
    let (mut caller, _) = open(&Parrot::default());
    let get = "GET /a HTTP/1.1\r\nhost: x\r\n\r\n";
    caller
        .write_all(b"GET /late HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let flood = get.repeat(100_000);
    let mut sent = 0;
    let wait = Duration::from_secs(10);
    while let Ok(size) = timeout(wait, caller.write(&flood.as_bytes()[sent..])).await {
        sent += size.unwrap();
    }
    assert!(sent < 256 << 10, "{sent} bytes were taken");
    let mut late = vec![0; said("late").len()];
    caller.read_exact(&mut late).await.unwrap();
    assert_eq!(late, said("late").as_bytes());
    let (mut reading, mut writing) = tokio::io::split(caller);
    let last = sent + (get.len() - sent % get.len()) % get.len();
    let rest = flood[sent..last].to_owned();
    tokio::spawn(async move { writing.write_all(rest.as_bytes()).await });
    let mut heard = vec![0; last / get.len() * said("GET /a ").len()];
    reading.read_exact(&mut heard).await.unwrap();
    assert!(heard == said("GET /a ").repeat(last / get.len()).as_bytes());
}

#[tokio::test(start_paused = true)]
async fn an_answer_goes_no_faster_than_it_is_taken() {
    let (mut caller, _) = open(&Parrot::default());
    caller
        .write_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(300)).await;
    let mut heard = vec![0; said(&"x".repeat(1 << 20)).len()];
    for piece in heard.chunks_mut(3_001) {
        caller.read_exact(piece).await.unwrap();
    }
    assert!(heard == said(&"x".repeat(1 << 20)).as_bytes());
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_what_is_idle_and_finishes_what_is_begun() {
    for (sent, after, closes) in [
        ("", "", true),
        ("GET /a HTTP/1.1\r\nhost: x\r\n\r\n", "", true),
        ("GET /a HTTP/1.1\r\n", "host: x\r\n\r\n", false),
        ("GET /late HTTP/1.1\r\nhost: x\r\n\r\n", "", false),
        ("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n", "", false),
    ] {
        let parrot = Parrot::default();
        let (mut caller, end) = open(&parrot);
        caller.write_all(sent.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        parrot.drain.begin();
        let begun = Instant::now();
        if closes {
            end.await.unwrap();
            assert!(begun.elapsed().is_zero(), "{sent:?}");
            continue;
        }
        caller.write_all(after.as_bytes()).await.unwrap();
        let mut heard = String::new();
        caller.read_to_string(&mut heard).await.unwrap();
        assert!(
            heard.starts_with("HTTP/1.1 200 ") && begun.elapsed() < IDLE_MAX,
            "{heard}"
        );
        let told = heard.contains("connection: close");
        assert_eq!(
            told,
            !sent.contains("/slow"),
            "its head had gone out: {heard}"
        );
    }
}
