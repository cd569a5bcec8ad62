//! `merge` and `git-setup` in real repositories.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use harproxy_har::{ContentMode, Entry, FixtureWriter, PayloadSource};
use serde_json::Value;

use crate::support::sandbox::{Output, Sandbox, finish};

/// A repository without the git configuration of the machine.
struct Repo {
    sandbox: Sandbox,
}

impl Repo {
    fn new() -> Self {
        let repo = Repo { sandbox: Sandbox::new() };
        repo.git(["init", "-q", "-b", "main"]);
        repo.git(["config", "user.name", "Ada"]);
        repo.git(["config", "user.email", "ada@example.test"]);
        repo
    }

    /// A repository after `git-setup`, with a committed fixture of three endpoints.
    fn with(path: &str) -> Self {
        let repo = Repo::new();
        repo.record(path, &["users=1", "orders=1", "items=1"], 1);
        repo.harproxy(["git-setup"]).expect(0);
        repo.commit("base");
        repo
    }

    fn command<S: AsRef<OsStr>>(&self, program: &str, args: impl IntoIterator<Item = S>) -> Output {
        let mut command = Command::new(program);
        command
            .args(args)
            .current_dir(self.sandbox.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.sandbox.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .env("GIT_EDITOR", "true");
        finish(command.output().unwrap())
    }

    fn try_git<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        self.command("git", args)
    }

    #[track_caller]
    fn git<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> String {
        self.try_git(args).expect(0).stdout
    }

    fn harproxy<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        self.sandbox.run(args)
    }

    fn commit(&self, message: &str) {
        self.git(["add", "-A"]);
        self.git(["commit", "-qm", message]);
    }

    /// Creates a branch from main and commits this fixture.
    fn branch(&self, name: &str, path: &str, words: &[&str], seed: u32) {
        self.git(["checkout", "-q", "-b", name, "main"]);
        self.record(path, words, seed);
        self.commit(name);
    }

    /// Writes a fixture: `users=1` is `GET /users`, answered `{"n":"1"}`. An entry that is there with that answer
    /// stays byte
    /// for byte, as when it is recorded again.
    fn record(&self, path: &str, words: &[&str], seed: u32) {
        let path = self.sandbox.join(path);
        let old = path.exists().then(|| harproxy_har::Fixture::open(&path).unwrap());
        let mut writer =
            FixtureWriter::create(&path, ContentMode::Attach, &["https://api.test/**".to_owned()]).unwrap();
        for word in words {
            let (name, answer) = word.split_once('=').unwrap();
            let url = format!("https://api.test/{name}");
            let payload = format!("{{\"n\":\"{answer}\",\"of\":[\"{name}\",2]}}");
            let same = |fixture: &harproxy_har::Fixture| {
                let head = fixture.heads().iter().find(|head| head.url == url)?;
                let entry = fixture.entry(head.entry).unwrap();
                let stored = fixture.payload(head.entry, &entry.response.content).unwrap().bytes().unwrap();
                (stored == payload.as_bytes()).then_some(head.entry)
            };
            if let Some((fixture, entry)) = old.as_ref().and_then(|fixture| Some((fixture, same(fixture)?))) {
                writer.keep(fixture, entry).unwrap();
                continue;
            }
            let mut entry = Entry { started: format!("2026-01-{seed:02}T00:00:00.000Z"), ..Entry::default() };
            entry.time = f64::from(seed) * 1.5;
            entry.request.method = "GET".to_owned();
            entry.request.url = url;
            entry.request.http_version = "HTTP/1.1".to_owned();
            entry.response.status = 200;
            entry.response.status_text = "OK".to_owned();
            entry.response.http_version = "HTTP/1.1".to_owned();
            entry.response.headers.push("content-type", "application/json");
            entry.response.headers.push("x-request-id", format!("r{seed}"));
            let source = PayloadSource {
                read: &mut payload.as_bytes(),
                mime_type: "application/json",
                encoded: false,
                truncated: None,
            };
            entry.response.content = writer.content(source).unwrap();
            writer.entry(&entry).unwrap();
        }
        writer.finish().unwrap();
    }

    /// The response of replay for `/name`.
    #[track_caller]
    fn answer(&self, fixture: &str, name: &str) -> String {
        let url = format!("https://api.test/{name}");
        let asked = self.harproxy(["explain", fixture, "--json", "--url", &url]).expect(0).stdout;
        let asked: Value = serde_json::from_str(&asked).unwrap();
        assert_eq!(asked["action"], "serve", "{name}: {asked}");
        let fixture = harproxy_har::Fixture::open(&self.sandbox.join(fixture)).unwrap();
        let entry = usize::try_from(asked["entry"].as_u64().unwrap()).unwrap();
        let payload = fixture.payload(entry, &fixture.entry(entry).unwrap().response.content).unwrap();
        let payload: Value = serde_json::from_slice(&payload.bytes().unwrap()).unwrap();
        payload["n"].as_str().unwrap().to_owned()
    }

    /// Resolves each conflict of a HAR with one side.
    fn resolve(&self, path: &str, ours: bool) {
        let mut taking = true;
        let mut kept = String::new();
        for line in self.sandbox.read(path).lines() {
            match line.get(..7) {
                Some("<<<<<<<") => taking = ours,
                Some("=======") => taking = !ours,
                Some(">>>>>>>") => taking = true,
                _ if taking => kept += &format!("{line}\n"),
                _ => {}
            }
        }
        self.sandbox.write(path, kept);
    }
}

