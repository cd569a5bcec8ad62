//! The summary of a recording for the terminal: a table of hosts, the changes of the fixture, the next commands.

use std::fmt::Write as _;
use std::path::Path;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::args::replay::DEFAULT_FIXTURES;
use super::{next_steps, ui};
use crate::fixtures::check::{self, CheckOptions};
use crate::record::entry_diff::{EntryDiff, ValueDiff};
use crate::record::{HostLine, RecordingResult, RecordingSummary};
use crate::verdict::Counts;
use harproxy_har::write::ContentMode;
use harproxy_redact::Policy;
use harproxy_support::printable::Shown as _;
use harproxy_support::printable::one_line;
use harproxy_support::shell_quote;

/// Maximum number of rows. Further hosts are summed in the last row.
const SHOWN: usize = 20;
const WIDTH: u16 = 100;
/// Says once that a fixture has new lines everywhere.
pub const MIGRATED: &str = "the file was migrated to layout 2, so all its lines change once";

/// Returns the table of hosts, fitted to the terminal. It is empty without hosts, and starts with an empty line if it
/// follows findings.
pub fn table(hosts: &[HostLine], after_findings: bool) -> String {
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
    let lines: String = table.lines().map(|line| format!(" {}\n", line.trim_end())).collect();
    if after_findings { format!("\n{lines}") } else { lines }
}

fn shown(hosts: &[HostLine]) -> Vec<HostLine> {
    if hosts.len() <= SHOWN {
        return hosts.to_vec();
    }
    let (first, rest) = hosts.split_at(SHOWN - 1);
    let mut others = HostLine { host: format!("and {} more", rest.len()), ..HostLine::default() };
    for line in rest {
        others.requests += line.requests;
        others.recorded += line.recorded;
        others.passed += line.passed;
    }
    first.iter().cloned().chain([others]).collect()
}

/// Returns a sentence about the changes of the fixture. `failed` is the status of CMD if it is not 0.
pub fn change(outcome: &RecordingResult, output: &Path, failed: Option<u8>) -> String {
    let path = output.shown();
    let cmd = failed.map(|status| format!("CMD ended with status {status}"));
    if !outcome.written {
        let cmd = cmd.map(|cmd| format!("{cmd}: ")).unwrap_or_default();
        let state = if output.exists() { "is unchanged" } else { "was not written" };
        let held = outcome.held.as_ref().map(|journal| format!("; the recording is held in {}", journal.shown()));
        let replaced = if outcome.replaced_held { ", replacing an earlier held one" } else { "" };
        return format!("{cmd}{path} {state}{}{replaced}", held.unwrap_or_default());
    }
    let mut text = format!("{path}: {}", counts(&outcome.summary));
    if outcome.summary.unanswered > 0 {
        let _ = write!(text, "; {} left out, whose client left before the response", outcome.summary.unanswered);
    }
    if outcome.summary.repeated > 0 {
        let _ = write!(text, "; {} left out, whose test ran again", outcome.summary.repeated);
    }
    if outcome.summary.failed > 0 {
        let _ = write!(
            text,
            "; {} not recorded",
            ui::counted(outcome.summary.failed as u64, "failed request", "failed requests")
        );
    }
    if outcome.replaced_held {
        text.push_str("; it replaces a held recording");
    }
    if let Some(cmd) = cmd {
        let _ = write!(text, "; {cmd}");
    }
    text += &differences(&outcome.differences, outcome.summary.changed);
    text
}

/// Maximum number of changed values that the summary names.
const MAX_DIFFERENCES: usize = 10;

/// Returns a line for each of the first values that changed in a re-recording, of `changed` entries.
fn differences(entries: &[EntryDiff], changed: usize) -> String {
    let mut lines: Vec<String> = entries.iter().flat_map(difference_lines).collect();
    let is_cut = lines.len() > MAX_DIFFERENCES || entries.len() < changed;
    lines.truncate(MAX_DIFFERENCES);
    let mut text: String = lines.iter().map(|line| format!("\n  {line}")).collect();
    if is_cut && !lines.is_empty() {
        let _ = write!(text, "\n  {}", ui::faint("and more: `git diff`"));
    }
    text
}

