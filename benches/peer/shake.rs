//! TLS handshakes through a proxy, one after the other.

use std::sync::Arc;
use std::time::Instant;

use rustls::client::Resumption;
use serde_json::json;

use super::options::Options;
use super::traffic::Target;
use super::{payload, tls};

/// `--mode new`: each to a host that was never asked for; `same`: whole ones to one host; `resumed`: to one host, resumed.
pub async fn run(options: Options) {
    let mode: String = options.get("mode");
    let count: usize = options.or("count", 200);
    let mut config = tls::client(&options, false);
    if mode != "resumed" {
        config.resumption = Resumption::disabled();
    }
    let config = Arc::new(config);
    let mut took = Vec::new();
    let begin = Instant::now();
    for n in 0..count {
        let host = if mode == "new" { format!("h{n}.{}", payload::HOST) } else { payload::HOST.to_owned() };
        let target = Target { addr: options.get("to"), through: true, tls: Some(config.clone().into()), host };
        let at = Instant::now();
        let mut connection = super::traffic::H1::new(target.connect().await.unwrap());
        took.push(at.elapsed().as_nanos() as u64);
        // A ticket comes with the first answer.
        connection.ask(&target.request(&payload::path(0))).await.unwrap();
    }
    let elapsed = begin.elapsed().as_secs_f64();
    took.sort_unstable();
    let p50 = took.get(took.len() / 2).copied().unwrap_or_default() as f64 / 1e3;
    println!("{}", json!({"p50": p50, "perSecond": count as f64 / elapsed}));
}
