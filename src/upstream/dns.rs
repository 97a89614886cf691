//! Names to addresses, ahead of need.
//!
//! The system's resolver does the work (it knows about hosts files, VPNs and
//! split horizons), but tells no time to live, so 30 s are assumed, which is
//! what the large providers publish or less. An old answer is served while a
//! new one is fetched, and goes on being served when fetching fails.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::fault::{Fault, FaultKind};

/// How long an answer counts as fresh.
pub(super) const FRESH: Duration = Duration::from_secs(30);

/// How long one connect may keep the next address waiting (RFC 8305, 5).
const STAGGER: Duration = Duration::from_millis(250);

/// One name and what is known of it.
pub(super) struct Name {
    host: String,
    port: u16,
    literal: Option<Arc<[SocketAddr]>>,
    known: Mutex<Known>,
    /// Held while the system is asked, so that many dials ask once.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    addresses: Option<Arc<[SocketAddr]>>,
    /// When they were learned; `None` once a connect has put them in doubt.
    learned: Option<Instant>,
}

impl Name {
    pub(super) fn new(host: &str, port: u16) -> Arc<Self> {
        let literal = host.parse::<IpAddr>().ok();
        Arc::new(Self {
            host: host.to_owned(),
            port,
            literal: literal.map(|address| Arc::from([SocketAddr::new(address, port)])),
            known: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        })
    }

    /// Every address of the name, in the order to try them.
    pub(super) async fn addresses(self: &Arc<Self>) -> Result<Arc<[SocketAddr]>, Fault> {
        if let Some(literal) = &self.literal {
            return Ok(literal.clone());
        }
        let (addresses, age) = self.known();
        match (addresses, age) {
            (Some(addresses), Some(age)) => {
                if age >= FRESH {
                    self.refresh_behind();
                }
                Ok(addresses)
            }
            _ => self.ask().await,
        }
    }

    /// Asks again if the answer is older than `age`; for the keeper.
    pub(super) fn refresh_if_older(self: &Arc<Self>, age: Duration) {
        let (addresses, known_for) = self.known();
        if self.literal.is_none()
            && addresses.is_some()
            && known_for.is_none_or(|known| known >= age)
        {
            self.refresh_behind();
        }
    }

    /// None of the addresses could be connected to: the next dial asks first.
    pub(super) fn doubt(&self) {
        self.known.lock().learned = None;
    }

    fn known(&self) -> (Option<Arc<[SocketAddr]>>, Option<Duration>) {
        let known = self.known.lock();
        (
            known.addresses.clone(),
            known.learned.map(|at| at.elapsed()),
        )
    }

    fn refresh_behind(self: &Arc<Self>) {
        if self.asking.try_lock().is_err() {
            return;
        }
        let this = self.clone();
        // A task of its own: whoever needs an address has one already.
        tokio::spawn(async move { drop(this.ask().await) });
    }

    /// Asks the system, unless somebody else just has.
    async fn ask(&self) -> Result<Arc<[SocketAddr]>, Fault> {
        let before = self.known.lock().learned;
        let _asking = self.asking.lock().await;
        if let (Some(addresses), Some(_)) = self.known()
            && self.known.lock().learned != before
        {
            return Ok(addresses);
        }
        let answer = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let found: io::Result<Vec<SocketAddr>> = answer.map(Iterator::collect);
        let mut known = self.known.lock();
        match found {
            Ok(found) if !found.is_empty() => {
                let addresses: Arc<[SocketAddr]> = interleave(found).into();
                known.addresses = Some(addresses.clone());
                known.learned = Some(Instant::now());
                Ok(addresses)
            }
            failed => match &known.addresses {
                Some(addresses) => Ok(addresses.clone()),
                None => Err(self.unresolved(failed.err())),
            },
        }
    }

    fn unresolved(&self, error: Option<io::Error>) -> Fault {
        let why = match &error {
            Some(error) => error.to_string(),
            None => "it has no address".to_owned(),
        };
        let fault = Fault::new(
            FaultKind::Resolve,
            format!("resolving {}: {why}", self.host),
        );
        match error {
            Some(error) => fault.because(error),
            None => fault,
        }
    }
}

/// Alternates the address families, beginning with the one that the system
/// put first (RFC 8305, 4), without repeating an address.
fn interleave(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let mut unique: Vec<SocketAddr> = Vec::with_capacity(found.len());
    for address in found {
        if !unique.contains(&address) {
            unique.push(address);
        }
    }
    let first_is_v6 = unique.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = unique
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let mut ordered = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        match (first.next(), second.next()) {
            (None, None) => return ordered,
            (one, other) => ordered.extend(one.into_iter().chain(other)),
        }
    }
}

/// Connects to the first of `addresses` that answers: each gets a head start
/// of [`STAGGER`] on the next, less if it fails sooner. The others are
/// dropped, so closed.
pub(super) async fn connect(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    if let [only] = addresses {
        return TcpStream::connect(*only).await;
    }
    let mut rest = addresses.iter().copied();
    let mut racing = JoinSet::new();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        if let Some(address) = rest.next() {
            racing.spawn(TcpStream::connect(address));
        } else if racing.is_empty() {
            return Err(last);
        }
        let more_to_come = rest.len() > 0;
        tokio::select! {
            Some(finished) = racing.join_next() => match finished {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = error,
                Err(_cancelled) => {}
            },
            () = sleep(STAGGER), if more_to_come => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_alternate_and_repeats_are_dropped() {
        let at = |text: &str| SocketAddr::new(text.parse().unwrap(), 443);
        for (found, expected) in [
            (vec!["10.0.0.1"], vec!["10.0.0.1"]),
            (
                vec!["::1", "::2", "10.0.0.1", "10.0.0.2"],
                vec!["::1", "10.0.0.1", "::2", "10.0.0.2"],
            ),
            (
                vec!["10.0.0.1", "::1", "10.0.0.1", "::2", "::3"],
                vec!["10.0.0.1", "::1", "::2", "::3"],
            ),
        ] {
            let found = found.into_iter().map(at).collect();
            let expected: Vec<_> = expected.into_iter().map(at).collect();
            assert_eq!(interleave(found), expected);
        }
        assert_eq!(interleave(Vec::new()), Vec::new());
    }

    #[tokio::test]
    async fn a_name_without_addresses_is_named() {
        // RFC 6761 keeps .invalid from ever resolving.
        let name = Name::new("nowhere.invalid", 443);
        let fault = name.addresses().await.unwrap_err();
        assert_eq!(fault.kind(), FaultKind::Resolve);
        assert!(fault.message().starts_with("resolving nowhere.invalid: "));
    }

    #[tokio::test]
    async fn an_address_in_doubt_is_still_better_than_none() {
        let name = Name::new("nowhere.invalid", 443);
        let addresses: Arc<[SocketAddr]> = Arc::from([SocketAddr::from(([10, 0, 0, 1], 443))]);
        *name.known.lock() = Known {
            addresses: Some(addresses.clone()),
            learned: Some(Instant::now()),
        };
        name.doubt();
        assert_eq!(name.addresses().await.unwrap(), addresses);
    }

    #[tokio::test]
    async fn the_first_address_that_answers_wins() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        // Nobody listens on port 1 of the loopback: refused at once.
        let refused = SocketAddr::from(([127, 0, 0, 1], 1));
        let stream = connect(&[refused, refused, good]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
        assert!(connect(&[refused, refused]).await.is_err());
        assert!(connect(&[]).await.is_err());
    }
}
