//! A Redis of one's own: Debian's program, on a port of its own, which writes
//! nothing to disk and ends with the run.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{self, Instant};

use crate::Result;
use crate::process::{self, Process};

/// A Redis that answers.
#[derive(Debug)]
pub struct Redis {
    /// Where it listens.
    pub address: SocketAddr,
    /// The process, to be measured.
    pub process: Process,
}

/// What to wait for, for so long.
const PATIENCE: Duration = Duration::from_secs(20);

impl Redis {
    /// Starts one and waits until it answers.
    ///
    /// # Errors
    /// When it doesn't start or doesn't answer within 20 s.
    pub async fn start(core: Option<usize>, folder: &Path) -> Result<Self> {
        let address = process::free_address()?;
        let port = address.port().to_string();
        let command = [
            "redis-server",
            "--bind",
            "127.0.0.1",
            "--port",
            &port,
            "--save",
            "",
            "--appendonly",
            "no",
        ];
        let process = Process::start("redis", &command, core, folder)?;
        let mut redis = Self { address, process };
        let start = Instant::now();
        while redis.size().await.is_err() {
            redis.process.must_run()?;
            if start.elapsed() > PATIENCE {
                return Err(format!("Redis doesn't answer at {address}").into());
            }
            time::sleep(Duration::from_millis(5)).await;
        }
        Ok(redis)
    }

    /// How many keys it holds.
    ///
    /// # Errors
    /// When it doesn't answer.
    pub async fn size(&self) -> Result<u64> {
        let answer = self.ask("DBSIZE", |text| text.ends_with("\r\n")).await?;
        let digits = answer.trim_start_matches(':').trim();
        Ok(digits
            .parse()
            .map_err(|_| format!("Redis said {answer:?} of its size"))?)
    }

    /// How many look-ups have found something.
    ///
    /// # Errors
    /// When it doesn't answer, or not that.
    pub async fn hits(&self) -> Result<u64> {
        let whole = |text: &str| text.contains("keyspace_misses:");
        let answer = self.ask("INFO stats", whole).await?;
        let line = answer
            .lines()
            .find_map(|line| line.strip_prefix("keyspace_hits:"));
        Ok(line.ok_or("Redis doesn't count its hits")?.trim().parse()?)
    }

    /// Waits until it holds `keys`: what is kept is written behind the call.
    ///
    /// # Errors
    /// When it never does.
    pub async fn holds(&self, keys: u64) -> Result<()> {
        let start = Instant::now();
        loop {
            let size = self.size().await?;
            if size >= keys {
                return Ok(());
            }
            if start.elapsed() > PATIENCE {
                return Err(format!("Redis holds {size} answers instead of {keys}").into());
            }
            time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// One inline command, and its answer once it is `whole`.
    async fn ask(&self, command: &str, whole: impl Fn(&str) -> bool) -> Result<String> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream
            .write_all(format!("{command}\r\n").as_bytes())
            .await?;
        let mut bytes = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&bytes);
            if !text.is_empty() && whole(&text) {
                return Ok(text.into_owned());
            }
            if stream.read_buf(&mut bytes).await? == 0 {
                return Err("Redis closed the connection".into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// A Redis of which nothing is known but what it says.
    async fn saying(answer: &'static str) -> Redis {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut asked = [0; 64];
                let _ = stream.read(&mut asked).await;
                for piece in answer.as_bytes().chunks(7) {
                    let _ = stream.write_all(piece).await;
                    tokio::task::yield_now().await;
                }
            }
        });
        let folder = std::env::temp_dir();
        let process = Process::start("none", &["cat"], None, &folder).expect("cat is everywhere");
        Redis { address, process }
    }

    #[tokio::test]
    async fn what_it_says_is_read_however_it_is_cut() {
        assert_eq!(
            saying(":1234\r\n").await.size().await.expect("a number"),
            1234
        );
        let stats = "$60\r\n# Stats\r\nkeyspace_hits:77\r\nkeyspace_misses:1\r\n\r\n";
        assert_eq!(saying(stats).await.hits().await.expect("a number"), 77);
        assert!(saying("-NOAUTH\r\n").await.size().await.is_err());
    }
}
