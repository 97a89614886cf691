//! Raw bytes in, raw bytes out, on virtual time.

mod exchanges;
mod parrot;
mod refusals;
mod waits;

use std::sync::atomic::Ordering;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::task::JoinHandle;

use self::parrot::Parrot;
use super::*;

/// A caller, and the end of its connection.
fn open(parrot: &Parrot) -> (DuplexStream, JoinHandle<()>) {
    let (ours, theirs) = duplex(16 << 10);
    let parrot = parrot.clone();
    (
        ours,
        tokio::spawn(async move { serve(theirs, &parrot).await }),
    )
}

/// What a caller hears who says that and then nothing more, in pieces of so many
/// bytes, until the connection ends; and after how many seconds that is.
async fn hear(said: &[u8], size: usize) -> (String, u64) {
    let (mut caller, _) = open(&Parrot::default());
    let begun = Instant::now();
    for piece in said.chunks(size) {
        if caller.write_all(piece).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let mut heard = Vec::new();
    caller.read_to_end(&mut heard).await.unwrap();
    let took = begun.elapsed().as_secs();
    (String::from_utf8(heard).unwrap(), took)
}

/// The answer to what was said to the parrot.
fn said(text: &str) -> String {
    let length = text.len();
    format!("HTTP/1.1 200 OK\r\ndate: x\r\ncontent-length: {length}\r\n\r\n{text}")
}

const IDLE: u64 = IDLE_MAX.as_secs();
