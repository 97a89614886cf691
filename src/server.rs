//! Accepting callers: one runtime per core, each with its own listener, and a
//! control thread for what is not on any request's path.
//!
//! What lives where is decided in `docs/decisions/0001`. The server knows
//! connections; what a request means is `gateway`'s.

pub mod assemble;
mod connection;
mod h1;
mod h2;
mod limits;
pub(crate) mod listen;
pub mod pages;
mod routes;
mod tls;

pub use h1::fuzz_requests;

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::runtime;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use self::assemble::{Parts, callees};
use self::connection::Connections;
use crate::cache::Store;
use crate::config::{Args, AuthMode, Config, Environment, reload};
use crate::gateway::{Gateway, Instance};
use crate::metrics::Metrics;
use crate::telemetry::AccessLog;
use crate::upstream::Cores;

/// How long error events may take to reach callers once the drain is over.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What every core shares.
struct Shared {
    /// The snapshot new requests run on.
    current: ArcSwap<Gateway>,
    instance: Arc<Instance>,
    /// Our own certificate, where callers speak TLS.
    tls: ArcSwapOption<TlsAcceptor>,
    connections: Connections,
    parts: Parts,
    /// The address in use, whatever a later configuration says.
    bound: SocketAddr,
}

/// A server that accepts callers. Dropping it does not stop it: [`Running::stop`]
/// does.
pub struct Running {
    shared: Arc<Shared>,
    address: SocketAddr,
    threads: Vec<JoinHandle<()>>,
    /// Told to read the configuration again.
    reload: Arc<Notify>,
    /// Told that the process is to end.
    stop: Arc<Notify>,
}

/// What the configuration is read from again when it changes.
pub struct Origin {
    /// The command line's part.
    pub args: Args,
    /// The environment's.
    pub env: Environment,
}

impl Running {
    /// Binds the configured address and begins to serve. `lines` take the
    /// access log.
    ///
    /// # Errors
    /// The address can't be bound, a certificate can't be read, a thread can't
    /// be started.
    pub fn start(
        config: Config,
        metrics: Metrics,
        log: AccessLog,
        origin: Option<Origin>,
    ) -> io::Result<Self> {
        limits::raise_open_files();
        let count = config
            .server
            .threads
            .map_or_else(available_cores, NonZeroUsize::get);
        let listeners = listen::bind(config.server.listen, count)?;
        let address = listeners[0].local_addr()?;
        let acceptor = config.server.tls.as_ref().map(tls::acceptor).transpose()?;
        let parts = Parts::new(&config, Cores::new(count));
        let instance = Instance::new(metrics, log);
        let callees = callees(&config, &parts, None, &instance);
        let cache = Arc::new(Store::open(
            &config.cache,
            &config.tls,
            instance.metrics.cache(),
        )?);
        let gateway = Gateway::new(config, callees, cache, Arc::clone(&instance));
        let shared = Arc::new(Shared {
            current: ArcSwap::from_pointee(gateway),
            connections: Connections::default(),
            tls: ArcSwapOption::new(acceptor.map(Arc::new)),
            instance,
            parts,
            bound: address,
        });
        let mut running = Self {
            address,
            threads: Vec::with_capacity(count + 1),
            reload: Arc::new(Notify::new()),
            stop: Arc::new(Notify::new()),
            shared,
        };
        // A connection is dialled by a core, so all of them are up before the
        // control thread begins to dial spares.
        let (up, all_up) = std::sync::mpsc::sync_channel(count);
        for (index, listener) in listeners.into_iter().enumerate() {
            running.spawn_core(index, listener, up.clone())?;
        }
        drop(up);
        while all_up.recv().is_ok() {}
        running.spawn_control(origin)?;
        Ok(running)
    }

    /// Where callers connect to; the port is real where the configured one
    /// was 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The snapshot new requests run on.
    pub fn gateway(&self) -> Arc<Gateway> {
        self.shared.current.load_full()
    }

    /// Reads the configuration again, as a changed file does.
    pub fn reload(&self) -> Arc<Notify> {
        Arc::clone(&self.reload)
    }

