//! Redis servers for one test each: Debian's own, on ports and in folders of
//! their own, and one that follows a script.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// Whether Redis can be started here. Where it can't, a line says so.
pub(super) fn is_installed() -> bool {
    let found = Command::new("redis-server")
        .arg("--version")
        .output()
        .is_ok();
    if !found {
        println!("redis-server is not installed: this test did nothing (./test installs it)");
    }
    found
}

pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}

/// A folder that goes with its owner.
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("nowait-redis-{:016x}", fastrand::u64(..)));
        std::fs::create_dir(&path).expect("a folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running `redis-server`.
pub(super) struct Server {
    child: Child,
    pub(super) port: u16,
    _folder: Folder,
}

impl Server {
    pub(super) fn start(arguments: &[&str]) -> Self {
        Self::start_on(free_port(), arguments)
    }

    /// Returns when it accepts connections.
    pub(super) fn start_on(port: u16, arguments: &[&str]) -> Self {
        let folder = Folder::new();
        let is_tls = arguments.contains(&"--tls-port");
        let is_sentinel = arguments.contains(&"--sentinel");
        let mut command = Command::new("redis-server");
        if is_sentinel {
            let config = folder.0.join("sentinel.conf");
            std::fs::write(&config, "").expect("a file");
            command.arg(config);
        } else {
            command.args(["--save", "", "--appendonly", "no"]);
        }
        let plain_port = if is_tls { 0 } else { port };
        let mut child = command
            .args(["--bind", "127.0.0.1", "--port", &plain_port.to_string()])
            .args(["--dir", &folder.0.to_string_lossy()])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("redis-server starts");
        let ready = if is_sentinel {
            "Sentinel ID is"
        } else {
            "Ready to accept"
        };
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut seen = String::new();
        loop {
            let line = lines
                .next()
                .unwrap_or_else(|| panic!("redis-server ended:\n{seen}"));
            let line = line.expect("text");
            if line.contains(ready) {
                break;
            }
            seen.push_str(&line);
            seen.push('\n');
        }
        // Nobody reads its log, so it must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            port,
            _folder: folder,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(super) fn ask<T: ::redis::FromRedisValue>(&self, command: &[&str]) -> T {
        ask(&self.url(), command)
    }
}

pub(super) fn ask<T: ::redis::FromRedisValue>(url: &str, command: &[&str]) -> T {
    let client = ::redis::Client::open(url).expect("a URL");
    let mut connection = client.get_connection().expect("a connection");
    let mut asked = ::redis::cmd(command[0]);
    asked.arg(&command[1..]);
    asked.query(&mut connection).expect("an answer")
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the scripted server does when it is asked for a value.
#[derive(Clone, Copy)]
pub(super) enum Script {
    /// Nothing, for ever: what answers after 10 s looks like this for 10 s.
    Silent,
    /// Closes the connection.
    Hangs,
    /// Sends what is no protocol.
    Babbles,
    /// Answers with what is no string.
    Lies,
    /// Answers the first look-up, with junk, when the second is asked, of which
    /// it has nothing.
    Late,
}

/// A server that introduces itself well and then follows its script; it ends
/// with the test process.
pub(super) fn scripted(script: Script) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("redis://{}", listener.local_addr().expect("bound"));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || serve(stream, script));
        }
    });
    url
}

fn serve(stream: TcpStream, script: Script) -> Option<()> {
    let mut out = stream.try_clone().ok()?;
    let mut input = BufReader::new(stream);
    let mut looked_up = 0;
    loop {
        let command = read(&mut input)?;
        let channel = command.get(1).map_or("", String::as_str);
        let answer = match command.first()?.to_ascii_uppercase().as_str() {
            "HELLO" => "%1\r\n$6\r\nserver\r\n$5\r\nredis\r\n".to_owned(),
            "PING" => "+PONG\r\n".to_owned(),
            "SUBSCRIBE" => format!(
                ">3\r\n$9\r\nsubscribe\r\n${}\r\n{channel}\r\n:1\r\n",
                channel.len()
            ),
            "GETRANGE" if matches!(script, Script::Late) => {
                looked_up += 1;
                match looked_up {
                    1 => continue,
                    2 => "$4\r\njunk\r\n:9\r\n$0\r\n\r\n".to_owned(),
                    _ => "$0\r\n\r\n".to_owned(),
                }
            }
            "PTTL" if matches!(script, Script::Late) && looked_up < 2 => continue,
            "GETRANGE" | "PTTL" => match script {
                Script::Silent => continue,
                Script::Hangs => return None,
                Script::Babbles => "<html>bad gateway</html>\r\n".to_owned(),
                Script::Lies => "*2\r\n:1\r\n:2\r\n".to_owned(),
                Script::Late => ":-2\r\n".to_owned(),
            },
            _ => "+OK\r\n".to_owned(),
        };
        out.write_all(answer.as_bytes()).ok()?;
    }
}

/// One command: an array of strings.
fn read(input: &mut impl BufRead) -> Option<Vec<String>> {
    let number = |input: &mut dyn BufRead| {
        let mut line = String::new();
        input.read_line(&mut line).ok()?;
        line.trim_end().get(1..)?.parse::<usize>().ok()
    };
    let parts = number(input)?;
    let mut command = Vec::new();
    for _ in 0..parts {
        let mut text = vec![0; number(input)? + 2];
        input.read_exact(&mut text).ok()?;
        text.truncate(text.len() - 2);
        command.push(String::from_utf8_lossy(&text).into_owned());
    }
    Some(command)
}
