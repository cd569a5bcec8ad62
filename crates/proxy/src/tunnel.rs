//! Copies bytes in both directions and counts them.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use crate::stream::Io;

/// Size of the copy buffer of one direction.
const BUFFER: usize = 16 * 1024;
/// Idle timeout while the engine drains: long enough for an answer in progress, short enough not to delay the end of a run.
const DRAIN_IDLE: Duration = Duration::from_millis(250);

/// Numbers of copied bytes.
#[derive(Debug, Default)]
pub(crate) struct CopiedBytes {
    /// From the client.
    pub(crate) sent: AtomicU64,
    /// To the client.
    pub(crate) received: AtomicU64,
}

impl CopiedBytes {
    fn sum(&self) -> u64 {
        self.sent.load(Relaxed) + self.received.load(Relaxed)
    }
}

/// Copies until both sides have closed, one fails, or neither has sent a byte for `idle`. Each direction closes by itself.
pub(crate) async fn run<C: Io, U: Io>(
    client: C,
    upstream: U,
    copied: &CopiedBytes,
    idle: Duration,
    drain: &CancellationToken,
) {
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_upstream, mut to_upstream) = tokio::io::split(upstream);
    let both = async {
        tokio::try_join!(
            copy(&mut from_client, &mut to_upstream, &copied.sent),
            copy(&mut from_upstream, &mut to_client, &copied.received),
        )
    };
    tokio::select! {
        ended = both => {
            if let Err(error) = ended {
                tracing::debug!("a tunnel failed: {error}");
            }
        }
        () = async {
            drain.run_until_cancelled(wait_until_idle(copied, idle)).await;
            if drain.is_cancelled() {
                wait_until_idle(copied, DRAIN_IDLE.min(idle)).await;
            }
        } => {}
    }
}

/// Copies bytes between two connections that an Upgrade took out of HTTP, until one closes. The client's connection ends
/// with the engine.
pub async fn splice(client: OnUpgrade, upstream: OnUpgrade) {
    let (client, upstream) = match tokio::try_join!(client, upstream) {
        Ok(both) => both,
        Err(error) => return tracing::debug!("an upgrade was not completed: {error}"),
    };
    let copied = tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(upstream)).await;
    tracing::debug!(?copied, "an upgraded connection ended");
}

/// Waits until no byte was copied for `limit`. It looks once per `limit`, so it can take up to twice as long.
async fn wait_until_idle(copied: &CopiedBytes, limit: Duration) {
    let mut before = copied.sum();
    loop {
        tokio::time::sleep(limit).await;
        let now = copied.sum();
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
