//! Names of files and values of fixtures, requests, responses and reports with everything that a terminal or a CI system
//! obeys. Every command and every report form prints them, and none of it is obeyed.

use std::process::Command;

use harproxy_support::printable::is_invisible;
use serde_json::{Value, json};

use crate::replay::stage::{entry, own};
use crate::support::raw::RawOrigin;
use crate::support::sandbox::{Output, Sandbox, finish};

/// Names and values. A style in them is magenta, which harproxy itself never uses.
const HOSTILE: [&str; 31] = [
    "a\u{1b}[35mred",
    "b\u{1b}[2J",
    "c\u{1b}[H\u{1b}[J",
    "d\u{1b}]0;title\u{7}",
    "e\u{1b}]8;;http:evil\u{1b}\\link",
    "f\u{1b}]52;c;ZXZpbA==\u{7}",
    "g\u{1b}P+q\u{1b}\\",
    "h\u{1b}c",
    "i\u{1b}[8mhidden",
    "j\u{9b}2J",
    "k\u{9d}0;t\u{9c}",
    "l\u{85}FAKE LINE",
    "m\u{90}q\u{9c}",
    "n\u{7}",
    "o\u{8}\u{8}\u{8}back",
    "p\rFAKE LINE",
    "q\u{c}FAKE LINE",
    "r\u{7f}",
    "s\ttab",
    "t\nFAKE LINE",
    "u\n::stop-commands::tok",
    "v\n  ::error file=README.md::x",
    "w\r\n::add-mask::e",
    "x\n##[error]x",
    "y ##[add-mask]e",
    "z\u{202e}gpj.exe",
    "A\u{2066}a\u{2069}",
    "B\u{200e}\u{200f}\u{61c}",
    "C\u{2028}FAKE LINE\u{2029}::debug::x",
    "D\u{200b}\u{feff}\u{e0041}",
    "::E::x",
];

/// The styles of harproxy.
const OWN_STYLES: [&str; 11] = ["0", "1", "2", "3", "31", "34", "32", "33", "36", "4", ""];

/// Removes the styles of harproxy.
fn without_own_styles(text: &str) -> String {
    OWN_STYLES.iter().fold(text.to_owned(), |text, style| text.replace(&format!("\u{1b}[{style}m"), ""))
}

/// Asserts that nothing in an output is obeyed by a terminal or a CI system, and that no value begins a line.
#[track_caller]
fn assert_not_obeyed(what: &str, text: &str) {
    let text = without_own_styles(text);
    for line in text.split('\n') {
        let bad = line.chars().find(|c| is_invisible(*c) && *c != '\t');
        assert!(bad.is_none(), "{what}: {bad:?} in {line:?}");
        assert!(!line.contains("##["), "{what}: {line:?}");
        let start = line.trim_start();
        let is_own = start.starts_with("::error ") || start.starts_with("::warning ");
        assert!(!start.starts_with("::") || (is_own && start.contains("title=harproxy")), "{what}: {line:?}");
        assert!(!start.starts_with("FAKE"), "{what}: {line:?}");
    }
}

/// Runs a command, with colour, and checks what it prints. Returns the output.
#[track_caller]
fn run(sandbox: &Sandbox, args: &[&str]) -> Output {
    run_with(sandbox.command(args), args)
}

#[track_caller]
fn run_with(mut command: Command, args: &[&str]) -> Output {
    let output = finish(command.output().unwrap());
    let what = format!("{:?} ({})", &args[..args.len().min(12)], output.status);
    assert!(matches!(output.status, 0..=3 | 126 | 127), "{what}: {}", output.stderr);
    assert_not_obeyed(&what, &output.stdout);
    assert_not_obeyed(&what, &output.stderr);
    output
}

