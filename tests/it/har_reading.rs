//! Fixtures in every file form, and malformed input: each error names its position, and none is a panic.

use std::fs;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use harproxy_har::{ContentMode, FixtureWriter};
use harproxy_har::{Fixture, Payload, PayloadSource};
use harproxy_json::Spacing;
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::support::archive::zip;

const CONTENT: &str = r#"{"size":2,"mimeType":"text/plain","text":"hi"}"#;

/// A minimal entry.
fn entry(url: &str, content: &str) -> String {
    format!(
        r#"{{"request":{{"method":"GET","url":"{url}","headers":[]}},"response":{{"status":200,"headers":[],"content":{content}}}}}"#
    )
}

fn har(entries: &[String]) -> String {
    format!(r#"{{"log":{{"version":"1.2","creator":{{"name":"t"}},"entries":[{}]}}}}"#, entries.join(",\n"))
}

fn small() -> String {
    har(&[entry("http://a.test/", CONTENT)])
}

struct Dir(TempDir);

impl Dir {
    fn new() -> Self {
        Dir(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }
}

fn text_of(fixture: &Fixture, entry: usize) -> Vec<u8> {
    let parsed = fixture.entry(entry).unwrap();
    fixture.payload(entry, &parsed.response.content).unwrap().bytes().unwrap().to_vec()
}

/// Opens a file that is refused. Returns the error, which is one line that begins with the path.
#[track_caller]
fn open_error(path: &Path) -> String {
    let error = Fixture::open(path).unwrap_err();
    let text = match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    assert!(text.contains(path.to_str().unwrap()) && !text.contains('\n'), "{text}");
    text
}

/// The error for the payload of entry 0.
#[track_caller]
fn payload_error(path: &Path) -> String {
    let fixture = Fixture::open(path).unwrap();
    let parsed = fixture.entry(0).unwrap();
    let error = fixture.payload(0, &parsed.response.content).unwrap_err().to_string();
    assert!(error.contains("#0 (line 1)"), "{error}");
    error
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::best());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// Renames a member of an archive to a name that the zip writer refuses.
fn with_renamed_member(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut out = bytes.to_vec();
    for at in 0..out.len() - from.len() {
        if &out[at..at + from.len()] == from.as_bytes() {
            out[at..at + to.len()].copy_from_slice(to.as_bytes());
        }
    }
    out
}

#[test]
fn each_file_form_reads_equal() {
    let dir = Dir::new();
    let text = small();
    let utf16 = |to_bytes: fn(u16) -> [u8; 2]| {
        let bytes = "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(to_bytes);
        bytes.collect::<Vec<_>>()
    };
    for (name, bytes) in [
        ("plain.har", text.clone().into_bytes()),
        ("bom.har", format!("\u{feff}{text}").into_bytes()),
        ("spaced.har", format!("\n\n {text}\n \n").into_bytes()),
        ("packed.har.gz", gzip(text.as_bytes())),
        ("packed-in-any-name.json", gzip(format!("\u{feff}{text}").as_bytes())),
        ("le.har", utf16(u16::to_le_bytes)),
        ("be.har", utf16(u16::to_be_bytes)),
        ("call.harp", format!("onInputData({text});\n").into_bytes()),
        ("any.zip", zip(&[("har.har", text.as_bytes())])),
        ("other-name.zip", zip(&[("x.txt", b""), ("my.har", text.as_bytes()), ("sub/other.har", b"")])),
        ("bare.har", br#"{"entries":[ENTRY],"version":"1.2"}"#.to_vec()),
    ] {
        let bytes = match name {
            "bare.har" => {
                format!(r#"{{"version":"1.2","entries":[{}],"comment":0}}"#, entry("http://a.test/", CONTENT))
                    .into_bytes()
            }
            _ => bytes,
        };
        let fixture = Fixture::open(&dir.file(name, bytes)).unwrap();
        assert_eq!(fixture.heads().len(), 1, "{name}");
        assert_eq!(text_of(&fixture, 0), b"hi", "{name}");
        let odd = usize::from(name == "call.harp" || name == "bare.har");
        assert_eq!(fixture.warnings().len(), odd, "{name}: {:?}", fixture.warnings());
    }
}

#[test]
fn member_order_is_free_and_lines_are_counted() {
    let dir = Dir::new();
    let text = format!(
        "{{\"zzz\": [1],\n\"log\": {{\"pages\": [\n],\n\"entries\": [\n{},\n\n{}\n],\n\"_harproxy\": {{\"format\": 1, \"scope\": [\"**/a\", \"!**/b\"]}},\n\"version\": 1.1}}}}",
        entry("http://a.test/1", CONTENT),
        entry("http://a.test/2", CONTENT)
    );
    let fixture = Fixture::open(&dir.file("a.har", text)).unwrap();
    assert!(fixture.is_own());
    assert_eq!(fixture.scope().unwrap(), ["**/a", "!**/b"]);
    let lines: Vec<_> = fixture.heads().iter().map(|head| head.line).collect();
    assert_eq!(lines, [5, 7]);
}

#[test]
fn entry_larger_than_the_window_is_read_among_many_small_ones() {
    let dir = Dir::new();
    let large = format!(r#"{{"size":1,"mimeType":"text/plain","text":"{}"}}"#, "x\\n".repeat(700_000));
    let mut entries: Vec<_> = (0..3000).map(|n| entry(&format!("http://a.test/{n}"), CONTENT)).collect();
    entries.insert(1500, entry("http://a.test/large", &large));
    let fixture = Fixture::open(&dir.file("a.har", har(&entries))).unwrap();
    assert_eq!(fixture.heads().len(), 3001);
    assert_eq!(fixture.heads().get(1500).unwrap().url, "http://a.test/large");
    assert_eq!(fixture.heads().get(3000).unwrap().url, "http://a.test/2999");
    assert_eq!(text_of(&fixture, 1500).len(), 1_400_000);
    assert_eq!(text_of(&fixture, 3000), b"hi");
}

#[test]
fn invalid_har_is_refused_with_line_and_column() {
    let dir = Dir::new();
    let whole = har(&[entry("http://a.test/1", CONTENT), entry("http://a.test/2", CONTENT)]);
    let cut = &whole[..whole.len() - 40];
    for (bytes, says) in [
        (&b""[..], "1: column 1: the file is empty: not a HAR"),
        (b"  \n ", "2: column 2: the file is empty: not a HAR"),
        (b"\xef\xbb\xbf", "the file is empty"),
        (b"hello", "1: column 1: expected `{` at the start of a HAR, found `h`"),
        (b"[1]", "found `[`"),
        (b"nil", "found `n`"),
        (b"null {", "found `n`"),
        (b"<html>{}", "found `<`"),
        (b"\x00\x01", "found byte 0x00"),
        (br#"{"a":1,"b":{}}"#, "not a HAR: no `log` object, only `a`, `b`"),
        (br#"{"a":{"b":{"log":{"entries":[]}}}}"#, "save the object at `a.b.log` as the HAR"),
        (br#"{"log":[]}"#, "only `log`"),
        (br#"{"log":{"_harproxy":{"version":3},"entries":[]}}"#, "it has layout 3, but this harproxy reads up to 2"),
        (br#"{"log":{"entries":[]}} {"#, "column 24: expected the end of the file after the HAR, found `{`"),
        (b"{\"log\":{\n\"entries\":[{},]}}", "2: column 15: expected value, after 1 whole entry"),
        (b"{\"log\":{\"entries\":[{\"a\":\n\n nil}]}}", "3: column 3: expected ident"),
        (b"// c\n{}", "found `/`"),
        (cut.as_bytes(), "2: column 124: EOF while parsing a string, after 1 whole entry"),
        (b"PK\x03\x04rubbish", "the archive can't be read"),
        (b"\x1f\x8b\x08\x00rubbish", "gzip decompression failed"),
    ] {
        let text = open_error(&dir.file("a.har", bytes));
        assert!(text.contains(says), "{:?}: {text}", String::from_utf8_lossy(bytes));
    }
    assert!(open_error(dir.0.path()).contains("it is a folder; pass the path of the HAR in it"));
    assert!(open_error(&dir.0.path().join("none.har")).starts_with("opening "));
}

/// Playwright opens these files. A replay refuses them, except an empty list, since it could not answer a request.
#[test]
fn file_without_entries_is_read_with_a_warning() {
    let dir = Dir::new();
    for (text, says) in [
        ("null", "not a HAR: it has no entries"),
        (" [ ]\n", "not a HAR: it has no entries"),
        ("{}", "not a HAR: it has no entries"),
        (r#"{"log":{}}"#, "`log` has no `entries` array"),
        (r#"{"log":{"entries":null}}"#, "`log` has no `entries` array"),
        (r#"{"log":{"entries":{}}}"#, "`log` has no `entries` array"),
        (r#"{"log":{"version":"1.2","entries":"x"}}"#, "`log` has no `entries` array"),
        (r#"{"log":{"entries":[]}}"#, "the HAR has no entries"),
    ] {
        let fixture = Fixture::open(&dir.file("a.har", text.as_bytes())).unwrap();
        assert!(fixture.heads().is_empty() && !fixture.is_own(), "{text}");
        let warnings = fixture.warnings();
        assert!(warnings.len() == 1 && warnings[0].text.contains(says), "{text}: {warnings:?}");
        let refused = fixture.expect_entries();
        assert_eq!(refused.is_ok(), text.contains("[]") && text.contains("log"), "{text}: {refused:?}");
        // The formatted file is a HAR with one list of entries.
        let written = dir.0.path().join("b.har");
        let writer = FixtureWriter::create(&written, ContentMode::Attach, &["**".to_owned()]).unwrap();
        writer.based_on(&fixture).unwrap().finish().unwrap();
        let har: serde_json::Value = serde_json::from_slice(&fs::read(&written).unwrap()).unwrap();
        assert_eq!(har["log"]["entries"], serde_json::json!([]), "{text}");
    }
}

#[test]
fn malformed_entry_does_not_affect_others() {
    let dir = Dir::new();
    let good = |n: usize| entry(&format!("http://a.test/{n}"), CONTENT);
    let entries = [
        good(0),
        "null".to_owned(),
        r#"{"response":{"status":200}}"#.to_owned(),
        r#"{"request":[1],"response":"\ud800"}"#.to_owned(),
        r#"{"request":{"method":"GET","url":""},"response":{"status":200}}"#.to_owned(),
        r#"{"request":{"method":null,"url":"http://a.test/5"},"response":{"status":"200"}}"#.to_owned(),
        r#"{"request":{"method":"POST","url":"http://a.test/6"},"response":{}}"#.to_owned(),
        r#"{"request":{"method":"POST","url":"http://a.test/7\ud83d","headers":{"a":1}},"response":{"status":2e2,"content":[]}}"#.to_owned(),
        good(8),
    ];
    let fixture = Fixture::open(&dir.file("a.har", har(&entries))).unwrap();
    let heads: Vec<_> = fixture.heads().iter().map(|head| (head.entry, head.method, head.status)).collect();
    assert_eq!(heads, [(0, "GET", 200), (5, "GET", 200), (6, "POST", 0), (7, "POST", 200), (8, "GET", 200)]);
    for head in fixture.heads() {
        let parsed = fixture.entry(head.entry).unwrap();
        assert_eq!(
            (head.method, head.url, head.status),
            (&*parsed.request.method, &*parsed.request.url, parsed.response.status)
        );
    }
    let warnings: Vec<_> = fixture.warnings().iter().map(|w| (w.entry.unwrap(), w.line.unwrap(), &*w.text)).collect();
    assert_eq!(
        warnings,
        [
            (1, 2, "it is not an object that can be read; left out"),
            (2, 3, "it has no `request` object; left out"),
            (3, 4, "it is not an object that can be read; left out"),
            (4, 5, "its request has no `url`; left out"),
            (5, 6, "its request has no `method`; read as GET"),
            (6, 7, "it has no `response`, so it cannot be replayed"),
        ]
    );
    assert!(fixture.entry(1).unwrap_err().to_string().ends_with("a.har#1 (line 2): it is not an object"));
    assert!(fixture.entry(9).is_err());
}

#[test]
fn invalid_utf8_is_an_error_of_its_entry() {
    let dir = Dir::new();
    let text = har(&[entry("http://a.test/", CONTENT), entry("http://b.test/", "{\"text\":\"caf#\"}")]);
    let latin: Vec<u8> = text.bytes().map(|byte| if byte == b'#' { 0xe9 } else { byte }).collect();
    let fixture = Fixture::open(&dir.file("a.har", latin)).unwrap();
    assert_eq!(text_of(&fixture, 0), b"hi");
    let error = fixture.entry(1).unwrap_err().to_string();
    assert!(error.contains("#1 (line 2): its byte 124 is not UTF-8; convert the file"), "{error}");
}

#[test]
fn warnings_are_bounded() {
    let dir = Dir::new();
    let fixture = Fixture::open(&dir.file("a.har", har(&vec!["0".to_owned(); 5000]))).unwrap();
    assert_eq!(fixture.warnings().len(), 201);
    assert_eq!(fixture.warnings()[200].text, "4800 more warnings");
}

#[test]
fn payload_files_are_read_from_the_folder_of_the_har() {
    let dir = Dir::new();
    dir.file("hars/api/a.txt", "beside");
    dir.file("hars/sub/empty.dat", "");
    dir.file("secret.txt", "secret");
    let content = |file: &str| format!(r#"{{"size":6,"mimeType":"text/plain","_file":"{file}"}}"#);
    let with = |file: &str| dir.file("hars/a.har", har(&[entry("http://a.test/", &content(file))]));
    assert_eq!(text_of(&Fixture::open(&with("api/a.txt")).unwrap(), 0), b"beside");
    assert_eq!(text_of(&Fixture::open(&with("./api/a.txt")).unwrap(), 0), b"beside");
    let empty = Fixture::open(&with("sub/empty.dat")).unwrap();
    assert!(matches!(empty.payload(0, &empty.entry(0).unwrap().response.content).unwrap(), Payload::Empty));
    let absolute = dir.0.path().join("secret.txt");
    for (file, says) in [
        ("../secret.txt", "leaves the folder of the HAR"),
        ("api/../../secret.txt", "leaves the folder of the HAR"),
        (absolute.to_str().unwrap(), "leaves the folder of the HAR"),
        ("api\\\\a.txt", "is not a relative path"),
        ("api", "is not a plain file"),
        ("api/none.txt", "does not exist; was it committed?"),
        ("C:/x", "is not a relative path"),
    ] {
        let text = payload_error(&with(file));
        assert!(text.contains(says), "{file}: {text}");
    }
}

#[cfg(unix)]
#[test]
fn payload_files_behind_symbolic_links_are_refused() {
    use std::os::unix::fs::symlink;
    let dir = Dir::new();
    let secret = dir.file("secret/s.txt", "secret");
    dir.file("hars/api/a.txt", "beside");
    symlink(&secret, dir.0.path().join("hars/api/link.txt")).unwrap();
    symlink(secret.parent().unwrap(), dir.0.path().join("hars/linked")).unwrap();
    for file in ["api/link.txt", "linked/s.txt"] {
        let content = format!(r#"{{"size":6,"mimeType":"text/plain","_file":"{file}"}}"#);
        let text = payload_error(&dir.file("hars/a.har", har(&[entry("http://a.test/", &content)])));
        assert!(text.contains("passes through a link"), "{text}");
    }
}

#[cfg(unix)]
#[test]
fn pipe_is_refused_without_waiting_for_its_writer() {
    let dir = Dir::new();
    let path = dir.0.path().join("pipe");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let error = Fixture::open(&path).unwrap_err().to_string();
    assert!(error.contains("it is a device, a pipe or a socket, not a regular file"), "{error}");
}

#[test]
fn invalid_base64_of_a_foreign_har_is_not_recorded() {
    let dir = Dir::new();
    let content = r#"{"size":6,"mimeType":"image/png","text":"no base64!","encoding":"base64"}"#;
    let text = har(&[entry("http://a.test/", content)]);
    let foreign = Fixture::open(&dir.file("a.har", &text)).unwrap();
    let entry = foreign.entry(0).unwrap();
    assert!(matches!(foreign.payload(0, &entry.response.content).unwrap(), Payload::NotRecorded));
    assert_eq!(foreign.examine(0).unwrap().len(), 1);
    let own = text.replace(r#""version""#, r#""_harproxy":{"format":1,"scope":[]},"version""#);
    assert!(payload_error(&dir.file("own.har", own)).contains("is marked as base64 but is not valid base64"));
}

#[test]
fn archive_payloads_are_read() {
    let dir = Dir::new();
    let content = |file: &str| format!(r#"{{"size":6,"mimeType":"text/plain","_file":"{file}"}}"#);
    let large = "large ".repeat(400_000);
    let text = har(&[
        entry("http://a.test/0", &content("a.txt")),
        entry("http://a.test/1", &content("sub/b.bin")),
        entry("http://a.test/2", &content("large.txt")),
    ]);
    let members: [(&str, &[u8]); 4] =
        [("har.har", text.as_bytes()), ("a.txt", b"in it"), ("sub/b.bin", b"below"), ("large.txt", large.as_bytes())];
    let fixture = Fixture::open(&dir.file("a.zip", zip(&members))).unwrap();
    assert_eq!(text_of(&fixture, 0), b"in it");
    assert_eq!(text_of(&fixture, 1), b"below");
    let payload = fixture.payload(2, &fixture.entry(2).unwrap().response.content).unwrap();
    drop(fixture);
    let Payload::File(file) = &payload else { panic!("{payload:?}") };
    assert_eq!(file.len, large.len() as u64);
    let mut streamed = String::new();
    payload.reader().unwrap().read_to_string(&mut streamed).unwrap();
    assert!(streamed == large, "a payload outlives its fixture");

    let lost = har(&[entry("http://a.test/0", &content("../a.txt"))]);
    let lost = dir.file("b.zip", zip(&[("har.har", lost.as_bytes())]));
    assert!(payload_error(&lost).contains("leaves the folder of the HAR"));
    let lost = har(&[entry("http://a.test/0", &content("none.txt"))]);
    let lost = dir.file("b.zip", zip(&[("har.har", lost.as_bytes())]));
    assert!(payload_error(&lost).contains("`none.txt` is not in the archive"));
}

#[test]
fn malicious_and_invalid_archives_are_refused() {
    let dir = Dir::new();
    let text = small();
    let har = ("har.har", text.as_bytes());
    let zeros = vec![b' '; 20 << 20];
    let bomb = [text.as_bytes(), &zeros].concat();
    let mut link = ZipWriter::new(Cursor::new(Vec::new()));
    link.start_file(har.0, SimpleFileOptions::default()).unwrap();
    link.write_all(har.1).unwrap();
    link.add_symlink("x.txt", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    let link = link.finish().unwrap().into_inner();
    let two = zip(&[har, ("aa.txt", b"1"), ("ab.txt", b"2")]);
    let below = zip(&[har, ("xx/y.txt", b"1")]);
    let mut cut = two.clone();
    cut.truncate(two.len() - 30);
    for (bytes, says) in [
        (with_renamed_member(&two, "ab.txt", "aa.txt"), "two members of the same name"),
        (with_renamed_member(&below, "xx/y.txt", "../y.txt"), "`../y.txt` has a name that leaves the archive's root"),
        (with_renamed_member(&below, "xx/y.txt", "/x/y.txt"), "has a name that leaves"),
        (with_renamed_member(&below, "xx/y.txt", "x\\..\\..t"), "has a name that leaves"),
        (link, "`x.txt` is a link"),
        (zip(&[("har.har", &bomb)]), "beyond the limit for recordings"),
        (zip(&[har, ("zeros.bin", &zeros)]), "beyond the limit for recordings"),
        (zip(&[("x.txt", b"")]), "has no `.har` at its root"),
        (zip(&[("a.har", har.1), ("b.har", har.1)]), "several `.har`"),
        (zip(&[]), "has no `.har`"),
        (cut, "the archive can't be read"),
        (gzip(&bomb), "beyond the limit for recordings"),
    ] {
        let text = open_error(&dir.file("a.zip", bytes));
        assert!(text.contains(says), "{says}: {text}");
    }
}

#[test]
fn large_payloads_are_streamed_while_writing_and_reading() {
    let dir = Dir::new();
    let path = dir.0.path().join("a.har");
    let plain = "0123456789abcdef".repeat(200_000);
    let json = format!("[{}1]", r#"{"a":"x y","b":[1.50,{}]},"#.repeat(100_000));
    let go = format!("{json}\n");
    let mut writer = FixtureWriter::create(&path, ContentMode::Attach, &[]).unwrap();
    let mut bodies = Vec::new();
    let python = json.replace(',', ", ").replace(':', ": ");
    for (bytes, mime_type) in
        [(&plain, "text/plain"), (&json, "application/json"), (&go, "application/json"), (&python, "application/json")]
    {
        let source = PayloadSource { read: &mut bytes.as_bytes(), mime_type, encoded: false, truncated: None };
        bodies.push(writer.content(source).unwrap());
    }
    let compact: Vec<_> = bodies.iter().map(|body| body.compact).collect();
    let expected = [None, Some(Spacing::Compact), None, Some(Spacing::Spaced)];
    assert_eq!(compact, expected, "a final line end would be lost");
    let mut entry = harproxy_har::Entry::default();
    entry.request.method = "GET".to_owned();
    entry.request.url = "http://a.test/".to_owned();
    for content in bodies {
        entry.response.content = content;
        writer.entry(&entry).unwrap();
    }
    writer.finish().unwrap();
    let fixture = Fixture::open(&path).unwrap();
    for (at, bytes) in [plain, json, go].iter().enumerate() {
        let payload = fixture.payload(at, &fixture.entry(at).unwrap().response.content).unwrap();
        let Payload::File(file) = &payload else { panic!("{at}") };
        assert_eq!(file.len, bytes.len() as u64);
        let mut streamed = Vec::new();
        payload.reader().unwrap().read_to_end(&mut streamed).unwrap();
        assert!(streamed == bytes.as_bytes() && payload.bytes().unwrap() == bytes.as_bytes(), "{at}");
    }
}

#[test]
fn highly_compressed_own_archive_is_accepted() {
    let dir = Dir::new();
    let path = dir.0.path().join("a.zip");
    let zeros = vec![0; 17 << 20];
    let mut writer = FixtureWriter::create(&path, ContentMode::Attach, &[]).unwrap();
    let source = PayloadSource { read: &mut &zeros[..], mime_type: "image/png", encoded: false, truncated: None };
    let mut entry = harproxy_har::Entry::default();
    entry.request.url = "http://a.test/".to_owned();
    entry.response.content = writer.content(source).unwrap();
    writer.entry(&entry).unwrap();
    writer.finish().unwrap();
    assert_eq!(text_of(&Fixture::open(&path).unwrap(), 0).len(), zeros.len());
}
