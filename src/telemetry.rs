//! What is told to the log: one line per request at its end, and the program's
//! own words.
//!
//! Access lines go to standard output, everything else to standard error. A
//! request never waits for the log: its line is appended to a buffer in memory
//! and one writer thread empties that buffer in large writes. A reader that
//! stops reading costs lines, never requests, and the loss is counted.

use std::cell::Cell;
use std::io::{self, Write};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::ValueEnum;
use parking_lot::{Condvar, Mutex};
use prometheus_client::metrics::counter::Counter;

/// How lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// `key=value`, for people.
    #[default]
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// Sets up the program's own words on standard error. `NOWAIT_LOG` (else
/// `RUST_LOG`) names the least level: error, warn, info (the default), debug or
/// trace.
pub fn start_words(format: LogFormat) {
    use tracing_subscriber::filter::LevelFilter;
    let level = ["NOWAIT_LOG", "RUST_LOG"]
        .iter()
        .find_map(|name| std::env::var(name).ok()?.parse().ok())
        .unwrap_or(LevelFilter::INFO);
    let lines = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(io::stderr)
        .with_target(false);
    // A second call (tests, an embedding program) keeps the first set-up.
    let _ = match format {
        LogFormat::Text => tracing::subscriber::set_global_default(
            lines
                .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
                .finish(),
        ),
        LogFormat::Json => tracing::subscriber::set_global_default(lines.json().finish()),
    };
}

/// How much may wait for the writer; past it lines are dropped and counted.
/// About 15,000 lines: some seconds of a full load.
const WAITING_MAX: usize = 4 << 20;

/// How long a line may wait before it is written: long enough to make one
/// write of many lines, short enough for a person who watches.
const LINGER: Duration = Duration::from_millis(50);

/// The access log: lines in, large writes out.
#[derive(Debug)]
pub struct AccessLog {
    shared: Arc<Waiting>,
    /// How lines are written.
    pub format: LogFormat,
    writer: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Waiting {
    /// Held for one append or one swap, never while writing.
    state: Mutex<State>,
    some: Condvar,
    dropped: Counter,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    closed: bool,
}

impl AccessLog {
    /// A log whose lines go to `out`; `dropped` counts those that could not.
    pub fn start(
        format: LogFormat,
        out: impl Write + Send + 'static,
        dropped: Counter,
    ) -> io::Result<Self> {
        let shared = Arc::new(Waiting {
            state: Mutex::default(),
            some: Condvar::new(),
            dropped,
        });
        let theirs = Arc::clone(&shared);
        let writer = std::thread::Builder::new()
            .name("access-log".into())
            .stack_size(64 << 10)
            .spawn(move || theirs.write_to(out))?;
        Ok(Self {
            shared,
            format,
            writer: Mutex::new(Some(writer)),
        })
    }

    /// Appends what `line` writes, and the line's end.
    pub fn append(&self, line: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.shared.state.lock();
        if state.closed || state.lines.len() > WAITING_MAX {
            self.shared.dropped.inc();
            return;
        }
        let first = state.lines.is_empty();
        line(&mut state.lines);
        state.lines.push(b'\n');
        if first {
            self.shared.some.notify_one();
        }
    }

    /// Writes what is waiting and ends the log. Later lines are dropped.
    pub fn finish(&self) {
        self.shared.state.lock().closed = true;
        self.shared.some.notify_one();
        if let Some(writer) = self.writer.lock().take() {
            let _ = writer.join();
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Waiting {
    fn write_to(&self, mut out: impl Write) {
        let mut batch = Vec::new();
        loop {
            let closed = {
                let mut state = self.state.lock();
                while state.lines.is_empty() && !state.closed {
                    self.some.wait(&mut state);
                }
                if !state.closed {
                    // More lines join this write; `finish` cuts the wait short.
                    let _ = self.some.wait_for(&mut state, LINGER);
                }
                std::mem::swap(&mut state.lines, &mut batch);
                state.closed
            };
            // A closed pipe is the reader's choice; the requests go on.
            let _ = out.write_all(&batch).and_then(|()| out.flush());
            batch.clear();
            batch.shrink_to(256 << 10);
            if closed {
                return;
            }
        }
    }
}

/// Writes `now` as RFC 3339 with milliseconds, in UTC.
pub fn write_timestamp(out: &mut Vec<u8>, now: SystemTime) {
    thread_local! {
        /// The last second written: most lines are of the same one.
        static LAST: Cell<(u64, [u8; 20])> = const { Cell::new((0, *b"1970-01-01T00:00:00.")) };
    }
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (mut second, mut text) = LAST.get();
    if second != since.as_secs() {
        second = since.as_secs();
        text = to_the_second(second);
        LAST.set((second, text));
    }
    out.extend_from_slice(&text);
    let millis = since.subsec_millis();
    let digit = |n: u32| b'0' + (n % 10) as u8;
    out.extend_from_slice(&[digit(millis / 100), digit(millis / 10), digit(millis), b'Z']);
}

/// `2026-11-22T10:20:30.` of a second counted from 1970.
fn to_the_second(second: u64) -> [u8; 20] {
    let (year, month, day) = civil(second / 86_400);
    let clock = second % 86_400;
    let mut text = [0; 20];
    // Years beyond 9999 would not fit, and do not come.
    let _ = write!(
        &mut text[..],
        "{:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.",
        year.min(9_999),
        clock / 3_600,
        clock / 60 % 60,
        clock % 60,
    );
    text
}

/// Year, month and day of a day counted from 1970-01-01, by the proleptic
/// Gregorian calendar (eras of 400 years that begin on the first of March).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sink two threads can look at.
    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn timestamps_follow_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_709_164_800, "2024-02-29T00:00:00.000Z"),
            (1_795_305_599, "2026-11-21T23:59:59.000Z"),
            (4_102_444_800, "2100-01-01T00:00:00.000Z"),
        ] {
            let mut out = Vec::new();
            write_timestamp(&mut out, UNIX_EPOCH + Duration::from_secs(seconds));
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn finishing_writes_every_line_once() {
        let sink = Sink::default();
        let log = AccessLog::start(LogFormat::Text, sink.clone(), Counter::default()).unwrap();
        for n in 0..100 {
            log.append(|line| line.extend_from_slice(n.to_string().as_bytes()));
        }
        log.finish();
        let written = String::from_utf8(sink.0.lock().clone()).unwrap();
        let expected: String = (0..100).map(|n| format!("{n}\n")).collect();
        assert_eq!(written, expected);
    }

    #[test]
    fn a_reader_that_stopped_costs_lines_and_they_are_counted() {
        struct Stuck(std::sync::mpsc::Receiver<()>);
        impl Write for Stuck {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let _ = self.0.recv();
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (release, stuck) = std::sync::mpsc::channel();
        let dropped = Counter::default();
        let log = AccessLog::start(LogFormat::Text, Stuck(stuck), dropped.clone()).unwrap();
        for _ in 0..80 {
            log.append(|line| line.resize(line.len() + (128 << 10), b'x'));
        }
        assert!(
            dropped.get() > 0,
            "80 × 128 KiB do not fit in {WAITING_MAX}"
        );
        drop(release);
        log.finish();
    }
}
