//! Damaged fixtures and unwritable folders: commands that write report the error with its position and change nothing.

use std::fs;
use std::path::Path;

use crate::support::client::Proto;
use crate::support::origin::{Origin, OriginResponse};
use crate::support::sandbox::{Output, Sandbox};

const HAR: &str = "hars/api.har";

/// An API with a different answer each time.
fn origin() -> Origin {
    let answers = std::sync::atomic::AtomicU64::new(0);
    Origin::answering(move |_| {
        let n = answers.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let headers = vec![("content-type", "application/json".to_owned())];
        Some(OriginResponse {
            status: 200,
            headers,
            body: format!("{{\"n\":{n}}}").into(),
            ..OriginResponse::default()
        })
    })
}

fn record(sandbox: &Sandbox, origin: &Origin, paths: &str) -> Output {
    let cmd = format!("for path in {paths}; do curl -sf https://api.test/$path >/dev/null || exit 9; done");
    let args = ["record", "-o", HAR].map(str::to_owned).into_iter().chain(origin.args());
    sandbox.run(args.chain(["--", "sh", "-c", &cmd].map(str::to_owned)))
}

/// The files of a folder with their bytes, without journals and locks.
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
fn conflict_markers_are_reported_by_every_tool_and_kept() {
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

    let stderr = record(&sandbox, &origin, "a").expect(2).stderr;
    assert!(stderr.contains(&place) && stderr.contains("conflict"), "{stderr}");
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
        let stderr = sandbox.run(tool).expect(2).stderr;
        assert!(stderr.contains(&place), "{tool:?}: {stderr}");
    }
    let found = sandbox.run(["check", HAR]).expect(1).stdout;
    assert!(found.contains(&place) && found.contains("conflict"), "{found}");
    assert_eq!(tree(&sandbox.join("hars")), before);
}

/// A file has the name of the payload folder.
#[test]
fn uncreatable_payload_folder_loses_neither_the_fixture_nor_the_recording() {
    let (sandbox, origin) = (Sandbox::new(), origin());
    sandbox.write("hars/api", "not a folder");
    let stderr = record(&sandbox, &origin, "a").expect(3).stderr;
    assert!(stderr.contains("hars/api"), "{stderr}");
    assert_eq!(tree(&sandbox.join("hars")), [("api".to_owned(), b"not a folder".to_vec())]);

    fs::remove_file(sandbox.join("hars/api")).unwrap();
    sandbox.run(["recover", HAR]).expect(0);
    assert_eq!(sandbox.har(HAR)["log"]["entries"].as_array().unwrap().len(), 1, "the recording is complete");
}

#[test]
fn cmd_is_not_run_if_the_output_is_not_writable() {
    let sandbox = Sandbox::new();
    sandbox.write("hars", "not a folder");
    let output = sandbox.run(["record", "-o", HAR, "--", "sh", "-c", "touch ran"]);
    assert!([2, 3].contains(&output.status) && output.stderr.contains("hars"), "{output:?}");
    assert!(!sandbox.join("ran").exists(), "{output:?}");
}

/// A recording replaces only the payloads of answers that changed.
#[test]
fn edited_and_missing_payloads_are_served_reported_and_recorded_again() {
    let (sandbox, origin) = (Sandbox::new(), origin());
    record(&sandbox, &origin, "a b c").expect(0);
    let file = |n: usize| {
        let har = sandbox.har(HAR);
        let content = &har["log"]["entries"][n]["response"]["content"];
        format!("hars/{}", content["_file"].as_str().unwrap())
    };
    let (edited, missing) = (file(0), file(1));
    sandbox.write(&edited, "{\n  \"n\": \"mine\"\n}");
    fs::remove_file(sandbox.join(&missing)).unwrap();

    let server = sandbox.start(["replay", HAR]);
    let client = server.client(Proto::H1);
    assert_eq!(client.get("https://api.test/a").text(), "{\"n\":\"mine\"}");
    let missed = client.get("https://api.test/b");
    assert!(missed.status == 501 && missed.text().contains(missing.trim_start_matches("hars/")), "{}", missed.text());
    server.stop();

    record(&sandbox, &origin, "b").expect(0);
    assert_eq!(sandbox.read(&edited), "{\n  \"n\": \"mine\"\n}", "an edited payload is not changed");
    let server = sandbox.start(["replay", HAR]);
    let client = server.client(Proto::H1);
    assert_eq!(client.get("https://api.test/b").text(), "{\"n\":3}");
    server.stop().expect(0);
}

/// The name of a payload comes from its bytes. If an edited file has that name, the payload gets a longer one.
#[test]
fn payload_gets_a_longer_name_if_an_edited_file_has_its_name() {
    let sandbox = Sandbox::new();
    let origin = Origin::answering(|_| {
        let headers = vec![("content-type", "application/json".to_owned())];
        Some(OriginResponse { status: 200, headers, body: b"{\"n\":1}".to_vec(), ..OriginResponse::default() })
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
    let client = server.client(Proto::H1);
    assert_eq!(client.get("https://api.test/a").text(), "{\"n\":2}");
    assert_eq!(client.get("https://api.test/b").text(), "{\"n\":1}");
    server.stop().expect(0);
}
