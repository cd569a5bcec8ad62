//! Fixtures that somebody broke, and places that can't be written to: whoever would write says what is wrong and where, and
//! what is there stays as it is.

use std::fs;
use std::path::Path;

use crate::support::client::{Client, Proto};
use crate::support::origin::{Origin, Page};
use crate::support::sandbox::{Output, Sandbox};

const HAR: &str = "hars/api.har";

/// An API that says something else each time.
fn origin() -> Origin {
    let answers = std::sync::atomic::AtomicU64::new(0);
    Origin::answering(move |_| {
        let n = answers.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let headers = vec![("content-type", "application/json".to_owned())];
        Some(Page { status: 200, headers, body: format!("{{\"n\":{n}}}").into(), ..Page::default() })
    })
}

fn record(sandbox: &Sandbox, origin: &Origin, paths: &str) -> Output {
    let cmd = format!("for path in {paths}; do curl -sf https://api.test/$path >/dev/null || exit 9; done");
    let args = ["record", "-o", HAR].map(str::to_owned).into_iter().chain(origin.args());
    sandbox.run(args.chain(["--", "sh", "-c", &cmd].map(str::to_owned)))
}

/// Every file of a folder, with its bytes; journals and locks aside.
fn tree(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for item in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = item.file_name().to_string_lossy().into_owned();
        match item.path() {
            path if path.is_dir() => files.extend(tree(&path)),
            _ if name.starts_with('.') => {}
            path => files.push((name, fs::read(path).unwrap())),
        }
    }
    files.sort();
    files
}

#[test]
fn markers_of_a_conflict_are_pointed_at_by_every_tool_and_stay() {
    let (sandbox, origin) = (Sandbox::new(), origin());
    record(&sandbox, &origin, "a b").expect(0);
    let text = sandbox.read(HAR);
    let at = text.lines().position(|line| line.contains("\"startedDateTime\"")).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    let ours = lines[at];
    lines.splice(at..=at, ["<<<<<<< ours", ours, "=======", ours, ">>>>>>> theirs"]);
    sandbox.write(HAR, lines.join("\n") + "\n");
    let before = tree(&sandbox.join("hars"));
    let place = format!("{HAR}:{}", at + 1);

    let told = record(&sandbox, &origin, "a").expect(2).stderr;
    assert!(told.contains(&place) && told.contains("conflict"), "{told}");
    for tool in [
        &["replay", HAR, "--", "true"][..],
        &["fmt", HAR],
        &["fmt", "--check", HAR],
        &["redact", HAR],
        &["ls", HAR],
        &["pack", HAR],
        &["merge", "-o", "hars/all.har", HAR],
        &["explain", HAR, "--url", "https://api.test/a"],
    ] {
        let told = sandbox.run(tool).expect(2).stderr;
        assert!(told.contains(&place), "{tool:?}: {told}");
    }
    let found = sandbox.run(["check", HAR]).expect(1).stdout;
    assert!(found.contains(&place) && found.contains("conflict"), "{found}");
    assert_eq!(tree(&sandbox.join("hars")), before);
}

/// A file stands where the folder of the payloads would.
#[test]
fn a_folder_that_can_not_be_made_loses_neither_the_fixture_nor_the_recording() {
    let (sandbox, origin) = (Sandbox::new(), origin());
    sandbox.write("hars/api", "not a folder");
    let told = record(&sandbox, &origin, "a").expect(3).stderr;
    assert!(told.contains("hars/api"), "{told}");
    assert_eq!(tree(&sandbox.join("hars")), [("api".to_owned(), b"not a folder".to_vec())]);

    fs::remove_file(sandbox.join("hars/api")).unwrap();
    sandbox.run(["recover", HAR]).expect(0);
    assert_eq!(sandbox.har(HAR)["log"]["entries"].as_array().unwrap().len(), 1, "what was recorded is there");
}

#[test]
fn nothing_is_run_where_nothing_can_be_written() {
    let sandbox = Sandbox::new();
    sandbox.write("hars", "not a folder");
    let told = sandbox.run(["record", "-o", HAR, "--", "sh", "-c", "touch ran"]);
    assert!([2, 3].contains(&told.status) && told.stderr.contains("hars"), "{told:?}");
    assert!(!sandbox.join("ran").exists(), "{told:?}");
}

/// What people did to payloads is theirs; what the API says differently takes its place and nothing else.
#[test]
fn edited_and_missing_payloads_are_served_told_of_and_recorded_over() {
    let (sandbox, origin) = (Sandbox::new(), origin());
    record(&sandbox, &origin, "a b c").expect(0);
    let file = |n: usize| {
        let har = sandbox.har(HAR);
        let content = &har["log"]["entries"][n]["response"]["content"];
        format!("hars/{}", content["_file"].as_str().unwrap())
    };
    let (edited, gone) = (file(0), file(1));
    sandbox.write(&edited, "{\n  \"n\": \"mine\"\n}");
    fs::remove_file(sandbox.join(&gone)).unwrap();

    let server = sandbox.start(["replay", HAR]);
    let client = Client::new(server.proxy(), server.ca(), Proto::H1);
    assert_eq!(client.get("https://api.test/a").text(), "{\"n\":\"mine\"}");
    let missed = client.get("https://api.test/b");
    assert!(missed.status == 501 && missed.text().contains(gone.trim_start_matches("hars/")), "{}", missed.text());
    server.stop();

    record(&sandbox, &origin, "b").expect(0);
    assert_eq!(sandbox.read(&edited), "{\n  \"n\": \"mine\"\n}", "not seen, not touched");
    let server = sandbox.start(["replay", HAR]);
    let client = Client::new(server.proxy(), server.ca(), Proto::H1);
    assert_eq!(client.get("https://api.test/b").text(), "{\"n\":3}");
    server.stop().expect(0);
}

/// A payload's name comes from its bytes; where a file that somebody edited has that name, it takes a longer one.
#[test]
fn a_payload_whose_name_is_taken_by_other_bytes_gets_a_longer_one() {
    let sandbox = Sandbox::new();
    let origin = Origin::answering(|_| {
        let headers = vec![("content-type", "application/json".to_owned())];
        Some(Page { status: 200, headers, body: b"{\"n\":1}".to_vec(), ..Page::default() })
    });
    record(&sandbox, &origin, "a").expect(0);
    let payload = |at: usize| {
        let har = sandbox.har(HAR);
        format!("hars/{}", har["log"]["entries"][at]["response"]["content"]["_file"].as_str().unwrap())
    };
    let edited = payload(0);
    sandbox.write(&edited, "{\n  \"n\": 2\n}\n");

    record(&sandbox, &origin, "b").expect(0);
    let added = payload(1);
    assert_eq!((payload(0), sandbox.read(&edited)), (edited.clone(), "{\n  \"n\": 2\n}\n".to_owned()));
    assert!(added.len() > edited.len() && added.starts_with(edited.trim_end_matches(".txt")), "{added}");
    drop(origin);
    let server = sandbox.start(["replay", HAR]);
    let client = Client::new(server.proxy(), server.ca(), Proto::H1);
    assert_eq!(client.get("https://api.test/a").text(), "{\"n\":2}");
    assert_eq!(client.get("https://api.test/b").text(), "{\"n\":1}");
    server.stop().expect(0);
}
