//! The load generator: workers that each send one request after the other, as fast as possible or at a rate.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http2::SendRequest;
use serde_json::json;
use tokio::task::JoinSet;

use super::client::{Http1, Received, Target, send_h2};
use super::options::Options;
use super::{mix, tls};

/// Settings that all workers share.
struct Plan {
    /// Number of different requests.
    urls: usize,
    until: Instant,
    /// Requests of all workers together; `usize::MAX` if only time limits them.
    count: usize,
    /// Time between two requests of one worker; zero if there is no rate.
    pause: Duration,
    /// Every URL gets a parameter that no entry has.
    miss: bool,
    /// The path of every request, if it is not the mix.
    path: Option<String>,
}

/// The results of one worker, or of all.
#[derive(Default)]
struct Results {
    bytes: u64,
    /// Latency of each request in nanoseconds.
    latencies: Vec<u64>,
    /// Responses with another status than 200.
    failed: u64,
}

fn target(options: &Options) -> Target {
    let mode: String = options.or("mode", "http".to_owned());
    Target {
        addr: options.get("to"),
        is_proxy: options.has("through"),
        tls: (mode != "http").then(|| Arc::new(tls::client(options, mode == "h2")).into()),
    }
}

/// Runs the load and prints requests/s, bytes/s and latencies in seconds. Connections are opened before the time
/// starts.
pub async fn run(options: Options) {
    let is_h2 = options.or("mode", String::new()) == "h2";
    let (connections, streams): (usize, usize) = (options.or("connections", 64), options.or("streams", 1));
    let rate: f64 = options.or("rate", 0.0);
    let workers = connections * streams;
    let target = target(&options);
    let mut senders = Vec::new();
    for _ in 0..connections {
        if is_h2 {
            let connection = target.connect_h2().await.unwrap();
            senders.extend((0..streams).map(|_| Sender::Http2(connection.clone())));
        } else {
            senders.push(Sender::Http1(Http1::new(target.connect().await.unwrap()), target.clone()));
        }
    }
    let began = Instant::now();
    let plan = Arc::new(Plan {
        urls: options.or("urls", 1),
        until: began + Duration::from_secs_f64(options.or("seconds", 3.0)),
        count: options.or("count", usize::MAX),
        pause: if rate > 0.0 { Duration::from_secs_f64(workers as f64 / rate) } else { Duration::ZERO },
        miss: options.has("miss"),
        path: options.has("path").then(|| options.get("path")),
    });
    let mut tasks: JoinSet<Results> =
        senders.into_iter().enumerate().map(|(worker, sender)| plan.clone().work(worker, workers, sender)).collect();
    let mut all = Results::default();
    while let Some(results) = tasks.join_next().await {
        let results = results.unwrap();
        all.bytes += results.bytes;
        all.failed += results.failed;
        all.latencies.extend(results.latencies);
    }
    let elapsed = began.elapsed().as_secs_f64();
    all.latencies.sort_unstable();
    let count = all.latencies.len();
    let percentile = |share: f64| {
        let n = ((count as f64 * share) as usize).min(count.saturating_sub(1));
        all.latencies.get(n).copied().unwrap_or_default() as f64 / 1e9
    };
    let (requests, bytes) = (count as f64 / elapsed, all.bytes as f64 / elapsed);
    let [p50, p99] = [0.5, 0.99].map(percentile);
    println!(
        "{}",
        json!({"requests": requests, "bytes": bytes, "p50": p50, "p99": p99, "count": count, "failed": all.failed})
    );
}

/// Opens `--connections` connections, sends one request over each, prints a line and waits for the end of standard
/// input.
pub async fn hold_idle(options: Options) {
    let (target, urls): (_, usize) = (target(&options), options.or("urls", 1));
    let mut open = Vec::new();
    for n in 0..options.get("connections") {
        let mut connection = Http1::new(target.connect().await.unwrap());
        let (method, path, payload) = request(n % urls, n);
        let request = target.encode_request(method, &path, payload.as_deref());
        let (status, _) = connection.send(request.as_bytes()).await.unwrap();
        assert_eq!(status, 200, "request {n}");
        open.push(connection);
    }
    println!("{}", open.len());
    let _ = tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0])).await;
}

/// Method, path and payload of request `n` of the mix.
fn request(n: usize, sent_at: usize) -> (&'static str, String, Option<String>) {
    let method = mix::method(n);
    (method, mix::path(n), (method == "POST").then(|| mix::request_payload(n, sent_at)))
}

impl Plan {
    fn request(&self, n: usize) -> (&'static str, String, Option<String>) {
        if let Some(path) = &self.path {
            return ("GET", path.clone(), None);
        }
        let (method, mut path, payload) = request(n % self.urls, n);
        if self.miss {
            path.push_str(&format!("&missing={n}"));
        }
        (method, path, payload)
    }

    /// Sends the requests of one worker. At a rate, latency counts from the time that a request was due, queueing
    /// included.
    async fn work(self: Arc<Self>, worker: usize, workers: usize, mut sender: Sender) -> Results {
        let mut results = Results::default();
        let share = self.count / workers + usize::from(worker < self.count % workers);
        // With a count, all workers together send each request once. Otherwise each worker starts at another request.
        let mut n = match self.count {
            usize::MAX => worker * 1_000_003,
            count => worker * (count / workers) + worker.min(count % workers),
        };
        let mut due = Instant::now() + self.pause.mul_f64(worker as f64 / workers as f64);
        while results.latencies.len() < share && Instant::now() < self.until {
            if self.pause > Duration::ZERO {
                tokio::time::sleep_until(due.into()).await;
            } else {
                due = Instant::now();
            }
            let (status, length) = sender.send(self.request(n)).await.unwrap();
            results.latencies.push(due.elapsed().as_nanos() as u64);
            results.bytes += length as u64;
            results.failed += u64::from(status != 200);
            due += self.pause;
            n += 1;
        }
        results
    }
}

/// One worker's connection, or its share of an HTTP/2 connection.
enum Sender {
    Http1(Http1, Target),
    Http2(SendRequest<Full<Bytes>>),
}

impl Sender {
    async fn send(&mut self, request: (&'static str, String, Option<String>)) -> std::io::Result<Received> {
        let (method, path, payload) = request;
        match self {
            Sender::Http1(connection, target) => {
                connection.send(target.encode_request(method, &path, payload.as_deref()).as_bytes()).await
            }
            Sender::Http2(connection) => send_h2(connection, method, &path, payload).await,
        }
    }
}
