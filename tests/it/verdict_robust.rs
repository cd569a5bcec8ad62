//! The verdict survives unwritable reports, killed commands, background processes, closed output, narrow terminals,
//! hostile text, large payloads and unbounded misses. No case panics.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::fixtures::{entry, own};
use crate::support::client::{Proto, TestRequest};
use crate::support::sandbox::{Output, Sandbox, Server, finish};
use crate::support::terminal;

const HIT: &str = "curl -sS http://api.test/hit";
const MISS: &str = "curl -sS -o /dev/null http://api.test/miss";

fn get(path: &str) -> Value {
    let mut entry = entry(path, json!({"size": 3, "mimeType": "text/plain", "text": "ok\n"}));
    entry["request"]["url"] = format!("http://api.test{path}").into();
    entry
}

/// A sandbox whose fixture has one entry, `/hit`.
fn sandbox_with_entry() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("hars/api.har", own(&[get("/hit")]));
    sandbox
}

/// A replay with this script as CMD.
fn replay(sandbox: &Sandbox, options: &[&str], script: &str) -> Command {
    sandbox.command(["replay"].iter().chain(options).copied().chain(["--", "sh", "-c", script]))
}

#[track_caller]
fn no_panic(output: &Output) {
    for word in ["panicked", "because of a defect", "RUST_BACKTRACE"] {
        assert!(!output.stderr.contains(word), "{}", output.stderr);
    }
}

fn status_and_source(report: &Value) -> (i64, &str) {
    (report["status"].as_i64().unwrap(), report["source"].as_str().unwrap())
}

#[test]
fn unwritable_reports_do_not_prevent_others() {
    for (script, status, source, verdict) in [
        (HIT.to_owned(), 3, "harproxy", "replay passed"),
        (format!("{HIT}; {MISS}"), 3, "harproxy", "replay failed"),
        (format!("{HIT}; exit 42"), 42, "cmd", "replay passed"),
    ] {
        let sandbox = sandbox_with_entry();
        sandbox.write("file", "");
        fs::create_dir(sandbox.join("folder.json")).unwrap();
        let reports = ["first.json", "folder.json", "/proc/none.md", "file/x.html", "new/folder/last.json"];
        let options: Vec<&str> = reports.iter().flat_map(|report| ["--report", report]).collect();
        let output = finish(replay(&sandbox, &options, &script).output().unwrap()).expect(status).says(verdict);
        for unwritten in &reports[1..4] {
            assert!(output.stderr.contains(&format!("writing {unwritten}")), "{}", output.stderr);
        }
        no_panic(&output);
        assert_eq!(status_and_source(&sandbox.har("first.json")), (i64::from(status), source));
        assert_eq!(sandbox.har("first.json"), sandbox.har("new/folder/last.json"));
    }
}

#[test]
fn cmd_killed_by_a_signal_has_verdict_and_report() {
    let sandbox = sandbox_with_entry();
    for (signal, status) in [("KILL", 137), ("SEGV", 139), ("ABRT", 134), ("PIPE", 141)] {
        let script = format!("ulimit -c 0; {HIT}; {MISS}; kill -{signal} $$");
        let output = finish(replay(&sandbox, &["--report", "r.json"], &script).output().unwrap()).expect(status);
        no_panic(&output.says("1 miss"));
        let report = sandbox.har("r.json");
        assert_eq!(status_and_source(&report), (i64::from(status), "cmd"));
        assert_eq!((&report["counts"]["served"], &report["counts"]["misses"]), (&json!(1), &json!(1)));
    }
}

