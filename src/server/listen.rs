//! Listeners: one per core on the same address, the kernel spreading callers
//! over them.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use super::Shared;
use super::connection;

/// Callers that may wait to be accepted, per core.
const BACKLOG: i32 = 4096;

/// How long bytes may wait for a caller's acknowledgement, or for room in its
/// window, before it counts as gone. Kept by the kernel, so that a caller who
/// stops reading costs no timer here.
const UNREAD_MAX: Duration = Duration::from_secs(120);

/// Binds `count` listeners to one address; port 0 becomes the same real port
/// for all of them.
pub(crate) fn bind(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    let named = |address: SocketAddr| {
        move |fault: io::Error| {
            io::Error::new(
                fault.kind(),
                format!("listening on {address} failed: {fault}"),
            )
        }
    };
    // The first without SO_REUSEPORT, and let go at once: sharing an address
    // with another nowait would split its callers between the two in silence.
    if address.port() != 0 {
        socket(address, false).map_err(named(address))?;
    }
    let first = socket(address, true).map_err(named(address))?;
    let address = first.local_addr()?;
    let mut all = vec![first];
    for _ in 1..count {
        all.push(socket(address, true).map_err(named(address))?);
    }
    Ok(all)
}

/// Accepted connections inherit the options set here.
fn socket(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    // Without it the second small write of a stream waits for the first one's
    // acknowledgement: 40 ms per stream.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(Duration::from_secs(60)))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNREAD_MAX))?;
    socket.bind(&address.into())?;
    if shared {
        socket.listen(BACKLOG)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Accepts callers until the drain begins, then waits for those there are.
pub(super) async fn accept(listener: TcpListener, shared: &Arc<Shared>) {
    let drain = &shared.instance.drain;
    match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => {
            tokio::select! {
                () = accept_all(&listener, shared) => {}
                () = drain.begun() => {}
            }
        }
        Err(fault) => tracing::error!("a core can't listen: {fault}"),
    }
    // The runtime, and the connections on it, live until all have ended or
    // the process must.
    tokio::select! {
        () = shared.connections.none() => {}
        () = ended(shared) => {}
    }
}

async fn ended(shared: &Shared) {
    let over = shared.instance.drain.over();
    if !shared.instance.drain.is_over() {
        over.await;
    }
    tokio::time::sleep(super::LAST_WORDS).await;
}

async fn accept_all(listener: &tokio::net::TcpListener, shared: &Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => connection::spawn(stream, shared),
            Err(fault) if is_of_one_caller(&fault) => {}
            Err(fault) => {
                // Out of files or memory: those open may end and make room.
                tracing::error!("accepting a caller failed: {fault}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// The caller left between knocking and being let in.
fn is_of_one_caller(fault: &io::Error) -> bool {
    matches!(
        fault.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
