//! Copies bytes in both directions and counts them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{copy_bidirectional, copy_bidirectional_with_sizes};
use tokio_util::sync::CancellationToken;

use crate::stream::ByteStream;

/// Size of the copy buffer of one direction.
const BUFFER: usize = 16 * 1024;
/// Idle timeout while the engine drains: long enough for an answer in progress, short enough not to delay the end of a
/// run.
const DRAIN_IDLE: Duration = Duration::from_millis(250);

/// Counts the bytes that are read from both sides of a tunnel.
pub(crate) struct CopiedBytes {
    from_client: Arc<AtomicU64>,
    from_upstream: Arc<AtomicU64>,
    /// Bytes that were read before the tunnel began.
    before: (u64, u64),
}

impl CopiedBytes {
    pub(crate) fn new(client: &ByteStream, upstream: &ByteStream) -> Self {
        let (from_client, from_upstream) = (client.received(), upstream.received());
        let before = (from_client.load(Relaxed), from_upstream.load(Relaxed));
        CopiedBytes { from_client, from_upstream, before }
    }

    /// The numbers of bytes from the client and to the client.
    pub(crate) fn sent_and_received(&self) -> (u64, u64) {
        (self.from_client.load(Relaxed) - self.before.0, self.from_upstream.load(Relaxed) - self.before.1)
    }
}

/// Copies until both sides have closed, one fails, or neither has sent a byte for `idle`. Each direction closes by
/// itself.
pub(crate) async fn run(
    mut client: ByteStream,
    mut upstream: ByteStream,
    copied: &CopiedBytes,
    idle: Duration,
    drain: &CancellationToken,
) {
    tokio::select! {
        ended = copy_bidirectional_with_sizes(&mut client, &mut upstream, BUFFER, BUFFER) => {
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

/// Copies bytes between two connections that an Upgrade took out of HTTP, until one closes. The client's connection
/// ends with the engine.
pub async fn splice(client: OnUpgrade, upstream: OnUpgrade) {
    let (client, upstream) = match tokio::try_join!(client, upstream) {
        Ok(both) => both,
        Err(error) => return tracing::debug!("an upgrade was not completed: {error}"),
    };
    let copied = copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(upstream)).await;
    tracing::debug!(?copied, "an upgraded connection ended");
}

/// Waits until no byte was copied for `limit`. It looks once per `limit`, so it can take up to twice as long.
async fn wait_until_idle(copied: &CopiedBytes, limit: Duration) {
    let mut before = copied.sent_and_received();
    loop {
        tokio::time::sleep(limit).await;
        let now = copied.sent_and_received();
        if now == before {
            return;
        }
        before = now;
    }
}
