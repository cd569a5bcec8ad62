//! The seeds of each target: real files and the inputs of other tests.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde_json::Value;

/// Limits the size of seeds, since long ones make mutation slow.
const LONGEST: u64 = 9000;

pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "har" | "lookup" => hars().into_iter().map(|path| fs::read(path).unwrap()).collect(),
        "zip" => {
            let made = [
                "har.har={\"log\":{\"version\":\"1.2\",\"creator\":{\"name\":\"a\",\"version\":\"1\"},\"entries\":[{\"request\":{\"method\":\"GET\",\"url\":\"http://a.test/\"},\"response\":{\"status\":200,\"content\":{\"size\":1,\"mimeType\":\"text/plain\",\"_file\":\"a/b.txt\"}}}]}}\na/b.txt=1",
                "har.har={\"log\":{\"_harproxy\":{\"format\":1},\"entries\":[{\"request\":{\"method\":\"GET\",\"url\":\"http://a.test/\"},\"response\":{\"status\":200,\"content\":{\"size\":1,\"_file\":\"0123456789abcdef.txt\"}}}]}}\n0123456789abcdef.txt=x",
                "a.har={\"log\":{\"entries\":[]}}\n../b=1",
            ];
            let real = fs::read(corpus("streams/playwright-zip/rec.zip")).unwrap();
            made.into_iter().map(|text| text.as_bytes().to_vec()).chain([real]).collect()
        }
        "glob" => {
            rows("playwright/glob.jsonl.gz", |row| Some(format!("{}\n{}", text(row, "glob")?, text(row, "url")?)))
        }
        "url" => rows("playwright/glob.jsonl.gz", |row| Some(format!("{}\n../a?b#c", text(row, "url")?))),
        "json_path" => json_paths(),
        "policy" => documented("toml"),
        "multipart" => multiparts(),
        "pieces" => payloads().into_iter().map(|payload| [&b"\x10"[..], &payload].concat()).collect(),
        "chunked" => chunks(),
        // The recorded journal is stored with the results of fuzzing.
        "journal_tail" => Vec::new(),
        "journal_damage" => {
            [&b"\x40\0\x01x"[..], b"\x80\0\x20", b"\xc0\0\x05\0\0\0\0\0", b"\xff\0\xff"].map(<[u8]>::to_vec).into()
        }
        "coding" => codings(),
        _ => panic!("no seeds for {target}"),
    }
}

/// A payload under each coding, under two, and under very many.
fn codings() -> Vec<Vec<u8>> {
    let fields =
        ["gzip", "deflate", "br", "zstd", "identity", "gzip, br", "x-gzip, deflate, zstd", &"gzip,".repeat(100)];
    let coded = fields.map(|field| {
        let mut coded = Vec::new();
        let codings = harproxy_http::coding::codings([field.as_bytes()]).unwrap_or_default();
        harproxy_http::coding::encode(&codings, &mut &b"a payload, a payload"[..], &mut coded).unwrap();
        [field.as_bytes(), b"\n", &coded].concat()
    });
    coded.into()
}

fn corpus(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(path)
}

/// Small HARs of many tools.
fn hars() -> Vec<PathBuf> {
    let folder = fs::read_dir(corpus("hars-foreign")).unwrap();
    let mut files: Vec<_> = folder.map(|file| file.unwrap().path()).collect();
    files.retain(|path| fs::metadata(path).unwrap().len() < LONGEST && path.to_string_lossy().contains(".har"));
    files.sort();
    files
}

/// A sample of the rows of a corpus.
fn rows(path: &str, seed: impl Fn(&Value) -> Option<String>) -> Vec<Vec<u8>> {
    let mut lines = String::new();
    GzDecoder::new(File::open(corpus(path)).unwrap()).read_to_string(&mut lines).unwrap();
    let rows = lines.lines().step_by(17).map(|line| serde_json::from_str(line).unwrap());
    rows.filter_map(|row| seed(&row).map(String::into_bytes)).collect()
}

fn text<'r>(row: &'r Value, name: &str) -> Option<&'r str> {
    row[name].as_str()
}

