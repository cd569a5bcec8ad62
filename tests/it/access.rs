//! Access control: addresses, credentials, host names, upstream certificates, and the permissions of the CA key.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::replay::stage::{foreign, text};
use crate::support::client::{Client, Proto, TestRequest};
use crate::support::origin::Origin;
use crate::support::sandbox::{Sandbox, Server, finish};

fn fixture() -> Sandbox {
    let sandbox = Sandbox::new();
    let entries = ["http", "https"].map(|scheme| text(&format!("GET {scheme}://api.test/api/good"), "good"));
    sandbox.write("hars/api.har", foreign(&entries).to_string());
    sandbox
}

/// Sends a request to the proxy port and reads to the end.
fn send_raw(server: &Server, request: &str) -> String {
    let port = server.proxy().port();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(request.replace("{port}", &port.to_string()).as_bytes()).unwrap();
    let mut got = String::new();
    stream.read_to_string(&mut got).unwrap();
    got
}

#[test]
fn only_this_machine_has_access_by_default() {
    let sandbox = fixture();
    let server = sandbox.start(["replay"]);
    assert!(server.proxy().ip().is_loopback());
    server.stop();
    for addr in ["0.0.0.0:0", "[::]:0", "0:0"] {
        for command in ["record", "replay"] {
            let output = sandbox.run([command, "--listen", addr, "--", "true"]).expect(2);
            assert!(output.stderr.contains("--allow-remote") || addr == "0:0", "{}", output.stderr);
        }
    }
    // Credentials without a password are refused.
    for auth in ["", "me", ":"] {
        let output = sandbox.run(["replay", "--listen", "0.0.0.0:0", "--auth", auth, "--", "true"]);
        assert_eq!(output.status, 2, "--auth {auth:?}: {}", output.stderr);
    }
    for options in [["--auth", "me:secret"].as_slice(), &["--allow-remote"]] {
        let mut command = sandbox.command(["replay", "--listen", "0.0.0.0:0"].iter().chain(options));
        finish(command.args(["--", "true"]).output().unwrap()).expect(1).says("no");
    }
}

#[test]
fn only_the_right_credentials_give_access() {
    let sandbox = fixture();
    let server = sandbox.start(["replay", "--auth", "me:secret"]);
    let ask = |user: Option<&str>, url: &str| {
        let user = user.map(str::to_owned);
        Client { user, ..server.client(Proto::H1) }.try_send(TestRequest::new("GET", url))
    };
    for url in ["http://api.test/api/good", "https://api.test/api/good"] {
        for wrong in [None, Some("me:"), Some("me:secre"), Some("me:secrets"), Some("Me:secret"), Some("me+x:secre")] {
            match ask(wrong, url) {
                Ok(got) => assert_eq!(got.status, 407, "{wrong:?}"),
                Err(error) => assert!(error.to_string().contains(" 407 "), "{wrong:?}: {error}"),
            }
        }
        for right in ["me:secret", "me+worker-1:secret"] {
            assert_eq!(ask(Some(right), url).unwrap().text(), "good", "{right}");
        }
    }
    let output = server.stop();
    assert!(!output.stderr.contains("secre"), "{}", output.stderr);
}

