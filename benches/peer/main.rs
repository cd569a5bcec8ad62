//! What harproxy is measured against, and what measures it: `scripts/bench` runs both.
//!
//! ```text
//! peer origin  --ca-dir DIR [--tls] [--answers N]    bare hyper (and rustls): the ceiling of replay
//! peer proxy   --ca-dir DIR --origin ADDR            bare hyper + rustls that intercepts and records nothing: the ceiling of record
//! peer load    --to ADDR [--through] --mode http|tls|h2 …   sends requests, prints what came of it as JSON
//! peer shake   --to ADDR --mode new|same|resumed …   TLS handshakes through a proxy
//! peer fixture --entries N --payload BYTES FILE      a HAR to replay
//! ```

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod fixture;
mod load;
mod options;
mod origin;
mod payload;
mod proxy;
mod shake;
mod tls;
mod traffic;

use options::Options;

fn main() {
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_default();
    let options = Options::read(words);
    match &*command {
        "fixture" => fixture::write(&options),
        "origin" => run(2, origin::serve(options)),
        "proxy" => run(2, proxy::serve(options)),
        "load" => run(2, load::run(options)),
        "shake" => run(1, shake::run(options)),
        _ => eprintln!("scripts/bench runs this: peer origin|proxy|load|shake|fixture"),
    }
}

/// On as many threads as there are cores here, as harproxy does.
fn run(threads: usize, work: impl Future<Output = ()>) {
    rustls::crypto::ring::default_provider().install_default().unwrap();
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap().block_on(work);
}

/// Says where it listens, to whoever started it.
fn listening(addr: std::net::SocketAddr) {
    println!("{addr}");
}
