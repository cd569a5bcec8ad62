//! A tunnel: bytes both ways, untouched and counted, until both sides have ended or nothing has passed for long.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use super::upstream::Io;

/// Bytes in one direction that may wait for the other side.
const BUFFER: usize = 16 * 1024;
/// How long a tunnel may be quiet while the engine drains: long enough for an answer under way, and no end of a run waits for
/// a connection that is only kept open.
const DRAIN_QUIET: Duration = Duration::from_millis(250);

/// What has passed.
#[derive(Debug, Default)]
pub(super) struct Passed {
    /// Bytes from the client.
    pub(super) sent: AtomicU64,
    /// Bytes to the client.
    pub(super) received: AtomicU64,
}

impl Passed {
    fn all(&self) -> u64 {
        self.sent.load(Relaxed) + self.received.load(Relaxed)
    }
}

/// Copies until both sides have closed, one breaks, or neither has sent a byte for `idle`. The end of one direction is passed
/// on and leaves the other open.
pub(super) async fn run<C: Io, U: Io>(
    client: C,
    upstream: U,
    passed: &Passed,
    idle: Duration,
    drain: &CancellationToken,
) {
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_upstream, mut to_upstream) = tokio::io::split(upstream);
    let both = async {
        tokio::try_join!(
            copy(&mut from_client, &mut to_upstream, &passed.sent),
            copy(&mut from_upstream, &mut to_client, &passed.received),
        )
    };
    tokio::select! {
        ended = both => {
            if let Err(error) = ended {
                tracing::debug!("a tunnel broke: {error}");
            }
        }
        () = async {
            drain.run_until_cancelled(quiet(passed, idle)).await;
            if drain.is_cancelled() {
                quiet(passed, DRAIN_QUIET.min(idle)).await;
            }
        } => {}
    }
}

/// Both sides of an exchange have left HTTP by an Upgrade: bytes go both ways until one ends. The client's connection ends
/// with the engine, and this with it.
pub async fn splice(client: OnUpgrade, upstream: OnUpgrade) {
    let (client, upstream) = match tokio::try_join!(client, upstream) {
        Ok(both) => both,
        Err(error) => return tracing::debug!("an upgrade was not completed: {error}"),
    };
    let copied = tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(upstream)).await;
    tracing::debug!(?copied, "an upgraded connection ended");
}

/// Waits until nothing has passed for `limit` or, looking only so often, up to twice that.
async fn quiet(passed: &Passed, limit: Duration) {
    let mut before = passed.all();
    loop {
        tokio::time::sleep(limit).await;
        let now = passed.all();
        if now == before {
            return;
        }
        before = now;
    }
}

async fn copy<R, W>(from: &mut R, to: &mut W, count: &AtomicU64) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut buffer = vec![0; BUFFER];
    loop {
        let n = from.read(&mut buffer).await?;
        if n == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..n]).await?;
        to.flush().await?;
        count.fetch_add(n as u64, Relaxed);
    }
}
