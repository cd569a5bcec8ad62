//! The end of a recording, for a person: who was asked what, what became of the fixture, and the next two lines to type.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::args::replay::DEFAULT_FIXTURES;
use super::ui;
use crate::record::{HostLine, Outcome};
use crate::verdict::Counts;
use harproxy_har::write::ContentMode;

/// More hosts than this are summed up in one line.
const SHOWN: usize = 20;
/// Without a terminal there is no width to fit.
const WIDTH: u16 = 100;

/// The table of hosts, fitted to the terminal; empty without hosts.
#[must_use]
pub fn table(hosts: &[HostLine]) -> String {
    if hosts.is_empty() {
        return String::new();
    }
    let width = ui::width().unwrap_or(WIDTH);
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    table.set_header(["host", "requests", "recorded", "passed"]);
    for line in shown(hosts) {
        table.add_row([line.host, line.requests.to_string(), line.recorded.to_string(), line.passed.to_string()]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut text = String::new();
    for line in table.lines() {
        let _ = writeln!(text, " {}", line.trim_end());
    }
    text
}

fn shown(hosts: &[HostLine]) -> Vec<HostLine> {
    if hosts.len() <= SHOWN {
        return hosts.to_vec();
    }
    let (first, rest) = hosts.split_at(SHOWN - 1);
    let sum = |count: fn(&HostLine) -> u64| rest.iter().map(count).sum();
    let others = HostLine {
        host: format!("and {} more", rest.len()),
        requests: sum(|line| line.requests),
        recorded: sum(|line| line.recorded),
        passed: sum(|line| line.passed),
    };
    first.iter().cloned().chain([others]).collect()
}

/// One sentence on what became of the fixture. `failed` is CMD's status when that is not 0.
#[must_use]
pub fn change(outcome: &Outcome, output: &Path, failed: Option<u8>) -> String {
    let path = output.display();
    let cmd = failed.map(|status| format!("CMD ended with status {status}"));
    if !outcome.written {
        let cmd = cmd.map_or_else(String::new, |cmd| format!("{cmd}: "));
        let held = match &outcome.held {
            Some(journal) => format!("; what was recorded is kept in {}", journal.display()),
            None => String::new(),
        };
        let replaced = if outcome.replaced_held { ", in place of what was held before" } else { "" };
        return match output.exists() {
            true => format!("{cmd}{path} stays as it is{held}{replaced}"),
            false => format!("{cmd}{path} was not written{held}{replaced}"),
        };
    }
    let mut text = format!("{path}: {}", counts(outcome.added, outcome.changed, outcome.unchanged, outcome.not_seen));
    if outcome.unanswered > 0 {
        let _ = write!(text, "; {} left out, whose client went away before the answer", outcome.unanswered);
    }
    if outcome.replaced_held {
        text.push_str("; it takes the place of a recording that was held");
    }
    if let Some(cmd) = cmd {
        let _ = write!(text, "; {cmd}");
    }
    text
}

/// What became of the entries of a fixture; of a new one there is but one thing to say.
#[must_use]
pub fn counts(added: usize, changed: usize, unchanged: usize, not_seen: usize) -> String {
    match unchanged + changed + not_seen {
        0 => format!("{added} added"),
        _ => format!("{unchanged} unchanged, {changed} changed, {added} added, {not_seen} not seen"),
    }
}

/// What to do about a recording that could not be finished.
#[must_use]
pub fn kept(output: &Path, journal: &Path) -> String {
    format!("what was recorded is kept in {}; once that is mended:\n{}", journal.display(), choice(output))
}

/// The lines to choose from when a recording was held: it becomes part of the fixture, or it is dropped.
#[must_use]
pub fn choice(output: &Path) -> String {
    let recover = format!("harproxy recover {}", harproxy_support::shell_quote::path(output));
    let discard = format!("{recover} --discard");
    let accept = format!("{recover:width$}", width = discard.len());
    format!("  {}  puts it into the fixture\n  {}  drops it\n", ui::help(accept), ui::help(discard))
}

/// What became of secrets; nothing when there were none, or nobody looked.
#[must_use]
pub fn secrets(counts: &Counts) -> Option<String> {
    let many = |n: u64, one: &str| if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") };
    let redacted = (counts.redacted > 0).then(|| format!("redacted {}", many(counts.redacted, "value")));
    let opaque = (counts.opaque > 0).then(|| format!("{} could not be looked into", many(counts.opaque, "payload")));
    let parts: Vec<String> = redacted.into_iter().chain(opaque).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// The next two lines to type: put the fixture under version control, and replay it with the same CMD and with these options.
#[must_use]
pub fn next(output: &Path, content: ContentMode, options: &[OsString], cmd: &[OsString]) -> String {
    let mut add = format!("git add {}", harproxy_support::shell_quote::path(output));
    if content == ContentMode::Attach
        && let Some(payloads) = payload_folder(output).filter(|folder| folder.is_dir())
    {
        let _ = write!(add, " {}", harproxy_support::shell_quote::path(&payloads));
    }
    let mut replay = "harproxy replay".to_owned();
    if !found_by_default(output) {
        let _ = write!(replay, " {}", harproxy_support::shell_quote::path(output));
    }
    if !options.is_empty() {
        let _ = write!(replay, " {}", harproxy_support::shell_quote::words(options));
    }
    if !cmd.is_empty() {
        let _ = write!(replay, " -- {}", harproxy_support::shell_quote::words(cmd));
    }
    format!("  {}\n  {}\n", ui::help(add), ui::help(replay))
}

/// Where the payload files of a HAR are, if it has any.
#[must_use]
pub fn payload_folder(output: &Path) -> Option<PathBuf> {
    let payloads = output.with_extension("");
    let is_archive = output.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("zip"));
    (!is_archive && payloads != *output).then_some(payloads)
}

/// Whether `harproxy replay` alone looks there.
fn found_by_default(output: &Path) -> bool {
    output.strip_prefix(".").unwrap_or(output).starts_with(DEFAULT_FIXTURES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    fn line(host: &str) -> HostLine {
        HostLine { host: host.into(), requests: 3, recorded: 2, passed: 1 }
    }

    #[test]
    fn numbers_stand_under_their_headings() {
        let table = table(&[line("api.test"), line("cdn.test:8443")]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 3, "{table}");
        for (heading, number) in [("requests", "3"), ("recorded", "2"), ("passed", "1")] {
            let end = lines[0].find(heading).unwrap() + heading.len();
            assert_eq!(lines[1].get(end - 1..end), Some(number), "{table}");
        }
        assert!(lines[2].contains("cdn.test:8443"));
    }

    #[test]
    fn many_hosts_are_summed_up() {
        let hosts: Vec<HostLine> = (0..50).map(|n| line(&format!("h{n}.test"))).collect();
        let shown = shown(&hosts);
        assert_eq!(shown.len(), SHOWN);
        assert_eq!(shown.iter().map(|line| line.requests).sum::<u64>(), 150);
        assert_eq!(shown[SHOWN - 1].host, "and 31 more");
    }

    #[test]
    fn what_became_of_secrets_is_one_line() {
        let secrets = |redacted, opaque| super::secrets(&Counts { redacted, opaque, ..Counts::default() });
        assert_eq!(secrets(7, 2).unwrap(), "redacted 7 values; 2 payloads could not be looked into");
        assert_eq!(secrets(1, 0).unwrap(), "redacted 1 value");
        assert_eq!(secrets(0, 1).unwrap(), "1 payload could not be looked into");
        assert_eq!(secrets(0, 0), None);
    }

    #[test]
    fn the_next_lines_can_be_pasted() {
        let cmd = ["npm".into(), "run".into(), "it's".into()];
        let next =
            |output: &str, cmd: &[OsString]| plain(&super::next(Path::new(output), ContentMode::Attach, &[], cmd));
        assert_eq!(next("hars/api.har", &cmd), "  git add hars/api.har\n  harproxy replay -- npm run 'it'\\''s'\n");
        assert_eq!(next("./hars/a/b.zip", &[]), "  git add ./hars/a/b.zip\n  harproxy replay\n");
        assert_eq!(
            next("my fixtures/a.har", &cmd[..1]),
            "  git add 'my fixtures/a.har'\n  harproxy replay 'my fixtures/a.har' -- npm\n"
        );
        let options = ["--reverse".into(), "A=http://a b".into()];
        let with = super::next(Path::new("a.har"), ContentMode::Embed, &options, &cmd[..1]);
        assert_eq!(plain(&with), "  git add a.har\n  harproxy replay a.har --reverse 'A=http://a b' -- npm\n");
    }

    #[test]
    fn the_payload_folder_is_added_when_it_is_there() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a")).unwrap();
        let output = dir.path().join("a.har");
        let (with, without) =
            (next(&output, ContentMode::Attach, &[], &[]), next(&output, ContentMode::Embed, &[], &[]));
        assert!(plain(&with).contains(&format!("git add {0}/a.har {0}/a\n", dir.path().display())), "{with}");
        assert!(plain(&without).contains(&format!("git add {0}/a.har\n", dir.path().display())), "{without}");
        let archive = next(&dir.path().join("a.zip"), ContentMode::Attach, &[], &[]);
        assert!(plain(&archive).contains(&format!("git add {0}/a.zip\n", dir.path().display())), "{archive}");
    }
}
