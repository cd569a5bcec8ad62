//! Payloads end to end: downloads and uploads are recorded and replayed by the real binary, and compared byte by byte.

mod answers;
mod charsets;
mod codings;
mod forms;
mod large;
mod properties;
mod uploads;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::support::client::{Client, Proto, TestRequest, TestResponse};
use crate::support::origin::{Origin, OriginResponse};
use crate::support::sandbox::{Sandbox, Server};

/// The forms of a fixture: its file and the options of `record`.
const FORMS: [(&str, &[&str]); 3] =
    [("hars/api.har", &[]), ("hars/api.har", &["--content", "embed"]), ("hars/api.zip", &[])];

/// Records requests, stops the origin and returns the live answers.
fn record(
    sandbox: &Sandbox,
    origin: Origin,
    output: &str,
    options: &[&str],
    proto: Proto,
    asks: &[TestRequest],
) -> Vec<TestResponse> {
    let mut args: Vec<String> = ["record", "-o", output].iter().chain(options).map(|&arg| arg.to_owned()).collect();
    args.extend(origin.args());
    let recorder = sandbox.start(&args);
    let client = recorder.client(proto);
    let live = asks.iter().map(|ask| client.send(ask.clone())).collect();
    recorder.stop().expect(0);
    origin.stop();
    live
}

/// Starts a replay with a client.
fn replay(sandbox: &Sandbox, args: &[&str], proto: Proto) -> (Server, Client) {
    let replay = sandbox.start(["replay"].iter().chain(args));
    let client = replay.client(proto);
    (replay, client)
}

fn page(media_type: &str, body: impl Into<Vec<u8>>) -> OriginResponse {
    OriginResponse {
        status: 200,
        headers: vec![("content-type", media_type.to_owned())],
        body: body.into(),
        ..OriginResponse::default()
    }
}

fn get(path: &str) -> TestRequest {
    TestRequest::new("GET", &format!("https://api.test{path}"))
}

fn post(path: &str, media_type: &str, body: impl Into<Vec<u8>>) -> TestRequest {
    TestRequest::new("POST", &format!("https://api.test{path}")).header("content-type", media_type).body(body)
}

#[track_caller]
fn served(got: &TestResponse) {
    assert!(got.header("x-harproxy").is_some_and(|mark| mark.starts_with("replay; ")), "{got:?}\n{}", got.text());
}

#[track_caller]
fn missed(got: &TestResponse) -> String {
    assert_eq!((got.status, got.header("x-harproxy")), (501, Some("miss")), "{}", got.text());
    got.text()
}

/// Sends bytes and reads to the end.
fn raw(to: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}
