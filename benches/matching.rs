//! What matching costs: building the index, finding an entry among few and many, scoring, and explaining a miss.
//!
//! `cargo bench`, on a machine that does nothing else. The aims: an entry is found in 5 µs however many there are, and a miss
//! among 100,000 entries is explained in 2 ms, the first one included.

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

/// `GET https://api.test/users/N/orders?page=P`, a fixture of so many entries.
fn url(n: usize) -> String {
    format!("https://api.test/v1/users/{}/orders?page={}&limit=20", n / 4, n % 4)
}

/// A fixture of entries with these URLs, each with ten request headers.
fn write(path: &Path, urls: impl Iterator<Item = String>) {
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

/// What a client sends: the same headers.
static SENT: LazyLock<HeaderMap> =
    LazyLock::new(|| HEADERS.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect());

/// A fixture on disk, written once.
struct Shelf {
    _folder: TempDir,
    fixture: Arc<Fixture>,
}

impl Shelf {
    fn of(urls: impl Iterator<Item = String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api.har");
        write(&path, urls);
        Shelf { fixture: Arc::new(Fixture::open(&path).unwrap()), _folder: folder }
    }

    fn matcher(&self) -> Matcher {
        Matcher::new(vec![self.fixture.clone()], None, Options::default()).unwrap()
    }
}

static SHELVES: LazyLock<[Shelf; 3]> = LazyLock::new(|| SIZES.map(|size| Shelf::of((0..size).map(url))));

fn shelf(size: usize) -> &'static Shelf {
    &SHELVES[SIZES.iter().position(|known| *known == size).unwrap()]
}

fn normal(url: &str) -> NormalUrl {
    NormalUrl::parse(url).unwrap()
}

fn ask(matcher: &Matcher, url: &NormalUrl) -> Outcome {
    matcher.answer(&Query { method: "GET", url, headers: &SENT, body: None }, None)
}

/// The pass over the file that `replay` starts with.
#[divan::bench(args = SIZES, sample_count = 10)]
fn open(bencher: Bencher<'_, '_>, size: usize) {
    let path = shelf(size).fixture.path();
    bencher.bench(|| Fixture::open(path).unwrap());
}

/// The index over an opened fixture.
#[divan::bench(args = SIZES, sample_count = 20)]
fn index(bencher: Bencher<'_, '_>, size: usize) {
    bencher.bench(|| shelf(size).matcher());
}

/// A request for entries that have been asked for before, one after the other.
#[divan::bench(args = SIZES)]
fn lookup(bencher: Bencher<'_, '_>, size: usize) {
    let matcher = shelf(size).matcher();
    let urls: Vec<NormalUrl> = (0..256).map(|n| normal(&url(n * 7919 % size))).collect();
    urls.iter().for_each(|url| drop(ask(&matcher, url)));
    let mut turn = urls.iter().cycle();
    bencher.bench_local(|| ask(&matcher, turn.next().unwrap()));
}

/// A poll: so many entries of one method and URL.
#[divan::bench(args = [10, 1_000])]
fn lookup_among_equals(bencher: Bencher<'_, '_>, size: usize) {
    let shelf = Shelf::of((0..size).map(|_| url(0)));
    let (matcher, url) = (shelf.matcher(), normal(&url(0)));
    // The first request reads them all.
    (0..=size).for_each(|_| drop(ask(&matcher, &url)));
    bencher.bench_local(|| ask(&matcher, &url));
}

/// A URL as a client sends it, into the form that is compared.
#[divan::bench(args = ["https://api.test/v1/users/7/orders?page=3&limit=20", "HTTPS://Api.Test:443/a/../b%20c/é?q=x y#top"])]
fn normal_form(url: &str) -> NormalUrl {
    NormalUrl::parse(black_box(url)).unwrap()
}

/// What misses: a path that is a segment away, a query of a known path, a path that is nowhere near.
const MISSES: [&str; 3] = [
    "https://api.test/v1/users/x/orders?page=0&limit=20",
    "https://api.test/v1/users/7/orders?page=9&limit=20",
    "https://api.test/health",
];

/// The first explained miss among 100,000 entries.
#[divan::bench(args = MISSES, sample_count = 20)]
fn first_miss(bencher: Bencher<'_, '_>, url: &str) {
    let url = normal(url);
    let looked_around = || {
        let matcher = shelf(100_000).matcher();
        matcher.look_around();
        matcher
    };
    bencher.with_inputs(looked_around).bench_local_values(|matcher| (ask(&matcher, &url), matcher));
}

/// What a replay makes in the background, so that the first miss is like the later ones.
#[divan::bench(sample_count = 20)]
fn look_around(bencher: Bencher<'_, '_>) {
    bencher.with_inputs(|| shelf(100_000).matcher()).bench_local_values(|matcher| {
        matcher.look_around();
        matcher
    });
}

/// Each later one.
#[divan::bench(args = MISSES)]
fn later_miss(bencher: Bencher<'_, '_>, url: &str) {
    let (matcher, url) = (shelf(100_000).matcher(), normal(url));
    let _ = ask(&matcher, &url);
    bencher.bench_local(|| ask(&matcher, &url));
}
