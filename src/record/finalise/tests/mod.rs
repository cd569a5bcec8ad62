//! Journals and the fixtures that they are finalised into.

mod again;
mod arrangement;
mod updated_entry;

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use super::super::journal::heads::{
    ConnectPhases, EndReason, ExchangeEnd, HeaderFields, InformationalResponse, JournalMeta, RequestEnd, RequestHead,
    ResponseHead, WireVersion, encode,
};
use super::super::journal::{Frame, FrameKind, FrameMark, JournalPaths};
use super::*;
use crate::record::OnFailure;
use harproxy_glob::Globs;
use harproxy_har::model::Chunk;
use harproxy_har::write::ContentMode;
use harproxy_http::Headers;

/// An exchange with defaults, which a test changes.
#[derive(Clone)]
struct Talk {
    method: &'static str,
    url: String,
    sent: Vec<&'static [u8]>,
    upload_whole: bool,
    request_headers: Vec<(&'static str, String)>,
    status: Option<u16>,
    version: WireVersion,
    headers: Vec<(&'static str, String)>,
    received: Vec<Vec<u8>>,
    seen: Option<u64>,
    reason: Option<EndReason>,
    trailers: Vec<(&'static str, String)>,
    informational: Vec<InformationalResponse>,
    connection: u64,
    started: i64,
    /// The start by a monotonic clock.
    since: Option<i64>,
    chunks: Vec<Chunk>,
    is_duplex: bool,
}

const MARK: FrameMark = FrameMark(*b"thismark");

/// 2026-11-20T10:00:00Z.
const START: i64 = 1_795_168_800_000_000;

impl Talk {
    fn get(path: &str, body: &str) -> Self {
        Talk {
            method: "GET",
            url: format!("https://api.test{path}"),
            sent: Vec::new(),
            upload_whole: true,
            request_headers: vec![("host", "api.test".into()), ("accept", "*/*".into())],
            status: Some(200),
            version: WireVersion::Http11,
            headers: vec![("content-type", "text/plain".into()), ("date", "Fri, 20 Nov 2026 10:00:00 GMT".into())],
            received: vec![body.as_bytes().to_vec()],
            seen: None,
            reason: Some(EndReason::Complete),
            trailers: Vec::new(),
            informational: Vec::new(),
            connection: 1,
            started: 0,
            since: None,
            chunks: Vec::new(),
            is_duplex: false,
        }
    }

    fn post(path: &str, payload: &'static str, body: &str) -> Self {
        let request_headers = vec![("host", "api.test".into()), ("content-type", "text/plain".into())];
        Talk { method: "POST", sent: vec![payload.as_bytes()], request_headers, ..Talk::get(path, body) }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.into()));
        self
    }

    fn frames(&self, exchange: u64, started: i64) -> Vec<Frame> {
        let mut frames = Vec::new();
        let mut say = |kind, payload: Bytes| frames.push(Frame { kind, exchange, payload });
        say(
            FrameKind::Request,
            encoded(&RequestHead {
                started: START + started,
                since: self.since,
                method: self.method.into(),
                url: self.url.clone(),
                version: WireVersion::Http11,
                headers: fields(&self.request_headers),
                head_size: 99,
                authority: None,
                test: None,
            }),
        );
        for piece in &self.sent {
            say(FrameKind::RequestData, Bytes::from_static(piece));
        }
        if !self.sent.is_empty() || !self.upload_whole {
            let seen = self.sent.iter().map(|piece| piece.len() as u64).sum();
            say(
                FrameKind::RequestEnd,
                encoded(&RequestEnd { seen, at: 300, complete: self.upload_whole, decoded: None }),
            );
        }
        if let Some(status) = self.status {
            say(
                FrameKind::Response,
                encoded(&ResponseHead {
                    status,
                    reason: "OK".to_owned(),
                    version: self.version,
                    headers: fields(&self.headers),
                    head_size: 120,
                    connection: self.connection,
                    remote: Some([127, 0, 0, 1].into()),
                    connect: (exchange == 1).then_some(ConnectPhases { dns: None, tcp: Some(1000), tls: Some(2500) }),
                    blocked: 40,
                    sent: 200,
                    answered: 1300,
                    informational: self.informational.clone(),
                }),
            );
        }
        for piece in &self.received {
            say(FrameKind::ResponseData, piece.clone().into());
        }
        if let Some(reason) = self.reason.clone() {
            let seen = self.seen.unwrap_or_else(|| self.received.iter().map(|piece| piece.len() as u64).sum());
            let before = frames.len() as u64;
            frames.push(Frame {
                kind: FrameKind::End,
                exchange,
                payload: encoded(&ExchangeEnd {
                    reason,
                    seen,
                    at: 2300,
                    trailers: fields(&self.trailers),
                    decoded: None,
                    chunks: self.chunks.clone(),
                    is_duplex: self.is_duplex,
                    frames: before,
                }),
            });
        }
        frames
    }
}

fn fields(list: &[(&'static str, String)]) -> HeaderFields {
    let mut headers = Headers::default();
    for (name, value) in list {
        headers.push(*name, value.clone());
    }
    HeaderFields(headers)
}

fn encoded(value: &impl Serialize) -> Bytes {
    encode(value).unwrap()
}

/// A folder for a fixture.
struct Desk {
    dir: tempfile::TempDir,
    plan: RecordPlan,
}

impl Desk {
    fn new(file: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let plan = RecordPlan {
            output: dir.path().join(file),
            scope: Globs::new(["https://api.test/**"]).unwrap(),
            named: Vec::new(),
            content: ContentMode::Embed,
            noise: true,
            update: UpdateMode::Merge,
            max_body: None,
            max_decoded: harproxy_http::DecodeLimit::default(),
            json_layout: harproxy_har::write::JsonLayout::Indent,
            policy: std::sync::Arc::default(),
            values: Vec::new(),
            record_failures: false,
            on_failure: OnFailure::Hold,
            volatile: super::super::Volatile::default(),
            rules: Vec::new(),
        };
        Desk { dir, plan }
    }

    fn journal(&self, frames: &[Frame]) -> LockedJournal {
        let locked = JournalPaths::beside(&self.plan.output).unwrap().lock().unwrap();
        let meta = JournalMeta {
            scope: self.plan.scope.sources().to_vec(),
            max_body: self.plan.max_body,
            ..JournalMeta::default()
        };
        let mut bytes = MARK.journal_head();
        Frame { kind: FrameKind::Meta, exchange: 0, payload: encoded(&meta) }.write(MARK, &mut bytes).unwrap();
        frames.iter().for_each(|frame| frame.write(MARK, &mut bytes).unwrap());
        (&locked.file).write_all(&bytes).unwrap();
        locked
    }

    /// Records these exchanges, one millisecond apart.
    fn record(&self, talks: &[Talk]) -> Arrangement {
        let frames: Vec<Frame> = talks
            .iter()
            .zip(1..)
            .flat_map(|(talk, n)| talk.frames(n, talk.started + 1000 * i64::try_from(n).unwrap()))
            .collect();
        self.record_frames(&frames)
    }

    fn record_frames(&self, frames: &[Frame]) -> Arrangement {
        let locked = self.journal(frames);
        let (mut reader, index) = open(&locked, None).unwrap().unwrap();
        let arrangement = write(&self.plan, self.plan.update, &index, &mut reader, Destination::Fixture).unwrap();
        locked.remove().unwrap();
        arrangement
    }

    fn har(&self) -> Value {
        serde_json::from_slice(&fs::read(&self.plan.output).unwrap()).unwrap()
    }

    fn entries(&self) -> Vec<Value> {
        self.har()["log"]["entries"].as_array().unwrap().clone()
    }

    /// The path and the response text of each entry.
    fn story(&self) -> Vec<String> {
        let path = |entry: &Value| entry["request"]["url"].as_str().unwrap().replace("https://api.test", "");
        let text = |entry: &Value| entry["response"]["content"]["text"].as_str().unwrap_or_default().to_owned();
        self.entries().iter().map(|entry| format!("{} {}", path(entry), text(entry))).collect()
    }

    fn bytes(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        let mut folders = vec![self.dir.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for item in fs::read_dir(folder).unwrap() {
                let path = item.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.push((path.clone(), fs::read(path).unwrap()));
                }
            }
        }
        files.sort();
        files
    }
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn entry_holds_all_data_of_its_exchange() {
    let desk = Desk::new("api.har");
    let talk = Talk {
        sent: vec![b"ab", b"cd"],
        trailers: vec![("x-sum", "9".into())],
        informational: vec![InformationalResponse { status: 103, headers: fields(&[("link", "</a>".into())]) }],
        ..Talk::post("/x?q=1", "", "hello").with("location", "/next")
    };
    desk.record(&[talk]);
    let entry = &desk.entries()[0];
    assert_eq!(entry["startedDateTime"], "2026-11-20T10:00:00.001Z");
    assert_eq!(entry["serverIPAddress"], "127.0.0.1");
    assert_eq!(entry["connection"], "1");
    let timings = &entry["timings"];
    let timing = |name: &str| timings[name].as_f64().unwrap();
    assert_eq!((timing("blocked"), timing("dns"), timing("connect"), timing("ssl")), (0.04, -1.0, 3.5, 2.5));
    assert_eq!((timing("send"), timing("wait"), timing("receive")), (0.1, 1.0, 1.0));
    assert_eq!(entry["time"].as_f64().unwrap(), 5.64, "ssl is part of connect");
    let (request, response) = (&entry["request"], &entry["response"]);
    assert_eq!(request["url"], "https://api.test/x?q=1");
    assert_eq!(request["postData"]["text"], "abcd");
    assert_eq!((request["bodySize"].as_i64(), request["headersSize"].as_i64()), (Some(4), Some(99)));
    assert_eq!((response["status"].as_i64(), response["statusText"].as_str()), (Some(200), Some("OK")));
    assert_eq!((response["bodySize"].as_i64(), response["content"]["size"].as_i64()), (Some(5), Some(5)));
    assert_eq!(response["redirectURL"], "/next");
    assert_eq!(response["_trailers"][0]["name"], "x-sum");
    assert_eq!(entry["_harproxy"]["informational"][0]["status"], 103);
    assert_eq!(desk.har()["log"]["_harproxy"]["scope"], serde_json::json!(["https://api.test/**"]));
}

#[test]
fn first_recording_is_sorted_by_start() {
    let desk = Desk::new("api.har");
    let late = Talk { started: 5000, ..Talk::get("/late", "1") };
    desk.record(&[late, Talk::get("/a", "2"), Talk::get("/b", "3")]);
    assert_eq!(desk.story(), ["/a 2", "/b 3", "/late 1"]);
}

#[test]
fn clock_set_back_does_not_change_the_order() {
    let desk = Desk::new("api.har");
    let at = |since, started, body| Talk { since: Some(since), started, ..Talk::get("/poll", body) };
    desk.record(&[at(10, 0, "first"), at(20, -3_600_000_000, "second"), at(30, -3_599_999_000, "third")]);
    assert_eq!(desk.story(), ["/poll first", "/poll second", "/poll third"]);
    assert_eq!(desk.entries()[1]["startedDateTime"], "2026-11-20T09:00:00.002Z");
}

#[test]
fn interleaved_pieces_are_joined_in_every_content_mode() {
    for (file, content) in
        [("a.har", ContentMode::Attach), ("b.har", ContentMode::Embed), ("c.zip", ContentMode::Attach)]
    {
        let mut desk = Desk::new(file);
        desk.plan.content = content;
        let talks = ["/1", "/2", "/3"].map(|path| {
            let received = (0..50).map(|n| format!("{path}:{n};").into_bytes()).collect();
            Talk { received, ..Talk::get(path, "") }
        });
        let columns: Vec<Vec<Frame>> = talks.iter().zip(1..).map(|(talk, n)| talk.frames(n, n as i64)).collect();
        let interleaved: Vec<Frame> =
            (0..columns[0].len()).flat_map(|row| columns.iter().map(move |column| column[row].clone())).collect();
        desk.record_frames(&interleaved);
        let fixture = Fixture::open(&desk.plan.output).unwrap();
        for (at, talk) in talks.iter().enumerate() {
            let body = fixture.entry(at).unwrap().response.content.clone();
            assert_eq!(fixture.payload(at, &body).unwrap().bytes().unwrap(), talk.received.concat(), "{file}");
        }
    }
}

#[test]
fn payload_is_stored_decoded_or_as_received_when_it_does_not_decode() {
    let desk = Desk::new("api.har");
    let packed = gzip("text that was packed");
    let talk = |path: &str, coding: &str, bytes: &[u8]| Talk {
        received: vec![bytes.to_vec()],
        ..Talk::get(path, "").with("content-encoding", coding)
    };
    desk.record(&[
        talk("/gzip", "gzip", &packed),
        talk("/lie", "gzip", b"not packed"),
        talk("/odd", "aws-chunked", b"x"),
    ]);
    let contents: Vec<Value> = desk.entries().iter().map(|entry| entry["response"]["content"].clone()).collect();
    assert_eq!(contents[0]["text"], "text that was packed");
    assert_eq!(contents[0]["_encoded"], Value::Null);
    assert_eq!(desk.entries()[0]["response"]["bodySize"].as_u64().unwrap(), packed.len() as u64);
    assert_eq!((contents[1]["text"].as_str(), contents[1]["_encoded"].as_bool()), (Some("not packed"), Some(true)));
    assert_eq!((contents[2]["text"].as_str(), contents[2]["_encoded"].as_bool()), (Some("x"), Some(true)));
    assert!(contents.iter().all(|content| content["_truncated"].is_null()));
}

#[test]
fn truncated_payload_has_reason_and_lengths() {
    let mut desk = Desk::new("api.har");
    desk.plan.max_body = Some(10);
    let packed = gzip(&"0123456789".repeat(500));
    let left = Talk { reason: Some(EndReason::ClientLeft), ..Talk::get("/left", "four").with("content-length", "7") };
    let died = Talk { reason: Some(EndReason::UpstreamDied), ..Talk::get("/died", "four") };
    let killed = Talk { reason: None, ..Talk::get("/killed", "four") };
    let long = Talk { seen: Some(25), ..Talk::get("/long", "tencharact") };
    let exact = Talk::get("/exact", "tencharact");
    let swollen = Talk { received: vec![packed.clone()], ..Talk::get("/swollen", "").with("content-encoding", "gzip") };
    let half = Talk {
        received: vec![packed[..packed.len() - 12].to_vec()],
        reason: Some(EndReason::UpstreamDied),
        ..Talk::get("/half", "").with("content-encoding", "gzip")
    };
    desk.record(&[left, died, killed, long, exact, swollen, half]);
    let cut = |at: usize| {
        let truncated = &desk.entries()[at]["response"]["content"]["_truncated"];
        (
            truncated["reason"].as_str().unwrap_or_default().to_owned(),
            truncated["kept"].as_u64(),
            truncated["total"].as_u64(),
        )
    };
    assert_eq!(cut(0), ("client-left".into(), Some(4), Some(7)));
    assert_eq!(cut(1), ("upstream-died".into(), Some(4), None));
    assert_eq!(cut(2), ("interrupted".into(), Some(4), None));
    assert_eq!(cut(3), ("max-body".into(), Some(10), Some(25)));
    assert_eq!(cut(4), (String::new(), None, None));
    assert_eq!(cut(5), ("max-body".into(), Some(10), Some(5000)));
    assert_eq!(cut(6), ("upstream-died".into(), Some(10), None));
    assert_eq!(desk.story()[5], "/swollen 0123456789");
    assert_eq!(desk.story()[6], "/half 0123456789");
}

#[test]
fn upload_that_upstream_did_not_read_whole_is_truncated() {
    let desk = Desk::new("api.har");
    let refused = Talk { upload_whole: false, status: Some(413), ..Talk::post("/upload", "begin", "too much") };
    desk.record(&[refused]);
    assert_eq!(desk.entries()[0]["request"]["postData"]["_truncated"]["kept"], 5);
}

#[test]
fn failure_becomes_an_entry_and_dropped_request_does_not() {
    let desk = Desk::new("api.har");
    let failed =
        EndReason::Failed { kind: "refused".into(), message: "connecting to https://api.test: refused".into() };
    let none = || Talk { status: None, received: Vec::new(), ..Talk::get("/none", "") };
    let frames = [
        Talk { reason: Some(failed), ..none() }.frames(1, 0),
        Talk { reason: Some(EndReason::Dropped), ..none() }.frames(2, 1),
        Talk { reason: None, ..none() }.frames(3, 2),
    ];
    let locked = desk.journal(&frames.concat());
    let (mut reader, index) = open(&locked, None).unwrap().unwrap();
    assert_eq!((index.exchanges.len(), index.unanswered, index.cut), (1, 2, 0));
    write(&desk.plan, UpdateMode::Merge, &index, &mut reader, Destination::Fixture).unwrap();
    let entry = &desk.entries()[0];
    assert_eq!(entry["response"]["status"], 0);
    assert_eq!(entry["_harproxy"]["error"]["kind"], "refused");
}
