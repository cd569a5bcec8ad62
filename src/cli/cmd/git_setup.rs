//! `harproxy git-setup`: configures git to merge and show fixtures by entry. `.gitattributes` and `.gitignore` apply
//! to every clone. The configuration of a clone names the programs.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::cli::advice::Failure;
use crate::cli::args::fixtures::GitSetupArgs;
use crate::cli::args::replay::DEFAULT_FIXTURES;
use crate::cli::event::Event;
use crate::cli::files;
use crate::cli::ui::{self, Ui};
use crate::cli::usage_error::UsageError;
use crate::verdict::exit;
use harproxy_har::Fixture;
use harproxy_support::printable::Shown as _;

const ATTRIBUTES: &str = ".gitattributes";
/// Attributes of payload files. git must neither convert their line ends nor merge them, because the result would be a
/// payload that no API sent.
const PAYLOADS: &str = "-text -merge";
const IGNORED: &str = ".gitignore";
/// Extensions of unfinished and held recordings, which are not committed.
const UNFINISHED: [&str; 2] = ["journal", "held"];
const HEADING: &str = "# Fixtures of harproxy: `harproxy git-setup` wrote these lines, and makes git carry them out.";

pub fn run(args: &GitSetupArgs, ui: &Ui) -> Result<u8, Failure> {
    let git = Git::find()?;
    let [attributes, ignored] = lines(&git, &args.fixtures)?;
    let files = [GitFile::new(&git, ATTRIBUTES, &attributes)?, GitFile::new(&git, IGNORED, &ignored)?];
    let settings = settings();
    let mut unset = Vec::new();
    for (name, value) in &settings {
        if git.setting(name)?.as_deref() != Some(value) {
            unset.push((*name, value));
        }
    }
    if args.check {
        return Ok(check(&files, &unset, ui));
    }
    for GitFile { name, path, before, missing } in files.iter().filter(|file| !file.missing.is_empty()) {
        files::write(path, extended(before, missing).as_bytes())?;
        for line in missing {
            ui.note(Event::Attribute, &format!("{name}: {line}"));
        }
    }
    for (name, value) in &unset {
        git.run(&["config", "--local", name, value])?;
        ui.note(Event::Setting, &format!("git config {name} {}", harproxy_support::shell_quote::words([value])));
    }
    let written: Vec<_> = files.iter().map(|file| harproxy_support::shell_quote::path(&shown(&file.path))).collect();
    let next = if files.iter().all(|file| file.missing.is_empty()) && unset.is_empty() {
        "nothing to do: git is already set up".to_owned()
    } else {
        format!(
            "\nCommit {ATTRIBUTES} and {IGNORED}: {}\nThe git configuration belongs to this clone: run {} once in every clone.",
            ui::help(format!("git add {}", written.join(" "))),
            ui::help("harproxy git-setup")
        )
    };
    ui.note(Event::Done, &next);
    Ok(exit::SUCCESS)
}

/// `.gitattributes` or `.gitignore` at the root of the work tree.
struct GitFile<'l> {
    name: &'static str,
    path: PathBuf,
    before: String,
    missing: Vec<&'l String>,
}

impl<'l> GitFile<'l> {
    fn new(git: &Git, name: &'static str, lines: &'l [String]) -> Result<Self, UsageError> {
        let path = git.root.join(name);
        let before = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(source) => {
                let error =
                    UsageError::new(format!("reading {}", path.shown()), "check its permissions, and that it is UTF-8");
                return Err(error.because(source));
            }
        };
        let missing = lines.iter().filter(|line| !before.lines().any(|has| has.trim() == **line)).collect();
        Ok(GitFile { name, path, before, missing })
    }
}

fn check(files: &[GitFile<'_>], unset: &[(&str, &String)], ui: &Ui) -> u8 {
    for (name, line) in files.iter().flat_map(|file| file.missing.iter().map(|line| (file.name, line))) {
        ui.alert(Event::Missing, &format!("missing in {name}: {line}"));
    }
    for (name, value) in unset {
        ui.alert(Event::Missing, &format!("missing in the configuration of this clone: {name} = {value}"));
    }
    if files.iter().all(|file| file.missing.is_empty()) && unset.is_empty() {
        ui.note(Event::Done, "git is set up");
        return exit::SUCCESS;
    }
    ui.alert(Event::Hint, &format!("{}: `harproxy git-setup` adds them", ui::help("hint")));
    exit::FAILED
}

/// Appends lines to the file. Later lines take precedence in git.
fn extended(before: &str, missing: &[&String]) -> String {
    let mut text = before.to_owned();
    let end = if before.contains("\r\n") { "\r\n" } else { "\n" };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push_str(end);
    }
    let mut add = |line: &str| {
        text.push_str(line);
        text.push_str(end);
    };
    if !before.lines().any(|line| line.trim() == HEADING) {
        if !before.is_empty() {
            add("");
        }
        add(HEADING);
    }
    missing.iter().for_each(|line| add(line));
    text
}

