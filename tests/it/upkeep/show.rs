//! `harproxy show`.

use std::fs::File;
use std::io::Read;

use serde_json::{Value, json};

use super::{entry, fixture, own};
use crate::support::sandbox::Sandbox;

#[test]
fn entry_is_decoded_and_formatted() {
    let sandbox = Sandbox::new();
    let [user, _] = fixture(&sandbox);
    let shown = sandbox.run(["show", "hars/api.har#0"]).expect(0);
    assert_eq!(
        shown.stdout,
        format!(
            "hars/api.har#0 (line 15)\nGET https://api.test/user HTTP/1.1\naccept: */*\n\nHTTP/1.1 200 OK\n\
             content-type: application/json\n\n[api/{user}, application/json, 14 bytes]\n{{\n  \"name\": \"Ada\"\n}}\n\n\
             recorded 2026-01-02T03:04:05.678Z; 12.5 ms (wait 12.5)\n\n"
        )
    );
    assert_eq!(shown.stderr, "");
    assert!(sandbox.run(["show", "hars/api.har#2", "hars/api.har#1"]).expect(0).stdout.contains("Grüße\n"));
    let coloured = sandbox.run(["show", "--color", "always", "hars/api.har#0"]).expect(0).stdout;
    assert!(coloured.contains("\u{1b}[36m\"name\"\u{1b}[0m: \"Ada\""), "{coloured:?}");
}

#[test]
fn payload_is_shown_by_its_type() {
    let sandbox = Sandbox::new();
    let body = |mime: &str, text: &str| json!({"size": text.len(), "mimeType": mime, "text": text});
    let mut posted = entry("/form", body("text/html", "<p>hi\u{1b}[2J</p>\r\n"));
    posted["request"]["postData"] =
        json!({"mimeType": "application/x-www-form-urlencoded", "text": "a=1&long=%C3%BC+x"});
    let mut parts = entry("/parts", json!({"size": 9, "mimeType": "image/png"}));
    parts["request"]["postData"] = json!({"mimeType": "multipart/form-data; boundary=B", "text":
        "--B\r\nContent-Disposition: form-data; name=\"j\"\r\nContent-Type: application/json\r\n\r\n{\"a\":[1.0]}\r\n--B--\r\n"});
    let image = json!({"size": 4, "mimeType": "image/png", "text": "iVBORw==", "encoding": "base64"});
    let latin = json!({"size": 4, "mimeType": "text/plain; charset=latin1", "text": "Z/xyPQ==", "encoding": "base64"});
    let cut = json!({"size": 3, "mimeType": "text/plain", "text": "abc",
        "_truncated": {"reason": "max-body", "kept": 3, "total": 9}});
    let mut down = entry("/down", json!({"size": 0, "mimeType": ""}));
    down["response"]["status"] = json!(0);
    down["_harproxy"] = json!({"error": {"kind": "connect", "message": "connection refused"}});
    let mut trailed = entry("/trailers", body("application/json", "{broken"));
    trailed["response"]["_trailers"] = json!([{"name": "grpc-status", "value": "0"}]);
    let mut blocked = entry("/blocked", json!({"size": 0, "mimeType": ""}));
    blocked["response"]["status"] = json!(0);
    blocked["response"]["_error"] = json!("net::ERR_ABORTED");
    let all =
        [posted, parts, entry("/image", image), entry("/latin", latin), entry("/cut", cut), down, trailed, blocked];
    sandbox.write("a.har", own(&all));
    let says = |n: usize, texts: &[&str]| {
        let shown = sandbox.run(["show".to_owned(), format!("a.har#{n}")]).expect(0).stdout;
        texts.iter().for_each(|text| assert!(shown.contains(text), "{n}: {text}: {shown}"));
    };
    says(0, &["\na    = 1\nlong = ü x\n", "<p>hi\\u{1b}[2J</p>\n"]);
    says(1, &["name=\"j\"", "{\n  \"a\": [\n    1.0\n  ]\n}\n", "9 bytes that were not recorded"]);
    says(2, &["image/png, 4 bytes]\n89 50 4e 47\nsha256 0f4636c78f65d363"]);
    says(3, &["gür=\n"]);
    says(4, &["cut (max-body) after 3 of 9 bytes]\nabc\n"]);
    says(5, &["no response: connection refused\n"]);
    says(6, &["{broken\n", "\ngrpc-status: 0\n"]);
    says(7, &["no response: net::ERR_ABORTED\n"]);
    let output = sandbox.run(["show", "--body", "a.har#1"]).expect(2).says("not recorded");
    assert_eq!(output.stdout, "");
    assert_eq!(sandbox.run(["show", "--body", "--request", "a.har#0"]).expect(0).stdout, "a=1&long=%C3%BC+x");
    let raw = sandbox.command(["show", "--body", "a.har#2"]).output().unwrap().stdout;
    assert_eq!(raw, b"\x89PNG");
}

