//! Two cores: two threads with a runtime each, as the server has them.

use std::sync::mpsc;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use super::*;

const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

type Job = Box<dyn FnOnce(&Runtime) + Send>;

/// A thread that is core `index` of `cores`.
fn core(cores: &Cores, index: usize) -> mpsc::Sender<Job> {
    let (jobs, work) = mpsc::channel::<Job>();
    let cores = cores.clone();
    let (up, is_up) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { cores.register(index) });
        up.send(()).unwrap();
        for job in work {
            job(&runtime);
        }
    });
    is_up.recv().unwrap();
    jobs
}

/// Runs `task` on a core until it is done; the core's other tasks run too.
fn on<T: Send + 'static>(
    core: &mpsc::Sender<Job>,
    task: impl Future<Output = T> + Send + 'static,
) -> mpsc::Receiver<T> {
    let (done, result) = mpsc::channel();
    let job: Job = Box::new(move |runtime| {
        // The test may have failed and gone.
        let _gone = done.send(runtime.block_on(task));
    });
    core.send(job).unwrap();
    result
}

const FAR: Duration = Duration::from_secs(30);

/// A peer on a third thread; every accepted connection is reported, and lives
/// until `end` is dropped.
fn peer() -> (u16, mpsc::Receiver<()>, tokio::sync::broadcast::Sender<()>) {
    let (opened, connections) = mpsc::channel();
    let (tell_port, port) = mpsc::channel();
    let (end, _) = tokio::sync::broadcast::channel(1);
    let kill = end.clone();
    std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell_port
                .send(listener.local_addr().unwrap().port())
                .unwrap();
            loop {
                let (mut io, _) = listener.accept().await.unwrap();
                let _test_over = opened.send(());
                let mut killed = kill.subscribe();
                tokio::spawn(async move {
                    loop {
                        tokio::select! {
                            request = request_of(&mut io) => {
                                if request.is_none() { return }
                                io.write_all(HELLO).await.unwrap();
                            }
                            _ = killed.recv() => return,
                        }
                    }
                });
            }
        });
    });
    (port.recv().unwrap(), connections, end)
}

#[test]
fn one_core_dials_the_other_borrows_and_both_see_it_die() {
    let (port, connections, kill) = peer();
    let cores = Cores::new(2);
    let (first, second) = (core(&cores, 0), core(&cores, 1));
    let origin = Origin::new(false, "127.0.0.1", port);
    let metrics = metrics::Pool::default();
    let upstream = Upstream::new(origin, options(), cores, metrics.clone());

    let dialling = upstream.clone();
    let dialled = on(&first, async move {
        call(&dialling, get("/dialled")).await.unwrap().0
    });
    assert!(dialled.recv_timeout(FAR).unwrap().cold);

    // The driver lives on the first core, which has to be running.
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let idling = on(&first, async move { drop(stopped.await) });
    for _ in 0..200 {
        let borrowing = upstream.clone();
        let borrowed = on(&second, async move {
            let (timing, body) = call(&borrowing, post("/borrowed", "{}")).await.unwrap();
            // It goes back to the core that drives it, perhaps a moment later.
            while borrowing.gauges().idle == 0 {
                tokio::task::yield_now().await;
            }
            (timing, body)
        });
        let (timing, body) = borrowed.recv_timeout(FAR).unwrap();
        assert_eq!((timing.reused, body.as_str()), (true, "hello"));
    }
    assert_eq!(connections.try_iter().count(), 1);
    assert_eq!(metrics.handshakes[0].get(), 1);

    kill.send(()).unwrap();
    let watching = upstream.clone();
    let seen = on(&second, async move {
        while watching.gauges().open > 0 {
            tokio::task::yield_now().await;
        }
        call(&watching, get("/again")).await.unwrap().0
    });
    assert!(seen.recv_timeout(FAR).unwrap().cold);
    assert_eq!(connections.try_iter().count(), 1);
    stop.send(()).unwrap();
    idling.recv_timeout(FAR).unwrap();
}

#[test]
fn both_cores_in_a_rush_lose_nothing() {
    let (port, connections, _alive) = peer();
    let cores = Cores::new(2);
    let both = [core(&cores, 0), core(&cores, 1)];
    let origin = Origin::new(false, "127.0.0.1", port);
    let options = Options {
        max_connections: 3,
        ..options()
    };
    let upstream = Upstream::new(origin, options, cores, metrics::Pool::default());
    // More calls at a time than there may be connections: every give-back on
    // one core has to reach whoever waits on the other.
    let all_done = Arc::new(tokio::sync::Barrier::new(both.len()));
    let running = both.each_ref().map(|core| {
        let (upstream, all_done) = (upstream.clone(), all_done.clone());
        on(core, async move {
            let calls: Vec<_> = (0..8)
                .map(|_| {
                    let upstream = upstream.clone();
                    tokio::spawn(async move {
                        for _ in 0..200 {
                            call(&upstream, post("/rush", "{}")).await.unwrap();
                        }
                    })
                })
                .collect();
            for call in calls {
                call.await.unwrap();
            }
            // A connection lives on the core that dialled it: as long as the
            // other core's calls may borrow one from here, this core has to
            // run. That all are idle for a moment does not say so.
            all_done.wait().await;
        })
    });
    for core in running {
        core.recv_timeout(FAR).unwrap();
    }
    assert_eq!(connections.try_iter().count(), 3);
}
