//! `harproxy check`: checks fixtures for damage and remaining secrets.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::time::SystemTime;

use serde::Serialize;
use serde_json::json;

use crate::cli::advice::Failure;
use crate::cli::args::fixtures::CheckArgs;
use crate::cli::event::Event;
use crate::cli::fixtures;
use crate::cli::ui::{Ui, bad, caution, counted, faint};
use crate::fixtures::check::{self, CheckFinding, CheckOptions, CheckReport, CheckSeverity, FindingKind};
use crate::record::fixtures_with_leftovers;
use crate::verdict::exit;
use harproxy_support::printable::{Shown as _, one_line};

/// Runs the command: prints a line per finding, and a summary line per fixture.
/// Fails if the output cannot be written. An unreadable fixture is reported, and the others are checked.
pub fn run(args: CheckArgs, ui: &Ui) -> Result<u8, Failure> {
    let config = args.config.loaded;
    let given = config.redact_values();
    let max_age = args.max_age.map(|age| (age, SystemTime::now().into()));
    let check = CheckOptions { policy: &config.policy, given: &given, allow: &config.allow, max_age };
    let (mut has_leaks, mut folders) = (false, BTreeSet::new());
    let status = fixtures::for_each(args.files.fixtures, ui, |path| {
        folders.extend(path.parent().map(Path::to_owned));
        let mut report = check::check(path, &check)?;
        let least = if ui.verbose { CheckSeverity::Note } else { CheckSeverity::Warning };
        report.findings.retain(|finding| finding.severity >= least);
        let is_leak = |finding: &CheckFinding| match finding.kind {
            FindingKind::Secret => true,
            kind => kind == FindingKind::Entropy && finding.severity == CheckSeverity::Problem,
        };
        has_leaks |= report.findings.iter().any(is_leak);
        let written = match args.json {
            true => ui.json(&lines(path, &report)),
            false => ui.data(&described(path, &report, ui.quiet)),
        };
        written.map_err(Failure::Output)?;
        Ok(if report.count(CheckSeverity::Problem) > 0 { exit::FAILED } else { exit::SUCCESS })
    });
    if has_leaks && !args.json {
        ui.note(
            Event::Leaked,
            "run `harproxy redact` to remove secrets; add the hash of a value that is not secret to `allow` under [check] in harproxy.toml",
        );
    }
    for left in folders.iter().flat_map(|folder| fixtures_with_leftovers(folder)) {
        let path = harproxy_support::shell_quote::path(&left);
        ui.alert(
            Event::Hint,
            &format!(
                "{path} has an unfinished or held recording: run `harproxy recover {path}` to keep it, `--discard` to drop it"
            ),
        );
    }
    Ok(status)
}

fn lines(path: &Path, report: &CheckReport) -> String {
    #[derive(Serialize)]
    struct FindingLine<'a> {
        fixture: String,
        #[serde(flatten)]
        finding: &'a CheckFinding,
    }
    let line = |finding| format!("{}\n", json!(FindingLine { fixture: path.display().to_string(), finding }));
    report.findings.iter().map(line).collect()
}

/// Formats the findings of a fixture and a line with their number. `quiet`: only problems.
pub(super) fn described(path: &Path, report: &CheckReport, quiet: bool) -> String {
    let mut text = String::new();
    let name = path.shown();
    for finding in report.findings.iter().filter(|finding| !quiet || finding.severity == CheckSeverity::Problem) {
        let place = match (finding.entry, finding.line) {
            (Some(entry), Some(line)) => format!("{name}#{entry} (line {line})"),
            (Some(entry), None) => format!("{name}#{entry}"),
            (None, Some(line)) => format!("{name}:{line}"),
            (None, None) => name.to_string(),
        };
        let severity = match finding.severity {
            CheckSeverity::Problem => bad("problem"),
            CheckSeverity::Warning => caution("warning"),
            CheckSeverity::Note => faint("note"),
        };
        let message = one_line(&finding.message);
        let _ = writeln!(text, "{place}: {severity}: {message}");
    }
    if !quiet {
        let kinds = [
            (CheckSeverity::Problem, "problem", "problems"),
            (CheckSeverity::Warning, "warning", "warnings"),
            (CheckSeverity::Note, "note", "notes"),
        ];
        let counts = kinds.map(|(severity, one, many)| (report.count(severity), one, many)).into_iter();
        let found: Vec<_> = counts.filter(|(n, ..)| *n > 0).map(|(n, one, many)| counted(n, one, many)).collect();
        let found = if found.is_empty() { "no problems".to_owned() } else { found.join(", ") };
        let _ = writeln!(text, "{name}: {}, {found}", counted(report.entries, "entry", "entries"));
    }
    text
}