/// An own fixture with this value in every place of its entries.
fn fixture(value: &str) -> Value {
    // A payload of several lines is shown as such.
    let payload = value.replace("FAKE", "TEXT");
    let header = json!([{"name": "x-a", "value": value}, {"name": value, "value": "1"}]);
    let mut all = entry(
        "GET http://api.test/all",
        json!({"statusText": value, "headers": header, "_error": value, "redirectURL": value,
            "content": {"size": 1, "mimeType": value, "text": payload}}),
    );
    all["request"]["headers"] = header;
    all["comment"] = json!(value);
    all["serverIPAddress"] = json!(value);
    all["connection"] = json!(value);
    let mut url = entry(&format!("GET http://api.test/url?q={value}"), json!({}));
    url["request"]["queryString"] = json!([{"name": value, "value": value}]);
    let mut form = entry("POST http://api.test/form", json!({"content": {"size": 1, "mimeType": "a/b", "text": ""}}));
    form["request"]["postData"] = json!({"mimeType": "application/x-www-form-urlencoded", "text": ""});
    form["request"]["postData"]["text"] =
        format!("{}=1&b={}", url::form_urlencoded::byte_serialize(value.as_bytes()).collect::<String>(), value).into();
    let mut graphql = entry("POST http://api.test/graphql", json!({}));
    let query = json!({"operationName": value, "query": format!("query {value} {{ a }}"), "variables": {value: value}});
    graphql["request"]["postData"] = json!({"mimeType": "application/json", "text": query.to_string()});
    let part = format!("--b\r\ncontent-disposition: form-data; name=\"{payload}\"\r\n\r\n{payload}\r\n--b--\r\n");
    let mut parts = entry("POST http://api.test/parts", json!({"status": 599, "statusText": value}));
    parts["request"]["postData"] = json!({"mimeType": "multipart/form-data; boundary=b", "text": part});
    let method = entry(&format!("X{} http://api.test/method", value.replace(' ', "")), json!({}));
    own(&["http://api.test/**", &format!("http://other.test/{value}")], &[all, url, form, graphql, parts, method])
}

/// A folder with a fixture for each value, whose name is the value.
fn fixtures(sandbox: &Sandbox, folder: &str) -> Vec<String> {
    let write = |value: &&str| {
        let name = format!("{folder}/{}.har", value.replace('/', "|"));
        sandbox.write(&name, serde_json::to_string_pretty(&fixture(value)).unwrap());
        name
    };
    HOSTILE.iter().map(write).collect()
}

const COLOUR: [&str; 2] = ["--color", "always"];
const FORMS: [&[&str]; 2] = [&[], &["--log-format", "json"]];

#[test]
fn commands_print_no_name_and_no_value_that_is_obeyed() {
    let sandbox = Sandbox::new();
    let names = fixtures(&sandbox, "hars");
    for form in FORMS {
        let all = |command: &[&str]| run(&sandbox, &[command, &COLOUR, form].concat());
        for command in [&["ls"][..], &["check"], &["check", "-v"], &["fmt", "--check"], &["redact", "--dry-run"]] {
            all(&[command, &["hars"]].concat());
        }
        for command in [&["ls", "--json"][..], &["check", "--json"], &["check", "--json", "-v"]] {
            all(&[command, &["hars"]].concat());
        }
        let data = format!("a={}", HOSTILE[9]);
        for url in ["http://api.test/all", "http://api.test/url?q=1", "http://api.test/al", "http://other.test/"] {
            for more in [&[][..], &["--json"], &["-X", "POST", "--data", &data], &["-H", "x-a: 2"]] {
                all(&[&["explain", "hars", "--url", url], more].concat());
            }
        }
        let whole: Vec<&str> = names.iter().map(String::as_str).collect();
        all(&[&["show", "--all"], &whole[..]].concat());
        let first: Vec<String> = names.iter().map(|name| format!("{name}#0")).collect();
        let first: Vec<&str> = first.iter().map(String::as_str).collect();
        all(&[&["show", "--json"], &first[..]].concat());
    }
    for (n, name) in names.iter().enumerate() {
        let other = &names[(n + 1) % names.len()];
        for (n, command) in [
            &["show", &format!("{name}#99")][..],
            &["diff", name, other],
            &["diff", "--json", name, other],
            &["merge", name],
            &["pack", name, "-o", "x.har"],
            &["unpack", name],
            &["rm", "--dry-run", &format!("{name}#1")],
            &["recover", name],
            &["replay", name, "--max-age", "1d", "--", "true"],
        ]
        .into_iter()
        .enumerate()
        {
            run(&sandbox, &[command, &COLOUR, FORMS[n % 2]].concat());
        }
    }
    // Commands that write.
    for name in &names {
        let run = |command: &[&str]| run(&sandbox, &[command, &COLOUR].concat());
        let zip = name.replace(".har", ".zip");
        run(&["pack", name, "-o", &zip]).expect(0);
        run(&["unpack", &zip, "-o", &name.replace(".har", "-2.har")]).expect(0);
        run(&["merge", "-o", &name.replace(".har", "-3.har"), name, &zip]);
        run(&["rm", &format!("{name}#1")]).expect(0);
        run(&["record", "-o", name, "--", "true"]);
    }
    run(&sandbox, &[&["fmt", "hars"][..], &COLOUR].concat());
    run(&sandbox, &[&["redact", "hars"][..], &COLOUR].concat());
}