/// Background processes of CMD are not killed. They inherit its pipes, but do not delay the end of harproxy.
#[test]
fn daemon_of_cmd_neither_blocks_the_end_nor_gets_responses() {
    let sandbox = sandbox_with_entry();
    assert!(Command::new("mkfifo").arg(sandbox.join("told")).status().unwrap().success());
    // The process waits for a response, and sends another request when the connection closes.
    let daemon = "(curl -sS http://api.test/hit; echo \"cut $?\" > told; curl -sS http://api.test/hit; echo \"then $?\" > told) &";
    let options = ["--latency", "1000s", "--grace", "100ms", "--report", "r.json", "--fail-on", "none"];
    let mut command = replay(&sandbox, &options, daemon);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(status_and_source(&sandbox.har("r.json")), (0, "verdict"));
    let told = || fs::read_to_string(sandbox.join("told")).unwrap();
    let (cut, then) = (told(), told());
    assert!(cut.starts_with("cut ") && !cut.starts_with("cut 0"), "{cut}");
    assert_eq!(then, "then 7\n", "the port is closed");
}

/// A pipe whose reader is closed.
fn closed() -> Stdio {
    let (read, write): (OwnedFd, OwnedFd) = nix::unistd::pipe().unwrap();
    drop(read);
    Stdio::from(write)
}

#[test]
fn unread_output_changes_neither_verdict_nor_responses() {
    let sandbox = sandbox_with_entry();
    let full = || Stdio::from(fs::File::options().write(true).open("/dev/full").unwrap());
    for options in [&[][..], &["-vvv"], &["-vvv", "--log-format", "json"], &["--color", "always"]] {
        let options: Vec<&str> = options.iter().copied().chain(["--report", "r.json"]).collect();
        for stream in [closed, full] {
            let script = format!("{HIT} >/dev/null && {MISS} && {MISS}/2");
            let output = replay(&sandbox, &options, &script).stderr(stream()).stdout(stream()).output().unwrap();
            finish(output).expect(1);
            assert_eq!(sandbox.har("r.json")["counts"]["misses"], 2, "{options:?}");
        }
    }
    // The shell closes the streams.
    let harproxy = env!("CARGO_BIN_EXE_harproxy");
    for closing in [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", "2>&1 | head -n 1 >/dev/null; exit $(cat status)"] {
        let script = format!("{{ {harproxy} replay -- {MISS}; echo $? > status; }} {closing}; exit $(cat status)");
        let mut shell = Command::new("sh");
        let command = sandbox.command([""; 0]);
        shell.args(["-c", &script]).env_clear().current_dir(sandbox.path());
        shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        no_panic(&finish(shell.output().unwrap()).expect(1));
    }
}

#[test]
fn closed_output_is_not_an_error_but_a_full_disk_is() {
    let sandbox = sandbox_with_entry();
    for args in
        [&["ls"][..], &["show", "--all", "hars/api.har"], &["check"], &["config"], &["env"], &["--help"], &["man"]]
    {
        let output = finish(sandbox.command(args).stdout(closed()).output().unwrap()).expect(0);
        assert_eq!(output.stderr, "", "{args:?}");
        let full = Stdio::from(fs::File::options().write(true).open("/dev/full").unwrap());
        no_panic(&finish(sandbox.command(args).stdout(full).output().unwrap()).expect(3));
    }
}

/// The lines of a text without colors, with their widths.
fn widths(text: &str) -> Vec<(usize, String)> {
    let plain = anstream::adapter::strip_str(text).to_string();
    plain.lines().map(|line| (line.chars().count(), line.to_owned())).collect()
}

