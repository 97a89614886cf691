//! Connections that never leave the process: what the built-in simulated
//! provider and scripted tests are reached through.

use std::fmt;
use std::io;
use std::sync::Arc;

use tokio::io::DuplexStream;
use tokio::sync::mpsc;

/// Opens one end of a pipe each time it is asked.
#[derive(Clone)]
pub struct Dialer(Arc<dyn Fn() -> io::Result<DuplexStream> + Send + Sync>);

impl Dialer {
    /// `open` makes a pipe, hands one end to whoever serves it and returns the
    /// other. It runs within the runtime of the core that dials, so it may
    /// spawn.
    pub fn new(open: impl Fn() -> io::Result<DuplexStream> + Send + Sync + 'static) -> Self {
        Self(Arc::new(open))
    }

    /// A dialer and the end that accepts what it opens. Each pipe holds
    /// `capacity` bytes per direction; 64 may wait to be accepted, more are
    /// refused.
    pub fn listening(capacity: usize) -> (Self, Acceptor) {
        let (sender, receiver) = mpsc::channel(64);
        let dialer = Self::new(move || {
            let (near, far) = tokio::io::duplex(capacity);
            let refused = |_| io::Error::from(io::ErrorKind::ConnectionRefused);
            sender.try_send(far).map_err(refused)?;
            Ok(near)
        });
        (dialer, Acceptor(receiver))
    }

    pub(super) fn open(&self) -> io::Result<DuplexStream> {
        (self.0)()
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dialer")
    }
}

/// The accepting end of [`Dialer::listening`].
#[derive(Debug)]
pub struct Acceptor(mpsc::Receiver<DuplexStream>);

impl Acceptor {
    /// The next connection; `None` once every dialer is gone.
    pub async fn accept(&mut self) -> Option<DuplexStream> {
        self.0.recv().await
    }
}