/// Returns a line for each value of a changed entry: the request, the place, and both values.
pub fn difference_lines(entry: &EntryDiff) -> Vec<String> {
    let line = |difference: &ValueDiff| one_line(&format!("{} {}  {difference}", entry.method, entry.url)).into_owned();
    entry.differences.iter().map(line).collect()
}

/// Returns a line about requests to this machine that were left out, or an empty text.
pub fn local(outcome: &RecordingResult) -> String {
    let left_out = outcome.verdict.counts.local;
    match &outcome.local_options[..] {
        _ if left_out == 0 => String::new(),
        [] => format!("{left_out} local, not recorded\n"),
        options => format!(
            "{left_out} local, not recorded: servers of this machine are left out unless a glob names them: {}\n",
            options.join(" ")
        ),
    }
}

/// Formats the numbers of changed entries. A new fixture has only added ones.
pub fn counts(summary: &RecordingSummary) -> String {
    let RecordingSummary { added, changed, unchanged, not_seen, migrated, .. } = summary;
    let counts = match unchanged + changed + not_seen {
        0 => format!("{added} added"),
        _ => format!("{unchanged} unchanged, {changed} changed, {added} added, {not_seen} not seen"),
    };
    if *migrated { format!("{counts}; {MIGRATED}") } else { counts }
}

/// Returns advice for a recording that could not be finished.
pub fn kept(output: &Path, journal: &Path) -> String {
    format!("the recording is kept in {}; after fixing the problem:\n{}", journal.shown(), choice(output))
}

/// Returns the commands to add a held recording to its fixture, or to drop it.
pub fn choice(output: &Path) -> String {
    let recover = format!("harproxy recover {}", shell_quote::path(output));
    let discard = format!("{recover} --discard");
    let accept = format!("{recover:width$}", width = discard.len());
    format!("  {}  adds it to the fixture\n  {}  drops it\n", ui::help(accept), ui::help(discard))
}

/// Returns the numbers of redacted values and unscanned payloads, or `None` if both are 0.
pub fn secrets(counts: &Counts) -> Option<String> {
    let redacted = format!("redacted {}", ui::counted(counts.redacted, "value", "values"));
    let opaque = format!("{} could not be scanned", ui::counted(counts.opaque, "payload", "payloads"));
    match (counts.redacted, counts.opaque) {
        (0, 0) => None,
        (_, 0) => Some(redacted),
        (0, _) => Some(opaque),
        _ => Some(format!("{redacted}; {opaque}")),
    }
}

/// Returns a line with the number of values in a fixture that look like secrets and were kept, or an empty text.
pub fn suspicious(fixture: &Path, policy: &Policy, allow: &[String]) -> String {
    let check = CheckOptions { policy, given: &[], allow, max_age: None };
    match check::count_suspicious(fixture, &check) {
        Ok(0) | Err(_) => String::new(),
        Ok(count) => {
            let values = match count {
                1 => "1 value looks like a secret and was kept".to_owned(),
                _ => format!("{count} values look like secrets and were kept"),
            };
            format!("{values}: `harproxy check {}`\n", shell_quote::path(fixture))
        }
    }
}

