//! The matches of Playwright's globs, compared with `glob --json`. Each glob has one process for all its URLs.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::sandbox::{Sandbox, finish};

#[derive(Clone, Deserialize)]
struct Row {
    glob: String,
    url: String,
    #[serde(default, rename = "match")]
    matches: Option<bool>,
    #[serde(default)]
    throws: bool,
    /// A defect of Playwright according to the corpus: harproxy may differ.
    bug: Option<String>,
}

impl Row {
    /// Playwright's result; `None` for a glob that it refuses.
    fn expected(&self) -> Option<bool> {
        self.matches.filter(|_| !self.throws)
    }
}

fn corpus() -> BTreeMap<String, Vec<Row>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/playwright/glob.jsonl.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    let mut globs: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for row in text.lines().map(|line| serde_json::from_str::<Row>(line).unwrap()) {
        globs.entry(row.glob.clone()).or_default().push(row);
    }
    globs
}

/// The result for each URL; `None` if the glob is refused.
fn match_urls(sandbox: &Sandbox, glob: &str, rows: &[Row]) -> Option<Vec<Value>> {
    let mut command = sandbox.command(["glob", "--json", "--", glob]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let urls: String = rows.iter().map(|row| format!("{}\n", row.url)).collect();
    // A malformed glob is refused before standard input is read.
    let _ = child.stdin.take().unwrap().write_all(urls.as_bytes());
    let output = finish(child.wait_with_output().unwrap());
    match output.status {
        0 => Some(output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()),
        _ => {
            let output = output.expect(2);
            assert!(output.stdout.is_empty() && output.stderr.starts_with("error: "), "{glob}: {output:?}");
            None
        }
    }
}

/// The number of rows that agree, the allowed and actual differences by reason, and the errors.
#[derive(Default)]
struct Tally {
    agreed: usize,
    bugs: BTreeMap<String, [usize; 2]>,
    wrong: Vec<String>,
}

impl Tally {
    fn rows(&mut self, glob: &str, rows: &[Row], answers: Option<&[Value]>) {
        assert!(answers.is_none_or(|answers| answers.len() == rows.len()), "{glob}: an answer for each line");
        for (n, row) in rows.iter().enumerate() {
            let ours = answers.map(|answers| {
                assert_eq!(answers[n], json!({"url": row.url, "match": answers[n]["match"]}), "{glob}");
                answers[n]["match"].as_bool().unwrap()
            });
            let theirs = row.expected();
            match &row.bug {
                Some(bug) => {
                    let [seen, differ] = self.bugs.entry(bug.clone()).or_default();
                    *seen += 1;
                    *differ += usize::from(ours != theirs);
                }
                None if ours == theirs => self.agreed += 1,
                None => self.wrong.push(format!("{glob} on {}: {ours:?}, Playwright {theirs:?}", row.url)),
            }
        }
    }

    fn add(&mut self, other: Tally) {
        self.agreed += other.agreed;
        self.wrong.extend(other.wrong);
        for (bug, [seen, differ]) in other.bugs {
            let sum = self.bugs.entry(bug).or_default();
            *sum = [sum[0] + seen, sum[1] + differ];
        }
    }
}

#[test]
fn completed_glob_has_http_for_the_hosts_of_this_machine() {
    for host in [
        "localhost",
        "app.LOCALHOST.",
        "127.0.0.2",
        "[::1]",
        "127.0.0.1.example",
        "mylocalhost.test",
        "localhost.example",
        "0.0.0.0",
        "[::2]",
    ] {
        for port in ["", ":3000"] {
            let completed = harproxy_glob::completed(&format!("{host}{port}")).unwrap();
            let is_http = completed.starts_with("http://");
            assert_eq!(is_http, harproxy_http::url::is_loopback_host(host), "{host}{port}: {completed}");
        }
    }
}

#[test]
fn glob_command_matches_like_playwright() {
    let (sandbox, next, tally) = (Sandbox::new(), AtomicUsize::new(0), Mutex::new(Tally::default()));
    let globs: Vec<(String, Vec<Row>)> = corpus().into_iter().collect();
    let work = || {
        let mut mine = Tally::default();
        while let Some((glob, rows)) = globs.get(next.fetch_add(1, Ordering::Relaxed)) {
            mine.rows(glob, rows, match_urls(&sandbox, glob, rows).as_deref());
        }
        tally.lock().unwrap().add(mine);
    };
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(work))));
    let Tally { agreed, bugs, wrong } = tally.into_inner().unwrap();
    println!("{agreed} rows agree");
    for (bug, [seen, differ]) in &bugs {
        println!("{seen} rows may differ and {differ} do: {bug}");
    }
    assert!(wrong.is_empty(), "{} rows differ:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(bugs.len(), 2, "{bugs:?}: an unknown group");
    assert!(agreed > 10_000, "the corpus is missing");
}
