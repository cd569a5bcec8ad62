//! The load: so many connections that each ask one request after the other, or at a rate.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http2::SendRequest;
use serde_json::json;
use tokio::task::JoinSet;

use super::options::Options;
use super::traffic::{H1, Target, ask_h2, h2};
use super::{payload, tls};

/// How a load goes.
struct Plan {
    urls: usize,
    until: Instant,
    /// Requests of all connections together; `usize::MAX` for as many as there is time for.
    count: usize,
    /// Between two requests of one connection; zero for one right after the other.
    pause: Duration,
    miss: bool,
    path: String,
}

/// What came of it.
#[derive(Default)]
struct Tally {
    bytes: u64,
    /// Of each request, nanoseconds.
    took: Vec<u64>,
    /// Answers with another status than the first of this connection would have.
    odd: u64,
}

/// Sends the load and prints the outcome.
pub async fn run(options: Options) {
    let mode: String = options.or("mode", "http".to_owned());
    let (connections, streams): (usize, usize) = (options.or("connections", 64), options.or("streams", 1));
    let rate: f64 = options.or("rate", 0.0);
    let seconds: f64 = options.or("seconds", 3.0);
    let workers = connections * streams;
    let target = Target {
        addr: options.get("to"),
        through: options.has("through"),
        tls: (mode != "http").then(|| Arc::new(tls::client(&options, mode == "h2")).into()),
        host: options.or("host", payload::HOST.to_owned()),
    };
    let mut plan = Plan {
        urls: options.or("urls", 1),
        until: Instant::now(),
        count: options.or("count", usize::MAX),
        pause: if rate > 0.0 { Duration::from_secs_f64(workers as f64 / rate) } else { Duration::ZERO },
        miss: options.has("miss"),
        path: options.or("path", String::new()),
    };
    // Everybody begins when all are connected: handshakes are no part of the figure.
    let mut askers = Vec::new();
    for n in 0..connections {
        if mode == "h2" {
            let sender = h2(&target).await.unwrap();
            for stream in 0..streams {
                askers.push((n * streams + stream, Asker::H2(sender.clone())));
            }
        } else {
            let connection = H1::new(target.connect().await.unwrap());
            let same = (plan.urls == 1).then(|| target.request(&plan.path(0)));
            askers.push((n, Asker::H1 { connection, target: target.clone(), same }));
        }
    }
    let began = Instant::now();
    plan.until = began + Duration::from_secs_f64(seconds);
    let plan = Arc::new(plan);
    let mut tasks = JoinSet::new();
    for (worker, asker) in askers {
        tasks.spawn(plan.clone().drive(worker, workers, asker));
    }
    let mut all = Tally::default();
    while let Some(tally) = tasks.join_next().await {
        let tally = tally.unwrap();
        all.bytes += tally.bytes;
        all.odd += tally.odd;
        all.took.extend(tally.took);
    }
    let elapsed = began.elapsed().as_secs_f64();
    all.took.sort_unstable();
    let at = |share: f64| {
        let n = ((all.took.len() as f64 * share) as usize).min(all.took.len().saturating_sub(1));
        all.took.get(n).copied().unwrap_or_default() as f64 / 1e3
    };
    let (requests, bytes) = (all.took.len() as f64 / elapsed, all.bytes as f64 / elapsed);
    println!(
        "{}",
        json!({"requests": requests, "bytes": bytes, "p50": at(0.5), "p99": at(0.99), "count": all.took.len(), "odd": all.odd})
    );
}

impl Plan {
    fn path(&self, n: usize) -> String {
        match (&*self.path, self.miss) {
            ("", false) => payload::path(n),
            ("", true) => format!("{}&missing={n}", payload::path(n)),
            (path, _) => path.to_owned(),
        }
    }

    /// One worker's requests. At a rate, each is measured from when it was due, so that waiting in line counts.
    async fn drive(self: Arc<Self>, worker: usize, workers: usize, mut asker: Asker) -> Tally {
        let mut tally = Tally::default();
        let share = self.count / workers + usize::from(worker < self.count % workers);
        // A count is for going through all URLs once; without one each worker is somewhere else from the beginning.
        let mut n = match self.count {
            usize::MAX => worker * 7919,
            count => worker * (count / workers) + worker.min(count % workers),
        };
        let mut due = Instant::now() + self.pause.mul_f64(worker as f64 / workers as f64);
        while tally.took.len() < share && Instant::now() < self.until {
            if self.pause > Duration::ZERO {
                tokio::time::sleep_until(due.into()).await;
            } else {
                due = Instant::now();
            }
            let (status, length) = asker.ask(&self, n % self.urls).await.unwrap();
            tally.took.push(due.elapsed().as_nanos() as u64);
            tally.bytes += length as u64;
            tally.odd += u64::from(status != 200);
            due += self.pause;
            n += 1;
        }
        tally
    }
}

/// What sends one worker's requests.
enum Asker {
    H1 {
        connection: H1,
        target: Target,
        /// The bytes of the only request there is.
        same: Option<Bytes>,
    },
    H2(SendRequest<Empty<Bytes>>),
}

impl Asker {
    async fn ask(&mut self, plan: &Plan, n: usize) -> std::io::Result<(u16, usize)> {
        match self {
            Asker::H1 { connection, same: Some(request), .. } => connection.ask(request).await,
            Asker::H1 { connection, target, same: None } => connection.ask(&target.request(&plan.path(n))).await,
            Asker::H2(sender) => ask_h2(sender, n).await,
        }
    }
}
