//! From a configuration to what can be called: every provider with its pool.
//!
//! A reload keeps the connections of each provider whose way there has not
//! changed.

use std::io;
use std::sync::Arc;

use base64::Engine as _;
use http::HeaderValue;
use tokio::time::Instant;

use crate::cache::Store;
use crate::config::{Config, ProxyUrl, Roots};
use crate::gateway::plan::Callee;
use crate::gateway::traffic::Traffic;
use crate::gateway::{Gateway, Instance};
use crate::metrics::Metrics;
use crate::provider::{HttpVersion, Provider};
use crate::sim::Sim;
use crate::upstream::{
    self, Cores, Http, Options, Origin, Proxy, Transport, Upstream, memory, tls,
};

/// What pools share for as long as the process lives.
pub struct Parts {
    /// The runtimes connections live on.
    pub cores: Cores,
    /// The simulated provider inside this process.
    sim: Arc<Sim>,
}

impl Parts {
    /// Those of a process that starts with `config`.
    pub fn new(config: &Config, cores: Cores) -> Self {
        Self {
            cores,
            sim: Sim::new(config.sim.clone()),
        }
    }
}

/// How many bytes a pipe to the simulated provider holds, each way.
const PIPE: usize = 16 << 10;

/// Every provider of `config`, with the pool it had in `old` where that still
/// leads there.
pub fn callees(
    config: &Config,
    parts: &Parts,
    old: Option<&Gateway>,
    instance: &Instance,
) -> Vec<Arc<Callee>> {
    let trust_is_kept = old.is_some_and(|old| old.config.tls == config.tls);
    let roots = match config.tls.roots {
        Roots::System => tls::Roots::System,
        Roots::Bundled => tls::Roots::Bundled,
    };
    // Read again at every reload: a renewed authority is why people reload.
    let trust = tls::Trust::new(roots, config.tls.ca_file.clone());
    config
        .providers
        .iter()
        .map(|provider| {
            let kept = old
                .filter(|old| {
                    trust_is_kept
                        && old.config.proxy == config.proxy
                        && old.config.timeout.connect == config.timeout.connect
                })
                .and_then(|old| old.routes.callee(&provider.name))
                .filter(|callee| same_way(&callee.provider, provider))
                .map(|callee| Arc::clone(&callee.upstream));
            let upstream = kept.unwrap_or_else(|| {
                Upstream::new(
                    origin(provider),
                    options(config, provider, parts, &trust),
                    parts.cores.clone(),
                    instance.metrics.pool(&provider.name),
                )
            });
            let known = old.and_then(|old| old.routes.callee(&provider.name));
            let known = known.filter(|callee| callee.provider.base == provider.base);
            let traffic = |key| {
                let same = known.and_then(|callee| callee.with_key_number(key));
                let same = same.map(|callee| &callee.traffic);
                match same.filter(|traffic| traffic.suits(config, provider)) {
                    Some(traffic) => Arc::clone(traffic),
                    None => Traffic::new(config, provider, key, &instance.metrics),
                }
            };
            Arc::new(Callee::new(Arc::clone(provider), upstream, traffic))
        })
        .collect()
}

/// The cache of `old` where `config` asks for the same; else an empty one.
pub fn cache(config: &Config, old: &Gateway) -> io::Result<Arc<Store>> {
    let held = |config: &Config| {
        let cache = &config.cache;
        (cache.memory, cache.ttl, cache.redis.clone())
    };
    if held(config) == held(&old.config) {
        return Ok(Arc::clone(&old.cache));
    }
    Store::open(&config.cache, &config.tls, old.instance.metrics.cache()).map(Arc::new)
}

/// Every provider of `config` with a pool that nothing is asked of, to plan
/// with.
pub fn unconnected(config: &Config) -> Vec<Arc<Callee>> {
    let metrics = Metrics::new("", "");
    config
        .providers
        .iter()
        .map(|provider| {
            let upstream = Upstream::new(
                origin(provider),
                Options::default(),
                Cores::one(),
                metrics.pool(&provider.name),
            );
            let traffic = |key| Traffic::new(config, provider, key, &metrics);
            Arc::new(Callee::new(Arc::clone(provider), upstream, traffic))
        })
        .collect()
}

fn same_way(old: &Provider, new: &Provider) -> bool {
    let way = |provider: &Provider| {
        let base = &provider.base;
        (
            base.https,
            base.host.clone(),
            base.port,
            provider.pool.clone(),
        )
    };
    way(old) == way(new)
}

fn origin(provider: &Provider) -> Origin {
    Origin::new(
        provider.base.https,
        provider.base.host.clone(),
        provider.base.port,
    )
}

fn options(
    config: &Config,
    provider: &Provider,
    parts: &Parts,
    trust: &Arc<tls::Trust>,
) -> Options {
    let base = &provider.base;
    let pool = &provider.pool;
    Options {
        warm: pool.warm,
        http: match pool.http {
            HttpVersion::Auto => Http::Auto,
            HttpVersion::One => Http::One,
            HttpVersion::Two => Http::Two,
        },
        max_streams_per_connection: pool.max_streams_per_connection,
        max_connections: pool.max_connections,
        idle_timeout: pool.idle_timeout,
        connect_timeout: config.timeout.connect,
        trust: Arc::clone(trust),
        proxy: config
            .proxy
            .proxy_for(base.https, &base.host, base.port)
            .map(proxy),
        transport: if provider.is_in_process() {
            Transport::Memory(in_process(&parts.sim))
        } else {
            Transport::Tcp
        },
    }
}

fn in_process(sim: &Arc<Sim>) -> memory::Dialer {
    let sim = Arc::clone(sim);
    memory::Dialer::new(move || {
        let (near, far) = tokio::io::duplex(PIPE);
        tokio::spawn(Arc::clone(&sim).serve(far));
        Ok(near)
    })
}

fn proxy(url: &ProxyUrl) -> Proxy {
    let auth = url.credentials.as_ref().and_then(|credentials| {
        let encoded = base64::engine::general_purpose::STANDARD.encode(credentials.expose());
        let mut value = HeaderValue::from_str(&format!("Basic {encoded}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    });
    Proxy {
        host: url.host.clone(),
        port: url.port,
        auth,
    }
}

/// Starts keeping spares to every provider.
pub fn warm(gateway: &Gateway) {
    for callee in gateway.routes.callees() {
        callee.upstream.warm();
    }
}

/// Lets go of the pools that `new` no longer uses; what is under way on them
/// comes to its end.
pub fn retire(old: &Gateway, new: &Gateway) {
    for callee in old.routes.callees() {
        let is_kept = new
            .routes
            .callees()
            .iter()
            .any(|other| Arc::ptr_eq(&other.upstream, &callee.upstream));
        if !is_kept {
            callee.upstream.close();
        }
    }
}

/// The gauges of all pools and limits, counted for whoever asks for metrics.
pub fn count(gateway: &Gateway) -> Vec<upstream::Gauges> {
    for callee in gateway.routes.callees() {
        callee.count(Instant::now());
    }
    gateway
        .routes
        .callees()
        .iter()
        .map(|callee| callee.upstream.gauges())
        .collect()
}