/// The code blocks of a language in the documentation.
fn documented(language: &str) -> Vec<Vec<u8>> {
    let (mut pages, mut folders) = (Vec::new(), vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")]);
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(folder).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    let opening = format!("```{language}\n");
    let blocks = pages.iter().flat_map(|page| {
        let page = fs::read_to_string(page).unwrap();
        let blocks = page.split(&opening).skip(1).filter_map(|rest| rest.split_once("```"));
        blocks.map(|(block, _)| block.as_bytes().to_vec()).collect::<Vec<_>>()
    });
    blocks.collect()
}

fn json_paths() -> Vec<Vec<u8>> {
    let document = r#"{"card":{"number":"4111","n":[1,-2.5e3,{},{"x":null,"y":"\\\"z"}]},"a b":"c","list":[{"ssn":"1"},{"ssn":"22"}],"deep":{"card":{"number":"5"}}}"#;
    let paths = [
        "$.card.number",
        "$..ssn",
        "$['a b']",
        "$.list[*].ssn",
        "$.list[-1]",
        "$.card.n[3].y",
        "$..card.number",
        "$[?@.x]",
        "$.list[?@.ssn=='1'].ssn",
        "$.list[0:1:2]",
        "$",
        "$..*",
        "$.card['number','n']",
        "$.list[?length(@.ssn)>1]",
    ];
    paths.into_iter().map(|path| format!("{path}\n{document}").into_bytes()).collect()
}

fn multiparts() -> Vec<Vec<u8>> {
    let part = |name: &str, headers: &str, body: &str| {
        format!("Content-Disposition: form-data; name=\"{name}\"{headers}\r\n\r\n{body}")
    };
    let (field, file) = (
        part("password", "", "hunter22"),
        part("f", "; filename=\"a\"\r\nContent-Type: application/json", "{\"token\":\"abcdefgh\"}"),
    );
    let nested = part("m", "\r\nContent-Type: multipart/mixed; boundary=y", "--y\r\n\r\nin\r\n--y--");
    [
        format!("x\n--x\r\n{field}\r\n--x\r\n{file}\r\n--x--\r\n"),
        format!("x\npreamble\r\n--x\r\n{nested}\r\n--x--\r\nepilogue"),
        format!("x\n--x\n{}\n--x--", field.replace("\r\n", "\n")),
        "----WebKitFormBoundary\n------WebKitFormBoundary\r\n\r\n\r\n------WebKitFormBoundary--".to_owned(),
        "-\n---\r\nA: b\r\n\r\n---x\r\n-----".to_owned(),
    ]
    .map(String::into_bytes)
    .into()
}

/// Payloads of each type and content coding.
fn payloads() -> Vec<Vec<u8>> {
    use harproxy_http::coding::{Coding, encode};
    let plain = [
        r#"{"token":"eyJhbGciOiJIUzI1NiJ9.eyJpYXQiOjE3MDAwMDAwMDB9.c2lnbmF0dXJl","n":[1.0,2e5,{"password":"a \" b"}],"é":null}"#,
        "{\n  \"a\": [ true, false ],\n  \"b\": {}\n}\n",
        "data: {\"token\":\"abcdefgh\"}\nid: 7\n\ndata: [DONE]\n\n",
        "grant_type=refresh_token&refresh_token=a%2Bb&c=%7B%22key%22%3A1%7D",
        "Authorization: Bearer ghp_abcdefghijklmnopqrstuvwxyz0123456789 https://u:p@h.test/?access_token=x",
    ];
    let coded = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd].into_iter().map(|coding| {
        let mut coded = Vec::new();
        encode(&[coding], &mut plain[0].as_bytes(), &mut coded).unwrap();
        coded
    });
    plain.into_iter().map(|text| text.as_bytes().to_vec()).chain(coded).collect()
}

fn chunks() -> Vec<Vec<u8>> {
    let bodies = [
        "5\r\nhello\r\n0\r\n\r\n",
        "0\r\n\r\n",
        "a;name=\"v\"\r\n0123456789\r\n00\r\nx-sum: 42\r\n\r\n",
        "5\r\nhel",
        "5\r\nhelloo\r\n0\r\n\r\n",
        "1 \r\na\r\n0\r\n\r\n",
        "1\na\n0\n\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffff1\r\na\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "-1\r\n\r\n0\r\n\r\n",
        "0\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
        "2\r\na\n\r\n0\r\n: x\r\n\r\n",
    ];
    let ways = bodies.into_iter().flat_map(|body| [0, 1].map(|way| [&[way], body.as_bytes()].concat()));
    ways.collect()
}
