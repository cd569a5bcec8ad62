//! Several hosts behind one CONNECT target: the Host header decides on the URL, and never on the server that is dialled.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::replay::stage::{own, text};
use crate::support::origin::{Origin, OriginResponse};
use crate::support::raw::Raw;
use crate::support::sandbox::{Sandbox, Server};

/// An origin that answers every request with its Host, and counts requests.
fn tenants() -> (Origin, Arc<AtomicUsize>) {
    let requests = Arc::<AtomicUsize>::default();
    let counter = requests.clone();
    let origin = Origin::answering(move |request| {
        counter.fetch_add(1, Ordering::Relaxed);
        let body = format!("{} {}\n", request.host, request.path).into_bytes();
        let headers = vec![("content-type", "text/plain".to_owned())];
        Some(OriginResponse { status: 200, body, headers, ..OriginResponse::default() })
    });
    (origin, requests)
}

/// A shell command that requests `url` for each of these hosts, with these options of curl.
fn ask(options: &str, url: &str, hosts: &[&str]) -> String {
    hosts.iter().map(|host| format!("curl -s {options} -H 'Host: {host}' {url} && ")).collect::<String>() + "true"
}

/// The URL, the Host header and the CONNECT target of each entry.
fn entries(sandbox: &Sandbox) -> Vec<(String, String, Value)> {
    let har = sandbox.har("hars/api.har");
    let entries = har["log"]["entries"].as_array().unwrap();
    let account = |entry: &Value| {
        let (url, host) = (&entry["request"]["url"], &entry["request"]["headers"][0]);
        assert_eq!(host["name"], "host");
        (
            url.as_str().unwrap().to_owned(),
            host["value"].as_str().unwrap().to_owned(),
            entry["_harproxy"]["authority"].clone(),
        )
    };
    entries.iter().map(account).collect()
}

#[test]
fn virtual_hosts_behind_one_authority_record_and_replay_apart() {
    for (options, url, authority) in [
        ("--http1.1", "https://api.test/who", "api.test:443"),
        ("--http2", "https://api.test/who", "api.test:443"),
        ("--proxytunnel", "http://api.test/who", "api.test:80"),
    ] {
        let (sandbox, (origin, _)) = (Sandbox::new(), tenants());
        let scheme = url.split("api.test").next().unwrap();
        let record = ["record", "-o", "hars/api.har"].map(String::from);
        let record: Vec<String> = record.into_iter().chain(origin.args()).collect();
        let sh = |script: String| ["--", "sh", "-c"].map(String::from).into_iter().chain([script]);
        let asked = ["tenant-a.test", "Tenant-B.test", "api.test"];
        let output = sandbox.run(record.iter().cloned().chain(sh(ask(options, url, &asked)))).expect(0);
        assert_eq!(output.stdout, "tenant-a.test /who\nTenant-B.test /who\napi.test /who\n", "{options}");
        assert_eq!(
            entries(&sandbox),
            [
                (format!("{scheme}tenant-a.test/who"), "tenant-a.test".to_owned(), json!(authority)),
                (format!("{scheme}tenant-b.test/who"), "Tenant-B.test".to_owned(), json!(authority)),
                (format!("{scheme}api.test/who"), "api.test".to_owned(), Value::Null),
            ],
            "{options}"
        );
        let before = sandbox.read("hars/api.har");
        sandbox.run(record.into_iter().chain(sh(ask(options, url, &asked)))).expect(0).says("3 unchanged");
        assert_eq!(sandbox.read("hars/api.har"), before, "{options}");

        drop(origin);
        let replay = || ["replay", "hars/api.har"].map(String::from).into_iter();
        let other = ["api.test", "tenant-b.test", "tenant-a.test"];
        let output = sandbox.run(replay().chain(sh(ask(options, url, &other)))).expect(0).says("3 served");
        assert_eq!(output.stdout, "api.test /who\nTenant-B.test /who\ntenant-a.test /who\n", "{options}");
        // The CONNECT target does not matter, and a host without entries is a miss.
        let direct = ask(options, &url.replace("api.test", "tenant-b.test"), &["tenant-b.test"]);
        let output = sandbox.run(replay().chain(sh(direct))).expect(0);
        assert_eq!(output.stdout, "Tenant-B.test /who\n", "{options}");
        sandbox.run(replay().chain(sh(ask(options, url, &["tenant-c.test"])))).expect(1).says("tenant-c.test/who");
        sandbox.run(["check", "hars/api.har"]).expect(0);
        sandbox.run(["fmt", "--check", "hars/api.har"]).expect(0);
    }
}