#[test]
fn lists_and_tables_fit_a_narrow_terminal() {
    let sandbox = Sandbox::new();
    let long = "a-segment-that-is-longer-than-the-terminal/page";
    let entries: Vec<Value> = (0..9).map(|n| get(&format!("/{long}/{n}?size=100&sort=name"))).collect();
    sandbox.write("hars/api.har", own(&[&entries[..], &[get("/hit")]].concat()));
    let (shown, status) = terminal::show(replay(&sandbox, &[], &format!("{HIT}; {MISS}/{long}?size=1")), 40);
    assert_eq!(status, 1);
    for (width, line) in widths(&shown) {
        let is_list = line.starts_with("  #") || line.contains("request  ") || line.contains("recorded ");
        assert!(!is_list || width <= 40, "{line}");
    }
    assert!(shown.contains("! unused: 9 of 10 entries"), "{shown}");

    let (shown, status) = terminal::show(replay(&sandbox, &["--prune"], HIT), 40);
    assert_eq!(status, 0);
    let pruned: Vec<_> = widths(&shown).into_iter().filter(|(_, line)| line.starts_with("  #")).collect();
    assert!(pruned.len() == 9 && pruned.iter().all(|(width, _)| *width == 40), "{shown}");

    sandbox.write("hars/a-name-that-takes-the-terminal-alone.har", own(&[get("/hit")]));
    let (shown, _) = terminal::show(sandbox.command(["ls"]), 40);
    assert!(widths(&shown).iter().all(|(width, _)| *width <= 40), "{shown}");
    fs::remove_file(sandbox.join("hars/a-name-that-takes-the-terminal-alone.har")).unwrap();
    let setting = "https://telemetry.example.com/a/path/that/is/longer/than/the/terminal/**";
    sandbox.write("harproxy.toml", format!("[replay]\npassthrough = [\"{setting}\"]\nmax-age = \"180d\"\n"));
    let (shown, status) = terminal::show(sandbox.command(["config"]), 40);
    assert!(status == 0 && widths(&shown).iter().all(|(width, _)| *width <= 40), "{shown}");
    let without_breaks = widths(&shown).iter().map(|(_, line)| line.trim()).collect::<String>();
    assert!(without_breaks.contains(setting) && without_breaks.contains("harproxy.toml:2"), "{shown}");
    fs::remove_file(sandbox.join("harproxy.toml")).unwrap();
    let (shown, _) = terminal::show(sandbox.command(["replay", "--help"]), 40);
    // Text without a space cannot be wrapped.
    let is_prose = |line: &str| line.trim().contains(' ') && !line.contains("harproxy replay ") && !line.contains('<');
    let prose = widths(&shown).into_iter().filter(|(_, line)| is_prose(line));
    assert_eq!(prose.filter(|(width, _)| *width > 40).collect::<Vec<_>>(), []);
}

#[test]
fn color_is_on_for_capable_terminals_and_on_request() {
    let sandbox = sandbox_with_entry();
    let coloured = |options: &[&str], variables: &[(&str, &str)], on_a_terminal: bool| {
        let mut command = replay(&sandbox, options, HIT);
        command.env_remove("NO_COLOR").env("TERM", "xterm-256color").envs(variables.iter().copied());
        let shown = match on_a_terminal {
            true => terminal::show(command, 80).0,
            false => finish(command.output().unwrap()).stderr,
        };
        assert!(shown.contains("replay passed"), "{shown}");
        shown.contains('\u{1b}')
    };
    assert!(coloured(&[], &[], true));
    assert!(!coloured(&[], &[], false));
    for plain in [("NO_COLOR", "1"), ("TERM", "dumb"), ("CLICOLOR", "0")] {
        assert!(!coloured(&[], &[plain], true), "{plain:?}");
    }
    assert!(coloured(&[], &[("CLICOLOR_FORCE", "1")], false));
    assert!(!coloured(&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false));
    assert!(coloured(&["--color", "always"], &[("NO_COLOR", "1")], false));
    assert!(!coloured(&["--color", "never"], &[("CLICOLOR_FORCE", "1")], true));
}

/// The peak memory of the process, in MiB.
#[cfg(target_os = "linux")]
fn peak(server: &Server) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<usize>().unwrap() / 1024
}