/// Returns the path relative to the working directory.
fn shown(path: &Path) -> PathBuf {
    let here = std::env::current_dir().and_then(std::fs::canonicalize).unwrap_or_default();
    path.strip_prefix(here).map_or_else(|_| path.to_owned(), Path::to_owned)
}

/// Returns the names and values of the git configuration.
fn settings() -> Vec<(&'static str, String)> {
    let harproxy = program();
    vec![
        ("merge.harproxy.name", "harproxy: fixtures, entry by entry".to_owned()),
        ("merge.harproxy.driver", format!("{harproxy} merge --driver %O %A %B %P --marker-size %L")),
        // git first merges several common ancestors into one. With conflict markers in it, it would not be a HAR.
        ("merge.harproxy.recursive", "binary".to_owned()),
        ("diff.harproxy.textconv", format!("{harproxy} show --all --no-pager --color never")),
    ]
}

/// Returns the command of this harproxy for git: its name if it is in PATH, else its path.
fn program() -> String {
    let Ok(me) = std::env::current_exe().and_then(std::fs::canonicalize) else { return "harproxy".to_owned() };
    let name = me.file_name().unwrap_or_default();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file());
    if name.to_str().is_some_and(|name| name.trim_end_matches(".exe") == "harproxy")
        && found.and_then(|found| std::fs::canonicalize(found).ok()).as_ref() == Some(&me)
    {
        return "harproxy".to_owned();
    }
    // git runs it in a shell, which needs slashes on Windows too.
    let text = me.to_string_lossy();
    harproxy_support::shell_quote::words([if cfg!(windows) { text.replace('\\', "/") } else { text.into_owned() }])
}

/// Returns the lines of `.gitattributes` and of `.gitignore` for all fixtures of the repository.
pub fn proposed_lines() -> Result<[Vec<String>; 2], UsageError> {
    lines(&Git::find()?, &[])
}

/// Returns the lines of `.gitattributes` and of `.gitignore` for these fixtures.
fn lines(git: &Git, named: &[PathBuf]) -> Result<[Vec<String>; 2], UsageError> {
    let (mut folders, mut fixtures) = (BTreeSet::new(), BTreeSet::new());
    for path in named {
        let within = git.within(path)?;
        match (is_fixture(path), path.is_file()) {
            (true, _) if !path.is_dir() => fixtures.insert(within),
            (_, false) => folders.insert(within),
            (_, true) => {
                let message = format!("{} is neither a folder nor a fixture", path.shown());
                return Err(UsageError::new(message, "pass fixtures (.har, .zip), or folders of them"));
            }
        };
    }
    if named.is_empty() {
        folders.insert(git.within(Path::new(DEFAULT_FIXTURES))?);
        for path in git.files()?.into_iter().filter(|path| is_fixture(path)) {
            let in_hars = path.ancestors().skip(1).filter(|folder| folder.file_name() == Some("hars".as_ref())).last();
            if let Some(folder) = in_hars {
                folders.insert(folder.to_owned());
            } else if Fixture::open(&git.root.join(&path)).is_ok_and(|fixture| fixture.is_own()) {
                fixtures.insert(path);
            }
        }
    }
    let (mut lines, mut ignored) = (Vec::new(), Vec::new());
    for folder in &folders {
        ignored.extend(UNFINISHED.map(|extension| format!("{}/**/.*.{extension}", pattern(folder))));
        lines.push(line(folder, "/**", PAYLOADS));
        lines.push(line(folder, "/**/*.har", "text eol=lf merge=harproxy"));
        lines.push(line(folder, "/**/*.zip", "-text diff=harproxy merge=harproxy"));
    }
    for fixture in fixtures.iter().filter(|fixture| !folders.iter().any(|folder| fixture.starts_with(folder))) {
        let name = fixture.file_name().unwrap_or_default().to_string_lossy();
        ignored.extend(UNFINISHED.map(|extension| pattern(&fixture.with_file_name(format!(".{name}.{extension}")))));
        if ends_in(fixture, ".zip") {
            lines.push(line(fixture, "", "-text diff=harproxy merge=harproxy"));
        } else {
            lines.push(line(&fixture.with_extension(""), "/**", PAYLOADS));
            lines.push(line(fixture, "", "text eol=lf merge=harproxy"));
        }
    }
    Ok([lines, ignored])
}

fn is_fixture(path: &Path) -> bool {
    ends_in(path, ".har") || ends_in(path, ".zip")
}

fn ends_in(path: &Path, ending: &str) -> bool {
    path.to_string_lossy().to_ascii_lowercase().ends_with(ending)
}