#[test]
fn globs_judge_the_url_with_the_host() {
    let (sandbox, (origin, requests)) = (Sandbox::new(), tenants());
    let record = ["record", "-o", "hars/api.har", "-g", "https://*.test/**", "-g", "!https://tenant-b.test/**"];
    let script = ask("--http1.1", "https://api.test/who", &["tenant-a.test", "tenant-b.test"]);
    let args = record.map(String::from).into_iter().chain(origin.args());
    sandbox.run(args.chain(["--".into(), "sh".into(), "-c".into(), script.clone()])).expect(0);
    assert_eq!(requests.load(Ordering::Relaxed), 2);
    let urls: Vec<_> = entries(&sandbox).into_iter().map(|(url, ..)| url).collect();
    assert_eq!(urls, ["https://tenant-a.test/who"]);
    drop(origin);
    let output = sandbox.run(["replay", "hars/api.har", "--", "sh", "-c", &script]).expect(1);
    assert!(output.stdout.starts_with("tenant-a.test /who\n"), "{}", output.stdout);
    output.says("out-of-scope").says("tenant-b.test/who");
}

#[test]
fn invalid_host_inside_a_tunnel_gets_400_and_reaches_no_server() {
    let (sandbox, (origin, requests)) = (Sandbox::new(), tenants());
    let hosts = [
        "a@localhost",
        "localhost, evil.test",
        "[::1",
        "evil.test/x",
        "",
        "api.test\r\nHost: evil.test",
        "evil.test:0",
    ];
    let refuse = |server: &Server| {
        let mut raw = tunnel(server, "api.test:80");
        for host in hosts {
            raw.send(format!("GET /who HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            let (head, body) = raw.answer();
            assert!(head.starts_with("HTTP/1.1 400 ") && body.contains("Host"), "{host:?}: {head}{body}");
        }
        raw.send("GET /who HTTP/1.1\r\nHost: api.test\r\nHost: api.test\r\n\r\n");
        assert!(raw.answer().0.starts_with("HTTP/1.1 200 "), "two equal lines are one Host");
    };
    let recorder = sandbox.record(&origin);
    refuse(&recorder);
    assert_eq!(requests.load(Ordering::Relaxed), 1);
    recorder.stop().expect(0).says("unreadable").says("its Host is not one host");
    assert_eq!(entries(&sandbox), [("http://api.test/who".to_owned(), "api.test".to_owned(), Value::Null)]);
    let server = sandbox.start(["replay", "hars/api.har"]);
    refuse(&server);
    server.stop().expect(1).says("unreadable");
}

/// Opens a tunnel through the proxy.
fn tunnel(server: &Server, to: &str) -> Raw {
    let mut raw = Raw::to(server.proxy());
    raw.send(format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n"));
    assert!(raw.head().starts_with("HTTP/1.1 200 "), "{to}");
    raw
}

/// The head of the answer to `GET path` for a host inside a tunnel to `to`.
fn answer(server: &Server, to: &str, host: &str, path: &str) -> String {
    let mut raw = tunnel(server, to);
    raw.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    let (head, body) = raw.answer();
    format!("{}\n{body}", head.to_lowercase())
}

#[test]
fn recording_dials_the_authority_whatever_the_host_says() {
    let (sandbox, (origin, requests), (other, others)) = (Sandbox::new(), tenants(), tenants());
    let elsewhere = [format!("tenant-b.test:80={}", other.http), format!("tenant-b.test:443={}", other.https)];
    let args = ["record", "-o", "hars/api.har"].map(String::from).into_iter().chain(origin.args());
    let recorder = sandbox.start(args.chain(elsewhere.iter().flat_map(|map| ["--map".to_owned(), map.clone()])));
    for host in ["tenant-b.test".to_owned(), other.http.to_string(), recorder.proxy().to_string()] {
        let got = answer(&recorder, "api.test:80", &host, "/who");
        assert!(got.contains(" 200 ") && got.contains(&format!("{host} /who")), "{got}");
    }
    recorder.stop().expect(0);
    assert_eq!((requests.load(Ordering::Relaxed), others.load(Ordering::Relaxed)), (3, 0));
}

#[test]
fn replay_dials_no_authority_that_its_options_do_not_name() {
    let (sandbox, (origin, requests)) = (Sandbox::new(), tenants());
    let map = |name: &str| ["--map".to_owned(), format!("{name}:80={}", origin.http)];
    let maps: Vec<String> = ["api.test", "live.test", "evil.test"].into_iter().flat_map(map).collect();
    let local = origin.http.to_string();
    let scope = own(&["http://api.test/**"], &[text("GET http://api.test/a", "recorded")]);
    sandbox.write("hars/api.har", scope.to_string());
    let replay = |options: &[&str]| {
        let args = ["replay", "hars/api.har"].into_iter().chain(options.iter().copied()).map(String::from);
        sandbox.start(args.chain(maps.iter().cloned()))
    };
    let count = || requests.load(Ordering::Relaxed);

    // `--on-miss` sends misses to the hosts of the fixture alone.
    let server = replay(&["--on-miss", "passthrough"]);
    assert!(answer(&server, "evil.test:80", "api.test", "/a").contains("\nrecorded"), "no dial is needed");
    assert!(answer(&server, "evil.test:80", "api.test", "/missed").contains(" 501 "));
    assert_eq!(count(), 0);
    assert!(answer(&server, "api.test:80", "api.test", "/missed").contains("api.test /missed"));
    assert_eq!(count(), 1);
    server.stop();

    // `--passthrough` names URLs and servers.
    let server = replay(&["--passthrough", "http://live.test/**"]);
    assert!(answer(&server, "evil.test:80", "live.test", "/x").contains(" 501 "));
    assert!(answer(&server, "live.test:80", "evil.test", "/x").contains(" 501 "));
    assert_eq!(count(), 1);
    assert!(answer(&server, "live.test:80", "live.test", "/x").contains("live.test /x"));
    assert_eq!(count(), 2);
    server.stop();

    // A local URL does not make another host local, and no server of this machine is reached by a Host.
    let server = replay(&[]);
    for host in [local.as_str(), "localhost", "[::1]"] {
        assert!(answer(&server, "evil.test:80", host, "/x").contains(" 501 "), "{host}");
    }
    assert_eq!(count(), 2);
    server.stop();
}

#[test]
fn local_server_behind_a_tunnel_gets_requests_for_other_hosts() {
    let (sandbox, (origin, requests)) = (Sandbox::new(), tenants());
    let local = origin.http.to_string();
    let entry = text(&format!("GET http://{local}/a"), "recorded");
    sandbox.write("hars/api.har", own(&["**"], &[entry]).to_string());
    let server = sandbox.start(["replay", "hars/api.har", "-g", &format!("http://{local}/a")]);
    assert!(answer(&server, &local, &local, "/a").contains("\nrecorded"));
    let got = answer(&server, &local, "other.test", "/b");
    assert!(got.contains("x-harproxy: local") && got.contains("other.test /b"), "{got}");
    assert_eq!(requests.load(Ordering::Relaxed), 1);
    server.stop();
}