#[test]
fn branches_with_different_recordings_merge_without_conflict() {
    for fixture in ["hars/api.har", "hars/api.zip", "my hars/hars/the api.har"] {
        let repo = Repo::with(fixture);
        repo.branch("a", fixture, &["users=2", "orders=1", "items=1", "x=1"], 2);
        repo.branch("b", fixture, &["users=1", "orders=2", "items=1", "y=1"], 3);
        let merged = repo.try_git(["merge", "-q", "a", "-m", "merge"]).expect(0);
        assert!(merged.stderr.contains("1 added, 1 changed by the other side"), "{merged:?}");
        for (name, answer) in [("users", "2"), ("orders", "2"), ("items", "1"), ("x", "1"), ("y", "1")] {
            assert_eq!(repo.answer(fixture, name), answer, "{fixture} {name}");
        }
        assert_eq!(repo.git(["status", "--porcelain"]), "");
    }
}

#[test]
fn rebase_and_cherry_pick_merge_without_conflict() {
    let fixture = "hars/api.har";
    let repo = Repo::with(fixture);
    repo.branch("a", fixture, &["users=2", "orders=1", "items=1", "x=1"], 2);
    repo.branch("b", fixture, &["users=1", "orders=2", "items=1", "y=1"], 3);
    repo.branch("c", fixture, &["users=1", "orders=1", "items=4"], 4);
    repo.git(["checkout", "-q", "b"]);
    repo.git(["rebase", "-q", "a"]);
    repo.git(["cherry-pick", "c"]);
    for (name, answer) in [("users", "2"), ("orders", "2"), ("items", "4"), ("x", "1"), ("y", "1")] {
        assert_eq!(repo.answer(fixture, name), answer, "{name}");
    }
}

#[test]
fn renamed_fixture_gets_the_entries_recorded_under_its_old_name() {
    let repo = Repo::with("hars/api.har");
    repo.branch("a", "hars/api.har", &["users=1", "x=1", "orders=1", "items=1", "y=1"], 2);
    repo.git(["checkout", "-q", "-b", "b", "main"]);
    repo.git(["mv", "hars/api.har", "hars/shop.har"]);
    repo.git(["mv", "hars/api", "hars/shop"]);
    repo.sandbox.write("hars/shop.har", repo.sandbox.read("hars/shop.har").replace("\"api/", "\"shop/"));
    repo.commit("renamed");
    repo.git(["config", "merge.directoryRenames", "true"]);
    repo.try_git(["merge", "-q", "a", "-m", "merge"]).expect(0);
    for (name, answer) in [("users", "1"), ("orders", "1"), ("x", "1"), ("y", "1")] {
        assert_eq!(repo.answer("hars/shop.har", name), answer, "{name}");
    }
}