/// Formats a line of `.gitattributes` for a path in the work tree.
fn line(path: &Path, glob: &str, attributes: &str) -> String {
    let mut pattern = pattern(path);
    pattern.push_str(glob);
    if pattern.contains([' ', '\t', '"']) {
        pattern = format!("\"{}\"", pattern.replace('\\', "\\\\").replace('"', "\\\""));
    }
    format!("{pattern} {attributes}")
}

/// Returns a pattern that matches only this path of the work tree.
fn pattern(path: &Path) -> String {
    let mut pattern = String::new();
    for part in path.components() {
        pattern.push('/');
        for c in part.as_os_str().to_string_lossy().chars() {
            if matches!(c, '*' | '?' | '[' | '\\') {
                pattern.push('\\');
            }
            pattern.push(c);
        }
    }
    pattern
}

/// Runs git in the repository of the working directory.
struct Git {
    root: PathBuf,
}

impl Git {
    fn find() -> Result<Self, UsageError> {
        let output = git(Path::new("."), &["rev-parse", "--show-toplevel"])?;
        let root = String::from_utf8_lossy(&output.stdout).trim_end_matches(['\r', '\n']).to_owned();
        if !output.status.success() || root.is_empty() {
            let hint = "change to the repository of the fixtures, or create one with `git init`";
            return Err(UsageError::new("this folder is not in a git work tree", hint));
        }
        let root = std::fs::canonicalize(&root).unwrap_or(PathBuf::from(root));
        Ok(Git { root })
    }

    fn run(&self, args: &[&str]) -> Result<Output, UsageError> {
        let output = git(&self.root, args)?;
        if output.status.success() {
            return Ok(output);
        }
        let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let message = format!("`git {}` failed: {reason}", args.join(" "));
        Err(UsageError::new(message, "fix the error of git, then run this again"))
    }

    fn setting(&self, name: &str) -> Result<Option<String>, UsageError> {
        let output = git(&self.root, &["config", "--get", name])?;
        let value = String::from_utf8_lossy(&output.stdout).trim_end_matches(['\r', '\n']).to_owned();
        Ok(output.status.success().then_some(value))
    }

    /// Returns a path relative to the work tree. For a path that does not exist yet, its folder is resolved.
    fn within(&self, path: &Path) -> Result<PathBuf, UsageError> {
        let outside = || {
            let message = format!("{} is not in the repository at {}", path.shown(), self.root.shown());
            UsageError::new(message, "run this in the repository that contains it")
        };
        let whole = std::path::absolute(path).map_err(git_error)?;
        let whole = std::fs::canonicalize(&whole).or_else(|_| {
            let parent = whole.parent().and_then(|parent| std::fs::canonicalize(parent).ok());
            parent.zip(whole.file_name()).map(|(parent, name)| parent.join(name)).ok_or_else(outside)
        })?;
        whole.strip_prefix(&self.root).map(Path::to_owned).map_err(|_| outside())
    }

    /// Returns the files that git tracks or would add, as paths in the work tree.
    fn files(&self) -> Result<Vec<PathBuf>, UsageError> {
        let output = self.run(&["ls-files", "-z", "--cached", "--others", "--exclude-standard"])?;
        let names = output.stdout.split(|&byte| byte == 0).filter(|name| !name.is_empty());
        Ok(names.filter_map(|name| std::str::from_utf8(name).ok()).map(PathBuf::from).collect())
    }
}

fn git(folder: &Path, args: &[&str]) -> Result<Output, UsageError> {
    Command::new("git").arg("-C").arg(folder).args(args).output().map_err(git_error)
}

fn git_error(source: io::Error) -> UsageError {
    UsageError::new("running git", "install git, and make sure that it is in PATH").because(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_only_their_path() {
        assert_eq!(line(Path::new("a/hars"), "/**", "-text"), "/a/hars/** -text");
        assert_eq!(line(Path::new("my hars"), "/**/*.har", "text"), "\"/my hars/**/*.har\" text");
        assert_eq!(line(Path::new("a[1]*"), "/**", "-text"), "/a\\[1]\\*/** -text");
        assert_eq!(line(Path::new("a [1]"), "", "-text"), "\"/a \\\\[1]\" -text");
    }

    #[test]
    fn existing_lines_are_kept() {
        let line = "/hars/** -text".to_owned();
        assert_eq!(extended("", &[&line]), format!("{HEADING}\n/hars/** -text\n"));
        assert_eq!(extended("*.png binary", &[&line]), format!("*.png binary\n\n{HEADING}\n/hars/** -text\n"));
        let once = extended("a\r\n", &[&line]);
        assert_eq!(once, format!("a\r\n\r\n{HEADING}\r\n/hars/** -text\r\n"));
        assert_eq!(extended(&once, &[&"x".to_owned()]), once + "x\r\n");
    }
}
