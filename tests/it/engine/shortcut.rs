//! Requests that are answered where they are read.

use std::time::Duration;

use harproxy_tls::authority::Alpn;

use super::stage::{LONG, Raw, Setting, Stage, authorization};
use crate::support::client::Proto;

const READY: &str = "GET http://a.test/ready HTTP/1.1\r\nHost: a.test\r\n\r\n";

/// One whose handler answers each by itself, and one that is told beforehand what is going to be asked.
fn stages() -> [Stage; 2] {
    [false, true].map(|gathers| Stage::with(Setting { gathers, ..Setting::default() }))
}

/// A connection on which the site is known: the first request for one is hyper's.
fn known(stage: &Stage) -> Raw {
    let mut raw = stage.raw();
    raw.send(READY);
    assert_eq!(raw.echo()["uri"], "http://a.test/ready");
    raw
}

#[track_caller]
fn is_ready(raw: &mut Raw, url: &str) {
    let (head, body) = raw.answer();
    assert!(head.contains(&format!("\r\nx-url: {url}\r\n")), "{head}{body}");
    assert_eq!(body, "ready");
}

#[test]
fn what_lies_ready_is_answered_where_it_is_read_as_often_as_it_is_asked_for() {
    for stage in stages() {
        let mut raw = known(&stage);
        for fields in
            ["", "Connection: keep-alive\r\n", "PROXY-connection: Keep-Alive\r\nCookie: a=b\r\nAccept: */*\r\n"]
        {
            raw.send(format!("GET http://a.test/ready/1?a=%41 HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n"));
            is_ready(&mut raw, "http://a.test/ready/1?a=%41");
        }
        // hyper's requests and these in turn.
        for _ in 0..2 {
            raw.send("GET http://a.test/other HTTP/1.1\r\n\r\n");
            assert_eq!(raw.echo()["uri"], "http://a.test/other");
            raw.send("DELETE http://a.test/ready HTTP/1.1\r\n\r\n");
            assert_eq!(raw.echo()["method"], "DELETE");
            raw.send(READY);
            is_ready(&mut raw, "http://a.test/ready");
        }
        let mut inside = stage.tunnel("a.test:8080");
        inside.send("GET /ready HTTP/1.1\r\nHost: a.test:8080\r\n\r\n");
        is_ready(&mut inside, "http://a.test:8080/ready");
        let client = stage.client(Proto::H1);
        assert_eq!([(); 2].map(|()| client.get("https://a.test/ready").text()), ["ready"; 2]);
    }
}

#[test]
fn whatever_else_is_asked_goes_on_as_it_came() {
    for stage in stages() {
        for request in [
            "POST http://a.test/ready HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody",
            "GET http://a.test/ready HTTP/1.1\r\ncontent-length: 4\r\n\r\nbody",
            "GET http://a.test/ready HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
            "GET http://a.test/ready HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            "GET http://a.test/ready HTTP/1.1\r\nConnection: close\r\n\r\n",
            "GET http://a.test/ready HTTP/1.1\r\nConnection: x-a\r\n\r\n",
            "GET http://a.test/ready HTTP/1.1\r\nProxy-Connection: close\r\n\r\n",
            "GET http://a.test/ready HTTP/1.1\r\nProxy-Authorization: Basic dTpw\r\n\r\n",
            "GET http://b.test/ready HTTP/1.1\r\n\r\n",
            "GET http://a.test:8080/ready HTTP/1.1\r\n\r\n",
            "GET http://a.test.b/ready HTTP/1.1\r\n\r\n",
            "GET https://a.test/ready HTTP/1.1\r\n\r\n",
            "GET HTTP://a.test/ready HTTP/1.1\r\n\r\n",
            "GET http://a.test?/ready HTTP/1.1\r\n\r\n",
        ] {
            let mut raw = known(&stage);
            raw.send(request);
            let echo = raw.echo();
            assert_eq!(echo["method"], request[..request.find(' ').unwrap()], "{request}");
            assert_eq!(echo["body"], if request.contains("body") { "body" } else { "" }, "{request}");
            let session = echo["session"].as_str();
            assert_eq!(session, request.contains("Authorization").then_some("u"), "{request}");
        }
        let mut raw = known(&stage);
        raw.send(format!("GET http://a.test/ready HTTP/1.1\r\n{}\r\n", "X-A: 1\r\n".repeat(33)));
        assert_eq!(raw.echo()["headers"].as_array().unwrap().len(), 33);
        let mut raw = known(&stage);
        raw.send("GET http://a.test/ready HTTP/1.1\r\nX A: 1\r\n\r\n");
        assert!(raw.rest_text().starts_with("HTTP/1.1 400 "));
    }
}

