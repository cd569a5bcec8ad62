//! Replay does not dial beyond this machine. The test runs in a network namespace with loopback only, in which the
//! kernel counts each attempt to leave, including name look-ups.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;

use serde_json::{Value, json};

use crate::replay::stage::{entry, foreign, text};
use crate::support::client::{Client, Proto, TestRequest};
use crate::support::sandbox::Sandbox;

/// Set if this program runs in its namespace.
const INSIDE: &str = "HARPROXY_TEST_NAMESPACE";

#[test]
fn replay_never_leaves_this_machine() {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    let alone = ["--user", "--map-root-user", "--net", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh"];
    if !Command::new("unshare").args(alone).arg("true").status().is_ok_and(|status| status.success()) {
        let _ = writeln!(std::io::stderr(), "skipped: no network namespaces here");
        return;
    }
    let mut same = Command::new("unshare");
    same.args(alone).arg(std::env::current_exe().unwrap());
    same.args(["--exact", "no_dialling::replay_never_leaves_this_machine", "--nocapture"]).env(INSIDE, "1");
    let output = same.output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// The number of attempts to leave: packets and connections without a route, and all datagrams (look-ups).
fn attempts() -> u64 {
    let (old, new) =
        ["/proc/net/snmp", "/proc/net/snmp6"].map(|file| std::fs::read_to_string(file).unwrap_or_default()).into();
    let lines: Vec<&str> = old.lines().collect();
    let pairs = lines.chunks(2).filter_map(|two| Some((two.first()?, two.get(1)?)));
    let all = pairs.flat_map(|(names, values)| {
        let of = names.split(':').next().unwrap_or_default();
        names.split_whitespace().zip(values.split_whitespace()).map(move |(name, value)| (format!("{of}{name}"), value))
    });
    let all = all.chain(new.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?))
    }));
    let counted = ["IpOutNoRoutes", "UdpOutDatagrams", "Ip6OutNoRoutes", "Udp6OutDatagrams"];
    all.filter(|(name, _)| counted.contains(&name.as_str())).map(|(_, value)| value.parse::<u64>().unwrap()).sum()
}

/// URLs that a fixture may contain, each of another kind.
const ELSEWHERE: &[&str] = &[
    "http://192.0.2.1/api/x",
    "https://192.0.2.1:8443/api/x",
    "http://[2001:db8::1]/api/x",
    "https://[2001:db8::1]:8443/api/x",
    "http://metadata.internal/api/x",
    "http://169.254.169.254/latest/meta-data",
    "http://api.test:1/api/x",
    "https://xn--bcher-kva.example/api/x",
    "http://0.0.0.0/api/x",
    "http://[::]/api/x",
    "http://[::ffff:192.0.2.1]/api/x",
    "http://0x7f.example/api/x",
    "http://127.0.0.1.nip.io/api/x",
    "http://localhost.example.com/api/x",
    "http://user:pass@192.0.2.1/api/x",
    "http://192.0.2.1/api/%00%0d%0a",
    "wss://socket.test/api/x",
    "ftp://files.test/api/x",
    "file:///etc/passwd",
    "unix:/run/docker.sock",
    "data:text/plain,x",
    "//192.0.2.1/api/x",
    "http://",
    "",
];