    /// Begins the end: nothing new is accepted, what is open may go on for the
    /// configured time. The second call ends what is open at once.
    pub fn stopper(&self) -> impl Fn() + Send + Sync + 'static {
        let (stop, shared) = (Arc::clone(&self.stop), Arc::clone(&self.shared));
        move || {
            if shared.instance.drain.is_draining() {
                shared.instance.drain.end();
            }
            stop.notify_one();
        }
    }

    /// Waits until everything has ended.
    pub fn join(self) {
        for thread in self.threads {
            // A thread that panicked has said so; the others still end.
            let _ = thread.join();
        }
        self.shared.instance.log.finish();
    }

    /// [`Running::stopper`], called, and [`Running::join`].
    pub fn stop(self) {
        self.stopper()();
        self.join();
    }

    fn spawn_core(
        &mut self,
        index: usize,
        listener: std::net::TcpListener,
        up: std::sync::mpsc::SyncSender<()>,
    ) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let runtime = one_thread()?;
        self.spawn(format!("core-{index}"), move || {
            runtime.block_on(async {
                shared.parts.cores.register(index);
                drop(up);
                listen::accept(listener, &shared).await;
            });
        })
    }

    fn spawn_control(&mut self, origin: Option<Origin>) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let (reload, stop) = (Arc::clone(&self.reload), Arc::clone(&self.stop));
        let runtime = one_thread()?;
        self.spawn("control".to_owned(), move || {
            runtime.block_on(async {
                assemble::warm(&shared.current.load());
                tokio::spawn(routes::note_readiness(Arc::clone(&shared)));
                if let Some(origin) = origin {
                    tokio::spawn(follow_changes(Arc::clone(&shared), origin, reload));
                }
                stop.notified().await;
                drain(&shared).await;
            });
        })
    }

    fn spawn(&mut self, name: String, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let thread = std::thread::Builder::new().name(name).spawn(work)?;
        self.threads.push(thread);
        Ok(())
    }
}

/// As many as this process may run on: it may be pinned, or in a container.
fn available_cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

fn one_thread() -> io::Result<runtime::Runtime> {
    runtime::Builder::new_current_thread().enable_all().build()
}

async fn drain(shared: &Shared) {
    let drain = &shared.instance.drain;
    let wait = shared.current.load().config.server.drain;
    drain.begin();
    tracing::info!(
        open = shared.connections.open(),
        "draining for up to {wait:?}"
    );
    tokio::select! {
        () = shared.connections.none() => {}
        () = drain.over() => {}
        () = tokio::time::sleep(wait) => {}
    }
    let left = shared.connections.open();
    drain.end();
    if left > 0 {
        tracing::warn!(open = left, "the drain is over: ending what is still open");
        let _ = tokio::time::timeout(LAST_WORDS, shared.connections.none()).await;
    }
}

/// Replaces the snapshot whenever the configuration changes for the better.
async fn follow_changes(shared: Arc<Shared>, origin: Origin, asked: Arc<Notify>) {
    let mut watch = reload::Watch::new(origin.args, origin.env, &shared.current.load().config);
    loop {
        let outcome = match watch.changed(&asked).await {
            Ok(config) => replace(&shared, config),
            Err(problems) => Err(problems.to_string()),
        };
        let metrics = &shared.instance.metrics;
        match outcome {
            Ok(()) => {
                metrics.reloaded("applied");
                tracing::info!("the configuration was read again and is in force");
            }
            Err(problems) => {
                metrics.reloaded("refused");
                tracing::error!(
                    "the new configuration is refused and the old one stays in force: {problems}"
                );
            }
        }
    }
}

fn replace(shared: &Shared, config: Config) -> Result<(), String> {
    // The file may name another address; the one bound is what strangers reach.
    let is_open = config.keys.is_empty() && config.server.auth == AuthMode::Keys;
    if is_open && !shared.bound.ip().is_loopback() {
        return Err(format!(
            "it has no [[keys]], and {} is not a loopback address: add keys, or write [server] auth = \"none\"",
            shared.bound
        ));
    }
    let acceptor = match &config.server.tls {
        Some(files) => Some(tls::acceptor(files).map_err(|fault| fault.to_string())?),
        None => None,
    };
    let old = shared.current.load_full();
    let fixed = |now: &Config| {
        (
            now.server.listen,
            now.server.threads,
            now.server.tls.is_some(),
        )
    };
    if fixed(&config) != fixed(&old.config) {
        tracing::warn!(
            "[server] listen, threads and whether there is TLS take effect at the next start"
        );
    }
    if shared.tls.load().is_some() && acceptor.is_some() {
        shared.tls.store(acceptor.map(Arc::new));
    }
    let callees = callees(&config, &shared.parts, Some(&old), &shared.instance);
    let cache = assemble::cache(&config, &old).map_err(|error| format!("the cache: {error}"))?;
    let gateway = Gateway::new(config, callees, cache, Arc::clone(&shared.instance));
    assemble::warm(&gateway);
    shared.current.store(Arc::new(gateway));
    assemble::retire(&old, &shared.current.load());
    Ok(())
}
