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

use crate::support::client::{Ask, Client, Got, Proto};
use crate::support::origin::{Origin, Page};
use crate::support::sandbox::{Sandbox, Server};

/// The forms of a fixture: its file and the options of `record`.
const FORMS: [(&str, &[&str]); 3] =
    [("hars/api.har", &[]), ("hars/api.har", &["--content", "embed"]), ("hars/api.zip", &[])];

/// Records requests, stops the origin and returns the live answers.
fn record(sandbox: &Sandbox, origin: Origin, output: &str, options: &[&str], proto: Proto, asks: &[Ask]) -> Vec<Got> {
    let mut args: Vec<String> = ["record", "-o", output].iter().chain(options).map(|&arg| arg.to_owned()).collect();
    args.extend(origin.args());
    let recorder = sandbox.start(&args);
    let client = Client::new(recorder.proxy(), recorder.ca(), proto);
    let live = asks.iter().map(|ask| client.ask(ask.clone())).collect();
    recorder.stop().expect(0);
    origin.stop();
    live
}

/// Starts a replay with a client.
fn replay(sandbox: &Sandbox, args: &[&str], proto: Proto) -> (Server, Client) {
    let replay = sandbox.start(["replay"].iter().chain(args));
    let client = Client::new(replay.proxy(), replay.ca(), proto);
    (replay, client)
}

fn page(media_type: &str, body: impl Into<Vec<u8>>) -> Page {
    Page { status: 200, headers: vec![("content-type", media_type.to_owned())], body: body.into(), ..Page::default() }
}

fn get(path: &str) -> Ask {
    Ask::new("GET", &format!("https://api.test{path}"))
}

fn post(path: &str, media_type: &str, body: impl Into<Vec<u8>>) -> Ask {
    Ask::new("POST", &format!("https://api.test{path}")).header("content-type", media_type).body(body)
}

#[track_caller]
fn served(got: &Got) {
    assert!(got.header("x-harproxy").is_some_and(|mark| mark.starts_with("replay; ")), "{got:?}\n{}", got.text());
}

#[track_caller]
fn missed(got: &Got) -> String {
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