/// Returns the block of the next commands: add the fixture to git, and replay it with the same CMD and these options,
/// both quoted and without secrets.
pub fn next(output: &Path, content: ContentMode, options: &str, cmd: &str) -> String {
    let added = match content {
        ContentMode::Attach => next_steps::files_of(output, false),
        _ => vec![output.to_owned()],
    };
    let mut replay = "harproxy replay".to_owned();
    // Without arguments, `harproxy replay` finds the fixtures in this folder.
    if !output.strip_prefix(".").unwrap_or(output).starts_with(DEFAULT_FIXTURES) {
        let _ = write!(replay, " {}", shell_quote::path(output));
    }
    if !options.is_empty() {
        let _ = write!(replay, " {options}");
    }
    if !cmd.is_empty() {
        let _ = write!(replay, " -- {cmd}");
    }
    next_steps::block(&[], &added, &[replay])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        let text = anstream::adapter::strip_str(text).to_string();
        text.strip_prefix("\nNext:\n").map(str::to_owned).unwrap_or(text)
    }

    fn line(host: &str) -> HostLine {
        HostLine { host: host.into(), requests: 3, recorded: 2, passed: 1 }
    }

    #[test]
    fn table_numbers_are_aligned_with_their_headings() {
        let table = table(&[line("api.test"), line("cdn.test:8443")], false);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 3, "{table}");
        for (heading, number) in [("requests", "3"), ("recorded", "2"), ("passed", "1")] {
            let end = lines[0].find(heading).unwrap() + heading.len();
            assert_eq!(lines[1].get(end - 1..end), Some(number), "{table}");
        }
        assert!(lines[2].contains("cdn.test:8443"));
    }

    #[test]
    fn table_is_separated_from_findings_by_an_empty_line() {
        let hosts = [line("api.test")];
        assert_eq!(table(&hosts, true), format!("\n{}", table(&hosts, false)));
        assert_eq!(table(&[], true), "");
    }

    #[test]
    fn many_hosts_are_summed_in_the_last_row() {
        let hosts: Vec<HostLine> = (0..50).map(|n| line(&format!("h{n}.test"))).collect();
        let shown = shown(&hosts);
        assert_eq!(shown.len(), SHOWN);
        assert_eq!(shown.iter().map(|line| line.requests).sum::<u64>(), 150);
        assert_eq!(shown[SHOWN - 1].host, "and 31 more");
    }

    #[test]
    fn secrets_are_summarised_in_one_line() {
        let secrets = |redacted, opaque| super::secrets(&Counts { redacted, opaque, ..Counts::default() });
        assert_eq!(secrets(7, 2).unwrap(), "redacted 7 values; 2 payloads could not be scanned");
        assert_eq!(secrets(1, 0).unwrap(), "redacted 1 value");
        assert_eq!(secrets(0, 1).unwrap(), "1 payload could not be scanned");
        assert_eq!(secrets(0, 0), None);
    }

    #[test]
    fn next_commands_are_quoted_for_the_shell() {
        let next = |output: &str, cmd: &str| plain(&super::next(Path::new(output), ContentMode::Attach, "", cmd));
        assert_eq!(
            next("hars/api.har", "npm run 'a b'"),
            "  git add hars/api.har\n  harproxy replay -- npm run 'a b'\n"
        );
        assert_eq!(next("./hars/a/b.zip", ""), "  git add ./hars/a/b.zip\n  harproxy replay\n");
        assert_eq!(
            next("my fixtures/a.har", "npm"),
            "  git add 'my fixtures/a.har'\n  harproxy replay 'my fixtures/a.har' -- npm\n"
        );
        let with = super::next(Path::new("a.har"), ContentMode::Embed, "--reverse 'A=http://a b'", "npm");
        assert_eq!(plain(&with), "  git add a.har\n  harproxy replay a.har --reverse 'A=http://a b' -- npm\n");
    }

    #[test]
    fn payload_folder_is_added_to_git_if_it_exists() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a")).unwrap();
        let output = dir.path().join("a.har");
        let (with, without) = (next(&output, ContentMode::Attach, "", ""), next(&output, ContentMode::Embed, "", ""));
        assert!(plain(&with).contains(&format!("git add {0}/a.har {0}/a\n", dir.path().display())), "{with}");
        assert!(plain(&without).contains(&format!("git add {0}/a.har\n", dir.path().display())), "{without}");
        let archive = next(&dir.path().join("a.zip"), ContentMode::Attach, "", "");
        assert!(plain(&archive).contains(&format!("git add {0}/a.zip\n", dir.path().display())), "{archive}");
    }
}
