//! `kill -9` loses no exchange that a client saw complete, however the end of its response is marked.

use nix::sys::signal::Signal;

use crate::support::client::{Proto, TestResponse};
use crate::support::origin::Origin;
use crate::support::sandbox::{Sandbox, Server};

/// Responses that end by length, by the last chunk or END_STREAM, by their head, or by trailers.
const PATHS: [&str; 6] =
    ["/api/json", "/api/chunked", "/api/empty", "/api/no-content", "/api/not-found", "/api/trailers"];

fn start(sandbox: &Sandbox, command: &str, more: &[String]) -> Server {
    let mut args = vec![command.to_owned()];
    args.extend_from_slice(more);
    sandbox.start(args)
}

fn visit(server: &Server, proto: Proto) -> Vec<TestResponse> {
    let client = server.client(proto);
    PATHS.map(|path| client.get(&format!("https://api.test{path}"))).into()
}

fn keeps_everything(proto: Proto) {
    let (sandbox, origin) = (Sandbox::new(), Origin::start());
    let killed = start(&sandbox, "record", &origin.args());
    let live = visit(&killed, proto);
    killed.signal(Signal::SIGKILL);
    assert_eq!(killed.wait().status, 128 + Signal::SIGKILL as i32);
    assert!(!sandbox.join("hars/recorded.har").exists());

    let next = start(&sandbox, "record", &origin.args()).stop();
    assert!(next.stderr.contains("recovered 6 exchanges into hars/recorded.har"), "{}", next.stderr);
    assert_eq!(next.status, 1, "this one recorded nothing itself");
    origin.stop();

    let replay = start(&sandbox, "replay", &[]);
    for (path, (got, live)) in PATHS.iter().zip(visit(&replay, proto).iter().zip(&live)) {
        assert_eq!((got.status, got.decoded()), (live.status, live.decoded()), "{path}");
    }
    replay.stop().expect(0);
}

#[test]
fn http1_exchanges_survive_a_kill() {
    keeps_everything(Proto::H1);
}

#[test]
fn http2_exchanges_survive_a_kill() {
    keeps_everything(Proto::H2);
}