#[test]
fn conflict_is_marked_and_either_side_is_a_valid_fixture() {
    for ours in [true, false] {
        let fixture = "hars/api.har";
        let repo = Repo::with(fixture);
        repo.branch("a", fixture, &["users=1", "orders=3", "items=3", "x=1"], 2);
        repo.branch("b", fixture, &["users=2", "orders=2", "items=1", "x=2"], 3);
        let merged = repo.try_git(["merge", "a", "-m", "merge"]).expect(1);
        for output in [
            "conflict: hars/api.har: GET https://api.test/orders (#1): both sides changed its response",
            "conflict: hars/api.har: GET https://api.test/x (#3): both sides added it, with different responses",
            "hint: hars/api.har has both versions between markers",
        ] {
            assert!(merged.stderr.contains(output), "{output}: {merged:?}");
        }
        assert_eq!(repo.sandbox.read(fixture).matches("<<<<<<< ours").count(), 2);
        repo.resolve(fixture, ours);
        repo.commit("resolved");
        let taken = if ours { "2" } else { "3" };
        let x = if ours { "2" } else { "1" };
        for (name, answer) in [("users", "2"), ("orders", taken), ("items", "3"), ("x", x)] {
            assert_eq!(repo.answer(fixture, name), answer, "{name}");
        }
    }
}

#[test]
fn conflict_in_an_archive_keeps_ours_and_names_the_merge_command() {
    let fixture = "hars/api.zip";
    let repo = Repo::with(fixture);
    repo.branch("a", fixture, &["users=1", "orders=3", "items=1", "x=1"], 2);
    repo.branch("b", fixture, &["users=1", "orders=2", "items=1"], 3);
    let merged = repo.try_git(["merge", "a", "-m", "merge"]).expect(1);
    assert!(merged.stderr.contains("GET https://api.test/orders (#1): both sides changed"), "{merged:?}");
    assert_eq!((repo.answer(fixture, "orders"), repo.answer(fixture, "x")), ("2".into(), "1".into()));
    let command = "git show :3:hars/api.zip > theirs.zip && harproxy merge hars/api.zip theirs.zip";
    assert!(merged.stderr.contains(command), "{merged:?}");
    let command = command.replace("harproxy", env!("CARGO_BIN_EXE_harproxy"));
    let both = repo.command("sh", ["-c", &command]).expect(0);
    assert!(both.stderr.contains("theirs.zip: 1 added, 3 already there"), "{both:?}");
}

#[test]
fn merge_stops_when_git_removes_a_payload_that_the_other_side_needs() {
    let fixture = "hars/api.har";
    let repo = Repo::with(fixture);
    // The payload moves to another entry, and is removed here.
    let with_users_payload = |name: &str| {
        let text = repo.sandbox.read(fixture);
        let mut har: Value = serde_json::from_str(&text).unwrap();
        let entries = har["log"]["entries"].as_array_mut().unwrap();
        let mut entry = entries[0].clone();
        entry["request"]["url"] = format!("https://api.test/{name}").into();
        entries.push(entry);
        repo.sandbox.write(fixture, format!("{har:#}\n"));
    };
    for (there, here, from) in [("a", "b", "MERGE_HEAD"), ("c", "d", "HEAD")] {
        repo.git(["checkout", "-q", "-b", there, "main"]);
        with_users_payload("copy");
        repo.commit(there);
        repo.branch(here, fixture, &["users=2", "orders=1", "items=1"], 3);
        let (onto, other) = if from == "HEAD" { (there, here) } else { (here, there) };
        repo.git(["checkout", "-q", onto]);
        let merged = repo.try_git(["merge", other, "-m", "merge"]).expect(1);
        let command = format!("git checkout {from} -- hars/api/");
        assert!(merged.stderr.contains(&command), "{merged:?}");
        let at = merged.stderr.find(&command).unwrap();
        let command = merged.stderr[at..].split('`').next().unwrap();
        repo.command("sh", ["-c", command]).expect(0);
        repo.commit("merged");
        assert_eq!((repo.answer(fixture, "users"), repo.answer(fixture, "copy")), ("2".into(), "1".into()));
    }
}

#[test]
fn file_that_is_not_a_har_is_merged_as_text() {
    let fixture = "hars/api.har";
    let repo = Repo::with(fixture);
    for (branch, from, to) in [("a", "/users", "/broken\""), ("b", "/items", "/things")] {
        repo.git(["checkout", "-q", "-b", branch, "main"]);
        repo.sandbox.write(fixture, repo.sandbox.read(fixture).replace(from, to));
        repo.commit(branch);
    }
    let merged = repo.try_git(["merge", "-q", "a", "-m", "merge"]).expect(0);
    assert!(merged.stderr.contains("merged as text, because"), "{merged:?}");
    let text = repo.sandbox.read(fixture);
    assert!(text.contains("/broken\"") && text.contains("/things"));
}

