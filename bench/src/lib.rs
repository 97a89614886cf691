//! What the measuring programs share. They live beside nowait, not in it, and
//! look at it only from outside: sockets, `/proc` and `/metrics`.
//!
//! `bin/overhead` puts nowait beside nginx, `bin/instructions` counts what one
//! call executes, `bin/soak` sends hundreds of thousands of calls and then
//! looks at memory and at the books, `bin/share` measures what not asking twice
//! saves, `bin/tail` what is left of a provider's stragglers. `README.md` says how
//! to read each.

pub mod callgrind;
pub mod load;
pub mod mix;
pub mod options;
pub mod peers;
pub mod process;
pub mod redis;
pub mod responder;
pub mod table;
pub mod wire;
pub mod zipf;

/// What every step here can fail with: these are tools for people, and the
/// message is all that is looked at.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// A result with that [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Runs `work` until it is done or the user (or a supervisor) says stop.
/// Whatever `work` has started is dropped on the way out, and so stopped.
///
/// # Errors
/// Those of `work`, and the signal that ended it.
pub async fn unless_stopped<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        done = work => done,
        _ = interrupt.recv() => Err("stopped by SIGINT".into()),
        _ = terminate.recv() => Err("stopped by SIGTERM".into()),
        _ = hangup.recv() => Err("stopped by SIGHUP".into()),
    }
}