#[test]
fn nothing_goes_before_what_was_asked_first() {
    for stage in stages() {
        let mut raw = known(&stage);
        raw.send("GET http://a.test/gate HTTP/1.1\r\n\r\n");
        stage.entered.recv().unwrap();
        raw.send(READY);
        stage.echo.gate.notify_one();
        assert_eq!(raw.answer().1, "through the gate");
        raw.answer();
        // Several at a time are hyper's.
        raw.send(READY.repeat(3));
        for _ in 0..3 {
            assert_eq!(raw.echo()["uri"], "http://a.test/ready");
        }
    }
}

#[test]
fn what_hyper_has_still_to_write_goes_before() {
    for stage in stages() {
        let mut raw = known(&stage);
        raw.send("GET http://a.test/long HTTP/1.1\r\n\r\n");
        // The handler is done with it; most of it is hyper's, which can't write it as long as nobody reads, and reads what comes before it writes more.
        let head = raw.head();
        assert!(head.contains(&format!("\r\ncontent-length: {}\r\n", LONG.len())), "{head}");
        raw.send(READY);
        assert!(raw.exactly(LONG.len()) == LONG);
        let (head, body) = raw.answer();
        assert!(body == "ready" || body.contains("http://a.test/ready"), "{head}{body}");
        raw.send(READY);
        is_ready(&mut raw, "http://a.test/ready");
    }
}

#[test]
fn the_rest_of_a_head_is_no_request_whatever_it_looks_like() {
    for stage in stages() {
        for before in
            ["GET http://a.test/a HTTP/1.1\r\n\r\n", "POST http://a.test/a HTTP/1.1\r\nContent-Length: 1\r\n\r\nx"]
        {
            let mut raw = known(&stage);
            // Of one write; when the first is answered all of it has been read.
            raw.send(format!("{before}GET http://a.test/b HTTP/1.1\r\nX-A: "));
            assert_eq!(raw.echo()["uri"], "http://a.test/a");
            raw.send(READY.replace("Host: a.test\r\n", ""));
            let echo = raw.echo();
            assert_eq!(echo["uri"], "http://a.test/b", "{before}");
            assert_eq!(echo["headers"][0][1], "GET http://a.test/ready HTTP/1.1", "{before}");
        }
    }
}

#[test]
fn a_long_answer_reaches_a_client_that_reads_late_also_when_the_engine_drains() {
    for mut stage in stages() {
        let mut raw = known(&stage);
        raw.send(READY.replace("/ready", "/ready/long"));
        // The beginning has been sent, and the end can't have been.
        assert!(raw.head().contains("\r\nx-url: http://a.test/ready/long\r\n"));
        raw.send(READY);
        assert!(raw.exactly(LONG.len()) == LONG);
        is_ready(&mut raw, "http://a.test/ready");
        raw.send(READY.replace("/ready", "/ready/long"));
        raw.head();
        let done = stage.start_drain(Duration::from_secs(600));
        assert!(raw.rest() == LONG);
        done.recv().unwrap();
    }
}

#[test]
fn who_does_not_wait_for_an_answer_has_all_of_them_in_their_order() {
    const OTHER: &str = "GET http://a.test/other HTTP/1.1\r\n\r\n";
    for stage in stages() {
        // Some are read before the first has its answer, some with it, and some behind.
        for _ in 0..100 {
            let mut raw = known(&stage);
            raw.0.set_nodelay(true).unwrap();
            for request in [READY, OTHER, READY] {
                raw.send(request);
            }
            let (head, body) = raw.answer();
            assert!(body == "ready" || body.contains("http://a.test/ready"), "{head}{body}");
            assert_eq!(raw.echo()["uri"], "http://a.test/other");
            raw.answer();
            raw.send("GET http://a.test/last HTTP/1.1\r\nConnection: close\r\n\r\n");
            assert_eq!(raw.echo()["uri"], "http://a.test/last");
            assert_eq!(raw.rest(), b"");
        }
    }
}

