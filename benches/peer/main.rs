//! The baselines of `scripts/bench` and its load generator.
//!
//! ```text
//! peer origin  --ca-dir DIR [--tls] [--entries N]    bare hyper server (and rustls): the baseline of replay
//! peer proxy   --ca-dir DIR --origin ADDR            bare hyper + rustls proxy that records nothing: the baseline of
//! record peer load    --to ADDR [--through] --mode http|tls|h2 …   sends requests and prints counts and latencies as
//! JSON peer idle    --to ADDR --connections N             opens TLS connections and keeps them open until standard
//! input ends peer fixture --entries N --payload BYTES FILE      writes a HAR
//! ```

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod client;
mod fixture;
mod load;
mod mix;
mod options;
mod origin;
mod proxy;
mod tls;

use options::Options;

fn main() {
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_default();
    let options = Options::parse(words);
    match &*command {
        "fixture" => fixture::write(&options),
        "origin" => run(origin::serve(options)),
        "proxy" => run(proxy::serve(options)),
        "load" => run(load::run(options)),
        "idle" => run(load::hold_idle(options)),
        _ => eprintln!("usage: peer origin|proxy|load|idle|fixture; scripts/bench runs it"),
    }
}

/// Runs `work` on two threads: the benchmark is made for two cores.
fn run(work: impl Future<Output = ()>) {
    rustls::crypto::ring::default_provider().install_default().unwrap();
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(work);
}

/// Prints the address that a server listens on, for the script that started it.
fn print_address(addr: std::net::SocketAddr) {
    println!("{addr}");
}