#[test]
fn git_setup_reports_its_changes_and_is_idempotent() {
    let repo = Repo::new();
    repo.sandbox.write(".gitattributes", "*.png binary");
    repo.record("hars/api.har", &["users=1"], 1);
    repo.record("tests/data/one.har", &["users=1"], 1);
    repo.sandbox.write("tests/data/other.har", r#"{"log":{"entries":[]}}"#);
    repo.harproxy(["git-setup", "--check"]).expect(1).says("missing in .gitattributes: /hars/** -text -merge");
    assert_eq!(repo.sandbox.read(".gitattributes"), "*.png binary");
    let done = repo.harproxy(["git-setup"]).expect(0);
    assert_eq!(done.stdout, "");
    assert!(done.stderr.contains("git config merge.harproxy.driver"), "{done:?}");
    let attributes = repo.sandbox.read(".gitattributes");
    let lines: Vec<&str> = attributes.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(
        lines,
        [
            "*.png binary",
            "",
            "/hars/** -text -merge",
            "/hars/**/*.har text eol=lf merge=harproxy",
            "/hars/**/*.zip -text diff=harproxy merge=harproxy",
            "/tests/data/one/** -text -merge",
            "/tests/data/one.har text eol=lf merge=harproxy",
        ]
    );
    let left = ["hars/.api.har.held", "hars/deep/.b.har.journal", "tests/data/.one.har.journal"];
    for path in left {
        repo.sandbox.write(path, "");
    }
    repo.git(["add", "-A"]);
    let staged = repo.git(["diff", "--cached", "--name-only"]);
    assert!(staged.contains("hars/api.har") && staged.contains(".gitignore"), "{staged}");
    assert!(!staged.contains(".held") && !staged.contains(".journal"), "{staged}");
    let config = repo.git(["config", "--local", "--list"]);
    assert!(config.contains("merge --driver %O %A %B %P --marker-size %L"), "{config}");
    repo.harproxy(["git-setup", "--check"]).expect(0);
    repo.harproxy(["git-setup"]).expect(0).says("nothing to do");
    assert_eq!(repo.sandbox.read(".gitattributes"), attributes);
    assert_eq!(repo.git(["config", "--local", "--list"]), config);
}

#[test]
fn git_setup_works_in_a_folder_with_spaces_and_below_the_root() {
    let repo = Repo::new();
    repo.record("my app/hars/api.har", &["users=1"], 1);
    let mut command = repo.sandbox.command(["git-setup"]);
    command.current_dir(repo.sandbox.join("my app"));
    finish(command.output().unwrap()).expect(0);
    repo.git(["add", "-A"]);
    let of = |path: &str| repo.git(["check-attr", "text", "eol", "merge", "--", path]);
    let har = of("my app/hars/api.har");
    assert!(har.contains("eol: lf") && har.contains("merge: harproxy") && har.contains("text: set"), "{har}");
    let folder = std::fs::read_dir(repo.sandbox.join("my app/hars/api")).unwrap();
    for file in folder {
        let attributes = of(&format!("my app/hars/api/{}", file.unwrap().file_name().to_str().unwrap()));
        assert!(attributes.contains("text: unset") && attributes.contains("merge: unset"), "{attributes}");
    }
}

#[test]
fn git_setup_fails_outside_a_repository() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(["git-setup"]);
    command.env("GIT_CEILING_DIRECTORIES", sandbox.path().parent().unwrap());
    finish(command.output().unwrap()).expect(2).says("this folder is not in a git work tree").says("git init");
    let repo = Repo::new();
    repo.harproxy([OsStr::new("git-setup"), sandbox.path().as_os_str()]).expect(2).says("is not in the repository");
    std::fs::write(repo.sandbox.join("README.md"), "# Shop\n").unwrap();
    repo.harproxy(["git-setup", "README.md"]).expect(2).says("README.md is neither a folder nor a fixture");
    // A path that does not exist is a folder, unless it has the extension of a fixture.
    let output = repo.harproxy(["git-setup", "fixtures", "later.zip"]).expect(0);
    output.says("/fixtures/**/*.har text eol=lf merge=harproxy").says("/later.zip -text diff=harproxy");
}