#[test]
fn who_asks_and_says_no_more_has_the_answer() {
    for stage in stages() {
        for _ in 0..20 {
            let mut raw = known(&stage);
            raw.send(READY);
            raw.0.shutdown(std::net::Shutdown::Write).unwrap();
            is_ready(&mut raw, "http://a.test/ready");
            assert_eq!(raw.rest(), b"");
        }
    }
}

#[test]
fn what_is_sent_behind_a_connect_before_its_answer_arrives_whole() {
    let long = "x".repeat(12 << 10);
    for stage in stages() {
        for _ in 0..20 {
            let mut raw = known(&stage);
            raw.send("GET http://a.test/other HTTP/1.1\r\n\r\n");
            raw.send(format!(
                "CONNECT a.test:80 HTTP/1.1\r\n\r\nGET /inside HTTP/1.1\r\nHost: a.test\r\nX-Long: {long}\r\n\r\n"
            ));
            assert_eq!(raw.echo()["uri"], "http://a.test/other");
            assert!(raw.head().starts_with("HTTP/1.1 200 "));
            let echo = raw.echo();
            assert_eq!((&echo["uri"], &echo["headers"][1][1]), (&"http://a.test/inside".into(), &long.as_str().into()));
        }
    }
}

#[test]
fn a_defect_ends_one_connection() {
    for stage in stages() {
        // Some of them with the same thread.
        let mut others: Vec<Raw> = (0..8).map(|_| known(&stage)).collect();
        for _ in 0..2 {
            let mut raw = known(&stage);
            raw.send(READY.replace("/ready", "/ready/panic"));
            assert_eq!(raw.rest(), b"");
            for raw in &mut others {
                raw.send(READY);
                is_ready(raw, "http://a.test/ready");
            }
        }
    }
}

#[test]
fn a_drain_ends_a_connection_on_which_hyper_has_seen_nothing() {
    for mut stage in stages() {
        let mut inside = stage.tunnel("a.test:80");
        inside.send("GET /ready HTTP/1.1\r\n\r\n");
        is_ready(&mut inside, "http://a.test/ready");
        let done = stage.start_drain(Duration::from_secs(600));
        assert_eq!(inside.rest(), b"");
        done.recv().unwrap();
    }
}

#[test]
fn a_drain_that_begins_while_a_request_is_read_lets_it_have_its_answer() {
    for path in ["/until-drained", "/ready/until-drained"] {
        for mut stage in stages() {
            let mut raw = known(&stage);
            raw.send(format!("GET http://a.test{path} HTTP/1.1\r\n\r\n"));
            stage.entered.recv().unwrap();
            let done = stage.start_drain(Duration::from_secs(600));
            let (head, body) = raw.answer();
            assert!(head.starts_with("HTTP/1.1 200 ") && (body == "ready" || body.contains(path)), "{head}{body}");
            assert_eq!(raw.rest(), b"");
            done.recv().unwrap();
        }
    }
}

#[test]
fn who_has_to_say_who_he_is_is_asked_each_time_and_our_own_pages_are_ours() {
    let stage = Stage::with(Setting { auth: Some("u:p"), alpn: Alpn::Http1, ..Setting::default() });
    let mut raw = stage.raw();
    let request = READY.replace("\r\n\r\n", &format!("\r\n{}\r\n", authorization("u:p")));
    for _ in 0..2 {
        raw.send(&request);
        assert_eq!(raw.echo()["uri"], "http://a.test/ready");
    }
    raw.send(READY);
    assert!(raw.answer().0.starts_with("HTTP/1.1 407 "));

    let stage = Stage::start();
    let mut raw = stage.raw();
    for _ in 0..2 {
        raw.send(format!("GET http://{}/ready HTTP/1.1\r\n\r\n", stage.addr));
        assert!(!raw.answer().0.contains("x-url"));
    }
}
