//! How many instructions one call executes in nowait, and in which stage.
//!
//! Instructions don't depend on who else uses the machine, so they are what a
//! change is judged by; `bench/overhead` then says what they cost in time.

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tokio::task::JoinSet;

use nowait_bench::Result;
use nowait_bench::callgrind::Profile;
use nowait_bench::load;
use nowait_bench::options::{self, Subject};
use nowait_bench::peers::{self, Running, Setup};
use nowait_bench::process::{self, Cores, Folder};
use nowait_bench::responder::{Responder, Stream};
use nowait_bench::wire::Connection;

/// Counts the instructions per call under callgrind, by stage.
///
/// Example: bench/instructions --calls 2000 --functions 20
#[derive(Clone, Debug, Parser)]
struct Options {
    /// Unstreamed calls to count over (streams: an eighth of them)
    #[arg(long, default_value_t = 2000)]
    calls: usize,
    /// Connections they come over: more of them share a wake-up
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Show this many functions as well
    #[arg(long, default_value_t = 0)]
    functions: usize,
    /// Keep callgrind's files in this folder, for callgrind_annotate
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
    #[command(flatten)]
    subject: Subject,
}

fn main() -> ExitCode {
    let options = Options::parse();
    options::run("instructions", count(&options))
}

async fn count(options: &Options) -> Result<()> {
    let nowait = options.subject.prepare()?;
    let folder = Folder::new()?;
    let kept = options
        .keep
        .clone()
        .unwrap_or_else(|| folder.path().to_owned());
    std::fs::create_dir_all(&kept)?;
    let file = std::path::absolute(kept.join("callgrind.out"))?;
    let responder = Responder::start()?;
    let address = process::free_address()?;
    // One core: one runtime, as in the overhead table.
    let core = Cores::find()?.map(|cores| cores.proxy);
    let setup = Setup {
        upstream: responder.address,
        core,
        folder: folder.path(),
        nowait: &nowait,
        nginx_log: false,
    };
    let out = format!("--callgrind-out-file={}", file.display());
    let valgrind = [
        "valgrind",
        "--tool=callgrind",
        "--instr-atstart=no",
        "--collect-systime=yes",
        "--quiet",
        &out,
    ];
    let config = format!(
        "{}[providers.anthropic]\napi_key = \"sk-bench\"\nbase_url = \"http://{}\"\n",
        peers::nowait(address, responder.address),
        responder.address
    );
    let running = peers::start_nowait(address, &config, &valgrind, setup).await?;

    let mut connections = Vec::new();
    for _ in 0..options.connections {
        connections.push(Connection::open(address).await?);
    }
    let events = |gap| Stream {
        first: Duration::ZERO,
        events: 64,
        gap: Duration::from_millis(gap),
        hold: false,
    };
    let streams = options.calls.div_ceil(8);
    let longs = options.calls.div_ceil(32);
    let of_anthropic = "anthropic/claude-sonnet-4-5";
    for (number, (what, request, many)) in [
        (
            "an unstreamed 1 KiB chat call",
            &load::chat(address),
            options.calls,
        ),
        (
            "a stream of 64 events back to back",
            &load::stream(address, events(0)),
            streams,
        ),
        (
            "a stream of 64 events 5 ms apart",
            &load::stream(address, events(5)),
            streams,
        ),
        (
            "a stream of 64 events of Messages back to back",
            &load::message_stream(address, events(0)),
            streams,
        ),
        (
            "the same for a caller of chat completions",
            &load::crossing_stream(address, events(0)),
            streams,
        ),
        (
            "an unstreamed 100 KiB chat call of 991 messages",
            &load::long(address, "gpt-4o"),
            longs,
        ),
        (
            "the same to a model of Anthropic's",
            &load::long(address, of_anthropic),
            longs,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        // What is made on first use is not what a call costs.
        send(&mut connections, request, options.connections * 4).await?;
        control(&["--instr=on"], &running)?;
        let sent = send(&mut connections, request, many).await?;
        control(&["--instr=off"], &running)?;
        control(&["--dump"], &running)?;
        let dump = format!("{}.{}", file.display(), number + 1);
        let text =
            std::fs::read_to_string(&dump).map_err(|error| format!("reading {dump}: {error}"))?;
        print(what, sent, &Profile::read(&text), options.functions);
    }
    Ok(())
}

/// Sends `many` requests over all of `connections` at once; how many it were.
async fn send(
    connections: &mut Vec<Connection>,
    request: &Arc<[u8]>,
    many: usize,
) -> Result<usize> {
    let each = many.div_ceil(connections.len().max(1));
    let mut workers = JoinSet::new();
    for mut connection in connections.drain(..) {
        let request = request.clone();
        workers.spawn(async move {
            for _ in 0..each {
                connection.call(&request).await?;
            }
            Ok::<_, nowait_bench::Error>(connection)
        });
    }
    while let Some(worker) = workers.join_next().await {
        connections.push(worker??);
    }
    Ok(each * connections.len())
}

/// Tells callgrind something and waits until it has done it.
fn control(command: &[&str], running: &Running) -> Result<()> {
    let done = Command::new("callgrind_control")
        .args(command)
        .arg(running.process.id().to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(|error| format!("can't run callgrind_control (package valgrind): {error}"))?;
    if done.success() {
        Ok(())
    } else {
        Err(format!("callgrind_control {} failed", command.join(" ")).into())
    }
}

fn print(what: &str, calls: usize, profile: &Profile, functions: usize) {
    let total = profile.total();
    let each = |count: u64| count as f64 / calls as f64;
    let share = |count: u64| count as f64 * 100.0 / total.instructions.max(1) as f64;
    println!(
        "\n{what}: {:.0} instructions, {:.2} system calls, {:.1} clock reads (mean of {calls})\n",
        each(total.instructions),
        each(total.system_calls),
        each(total.clock_reads)
    );
    println!("| {:<32} | instructions | share |", "stage");
    println!("|-{}-|-------------:|------:|", "-".repeat(32));
    for (stage, count) in profile.stages() {
        if share(count) >= 0.5 {
            println!(
                "| {stage:<32} | {:>12.0} | {:>4.1}% |",
                each(count),
                share(count)
            );
        }
    }
    for (name, count) in profile.functions().into_iter().take(functions) {
        println!("{:>8.0} {:>4.1}%  {name}", each(count), share(count));
    }
}
