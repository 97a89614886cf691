//! The proxies that are measured, started with what makes them equal: one
//! core, keep-alive on both sides, `TCP_NODELAY`, one access line per call to a
//! file, and streams relayed as they come.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::time::{self, Instant};

use crate::Result;
use crate::load;
use crate::process::{self, Process};
use crate::wire::Connection;

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Peer {
    /// Debian's nginx, one worker.
    Nginx,
    /// This project.
    Nowait,
}

/// A proxy that has answered a call.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// The process, to be measured.
    pub process: Process,
    /// From starting the program to the end of its first answer.
    pub first_answer: Duration,
}

/// What a proxy is started with.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// Where calls go.
    pub upstream: SocketAddr,
    /// The core it is pinned to.
    pub core: Option<usize>,
    /// For its configuration and its logs.
    pub folder: &'a Path,
    /// The nowait binary.
    pub nowait: &'a Path,
    /// Whether nginx writes an access line per call, as nowait does.
    pub nginx_log: bool,
}

impl Peer {
    /// Its name, as in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Nowait => "nowait",
        }
    }

    /// Starts it and waits for its first answer.
    ///
    /// # Errors
    /// When it doesn't start or doesn't answer within 20 s.
    pub async fn start(self, setup: Setup<'_>) -> Result<Running> {
        let address = process::free_address()?;
        match self {
            Self::Nginx => {
                let config = nginx(address, setup.upstream, setup.nginx_log, None);
                start_nginx(address, &config, setup).await
            }
            Self::Nowait => {
                let config = nowait(address, setup.upstream);
                start_nowait(address, &config, &[], setup).await
            }
        }
    }
}

/// Starts nginx with a configuration of [`nginx`].
///
/// # Errors
/// As [`Peer::start`].
pub async fn start_nginx(address: SocketAddr, config: &str, setup: Setup<'_>) -> Result<Running> {
    let folder = setup.folder.join("nginx");
    fs::create_dir_all(&folder)?;
    let file = folder.join("config");
    fs::write(&file, config)?;
    let (file, place) = (file.to_string_lossy(), folder.to_string_lossy());
    let command = ["nginx", "-p", &*place, "-c", &*file, "-e", "stderr"];
    let started = Instant::now();
    let process = Process::start("nginx", &command, setup.core, &folder)?;
    first_answer(address, process, started).await
}

/// Starts nowait with a configuration of the caller's own (`serve` is ours to
/// say, flags in front of the program such as valgrind's are the caller's).
///
/// # Errors
/// As [`Peer::start`].
pub async fn start_nowait(
    address: SocketAddr,
    config: &str,
    before: &[&str],
    setup: Setup<'_>,
) -> Result<Running> {
    let (binary, folder) = (setup.nowait, setup.folder.join("nowait"));
    fs::create_dir_all(&folder)?;
    let file = folder.join("nowait.toml");
    fs::write(&file, config)?;
    let (binary, file) = (binary.to_string_lossy(), file.to_string_lossy());
    let mut command = before.to_vec();
    command.extend([&*binary, "serve", "--config", &*file]);
    let started = Instant::now();
    let process = Process::start("nowait", &command, setup.core, &folder)?;
    first_answer(address, process, started).await
}

/// Polls until a call is answered whole.
async fn first_answer(
    address: SocketAddr,
    mut process: Process,
    started: Instant,
) -> Result<Running> {
    let request = load::chat(address);
    loop {
        let outcome = match Connection::open(address).await {
            Ok(mut connection) => connection.call(&request).await,
            Err(error) => Err(error.into()),
        };
        match outcome {
            Ok(_) => {
                return Ok(Running {
                    address,
                    process,
                    first_answer: started.elapsed(),
                });
            }
            Err(error) if started.elapsed() > Duration::from_secs(20) => {
                let log = process.last_lines();
                return Err(format!(
                    "no answer from {address} within 20 s ({error}); its log:\n{log}"
                )
                .into());
            }
            Err(_) => process.must_run()?,
        }
        time::sleep(Duration::from_millis(1)).await;
    }
}

/// The configuration nowait is measured with: everything else is its default.
pub fn nowait(listen: SocketAddr, upstream: SocketAddr) -> String {
    format!(
        "[server]\nlisten = \"{listen}\"\n\n[providers.openai]\napi_key = \"sk-bench\"\nbase_url = \"http://{upstream}/v1\"\n"
    )
}

/// nginx as a relay that buffers nothing; as a cache where it has a folder for
/// one, which should be in memory. A body is the key, as it is in nowait.
pub fn nginx(listen: SocketAddr, upstream: SocketAddr, log: bool, cache: Option<&Path>) -> String {
    let access_log = if log { "access.log" } else { "off" };
    let (store, relay) = match cache {
        None => (String::new(), "proxy_buffering off;".to_owned()),
        Some(folder) => (
            format!(
                "sendfile on;\nopen_file_cache max=100000 inactive=1h;\n\
                 proxy_cache_path {} levels=1:2 keys_zone=answers:64m max_size=4g inactive=1h use_temp_path=off;\n",
                folder.display()
            ),
            "proxy_cache answers;\nproxy_cache_methods POST;\n\
             proxy_cache_key $request_uri$http_authorization$request_body;\n\
             proxy_cache_valid 200 1h;\nproxy_cache_lock on;\nproxy_ignore_headers Cache-Control;\n\
             client_body_buffer_size 64k;\nclient_body_in_single_buffer on;\n\
             add_header Cache-Status $upstream_cache_status;"
                .to_owned(),
        ),
    };
    // Everything written goes into the run's own folder, so that it needs no
    // right that the user doesn't have.
    format!(
        "daemon off;\nworker_processes 1;\npid nginx.pid;\nerror_log stderr warn;\n\
         events {{ worker_connections 8192; }}\n\
         http {{\n\
         access_log {access_log};\n\
         client_body_temp_path body;\nproxy_temp_path proxy;\nfastcgi_temp_path fastcgi;\n\
         uwsgi_temp_path uwsgi;\nscgi_temp_path scgi;\n\
         tcp_nodelay on;\nkeepalive_requests 1000000000;\nkeepalive_timeout 1h;\nclient_max_body_size 32m;\n\
         {store}\
         upstream responder {{ server {upstream}; keepalive 2048; keepalive_requests 1000000000; }}\n\
         server {{\nlisten {listen} backlog=4096;\n\
         location / {{\nproxy_pass http://responder;\nproxy_http_version 1.1;\n\
         proxy_set_header Connection \"\";\n{relay}\nproxy_read_timeout 600s;\n}}\n}}\n}}\n"
    )
}
