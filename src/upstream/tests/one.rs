//! HTTP/1.1.

use super::*;

const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

#[tokio::test(start_paused = true)]
async fn two_thousand_calls_in_a_row_use_one_connection() {
    let (upstream, metrics, acceptor) = in_memory(options());
    tokio::spawn(answer_all(acceptor, HELLO));
    for count in 0..2000 {
        let (timing, body) = call(&upstream, post("/x", "{}")).await.unwrap();
        assert_eq!(body, "hello");
        assert_eq!((timing.sends, timing.cold), (1, count == 0));
        assert_eq!(timing.protocol, Some(Protocol::One));
    }
    assert_eq!(metrics.handshakes[0].get(), 1);
    let gauges = Gauges {
        open: 1,
        idle: 1,
        warm: 0,
        streams: 0,
    };
    assert_eq!(upstream.gauges(), gauges);
}