#[test]
fn errors_of_damaged_fixtures_and_payload_names_are_not_obeyed() {
    let sandbox = Sandbox::new();
    for (n, value) in HOSTILE.iter().enumerate() {
        let file = |file: &str| {
            let content = json!({"size": 1, "mimeType": "text/plain", "_file": file});
            own(&["**"], &[entry("GET http://api.test/", json!({"content": content}))]).to_string()
        };
        let name = value.replace('/', "|");
        for (at, text) in [
            file(&format!("{n}/{value}")),
            file(&format!("../{value}")),
            file(value),
            format!("{{\"log\": {{\"entries\": [{{\"request\": {}}}]}}}}", json!(value)),
            format!("{{\"log\": {}}}", json!(value)),
            format!("{value}{{"),
            json!({"log": {"version": "1.2", "entries": [{"request": {"method": value, "url": value}, "response": {}}]}})
                .to_string(),
            String::new(),
        ]
        .iter()
        .enumerate()
        {
            sandbox.write(&format!("hars/{at}-{name}.har"), text);
        }
    }
    for form in FORMS {
        for command in [
            &["ls"][..],
            &["check"],
            &["fmt"],
            &["fmt", "--check"],
            &["redact"],
            &["explain", "--url", "http://api.test/"],
        ] {
            run(&sandbox, &[command, &COLOUR, form, &["hars"]].concat());
        }
    }
    for (n, value) in HOSTILE.iter().enumerate() {
        let name = |at: usize| format!("hars/{at}-{}.har", value.replace('/', "|"));
        let form = FORMS[n % 2];
        for at in 0..8 {
            let name = name(at);
            let replay = ["-vv", &name, "--", "true"];
            run(&sandbox, &[&["replay"][..], &COLOUR, form, &replay].concat());
        }
        run(&sandbox, &[&["record", "-o", &name(n % 8)][..], &COLOUR, form, &["--", "true"]].concat());
        run(&sandbox, &[&["merge", "-o", "m.har", &name(0), &name(2)][..], &COLOUR, form].concat());
        run(&sandbox, &[&["pack", &name(0)][..], &COLOUR, form].concat());
        run(&sandbox, &[&["show", &format!("{}#0", name(1))][..], &COLOUR, form].concat());
    }
}

const REPORTS: [&str; 4] = ["r.json", "r.xml", "r.md", "r.html"];
const GITHUB: [(&str, &str); 2] = [("GITHUB_ACTIONS", "true"), ("GITHUB_STEP_SUMMARY", "summary.md")];
const GITLAB: [(&str, &str); 1] = [("GITLAB_CI", "true")];

/// Asserts that the report files have no character that a terminal obeys.
#[track_caller]
fn assert_reports_not_obeyed(sandbox: &Sandbox, files: &[&str]) {
    for file in files {
        let text = sandbox.read(file);
        let bad = text.char_indices().find(|(_, c)| is_invisible(*c) && !matches!(c, '\n' | '\t'));
        if let Some((at, c)) = bad {
            panic!(
                "{file}: {c:?} in {:?}",
                text[..at].chars().rev().take(200).collect::<String>().chars().rev().collect::<String>()
            );
        }
        assert!(!text.lines().any(|line| line.starts_with("FAKE")), "{file}: {text}");
    }
}

/// Sends requests with each value in every place, some of which miss.
fn client_script() -> &'static str {
    r#"
