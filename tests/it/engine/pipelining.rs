//! Requests that are sent before the answer to the previous one.

use std::time::Duration;

use super::stage::{LONG, TestEngine};

const FIRST: &str = "GET http://a.test/first HTTP/1.1\r\nHost: a.test\r\n\r\n";
const SECOND: &str = "GET http://a.test/second HTTP/1.1\r\nHost: a.test\r\n\r\n";

#[test]
fn pipelined_requests_are_answered_in_order() {
    let stage = TestEngine::start();
    let mut raw = stage.raw();
    raw.send("GET http://a.test/gate HTTP/1.1\r\nHost: a.test\r\n\r\n");
    stage.entered.recv().unwrap();
    raw.send([FIRST, SECOND].concat());
    stage.echo.gate.notify_one();
    assert_eq!(raw.answer().1, "through the gate");
    assert_eq!(raw.echo()["uri"], "http://a.test/first");
    assert_eq!(raw.echo()["uri"], "http://a.test/second");
}

#[test]
fn long_answer_is_complete_before_the_next_answer() {
    let stage = TestEngine::start();
    let mut raw = stage.raw();
    raw.send("GET http://a.test/long HTTP/1.1\r\nHost: a.test\r\n\r\n");
    // The client does not read the payload yet, so most of it is still to be written.
    raw.head();
    raw.send(FIRST);
    assert!(raw.exactly(LONG.len()) == LONG);
    assert_eq!(raw.echo()["uri"], "http://a.test/first");
}

#[test]
fn long_answer_is_complete_when_the_engine_drains() {
    let mut stage = TestEngine::start();
    let mut raw = stage.raw();
    raw.send("GET http://a.test/long HTTP/1.1\r\nHost: a.test\r\n\r\n");
    raw.head();
    let done = stage.start_drain(Duration::from_secs(600));
    assert!(raw.rest() == LONG);
    done.recv().unwrap();
}

#[test]
fn header_value_that_looks_like_a_request_line_is_not_a_request() {
    let stage = TestEngine::start();
    for before in
        ["GET http://a.test/a HTTP/1.1\r\n\r\n", "POST http://a.test/a HTTP/1.1\r\nContent-Length: 1\r\n\r\nx"]
    {
        let mut raw = stage.raw();
        raw.send(format!("{before}GET http://a.test/b HTTP/1.1\r\nX-A: "));
        assert_eq!(raw.echo()["uri"], "http://a.test/a");
        raw.send("GET http://a.test/first HTTP/1.1\r\n\r\n");
        let echo = raw.echo();
        assert_eq!(echo["uri"], "http://a.test/b", "{before}");
        assert_eq!(echo["headers"][0][1], "GET http://a.test/first HTTP/1.1", "{before}");
    }
}

#[test]
fn request_sent_with_its_connect_arrives_complete() {
    let long = "x".repeat(12 << 10);
    let stage = TestEngine::start();
    let mut raw = stage.raw();
    raw.send(FIRST);
    raw.send(format!(
        "CONNECT a.test:80 HTTP/1.1\r\n\r\nGET /inside HTTP/1.1\r\nHost: a.test\r\nX-Long: {long}\r\n\r\n"
    ));
    assert_eq!(raw.echo()["uri"], "http://a.test/first");
    assert!(raw.head().starts_with("HTTP/1.1 200 "));
    let echo = raw.echo();
    assert_eq!((&echo["uri"], &echo["headers"][1][1]), (&"http://a.test/inside".into(), &long.as_str().into()));
}
