//! The end of the process, as requests see it.
//!
//! It goes one way: running, then draining (nothing new is begun, what is open
//! goes on), then ended (what is still open is told so and closed).

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

/// Where the process is on its way to the end. Cheap to look at.
#[derive(Debug, Default)]
pub struct Drain {
    stage: AtomicU8,
    begun: Arc<Notify>,
    over: Arc<Notify>,
}

const DRAINING: u8 = 1;
const ENDED: u8 = 2;

impl Drain {
    /// Begins nothing new from here on.
    pub fn begin(&self) {
        self.stage.fetch_max(DRAINING, Ordering::SeqCst);
        self.begun.notify_waiters();
    }

    /// Ends what is still open.
    pub fn end(&self) {
        self.stage.fetch_max(ENDED, Ordering::SeqCst);
        self.begun.notify_waiters();
        self.over.notify_waiters();
    }

    /// Whether nothing new is begun.
    pub fn is_draining(&self) -> bool {
        self.stage.load(Ordering::Relaxed) >= DRAINING
    }

    /// Whether what is open must end.
    pub fn is_over(&self) -> bool {
        self.stage.load(Ordering::Relaxed) >= ENDED
    }

    /// Waits for [`Drain::begin`].
    pub async fn begun(&self) {
        let begun = self.begun.notified();
        if !self.is_draining() {
            begun.await;
        }
    }

    /// A future that is done at [`Drain::end`], to be made before
    /// [`Drain::is_over`] is looked at.
    pub fn over(&self) -> OwnedNotified {
        Arc::clone(&self.over).notified_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stages_only_go_forward_and_wake_who_waits() {
        let drain = Arc::new(Drain::default());
        assert!(!drain.is_draining());
        let over = drain.over();
        let waiting = tokio::spawn({
            let drain = Arc::clone(&drain);
            async move { drain.begun().await }
        });
        tokio::task::yield_now().await;
        drain.begin();
        waiting.await.unwrap();
        assert!(drain.is_draining() && !drain.is_over());
        drain.end();
        over.await;
        drain.begin();
        assert!(drain.is_over());
        drain.begun().await;
    }
}