/// DNS rebinding and cross-site requests.
#[test]
fn own_pages_are_not_readable_by_other_sites() {
    let sandbox = fixture();
    let server = sandbox.start(["replay"]);
    let get = |path: &str, headers: &str| {
        send_raw(&server, &format!("GET {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n"))
    };
    let own = "Host: 127.0.0.1:{port}\r\n";
    for path in ["/", "/ca.pem"] {
        let page = get(path, own);
        assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
        assert!(!page.to_lowercase().contains("access-control-"), "no site may read it: {page}");
        assert!(page.contains("content-security-policy: default-src 'none'"), "{page}");
        for host in [
            "Host: evil.test\r\n",
            "Host: evil.test:{port}\r\n",
            "Host: 127.0.0.1.evil.test:{port}\r\n",
            "Host: localhost.evil.test\r\n",
            "Host: 127.0.0.1:1\r\n",
            "Host: 127.0.0.1\r\n",
            "Host: evil.test@127.0.0.1:{port}x\r\n",
            "Host: \r\n",
            "",
            "Host: 127.0.0.1:{port}\r\nHost: evil.test\r\n",
        ] {
            let page = get(path, host);
            assert!(page.starts_with("HTTP/1.1 421 ") || page.starts_with("HTTP/1.1 400 "), "{host}: {page}");
            assert!(!page.contains("BEGIN CERTIFICATE") && !page.contains("<title>"), "{host}: {page}");
        }
        for origin in ["http://evil.test", "https://127.0.0.1:{port}", "null", "http://127.0.0.1:1", "file://"] {
            let page = get(path, &format!("{own}Origin: {origin}\r\n"));
            assert!(page.starts_with("HTTP/1.1 421 "), "{origin}: {page}");
        }
    }
    // No method changes anything.
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
        for path in ["/", "/healthz", "/ca.pem", "/shutdown"] {
            let answer = send_raw(
                &server,
                &format!("{method} {path} HTTP/1.1\r\n{own}Connection: close\r\nContent-Length: 0\r\n\r\n"),
            );
            assert!(answer.starts_with("HTTP/1.1 405 "), "{method} {path}: {answer}");
            assert!(!answer.to_lowercase().contains("access-control-"), "{answer}");
        }
    }
    let before = get("/", own);
    for path in ["/?shutdown=1", "/healthz", "/ca.pem?new", "/reload", "/shutdown", "/../ca-key.pem", "/ca-key.pem"] {
        let page = get(path, own);
        assert!(!page.contains("PRIVATE KEY"), "{path}: {page}");
    }
    assert_eq!(get("/", own), before);
    assert_eq!(server.client(Proto::H1).get("http://api.test/api/good").text(), "good");
    server.stop().expect(0);
}

/// Expired, for another name, self-signed, or from an unknown authority.
#[test]
fn invalid_certificate_is_refused_unless_insecure_names_it() {
    for certificate in ["expired", "wrong-name", "self-signed", "unknown"] {
        let origin = if certificate == "unknown" { Origin::start() } else { Origin::with_certificate(certificate) };
        let mut args: Vec<String> = ["record", "-o", "hars/api.har"].map(String::from).into();
        args.extend(origin.args());
        if certificate == "unknown" {
            let at = args.iter().position(|arg| arg == "--upstream-ca").unwrap();
            args.drain(at..at + 2);
        }
        for (insecure, status) in [
            (None, 502),
            (Some("--insecure=https://other.test/**"), 502),
            (Some("--insecure=http://api.test/**"), 502),
            (Some("--insecure=https://api.test/**"), 200),
            (Some("--insecure"), 200),
        ] {
            let sandbox = Sandbox::new();
            let server = sandbox.start(args.iter().map(String::as_str).chain(["--record-failures"]).chain(insecure));
            let got = server.client(Proto::H1).get("https://api.test/api/json");
            assert_eq!(got.status, status, "{certificate}, {insecure:?}: {}", got.text());
            if status == 502 {
                assert_eq!(got.json()["kind"], "tls", "{certificate}: {}", got.text());
                assert!(got.text().contains("--insecure=https://api.test/**"), "{certificate}: {}", got.text());
            }
            server.stop().expect(0);
            let entry = &sandbox.har("hars/api.har")["log"]["entries"][0];
            let recorded = (&entry["response"]["status"], &entry["_harproxy"]["error"]["kind"]);
            let expected = if status == 502 { (json!(0), json!("tls")) } else { (json!(200), Value::Null) };
            assert_eq!(recorded, (&expected.0, &expected.1), "{certificate}, {insecure:?}");
        }
    }
}

#[cfg(unix)]
#[test]
fn ca_key_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = fixture();
    let server = sandbox.start(["replay"]);
    let dir = std::path::PathBuf::from(server.ready()["ca"].as_str().unwrap()).parent().unwrap().to_owned();
    let key = dir.join("ca-key.pem");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&key), mode(&dir)), (0o600, 0o700));
    server.stop();
    let secret = std::fs::read_to_string(&key).unwrap();
    for bits in [0o640, 0o604, 0o620, 0o602, 0o610, 0o777] {
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(bits)).unwrap();
        for args in [["replay", "--", "true"].as_slice(), &["record", "--", "true"], &["ca", "bundle"]] {
            let output = sandbox.run(args);
            assert!([2, 3].contains(&output.status), "{bits:o} {args:?}: {}", output.stderr);
            assert!(output.stderr.contains("is readable by other users"), "{bits:o} {args:?}: {}", output.stderr);
            let line = secret.lines().nth(1).unwrap();
            assert!(!output.stderr.contains(line) && !output.stdout.contains(line), "the key is never shown");
        }
    }
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o400)).unwrap();
    sandbox.start(["replay"]).stop();
}
