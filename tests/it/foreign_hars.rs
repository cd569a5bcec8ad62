//! HARs of many other tools (`tests/corpus/hars-foreign`; INDEX.tsv has sources and licences). Each loads or is refused
//! with one clear line. EXPECTED.tsv has a summary of each.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use harproxy_har::{ContentMode, Fixture, FixtureWriter, Payload, model};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/hars-foreign")
}

/// The name of each file, and its number of entries according to the index.
fn index() -> Vec<(String, Option<usize>)> {
    let index = fs::read_to_string(corpus().join("INDEX.tsv")).unwrap();
    let lines = index.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>());
    lines.filter(|cells| cells[10] != "sidecar").map(|cells| (cells[0].to_owned(), cells[6].parse().ok())).collect()
}

/// The path of a file. Large files are compressed.
fn path_of(name: &str) -> PathBuf {
    let plain = corpus().join(name);
    if plain.exists() { plain } else { corpus().join(format!("{name}.gz")) }
}

/// The numbers of payloads that were found, empty, or not recorded.
#[derive(Default)]
struct Bodies {
    bytes: usize,
    whole: usize,
    lost: usize,
}

impl Bodies {
    fn add(&mut self, payload: &Payload) {
        match payload {
            Payload::Empty => {}
            Payload::NotRecorded => self.lost += 1,
            found @ (Payload::Bytes(_) | Payload::File(_)) => {
                self.whole += 1;
                self.bytes += found.bytes().unwrap().len();
            }
        }
    }
}

/// One line that summarises a file.
fn summary(path: &Path) -> String {
    let fixture = match Fixture::open(path) {
        Ok(fixture) => fixture,
        Err(error) => {
            let text = error.to_string();
            let folder = corpus().display().to_string() + "/";
            assert!(text.contains(&folder), "{text}");
            return format!("refused: {}", text.replace(&folder, ""));
        }
    };
    assert!(!fixture.is_own() && fixture.scope().is_none());
    let (mut contents, mut requests) = (Bodies::default(), Bodies::default());
    let (mut notes, mut headers) = (0, 0);
    for head in fixture.heads() {
        let entry = fixture.entry(head.entry).unwrap();
        assert_eq!(
            (head.method, head.url, head.status),
            (&*entry.request.method, &*entry.request.url, entry.response.status)
        );
        for field in entry.request.headers.iter().chain(&entry.response.headers) {
            assert!(!field.name.starts_with(':') && !field.value.contains(&b'\n'), "{path:?} {field:?}");
            headers += 1;
        }
        contents.add(&fixture.payload(head.entry, &entry.response.content).unwrap());
        let none = model::Body::default();
        requests.add(&fixture.payload(head.entry, entry.request.post_data.as_ref().unwrap_or(&none)).unwrap());
        notes += fixture.examine(head.entry).unwrap().len();
    }
    let mut line = format!("entries {}, headers {headers}", fixture.heads().len());
    for (side, bodies) in [("responses", contents), ("requests", requests)] {
        let Bodies { whole, bytes, lost } = bodies;
        let _ = write!(line, ", {side} {whole} ({bytes} bytes) and {lost} not recorded");
    }
    let _ = write!(line, ", {} warnings, {notes} notes", fixture.warnings().len());
    line
}

#[test]
fn each_file_loads_or_is_refused_in_one_line() {
    let mut found = String::new();
    let files = index();
    assert_eq!(files.len(), 71);
    for (name, entries) in files {
        let line = summary(&path_of(&name));
        assert_eq!(line.lines().count(), 1, "{line}");
        if let Some(entries) = entries.filter(|_| !line.starts_with("refused")) {
            let read = line.split([' ', ',']).nth(1).unwrap().parse::<usize>().unwrap();
            assert!(read <= entries, "{name}: {read} of {entries}");
        }
        let _ = writeln!(found, "{name}\t{line}");
    }
    let expected = fs::read_to_string(corpus().join("EXPECTED.tsv")).unwrap_or_default();
    if found != expected {
        let kept = std::env::temp_dir().join("harproxy-foreign-hars.tsv");
        fs::write(&kept, &found).unwrap();
        let differing: Vec<_> = found.lines().filter(|line| !expected.lines().any(|old| old == *line)).collect();
        panic!("not as in EXPECTED.tsv ({} has it all):\n{}", kept.display(), differing.join("\n"));
    }
}

/// Writes every entry of `from` in canonical form to `path`. Returns its bytes and the fixture.
fn formatted(path: &Path, from: &Fixture) -> (Vec<u8>, Fixture) {
    let writer = FixtureWriter::create(path, ContentMode::Attach, &["**".to_owned()]).unwrap();
    let mut writer = writer.based_on(from).unwrap();
    from.heads().iter().for_each(|head| writer.format(from, head.entry).unwrap());
    writer.finish().unwrap();
    (fs::read(path).unwrap(), Fixture::open(path).unwrap())
}

#[test]
fn canonical_form_is_stable() {
    let dir = tempfile::tempdir().unwrap();
    for (name, _) in index() {
        let Ok(foreign) = Fixture::open(&path_of(&name)) else { continue };
        let (first, once) = formatted(&dir.path().join("a.har"), &foreign);
        let (second, twice) = formatted(&dir.path().join("a.har"), &once);
        assert!(first == second, "{name}");
        assert_eq!(foreign.heads().len(), twice.heads().len(), "{name}");
        for (before, after) in foreign.heads().iter().zip(twice.heads().iter()) {
            assert_eq!((before.method, before.url, before.status), (after.method, after.url, after.status), "{name}");
        }
    }
}
