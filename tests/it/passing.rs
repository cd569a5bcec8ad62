//! Requests and answers that pass without hyper, and those that turn out not to: what client, origin and fixture see is what they see of one that hyper
//! had from the beginning.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant, SystemTime};

use harproxy::record::{Ending, Outcome};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use rustls::{ClientConnection, ServerConnection, StreamOwned};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::raw::read_head;
use crate::support::repo;
use crate::support::rig::{PATIENCE, Rig, setup};
use crate::support::sandbox::Sandbox;

type Far = StreamOwned<ServerConnection, TcpStream>;

/// An origin over TLS that sends exactly the bytes it is told to. Its connections are numbered from 0.
struct TlsOrigin {
    addr: SocketAddr,
    /// The heads that it was sent.
    heads: Arc<Mutex<Vec<String>>>,
}

impl TlsOrigin {
    /// `answer` does what it likes with each request, and says whether the connection stays.
    fn start(answer: impl Fn(usize, &str, &mut Far) -> bool + Send + Sync + 'static) -> Self {
        let certs = CertificateDer::pem_file_iter(repo("certs/origin.pem")).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(repo("certs/origin-key.pem")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = Arc::new(config.unwrap().with_no_client_auth().with_single_cert(certs, key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (heads, answer) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(answer));
        std::thread::spawn({
            let heads = heads.clone();
            move || {
                for (number, tcp) in listener.incoming().enumerate() {
                    let Ok(tcp) = tcp else { return };
                    let tls = ServerConnection::new(config.clone()).unwrap();
                    let (heads, answer) = (heads.clone(), answer.clone());
                    std::thread::spawn(move || {
                        let mut stream = StreamOwned::new(tls, tcp);
                        loop {
                            let head = String::from_utf8(read_head(&mut stream)).unwrap();
                            if head.is_empty() {
                                return;
                            }
                            heads.lock().unwrap().push(head.clone());
                            if !answer(number, &head, &mut stream) {
                                stream.conn.send_close_notify();
                                let _ = stream.flush();
                                return;
                            }
                        }
                    });
                }
            }
        });
        TlsOrigin { addr, heads }
    }
}

/// A client that sends exactly the bytes it is told to, inside a CONNECT.
struct Near(StreamOwned<ClientConnection, TcpStream>);

impl Near {
    fn connect(rig: &Rig) -> Self {
        let mut tcp = TcpStream::connect(rig.proxy).unwrap();
        tcp.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
        tcp.write_all(b"CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n").unwrap();
        assert!(read_head(&mut tcp).starts_with(b"HTTP/1.1 200 "));
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(rig.ca.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.unwrap().with_root_certificates(roots).with_no_client_auth();
        let tls = ClientConnection::new(config.into(), ServerName::try_from("api.test").unwrap()).unwrap();
        Near(StreamOwned::new(tls, tcp))
    }

    fn send(&mut self, request: &str) {
        self.0.write_all(request.as_bytes()).unwrap();
        self.0.flush().unwrap();
    }

    /// The next answer: its head, and its payload as it is framed; empty where the connection ended instead.
    fn answer(&mut self) -> String {
        let mut answer = String::from_utf8(read_head(&mut self.0)).unwrap();
        let lower = answer.to_ascii_lowercase();
        let length = lower.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
        if lower.contains("transfer-encoding: chunked") {
            let mut chunks = Vec::new();
            while !chunks.ends_with(b"0\r\n\r\n") {
                let mut byte = [0];
                self.0.read_exact(&mut byte).unwrap();
                chunks.push(byte[0]);
            }
            answer += std::str::from_utf8(&chunks).unwrap();
        } else if !lower.starts_with("http/1.1 304") && !lower.starts_with("http/1.1 1") {
            let mut payload = Vec::new();
            let _ = (&mut self.0).take(length.unwrap_or(0)).read_to_end(&mut payload);
            answer += &String::from_utf8_lossy(&payload);
        }
        answer
    }
}

/// Records what a client asks of this origin.
fn begin(origin: &TlsOrigin) -> (Sandbox, Rig, Near) {
    let sandbox = Sandbox::new();
    let rig = setup(&sandbox).map("api.test", origin.addr, origin.addr).start(&sandbox).unwrap();
    let near = Near::connect(&rig);
    (sandbox, rig, near)
}

/// What hyper has from the beginning: the connection has carried a payload.
const POST: &str = "POST /api/begin HTTP/1.1\r\nHost: api.test\r\nContent-Length: 2\r\n\r\nhi";
const PLAIN: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\n{\"a\": 1}";

const ANSWERS: &[&str] = &[
    PLAIN,
    "HTTP/1.1 404 Not Found\r\nX-Upper: A\r\nx-lower: b\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\ncontent-length: 2\r\n\r\nno",
    "HTTP/1.1 200 OK\r\nx-space: \t a b \t\r\ncontent-length:0\r\n\r\n",
    "HTTP/1.1 302 Found\r\nLocation: /api/next?token=abcdefgh12345678\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 43\r\n\r\n{\"access_token\": \"s3cr3t-of-many-letters\" }",
    "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nX-A: 1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "HTTP/1.1 200 Quite Fine\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n",
    "HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX-A : 1\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nX-A: 1\r\n folded\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nX-A: \u{e4}\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more",
    "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nX-A: 1\r\nX-B: 2\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nX-Then: close\r\nContent-Length: 20\r\n\r\nnot all of it",
    "no HTTP at all\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-A: 1\r\n\r\n",
];

/// Of this one it can be seen whether it passed: hyper writes such a length last.
const PROBE: usize = ANSWERS.len() - 1;

const FIELDS: &[&str] = &[
    "",
    "Connection: keep-alive\r\nUser-Agent: A/1\r\nACCEPT: */*\r\n",
    "Proxy-Connection: Keep-Alive\r\nauthorization: Bearer s3cr3t-of-many-letters\r\nCookie: session=abcdefgh12345678\r\n",
    "X-Twice: 1\r\nX-Between: 2\r\nx-twice: 3\r\n",
    "TE: trailers\r\nConnection: TE\r\n",
    "X-Empty:\r\nIf-None-Match: \"a\"\r\n",
];

/// What everybody saw of some requests on one connection.
#[derive(Debug, PartialEq)]
struct Seen {
    answers: Vec<String>,
    heads: Vec<String>,
    entries: Vec<Value>,
    counts: (u64, u64),
}

/// Sends these requests one after the other, behind one that hyper has if `is_hypers`. `slices`: the origin sends its answers in two.
fn see(requests: &[String], is_hypers: bool, slices: bool) -> Seen {
    let origin = TlsOrigin::start(move |_, head, stream| {
        let number = head.split("/api/").nth(1).and_then(|rest| rest.split(['?', ' ']).next()?.parse::<usize>().ok());
        let Some(number) = number else {
            stream.read_exact(&mut [0; 2]).unwrap();
            return stream.write_all(PLAIN.as_bytes()).is_ok();
        };
        // Without a word.
        let Some(answer) = ANSWERS.get(number) else { return false };
        let middle = if slices { answer.len() - 1 } else { 0 };
        for part in [&answer.as_bytes()[..middle], &answer.as_bytes()[middle..]] {
            stream.write_all(part).unwrap();
            stream.flush().unwrap();
        }
        !answer.contains("close") && *answer != "no HTTP at all\r\n\r\n"
    });
    let (sandbox, rig, mut near) = begin(&origin);
    if is_hypers {
        near.send(POST);
        near.answer();
    }
    let answers = requests.iter().map(|request| {
        near.send(request);
        near.answer()
    });
    let answers = answers.collect();
    drop(near);
    let Outcome { verdict, .. } = rig.finish(Ending::Clean);
    let mut entries = sandbox.har("hars/api.har")["log"]["entries"].as_array().unwrap().clone();
    entries.retain(|entry| entry["request"]["method"] == "GET");
    for entry in &mut entries {
        let entry = entry.as_object_mut().unwrap();
        // Moments and who was first on the connection.
        for other in ["startedDateTime", "time", "timings", "connection", "_harproxy"] {
            entry.remove(other);
        }
    }
    let mut heads = origin.heads.lock().unwrap().clone();
    heads.retain(|head| head.starts_with("GET"));
    let own = u64::from(is_hypers);
    Seen { answers, heads, entries, counts: (verdict.counts.requests - own, verdict.counts.recorded - own) }
}

#[track_caller]
fn is_as_hypers(requests: &[String]) -> Seen {
    let hypers = see(requests, true, false);
    for slices in [false, true] {
        let passed = see(requests, false, slices);
        assert_eq!(passed, hypers, "{requests:?}, in slices: {slices}");
    }
    hypers
}

fn get(number: usize, fields: &str) -> String {
    format!("GET /api/{number}?q=%41 HTTP/1.1\r\nHost: api.test\r\n{fields}\r\n")
}

#[test]
fn every_answer_is_the_same_to_client_origin_and_fixture() {
    for (number, answer) in ANSWERS.iter().enumerate() {
        if number == PROBE {
            continue;
        }
        let seen = is_as_hypers(&[get(number, "")]);
        assert_eq!(seen.entries.len(), 1, "{answer}");
    }
}

#[test]
fn every_request_is_the_same_to_client_origin_and_fixture() {
    for fields in FIELDS {
        assert_eq!(is_as_hypers(&[get(0, fields)]).heads.len(), 1);
        let passes = !fields.contains("Twice") && !fields.contains("TE:");
        assert_eq!(see(&[get(PROBE, fields)], false, false).answers == [ANSWERS[PROBE]], passes, "{fields}");
    }
}

#[test]
fn requests_that_pass_and_those_that_do_not_follow_one_another() {
    let numbers = [0, 1, 0, 2, 6, 0, 4, 8, 0];
    let seen = is_as_hypers(&numbers.map(|number| get(number, "")));
    assert_eq!((seen.entries.len(), seen.counts.1), (numbers.len(), numbers.len() as u64));
}

#[test]
fn who_asks_again_before_there_is_an_answer_has_both_in_order() {
    let (tell, asked) = mpsc::channel();
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let origin = TlsOrigin::start(move |_, head, stream| {
        if head.contains("/api/slow") {
            tell.send(()).unwrap();
            wait.lock().unwrap().recv().unwrap();
        }
        stream.write_all(PLAIN.as_bytes()).is_ok()
    });
    let (_sandbox, rig, mut near) = begin(&origin);
    near.send("GET /api/slow HTTP/1.1\r\nHost: api.test\r\n\r\n");
    asked.recv().unwrap();
    near.send("GET /api/next HTTP/1.1\r\nHost: api.test\r\n\r\n");
    go.send(()).unwrap();
    assert_eq!([near.answer(), near.answer()], [PLAIN, PLAIN]);
    drop(near);
    assert_eq!(rig.finish(Ending::Clean).verdict.counts.recorded, 2);
    assert_eq!(origin.heads.lock().unwrap().len(), 2);
}

#[test]
fn a_connection_that_is_closed_without_a_word_closes_its_clients() {
    let silent = ANSWERS.len();
    let seen = is_as_hypers(&[get(0, ""), get(silent, "")]);
    assert_eq!((&seen.answers[..], seen.heads.len()), (&[PLAIN.to_owned(), String::new()][..], 2));
}

#[test]
fn upstream_is_left_as_tls_ends() {
    let (tell, ended) = mpsc::channel();
    let origin = TlsOrigin::start(move |_, _, stream| {
        stream.write_all(PLAIN.as_bytes()).unwrap();
        tell.send(stream.read(&mut [0]).map_err(|error| error.kind())).unwrap();
        false
    });
    let (_sandbox, rig, mut near) = begin(&origin);
    near.send(&get(0, ""));
    assert_eq!(near.answer(), PLAIN);
    drop(near);
    assert_eq!(ended.recv().unwrap(), Ok(0));
    rig.finish(Ending::Clean);
}

/// The clock has gone on by so much.
fn goes_on(by: Duration) {
    let since = Instant::now();
    while since.elapsed() < by {
        std::thread::yield_now();
    }
}

#[test]
fn what_pauses_behind_its_head_is_passed_on_and_recorded_as_it_came() {
    let pause = Duration::from_millis(60);
    let (head_is_there, go) = mpsc::channel();
    let go = Mutex::new(go);
    let origin = TlsOrigin::start(move |_, _, stream| {
        let (head, rest) = PLAIN.split_at(PLAIN.len() - 3);
        stream.write_all(head.as_bytes()).unwrap();
        stream.flush().unwrap();
        go.lock().unwrap().recv().unwrap();
        goes_on(pause);
        stream.write_all(rest.as_bytes()).is_ok()
    });
    let (sandbox, rig, mut near) = begin(&origin);
    near.send(&get(0, ""));
    let head = String::from_utf8(read_head(&mut near.0)).unwrap();
    // Its client has the head while the rest is waited for.
    head_is_there.send(()).unwrap();
    let mut payload = [0; 8];
    near.0.read_exact(&mut payload).unwrap();
    assert_eq!(head + std::str::from_utf8(&payload).unwrap(), PLAIN);
    drop(near);
    assert_eq!(rig.finish(Ending::Clean).verdict.counts.recorded, 1);
    let entry = &sandbox.har("hars/api.har")["log"]["entries"][0];
    assert!(entry["timings"]["receive"].as_f64().unwrap() >= pause.as_millis() as f64, "{entry}");
}

#[test]
fn what_passes_is_spelt_as_upstream_spells_it_and_outlives_a_kill() {
    let origin = TlsOrigin::start(|_, _, stream| stream.write_all(ANSWERS[PROBE].as_bytes()).is_ok());
    let (sandbox, rig, mut near) = begin(&origin);
    for number in 0..3 {
        near.send(&get(number, ""));
        assert_eq!(near.answer(), ANSWERS[PROBE]);
    }
    rig.kill();
    let rig = setup(&sandbox).map("api.test", origin.addr, origin.addr).start(&sandbox).unwrap();
    let recovered = rig.recorder.recovered().unwrap();
    assert_eq!((recovered.exchanges, recovered.cut), (3, 0));
}

#[test]
fn what_turns_out_to_be_late_is_recorded_from_its_beginning() {
    let (tell, asked) = mpsc::channel();
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let origin = TlsOrigin::start(move |_, head, stream| {
        if head.contains("/api/0") {
            tell.send(()).unwrap();
            wait.lock().unwrap().recv().unwrap();
        }
        stream.write_all(PLAIN.as_bytes()).is_ok()
    });
    let (sandbox, rig, mut near) = begin(&origin);
    near.send(&get(0, ""));
    asked.recv().unwrap();
    let asked = SystemTime::now();
    goes_on(Duration::from_millis(40));
    // From here on the first is hyper's, too.
    near.send(&get(1, ""));
    go.send(()).unwrap();
    assert_eq!([near.answer(), near.answer()], [PLAIN, PLAIN]);
    drop(near);
    assert_eq!(rig.finish(Ending::Clean).verdict.counts.requests, 2);
    let har = sandbox.har("hars/api.har");
    let entry = &har["log"]["entries"][0];
    assert!(entry["request"]["url"].as_str().unwrap().contains("/api/0"));
    let started = OffsetDateTime::parse(entry["startedDateTime"].as_str().unwrap(), &Rfc3339).unwrap();
    assert!(SystemTime::from(started) <= asked, "{entry}");
    assert!(entry["timings"]["wait"].as_f64().unwrap() >= 39.0, "{entry}");
}

#[test]
fn upstream_that_never_answers_has_the_time_that_it_has_and_the_exchange_is_its_failure() {
    let origin = TlsOrigin::start(|_, head, stream| match head.contains("/api/never") {
        true => stream.read_to_end(&mut Vec::new()).is_err(),
        false => stream.write_all(PLAIN.as_bytes()).is_ok(),
    });
    // Less than is waited for by this way, and more.
    for limit in [200, 800] {
        let sandbox = Sandbox::new();
        let mut setup = setup(&sandbox).map("api.test", origin.addr, origin.addr);
        setup.upstream.timeouts.answer = Duration::from_millis(limit);
        let rig = setup.start(&sandbox).unwrap();
        let mut near = Near::connect(&rig);
        near.send("GET /api/never HTTP/1.1\r\nHost: api.test\r\n\r\n");
        let answer = near.answer();
        assert!(answer.starts_with("HTTP/1.1 504 ") && answer.contains("\"timeout\""), "{answer}");
        near.send(&get(0, ""));
        assert_eq!(near.answer(), PLAIN);
        drop(near);
        let Outcome { verdict, .. } = rig.finish(Ending::Clean);
        assert_eq!((verdict.counts.requests, origin.heads.lock().unwrap().len()), (2, 2));
        origin.heads.lock().unwrap().clear();
        let har = sandbox.har("hars/api.har");
        let entry = &har["log"]["entries"][0];
        assert_eq!(entry["_harproxy"]["error"]["kind"], "timeout", "{har}");
        assert!(entry["timings"]["wait"].as_f64().unwrap() >= limit as f64 * 0.9, "{har}");
    }
}

#[test]
fn what_is_waited_for_when_the_run_ends_is_answered_and_recorded() {
    let (tell, asked) = mpsc::channel();
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let origin = TlsOrigin::start(move |_, _, stream| {
        tell.send(()).unwrap();
        wait.lock().unwrap().recv().unwrap();
        stream.write_all(PLAIN.as_bytes()).is_ok()
    });
    let sandbox = Sandbox::new();
    let rig = setup(&sandbox).map("api.test", origin.addr, origin.addr).start(&sandbox).unwrap();
    let mut idle = TcpStream::connect(rig.proxy).unwrap();
    idle.write_all(b"GET /harproxy/health HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(!read_head(&mut idle).is_empty());
    let mut near = Near::connect(&rig);
    near.send(&get(0, ""));
    asked.recv().unwrap();
    // Who asks for nothing is let go when the drain begins.
    let begins = std::thread::spawn(move || {
        let _ = idle.read_to_end(&mut Vec::new());
        go.send(()).unwrap();
    });
    let outcome = rig.finish_within(PATIENCE, Ending::Clean);
    begins.join().unwrap();
    assert_eq!(near.answer().to_ascii_lowercase().replace("connection: close\r\n", ""), PLAIN.to_ascii_lowercase());
    assert_eq!(outcome.verdict.counts.recorded, 1);
}

#[test]
fn a_client_that_leaves_while_its_answer_is_waited_for_is_counted_and_not_recorded() {
    let (tell, asked) = mpsc::channel();
    let (ended, end) = mpsc::channel();
    let origin = TlsOrigin::start(move |_, _, stream| {
        tell.send(()).unwrap();
        // Upstream's connection ends with the client's.
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        ended.send(rest.len()).unwrap();
        false
    });
    let (_sandbox, rig, mut near) = begin(&origin);
    near.send("GET /api/never HTTP/1.1\r\nHost: api.test\r\n\r\n");
    asked.recv().unwrap();
    drop(near);
    assert_eq!((end.recv().unwrap(), origin.heads.lock().unwrap().len()), (0, 1), "nothing is asked twice");
    let counts = rig.finish(Ending::Clean).verdict.counts;
    assert_eq!((counts.requests, counts.recorded), (1, 0));
}

#[test]
fn a_connection_that_upstream_closes_between_requests_is_let_go_and_another_one_made() {
    let (tell, closed) = mpsc::channel();
    let origin = TlsOrigin::start(move |number, _, stream| {
        stream.write_all(PLAIN.as_bytes()).unwrap();
        if number > 0 {
            return true;
        }
        stream.conn.send_close_notify();
        stream.flush().unwrap();
        stream.sock.shutdown(std::net::Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        let _ = stream.sock.read_to_end(&mut rest);
        tell.send(()).unwrap();
        false
    });
    let (_sandbox, rig, mut near) = begin(&origin);
    for _ in 0..3 {
        near.send("GET /api/a HTTP/1.1\r\nHost: api.test\r\n\r\n");
        assert_eq!(near.answer(), PLAIN);
        if origin.heads.lock().unwrap().len() == 1 {
            // Our side is closed, too, though the client asks for nothing.
            closed.recv().unwrap();
        }
    }
    assert_eq!(rig.finish(Ending::Clean).verdict.counts.recorded, 3);
}
