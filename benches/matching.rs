//! Benchmarks of matching: opening a fixture, building the index, looking up entries, and explaining misses.
//!
//! Run with `cargo bench --bench matching` on an idle machine. The aims are 5 µs for a lookup at any number of entries,
//! and 2 ms for an explained miss among 100,000 entries, the first one included.

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use divan::{Bencher, black_box};
use harproxy_har::Fixture;
use harproxy_http::NormalUrl;
use harproxy_matching::{Matcher, Options, Outcome, Query};
use http::HeaderMap;
use tempfile::TempDir;

const SIZES: [usize; 3] = [10, 1_000, 100_000];

fn main() {
    divan::main();
}

/// The URL of entry `n`.
fn url(n: usize) -> String {
    format!("https://api.test/v1/users/{}/orders?page={}&limit=20", n / 4, n % 4)
}

/// Writes a fixture of entries with these URLs and ten request headers each.
fn write_fixture(path: &Path, urls: impl Iterator<Item = String>) {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    file.write_all(br#"{"log":{"version":"1.2","creator":{"name":"harproxy","version":"1"},"_harproxy":{"version":1,"scope":["https://api.test/**"]},"entries":["#)
        .unwrap();
    for (n, url) in urls.enumerate() {
        let comma = if n == 0 { "" } else { "," };
        let headers: Vec<String> =
            HEADERS.iter().map(|(name, value)| format!(r#"{{"name":"{name}","value":"{value}"}}"#)).collect();
        write!(
            file,
            r#"{comma}
{{"startedDateTime":"2026-11-20T09:30:00.000Z","time":1,"request":{{"method":"GET","url":"{url}","httpVersion":"HTTP/1.1","headers":[{}],"cookies":[],"queryString":[],"headersSize":-1,"bodySize":0}},"response":{{"status":200,"statusText":"OK","httpVersion":"HTTP/1.1","headers":[{{"name":"content-type","value":"application/json"}}],"cookies":[],"content":{{"size":7,"mimeType":"application/json","text":"[1,2,3]"}},"redirectURL":"","headersSize":-1,"bodySize":7}},"cache":{{}},"timings":{{"send":0,"wait":1,"receive":0}}}}"#,
            headers.join(",")
        )
        .unwrap();
    }
    file.write_all(b"]}}\n").unwrap();
    file.flush().unwrap();
}

const HEADERS: [(&str, &str); 10] = [
    ("accept", "application/json"),
    ("accept-encoding", "gzip, deflate, br"),
    ("accept-language", "en-GB"),
    ("authorization", "Bearer REDACTED-authorization-1"),
    ("connection", "keep-alive"),
    ("content-type", "application/json"),
    ("cookie", "session=REDACTED-cookie-1"),
    ("host", "api.test"),
    ("user-agent", "python-requests/2.34.2"),
    ("x-tenant", "blue"),
];

/// The headers of every request, equal to the recorded ones.
static REQUEST_HEADERS: LazyLock<HeaderMap> =
    LazyLock::new(|| HEADERS.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect());

/// A fixture in a temporary folder.
struct TemporaryFixture {
    _folder: TempDir,
    fixture: Arc<Fixture>,
}

impl TemporaryFixture {
    fn new(urls: impl Iterator<Item = String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api.har");
        write_fixture(&path, urls);
        TemporaryFixture { fixture: Arc::new(Fixture::open(&path).unwrap()), _folder: folder }
    }

    fn matcher(&self) -> Matcher {
        Matcher::new(vec![self.fixture.clone()], None, Options::default()).unwrap()
    }
}

/// The fixtures of all benchmarks, written once.
static FIXTURES: LazyLock<[TemporaryFixture; 3]> =
    LazyLock::new(|| SIZES.map(|size| TemporaryFixture::new((0..size).map(url))));

fn fixture(size: usize) -> &'static TemporaryFixture {
    &FIXTURES[SIZES.iter().position(|other| *other == size).unwrap()]
}

fn parse(url: &str) -> NormalUrl {
    NormalUrl::parse(url).unwrap()
}

fn look_up(matcher: &Matcher, url: &NormalUrl) -> Outcome {
    matcher.answer(&Query::new("GET", url, &REQUEST_HEADERS, None), None)
}

/// Opening a fixture: the pass over the file that builds its list of entries.
#[divan::bench(args = SIZES, sample_count = 10)]
fn open(bencher: Bencher<'_, '_>, size: usize) {
    let path = fixture(size).fixture.path();
    bencher.bench(|| Fixture::open(path).unwrap());
}

/// Building the match index of an open fixture.
#[divan::bench(args = SIZES, sample_count = 20)]
fn index(bencher: Bencher<'_, '_>, size: usize) {
    bencher.bench(|| fixture(size).matcher());
}

/// Lookups of 256 entries in turn, after each has been looked up once.
#[divan::bench(args = SIZES)]
fn lookup(bencher: Bencher<'_, '_>, size: usize) {
    let matcher = fixture(size).matcher();
    let urls: Vec<NormalUrl> = (0..256).map(|n| parse(&url(n * 7919 % size))).collect();
    urls.iter().for_each(|url| drop(look_up(&matcher, url)));
    let mut cycle = urls.iter().cycle();
    bencher.bench_local(|| look_up(&matcher, cycle.next().unwrap()));
}

/// Lookup when all entries have the method and URL of the request, as in a recording of a poll.
#[divan::bench(args = [10, 1_000])]
fn lookup_among_equals(bencher: Bencher<'_, '_>, size: usize) {
    let fixture = TemporaryFixture::new((0..size).map(|_| url(0)));
    let (matcher, url) = (fixture.matcher(), parse(&url(0)));
    // The first lookup reads all entries.
    (0..=size).for_each(|_| drop(look_up(&matcher, &url)));
    bencher.bench_local(|| look_up(&matcher, &url));
}

/// Normalising a URL that has the normal form already, and one that has not.
#[divan::bench(args = ["https://api.test/v1/users/7/orders?page=3&limit=20", "HTTPS://Api.Test:443/a/../b%20c/é?q=x y#top"])]
fn normal_form(url: &str) -> NormalUrl {
    NormalUrl::parse(black_box(url)).unwrap()
}

/// URLs that miss: a path that differs in one segment, a known path with another query, and a path without similar
/// ones.
const MISSES: [&str; 3] = [
    "https://api.test/v1/users/x/orders?page=0&limit=20",
    "https://api.test/v1/users/7/orders?page=9&limit=20",
    "https://api.test/health",
];

/// The first explained miss among 100,000 entries, after the preparation that replay makes in the background.
#[divan::bench(args = MISSES, sample_count = 20)]
fn first_miss(bencher: Bencher<'_, '_>, url: &str) {
    let url = parse(url);
    let prepared = || {
        let matcher = fixture(100_000).matcher();
        matcher.warm_up_explanations();
        matcher
    };
    bencher.with_inputs(prepared).bench_local_values(|matcher| (look_up(&matcher, &url), matcher));
}

/// The preparation that replay makes in the background, so that the first miss takes as long as later ones.
#[divan::bench(sample_count = 20)]
fn look_around(bencher: Bencher<'_, '_>) {
    bencher.with_inputs(|| fixture(100_000).matcher()).bench_local_values(|matcher| {
        matcher.warm_up_explanations();
        matcher
    });
}

/// Explained misses after the first.
#[divan::bench(args = MISSES)]
fn later_miss(bencher: Bencher<'_, '_>, url: &str) {
    let (matcher, url) = (fixture(100_000).matcher(), parse(url));
    let _ = look_up(&matcher, &url);
    bencher.bench_local(|| look_up(&matcher, &url));
}