import http.client, os, sys, urllib.parse
host, port = urllib.parse.urlsplit(os.environ["http_proxy"]).netloc.rsplit("@")[-1].split(":")
for value in sys.argv[1:]:
    quoted = urllib.parse.quote(value)
    header = "".join(c for c in value if c not in "\r\n\0").encode()
    json = ("{\"name\": \"%s\"}" % "".join(c for c in value if c >= " " and c not in "\"\\")).encode()
    for method, url, body, headers in [
        ("GET", "http://api.test/all", None, {"x-a": header, "accept": header}),
        ("GET", "http://api.test/url?q=" + quoted + "&more=1", None, {}),
        ("GET", "http://api.test/none/" + quoted, None, {"x-b": header, "cookie": header}),
        ("POST", "http://api.test/form", b"b=" + quoted.encode() + b"&c=2", {"content-type": "application/x-www-form-urlencoded"}),
        ("POST", "http://api.test/graphql", json, {"content-type": "application/json"}),
        ("POST", "http://api.test/none", value.encode(), {"content-type": header}),
        ("GET", "http://elsewhere.test/" + quoted, None, {}),
    ]:
        connection = http.client.HTTPConnection(host, int(port))
        try:
            connection.request(method, url, body, headers)
            answer = connection.getresponse()
            sys.stdout.buffer.write(answer.read() if answer.status in (501, 502) else b"")
        except (OSError, http.client.HTTPException):
            pass
        connection.close()
"#
}

#[test]
fn reports_logs_and_refusals_of_a_replay_are_not_obeyed() {
    let sandbox = Sandbox::new();
    fixtures(&sandbox, "hars");
    sandbox.write("client.py", client_script());
    let reports = REPORTS.iter().flat_map(|report| ["--report", report]).collect::<Vec<_>>();
    for (variables, more) in [
        (&GITHUB[..], &["-vv"][..]),
        (&GITHUB, &["--progress", "always"]),
        (&GITLAB, &["--log-format", "json", "-vv"]),
        (&[], &["--miss-status", "404"]),
    ] {
        let args =
            [&["replay"][..], &COLOUR, more, &reports, &["hars", "--", "python3", "client.py"], &HOSTILE].concat();
        let mut command = sandbox.command(&args);
        command.envs(variables.iter().copied());
        // The client prints the refusals.
        let output = run_with(command, &args).expect(1);
        assert!(output.stdout.contains("501") || more.contains(&"404"), "{}", output.stdout);
        assert_reports_not_obeyed(&sandbox, &REPORTS);
        if variables == GITHUB {
            assert!(output.stderr.contains("::error "), "{}", output.stderr);
            assert_reports_not_obeyed(&sandbox, &["summary.md"]);
        } else if variables == GITLAB {
            assert_reports_not_obeyed(&sandbox, &["gl-code-quality-report.json"]);
        }
    }
    let report = sandbox.read("r.json");
    run(&sandbox, &["report", "--combine", "r.json", "--color", "always"]);
    run(&sandbox, &["prune", "--by", "r.json", "--dry-run", "hars", "--color", "always"]);
    // A shard of another machine can say anything.
    for value in HOSTILE {
        let mut shard: Value = serde_json::from_str(&report).unwrap();
        shard["mode"] = json!(value);
        shard["command"] = json!(value);
        shard["fixtures"][0]["fixture"] = json!(value);
        let mut finding = shard["findings"][0].clone();
        for member in ["kind", "request", "fixture"] {
            finding[member] = json!(value);
        }
        // These may have several lines.
        for member in ["explanation", "remedy"] {
            finding[member] = json!(value.replace("FAKE", "MORE"));
        }
        shard["findings"] = json!([finding]);
        shard["requests"][0]["url"] = json!(value);
        shard["requests"][0]["session"] = json!(value);
        sandbox.write(&format!("shards/{}.json", value.replace('/', "|")), shard.to_string());
        let name = format!("shards/{}.json", value.replace('/', "|"));
        let args = [&["report", "--combine", &name][..], &COLOUR, &reports].concat();
        let mut command = sandbox.command(&args);
        command.envs(GITHUB);
        run_with(command, &args);
        assert_reports_not_obeyed(&sandbox, &REPORTS);
        shard["findings"][0]["severity"] = json!(value);
        sandbox.write("bad.json", shard.to_string());
        run(&sandbox, &[&["report", "--combine", "bad.json"][..], &COLOUR].concat()).expect(2);
    }
}