#[test]
fn line_endings_converted_by_git_change_no_payload() {
    let repo = Repo::new();
    let fixture = "hars/api.har";
    repo.git(["config", "core.autocrlf", "true"]);
    repo.record(fixture, &["users=1", "orders=1"], 1);
    repo.sandbox.write("readme.txt", "a\nb\n");
    repo.harproxy(["git-setup"]).expect(0);
    repo.commit("base");
    let files = |folder: &Path| -> Vec<(String, Vec<u8>)> {
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap())
            .map(|file| (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap()))
            .collect();
        files.sort();
        files
    };
    let payloads = repo.sandbox.join("hars/api");
    let (before, har) = (files(&payloads), repo.sandbox.read(fixture));
    assert!(before.iter().any(|(_, bytes)| bytes.contains(&b'\n')));
    for path in ["hars", "readme.txt"] {
        repo.git(["rm", "-rqf", "--cached", path]);
        let _ = std::fs::remove_dir_all(repo.sandbox.join(path));
        let _ = std::fs::remove_file(repo.sandbox.join(path));
    }
    repo.git(["checkout", "HEAD", "--", "."]);
    assert!(repo.sandbox.read("readme.txt").contains("\r\n"), "git converts other files");
    assert_eq!(files(&payloads), before);
    assert_eq!(repo.sandbox.read(fixture), har);
    repo.harproxy(["fmt", "--check"]).expect(0);
}

#[test]
fn union_of_fixtures_replays_as_one_fixture() {
    let repo = Repo::new();
    repo.record("hars/a.har", &["users=1", "orders=1"], 1);
    repo.record("hars/b.zip", &["orders=1", "items=2"], 2);
    let before = repo.sandbox.read("hars/a.har");
    let joined = repo.harproxy(["merge", "-o", "all.zip", "hars/a.har", "hars/b.zip"]).expect(0);
    assert!(joined.stderr.starts_with("all.zip: 3 entries\n"), "{joined:?}");
    assert!(joined.stderr.contains("hars/b.zip: 1 added, 1 already there"), "{joined:?}");
    assert_eq!(repo.sandbox.read("hars/a.har"), before);
    repo.harproxy(["merge", "hars/a.har", "hars/b.zip"]).expect(0);
    for fixture in ["all.zip", "hars/a.har"] {
        for (name, answer) in [("users", "1"), ("orders", "1"), ("items", "2")] {
            assert_eq!(repo.answer(fixture, name), answer, "{fixture} {name}");
        }
    }
    assert!(repo.sandbox.read("hars/a.har").starts_with(before.trim_end_matches(['\n', ' ', '}', ']'])));
    repo.harproxy(["merge", "hars/a.har"]).expect(2).says("merging needs at least two fixtures");
    repo.harproxy(["merge", "hars/a.har", "gone.har"]).expect(2);
    repo.sandbox.write(
        "foreign.har",
        r#"{"log":{"entries":[{"request":{"method":"GET","url":"http://x.test/"},"response":{"status":204}}]}}"#,
    );
    let refused = repo.harproxy(["merge", "hars/a.har", "foreign.har"]).expect(2);
    assert!(refused.stderr.contains("hint: pass `--adopt`"), "{refused:?}");
    repo.harproxy(["merge", "--adopt", "hars/a.har", "foreign.har"]).expect(0);
    assert!(repo.sandbox.read("hars/a.har").contains("\"http://x.test/**\""));
}

#[test]
fn git_diff_shows_an_archive_as_text() {
    let fixture = "hars/api.zip";
    let repo = Repo::with(fixture);
    repo.record(fixture, &["users=1", "orders=2", "items=1"], 2);
    let diff = repo.git(["diff", "--", fixture]);
    let changed = |sign: char, text: &str| diff.lines().any(|line| line.starts_with(sign) && line.contains(text));
    assert!(changed('-', "\"n\": \"1\"") && changed('+', "\"n\": \"2\""), "{diff}");
    assert!(!diff.contains("Binary files") && !diff.contains('\u{1b}'), "{diff}");
    assert!(diff.lines().filter(|line| line.starts_with('+')).count() < 8, "{diff}");
}