fn inside() {
    let begin = attempts();
    let mut entries: Vec<Value> = ELSEWHERE.iter().map(|url| text(&format!("GET {url}"), "recorded")).collect();
    for (n, to) in ELSEWHERE.iter().enumerate() {
        // Redirects to URLs without an entry.
        let headers = json!([{"name": "Location", "value": to}]);
        let redirect = json!({"status": 302, "statusText": "Found", "redirectURL": to, "headers": headers});
        entries.push(entry(&format!("GET http://api.test/redirect/{n}"), redirect));
    }
    entries.push(entry("GET http://api.test/aborted", json!({"status": 0, "_error": "net::ERR_NAME_NOT_RESOLVED"})));
    let sandbox = Sandbox::new();
    sandbox.write("hars/api.har", foreign(&entries).to_string());
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = server.local_addr().unwrap();
    let local = std::thread::spawn(move || {
        let mut request = 0;
        for stream in server.incoming() {
            let mut stream = stream.unwrap();
            let head = crate::support::raw::read_head(&mut stream);
            if head.starts_with(b"STOP") {
                return request;
            }
            request += 1;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nlocal");
        }
        request
    });

    // Served or missed, by name or by address: nothing is dialled, and the report says so.
    for redirects in ["auto", "follow", "serve"] {
        let report = replay(&sandbox, &["--redirects", redirects], ask_for_all);
        assert_eq!(report["counts"]["upstreamConnections"], 0, "{report}");
        assert_eq!(attempts(), begin, "--redirects {redirects}");
    }
    // With `--no-local`, this machine is not dialled either.
    let scope = ["-g", "http://api.test/**", "--no-local"];
    let report = replay(&sandbox, &scope, |client| {
        ask_for_all(client);
        for url in [format!("http://{here}/x"), format!("http://localhost:{}/x", here.port())] {
            assert_eq!(client.get(&url).status, 501, "{url}");
        }
        assert!(
            client.try_send(TestRequest::new("GET", &format!("https://{here}/x"))).is_ok_and(|got| got.status == 501)
        );
    });
    assert_eq!(
        (&report["counts"]["upstreamConnections"], &report["counts"]["local"]),
        (&json!(0), &json!(0)),
        "{report}"
    );
    assert_eq!(attempts(), begin, "--no-local");
    // Local requests reach this machine and are counted. Names of this machine are not looked up.
    let report = replay(&sandbox, &["-g", "http://api.test/**"], |client| {
        ask_for_all(client);
        for url in [format!("http://{here}/x"), format!("http://localhost:{}/x", here.port())] {
            assert_eq!(client.get(&url).text(), "local");
        }
        // The kernel refuses connections to unused ports.
        assert_eq!(client.get("http://app.localhost:1/x").status, 502);
    });
    assert_eq!(report["counts"]["localConnections"], 2, "{report}");
    assert_eq!(attempts(), begin, "local requests");
    TcpStream::connect(here).unwrap().write_all(b"STOP\r\n\r\n").unwrap();
    assert_eq!(local.join().unwrap(), 2, "only local requests");

    // The counter works: `--passthrough` leaves the machine.
    let named = ["-g", "http://api.test/**", "--passthrough", "http://192.0.2.1/**"];
    replay(&sandbox, &named, |client| assert_eq!(client.get("http://192.0.2.1/api/x").status, 502));
    let (left, lookup) = (attempts(), UdpSocket::bind("127.0.0.1:0").unwrap());
    assert!(left > begin, "--passthrough is counted");
    lookup.send_to(b"?", "127.0.0.1:53").unwrap();
    assert!(attempts() > left, "a look-up is counted");
}

/// Runs a replay of the fixture during `ask`, and returns the report.
fn replay(sandbox: &Sandbox, options: &[&str], ask: impl FnOnce(&Client)) -> Value {
    let server = sandbox.start(["replay", "hars/api.har", "--report", "report.json"].iter().chain(options));
    ask(&Client::new(server.proxy(), server.ca(), Proto::H1));
    server.stop();
    serde_json::from_str(&sandbox.read("report.json")).unwrap()
}

fn ask_for_all(client: &Client) {
    for url in ELSEWHERE.iter().filter(|url| url.starts_with("http")) {
        for url in [(*url).to_owned(), format!("{url}?missed")] {
            // This client rejects some of the URLs.
            let _ = client.try_send(TestRequest::new("GET", &url));
        }
    }
    for n in 0..ELSEWHERE.len() {
        let _ = client.try_send(TestRequest::new("GET", &format!("http://api.test/redirect/{n}")));
    }
    let _ = client.try_send(TestRequest::new("GET", "http://api.test/aborted"));
    let _ = client.try_send(TestRequest::new("GET", "https://nowhere.test/missed"));
    for target in ["192.0.2.1:25", "mail.test:25", "[2001:db8::1]:443", "api.test:65535"] {
        tunnel(client.proxy, target);
    }
}

/// Sends a CONNECT, and another protocol than HTTP inside it.
fn tunnel(proxy: SocketAddr, target: &str) {
    let mut stream = TcpStream::connect(proxy).unwrap();
    stream.write_all(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n").as_bytes()).unwrap();
    crate::support::raw::read_head(&mut stream);
    let _ = stream.write_all(b"EHLO me\r\n");
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert_eq!(rest, b"", "{target}: no response is expected");
}