#[test]
fn recording_of_a_hostile_api_prints_nothing_that_is_obeyed() {
    let sandbox = Sandbox::new();
    sandbox.write("client.py", client_script());
    let values = std::sync::Mutex::new(HOSTILE.iter().cycle());
    let origin = RawOrigin::start(move |_, stream| {
        let value = values.lock().unwrap().next().unwrap().replace(['\r', '\n'], "");
        let head = format!("HTTP/1.1 200 {value}\r\nx-a: {value}\r\ncontent-type: {value}\r\nlocation: /{value}\r\n");
        let _ = std::io::Write::write_all(
            stream,
            format!("{head}content-length: 2\r\nconnection: close\r\n\r\nok").as_bytes(),
        );
    });
    let map = format!("api.test={}", origin.addr);
    let reports = REPORTS.iter().flat_map(|report| ["--report", report]).collect::<Vec<_>>();
    for more in [&["-vv"][..], &["-vv", "--log-format", "json"], &["--progress", "always"]] {
        let begin = ["record", "-o", "hars/api.har", "-g", "http://api.test/**", "--map", &map];
        let args = [&begin[..], &COLOUR, more, &reports, &["--", "python3", "client.py"], &HOSTILE].concat();
        let mut command = sandbox.command(&args);
        command.envs(GITHUB);
        run_with(command, &args);
        assert_reports_not_obeyed(&sandbox, &[&REPORTS[..], &["summary.md"]].concat());
    }
}

#[test]
fn configuration_and_programs_print_nothing_that_is_obeyed() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::new();
    sandbox.write("hars/api.har", own(&["http://api.test/**"], &[]).to_string());
    for (n, value) in HOSTILE.iter().enumerate() {
        let toml = |value: &str| {
            let escape = |c: char| if c.is_control() { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
            value.chars().map(|c| if c == '\\' { "\\\\".to_owned() } else { escape(c) }).collect::<String>()
        };
        let quoted = toml(value);
        for (at, text) in [
            format!("[record]\nglobs = [\"http://api.test/{quoted}\"]\noutput = \"{quoted}.har\"\n"),
            format!("[replay]\nfixtures = [\"hars/{quoted}.har\"]\nignore-query = [\"{quoted}\"]\n"),
            format!("[\"{quoted}\"]\na = 1\n"),
            format!("[replay]\n\"{quoted}\" = 1\n"),
            format!("[replay]\non-miss = \"{quoted}\"\n"),
            format!("[[match]]\nglob = \"{quoted}\"\nignore-query = [\"a\"]\n"),
        ]
        .iter()
        .enumerate()
        {
            sandbox.write("harproxy.toml", text);
            let commands =
                [&["config"][..], &["config", "--json"], &["replay", "-v", "--", "true"], &["record", "--", "true"]];
            // The first text is valid for all commands. An error is the same for each.
            for command in &commands[if at < 2 { 0..4 } else { (n + at) % 4..(n + at) % 4 + 1 }] {
                run(&sandbox, &[*command, FORMS[n % 2]].concat());
            }
        }
        std::fs::remove_file(sandbox.join("harproxy.toml")).unwrap();
        let name = value.replace('/', "|");
        let program = sandbox.write(&format!("bin/{name}"), "#!/bin/sh\nexit 0\n");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let program = format!("bin/{name}");
        for command in [&["doctor"][..], &["replay"], &["record", "-o", "x.har"]] {
            run(&sandbox, &[command, FORMS[n % 2], &COLOUR, &["--", &program, value]].concat());
        }
        run(&sandbox, &[&["doctor", "--json"][..], &COLOUR, &["--", &program]].concat());
        run(&sandbox, &["replay", "--", &format!("none/{name}")]);
        run(&sandbox, &["ls", &format!("--{value}")]);
        run(&sandbox, &["replay", "--on-miss", value, "--color", "always"]);
    }
}
