//! Copies bytes in both directions and counts them.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{copy_bidirectional, copy_bidirectional_with_sizes};

use crate::engine::ClientConnection;
use crate::handler::ConnectionEvent;
use crate::origin::Origin;
use crate::stream::ByteStream;
use crate::upstream::Dialled;

/// Size of the copy buffer of one direction.
const BUFFER: usize = 16 * 1024;
/// Idle timeout while the engine drains: long enough for an answer in progress, short enough not to delay the end of a
/// run.
const DRAIN_IDLE: Duration = Duration::from_millis(250);

/// Copies bytes until both sides have closed, one fails, or neither has sent a byte for the idle timeout. Each direction
/// closes by itself.
pub(crate) async fn pass_through(client: &ClientConnection, to: Origin, mut stream: ByteStream, dialled: Dialled) {
    let mut upstream = dialled.stream;
    let counters = (stream.received(), upstream.received());
    let totals = move || (counters.0.load(Relaxed), counters.1.load(Relaxed));
    // Bytes that were read before the tunnel began.
    let before = totals();
    let (idle, drain, began) = (client.engine.timeouts.idle, &client.stop.drain, Instant::now());
    let run = async {
        tokio::select! {
            ended = copy_bidirectional_with_sizes(&mut stream, &mut upstream, BUFFER, BUFFER) => {
                if let Err(error) = ended {
                    tracing::debug!("a tunnel failed: {error}");
                }
            }
            () = async {
                drain.run_until_cancelled(wait_until_idle(&totals, idle)).await;
                if drain.is_cancelled() {
                    wait_until_idle(&totals, DRAIN_IDLE.min(idle)).await;
                }
            } => {}
        }
    };
    client.stop.abort.run_until_cancelled(run).await;
    let (sent, received) = totals();
    let (sent, received) = (sent - before.0, received - before.1);
    client.event(ConnectionEvent::TunnelClosed { to, sent, received, duration: began.elapsed() });
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
async fn wait_until_idle(totals: &impl Fn() -> (u64, u64), limit: Duration) {
    let mut before = totals();
    loop {
        tokio::time::sleep(limit).await;
        let now = totals();
        if now == before {
            return;
        }
        before = now;
    }
}