/// The content is not described, since searching it for secrets would delay the response.
#[cfg(target_os = "linux")]
#[test]
fn miss_with_a_payload_of_fifty_megabytes_shows_its_size() {
    const SIZE: usize = 50 << 20;
    let sandbox = Sandbox::new();
    let post = |path: &str, mime: &str, text: &str| {
        let mut entry = get(path);
        entry["request"]["method"] = "POST".into();
        entry["request"]["postData"] = json!({"mimeType": mime, "text": text});
        entry
    };
    let entries = [
        post("/json", "application/json", r#"{"password":"swordfish","rows":[1]}"#),
        post("/text", "text/plain", "a text"),
        post("/form", "application/x-www-form-urlencoded", "a=b"),
        post(
            "/multipart",
            "multipart/form-data; boundary=x",
            "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n--x--\r\n",
        ),
        get("/none"),
    ];
    sandbox.write("hars/api.har", own(&entries));
    let reports = ["r.json", "r.html", "r.md", "r.xml"].map(|report| ["--report", report]);
    let server = sandbox.start(["replay"].iter().chain(reports.as_flattened()));
    let client = server.client(Proto::H1);
    let idle = peak(&server);
    let row = r#"{"id":1,"password":"an-uploaded-secret","tags":["a","b",{"deep":[1,2,3]}]},"#;
    let json = format!(r#"{{"password":"an-uploaded-secret","rows":[{}0]}}"#, row.repeat(SIZE / row.len()));
    let part = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n";
    let multipart = [part.as_bytes(), &vec![7; SIZE], b"\r\n--x--\r\n"].concat();
    let text = "token=an-uploaded-secret and what else a line has\n".repeat(SIZE / 50);
    let requests = [
        ("/json", "application/json", json.clone().into_bytes()),
        ("/none", "application/json", json.into_bytes()),
        ("/text", "text/plain", text.clone().into_bytes()),
        ("/form", "application/x-www-form-urlencoded", text.into_bytes()),
        ("/multipart", "multipart/form-data; boundary=x", multipart),
        ("/text", "image/png", (0..SIZE).map(|n| (n % 251) as u8).collect()),
    ];
    for (path, mime, body) in requests {
        let ask = TestRequest::new("POST", &format!("http://api.test{path}")).header("content-type", mime).body(body);
        let got = client.send(ask);
        assert_eq!((got.status, got.header("x-harproxy")), (501, Some("miss")), "{path}");
        assert!(got.body.len() < 8_000, "{path}: {}", got.body.len());
        assert!(!got.text().contains("an-uploaded-secret"), "{path}: {}", got.text());
    }
    // Memory for the payload, a copy in socket buffers, and a margin, but not for a tree of its values.
    let grown = peak(&server) - idle;
    assert!(grown < 300, "{grown} MiB");
    let output = server.stop().expect(1);
    no_panic(&output);
    assert!(output.stderr.len() < 200_000 && !output.stderr.contains("an-uploaded-secret"));
    for [_, report] in reports {
        let report = fs::read(sandbox.join(report)).unwrap();
        assert!(report.len() < 4 << 20 && memchr::memmem::find(&report, b"an-uploaded-secret").is_none());
    }
    let report = sandbox.har("r.json");
    assert_eq!(report["counts"]["misses"], 6);
    let reported = report["findings"].to_string();
    assert!(reported.contains(" bytes (SHA-256 "), "{reported}");
}

/// Requests `pages` different URLs without an entry, over one connection.
fn request_missing(server: &Server, pages: usize) {
    let mut stream = TcpStream::connect(server.proxy()).unwrap();
    let mut reading = stream.try_clone().unwrap();
    let reader = std::thread::spawn(move || {
        let mut read = 0;
        let mut buf = vec![0; 1 << 16];
        while let Ok(n @ 1..) = reading.read(&mut buf) {
            read += n;
        }
        read
    });
    for chunk in (0..pages).collect::<Vec<_>>().chunks(100) {
        let mut requests = String::new();
        for page in chunk {
            let close = if page + 1 == pages { "connection: close\r\n" } else { "" };
            let _ =
                write!(requests, "GET http://api.test/miss/{page}?n={page} HTTP/1.1\r\nhost: api.test\r\n{close}\r\n");
        }
        stream.write_all(requests.as_bytes()).unwrap();
    }
    assert!(reader.join().unwrap() > pages * 100);
}

/// The stored misses are bounded, the counters are not.
#[cfg(target_os = "linux")]
#[test]
fn unbounded_misses_are_counted_in_bounded_memory() {
    const PAGES: usize = 30_000;
    let sandbox = sandbox_with_entry();
    let reports = ["r.json", "r.html", "r.md", "r.xml"].map(|report| ["--report", report]);
    let server = sandbox.start(["replay", "-q"].iter().chain(reports.as_flattened()));
    request_missing(&server, PAGES);
    let output = server.stop().expect(1);
    no_panic(&output);
    let report = sandbox.har("r.json");
    assert_eq!(report["counts"]["misses"], PAGES);
    let findings = report["findings"].as_array().unwrap();
    let missed: u64 = findings.iter().filter(|f| f["kind"] == "miss").map(|f| f["times"].as_u64().unwrap()).sum();
    assert_eq!(missed, PAGES as u64, "each is counted");
    assert!(findings.len() <= 1_002, "{}", findings.len());
    let (kept, more) = (report["requests"].as_array().unwrap().len(), report["moreRequests"].as_u64().unwrap());
    assert_eq!(kept as u64 + more, PAGES as u64);
    for [_, report] in reports {
        assert!(fs::metadata(sandbox.join(report)).unwrap().len() < 40 << 20, "{report}");
    }
}

/// Escape sequences, bidirectional controls, markup, and workflow commands of CI systems.
#[test]
fn hostile_text_is_escaped_in_every_output() {
    let evil = "\u{1b}[31m\u{9b}2J\u{7}\u{202e}<script>alert(1)</script>\n::error::x\u{0}";
    let sandbox = Sandbox::new();
    let mut posted = get("/post");
    posted["request"]["method"] = "POST".into();
    posted["request"]["postData"] =
        json!({"mimeType": "application/json", "text": json!({"name": evil, "a": 1}).to_string()});
    posted["request"]["headers"] = json!([{"name": "x-tenant", "value": evil}]);
    let mut spelt = get("/spelt");
    spelt["request"]["url"] = format!("http://api.test/{evil}").into();
    spelt["startedDateTime"] = "2001-01-01T00:00:00Z".into();
    sandbox.write("hars/api.har", own(&[posted, spelt, get("/hit")]));
    let reports = ["r.json", "r.html", "r.md", "r.xml"].map(|report| ["--report", report]);
    let options: Vec<&str> = ["--max-age", "1d", "--match-header", "x-tenant"]
        .iter()
        .copied()
        .chain(reports.into_iter().flatten())
        .collect();
    let body = json!({"name": "\u{1b}]0;title\u{7}", "a": 1}).to_string();
    sandbox.write("body.json", &body);
    let header = "x-tenant: \u{9b}31m\u{202e}";
    let script = format!(
        "{HIT} >/dev/null; curl -sS -o /dev/null -H '{header}' -H 'content-type: application/json' -d @body.json \
         http://api.test/post; curl -sS -o /dev/null 'http://api.test/%1b%5b31m?q=%E2%80%AE%0A::error::x'; : '{}'",
        evil.replace('\u{0}', "")
    );
    let mut command = replay(&sandbox, &options, &script);
    let output = finish(command.env("GITHUB_ACTIONS", "").output().unwrap()).expect(1);
    no_panic(&output);
    let texts = [output.stderr.clone(), sandbox.read("r.md"), sandbox.read("r.xml"), sandbox.read("r.html")];
    for (text, name) in texts.iter().zip(["terminal", "md", "xml", "html"]) {
        let turns = |c: char| c == '\u{202e}' && name != "xml";
        let harmful = |c: char| (c.is_control() && !"\n\t".contains(c)) || turns(c);
        // In the HTML report, control characters are harmless.
        let found = text.chars().position(harmful).filter(|_| name != "html");
        let around = |at: usize| text.chars().skip(at.saturating_sub(60)).take(120).collect::<String>();
        assert_eq!(found.map(|at| around(at).escape_debug().to_string()), None, "{name}");
        assert!(!["xml", "html"].contains(&name) || !text.contains("<script>alert(1)"), "{name}");
    }
    for line in output.stderr.lines() {
        assert!(!line.trim_start().starts_with("::"), "{}", output.stderr);
    }
}