#[test]
fn body_option_prints_the_replayed_payload_and_json_contains_it() {
    let sandbox = Sandbox::new();
    let [user, _] = fixture(&sandbox);
    assert_eq!(sandbox.run(["show", "--body", "hars/api.har#0"]).expect(0).stdout, r#"{"name":"Ada"}"#);
    let lines = sandbox.run(["show", "--all", "--json", "hars/api.har"]).expect(0).stdout;
    let entries: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let content = &entries[0]["response"]["content"];
    assert_eq!((&content["text"], &content["_file"]), (&json!(r#"{"name":"Ada"}"#), &json!(format!("api/{user}"))));
    assert_eq!(entries.len(), 3);
    let one = sandbox.run(["show", "--json", "hars/api.har#1"]).expect(0).stdout;
    assert_eq!(serde_json::from_str::<Value>(&one).unwrap(), entries[1]);
}

#[test]
fn all_option_output_is_independent_of_time_and_machine() {
    let sandbox = Sandbox::new();
    let [user, _] = fixture(&sandbox);
    sandbox.run(["pack", "hars/api.har"]).expect(0);
    let all = |args: &[&str]| sandbox.run([&["show", "--all"], args].concat()).expect(0).stdout;
    let shown = all(&["hars/api.har"]);
    assert!(shown.contains("\"name\": \"Ada\"") && !shown.contains("2026-") && !shown.contains("hars/"), "{shown}");
    assert_eq!(all(&["hars/api.zip"]), shown.replace("[api/", "["));
    let other = sandbox.read("hars/api.har").replace("2026-01-02", "2027-01-02").replace("12.5", "99");
    sandbox.write("hars/later.har", other);
    assert_eq!(all(&["hars/later.har"]), shown);
    // Git passes a committed file without its folder.
    sandbox.write("alone/api.har", sandbox.read("hars/api.har"));
    let alone = all(&["alone/api.har"]);
    assert!(alone.contains(&format!("[api/{user}, which is not here]")), "{alone}");
    assert_eq!(all(&["--no-files", "alone/api.har"]), all(&["--no-files", "hars/api.har"]));
}

#[test]
fn unshowable_entries_are_reported() {
    let sandbox = Sandbox::new();
    let [user, _] = fixture(&sandbox);
    sandbox.run(["show", "hars/api.har#3"]).expect(2).says("the fixture has 3 entries, #0 to #2");
    sandbox.run(["show", "hars/api.har"]).expect(2).says("is not an entry name").says("harproxy ls hars/api.har");
    sandbox.run(["show", "hars/api.har#x"]).expect(2).says("is not an entry name").says("`harproxy ls hars/api.har`");
    sandbox.run(["show", "#0"]).expect(2).says("is not an entry name").says("`harproxy ls FILE`");
    sandbox.run(["show", "hars/api.har#99"]).expect(2).says("no such entry").says("`harproxy ls hars/api.har` lists");
    sandbox.run(["show", "gone.har#0"]).expect(2).says("gone.har");
    sandbox.run(["show"]).expect(2);
    std::fs::remove_file(sandbox.join(format!("hars/api/{user}"))).unwrap();
    sandbox.run(["show", "hars/api.har#0"]).expect(2).says("hars/api.har#0").says(&user);
    sandbox.write("b.har", own(&[json!(null), entry("/x", json!({"size": 0, "mimeType": ""}))]));
    sandbox.run(["show", "b.har#0"]).expect(2).says("not an object");
    let all = sandbox.run(["show", "--all", "b.har"]).expect(0).stdout;
    assert!(all.contains("cannot be shown") && all.contains("https://api.test/x"), "{all}");
}

/// The output of a command on a terminal.
fn at_a_terminal(sandbox: &Sandbox, args: &[&str], variables: &[(&str, &str)]) -> String {
    let nix::pty::OpenptyResult { master, slave } = nix::pty::openpty(None, None).unwrap();
    let mut command = sandbox.command(args);
    command.env("TERM", "xterm").env_remove("NO_COLOR").envs(variables.iter().copied()).stdout(slave);
    let status = command.status().unwrap();
    // Closes the last descriptor of the terminal in this process.
    drop(command);
    let mut seen = Vec::new();
    // Reading from a closed terminal returns an error.
    let _ = File::from(master).read_to_end(&mut seen);
    assert!(status.success());
    String::from_utf8(seen).unwrap().replace("\r\n", "\n")
}

#[test]
fn terminal_gets_a_pager_and_color() {
    let sandbox = Sandbox::new();
    fixture(&sandbox);
    let show = |variables: &[(&str, &str)]| at_a_terminal(&sandbox, &["show", "hars/api.har#0"], variables);
    let paged = show(&[("HARPROXY_PAGER", "sed s/^/paged:/"), ("PAGER", "false")]);
    assert!(paged.lines().all(|line| line.starts_with("paged:")) && paged.contains("\u{1b}["), "{paged}");
    assert!(show(&[("PAGER", "sed s/^/by-pager:/")]).starts_with("by-pager:"));
    for none in ["", "cat", "no-such-pager"] {
        assert!(show(&[("HARPROXY_PAGER", none)]).contains("hars/api.har#0"), "{none}");
    }
    assert!(!show(&[("PAGER", "cat"), ("NO_COLOR", "1")]).contains('\u{1b}'));
    let plain = at_a_terminal(&sandbox, &["show", "--no-pager", "hars/api.har#0"], &[("PAGER", "false")]);
    assert!(plain.contains("Ada"));
    let listed = at_a_terminal(&sandbox, &["ls"], &[]);
    assert_eq!(listed.lines().count(), 3, "{listed}");
}
