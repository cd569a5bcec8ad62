//! `harproxy recover`: adds a killed or held recording to its fixture, or drops it.

use crate::cli::advice::Failure;
use crate::cli::args::record::RecoverArgs;
use crate::cli::cmd::check;
use crate::cli::config::Config;
use crate::cli::event::Event;
use crate::cli::ui::{self, Ui};
use crate::cli::{plan, summary};
use crate::fixtures::check::{CheckOptions, CheckReport, CheckSeverity, FindingKind, check as check_fixture};
use crate::record::{self, Leftover, RecordPlan, Recovery};
use crate::verdict::{Finding, Severity, exit};
use harproxy_support::printable::Shown as _;

/// Runs the command. The status is 1 if a journal was damaged, or the recovered entries may contain secrets. Without a
/// recording it is 0 if the fixture exists.
pub fn run(args: RecoverArgs, ui: &Ui) -> Result<u8, Failure> {
    let (discard, config) = (args.discard, args.config.loaded.clone());
    let plan = plan::recover_plan(args);
    let output = plan.output.shown();
    let (dropped, recovered) = match discard {
        true => (record::discard(&plan.output)?, Vec::new()),
        false => (Vec::new(), record::recover(&plan)?),
    };
    if dropped.is_empty() && recovered.is_empty() {
        ui.note(Event::Recovered, &format!("no unfinished recording of {output}"));
        return Ok(exit::SUCCESS);
    }
    if discard {
        let lines: Vec<String> = dropped.iter().map(|leftover| describe_dropped(leftover, &output)).collect();
        ui.note(Event::Discarded, &lines.join("\n"));
        return Ok(exit::SUCCESS);
    }
    let lines: Vec<String> = recovered.iter().map(describe_accepted).collect();
    let next = summary::next(&plan.output, plan.content, "", "");
    ui.note(Event::Recovered, &format!("{}\n{next}", lines.join("\n")));
    let findings: Vec<_> = recovered.iter().flat_map(Recovery::findings).collect();
    for finding in &findings {
        let Finding { check, severity, text, hint, .. } = finding;
        let (mark, hint) = (ui::finding_mark(*severity, check), hint.as_deref().unwrap_or_default());
        ui.say(Event::Finding, &format!("{mark}: {text}\n{}: {hint}", ui::help("hint")), finding);
    }
    let has_failed = findings.iter().any(|finding| finding.severity == Severity::Error);
    let status = if has_failed { exit::FAILED } else { exit::SUCCESS };
    let entries: Vec<usize> = recovered.into_iter().flat_map(|recovery| recovery.unchecked).collect();
    let Some(leaks) = find_leaks(&plan, &config, &entries)? else { return Ok(status) };
    ui.alert(Event::Leaked, &leaks);
    Ok(exit::FAILED)
}

/// Runs `harproxy check` on the entries of a killed recording and returns its findings, or `None`. Such a recording
/// may contain values that were found to be secret later.
fn find_leaks(plan: &RecordPlan, config: &Config, entries: &[usize]) -> Result<Option<String>, Failure> {
    if entries.is_empty() {
        return Ok(None);
    }
    let checks = CheckOptions { policy: &plan.policy, given: &plan.values, allow: &config.allow, max_age: None };
    let CheckReport { entries: total, mut findings } = check_fixture(&plan.output, &checks)?;
    findings.retain(|finding| {
        let is_recovered = finding.entry.is_some_and(|entry| entries.contains(&entry));
        is_recovered && (finding.severity == CheckSeverity::Problem || finding.kind == FindingKind::Entropy)
    });
    if findings.is_empty() {
        return Ok(None);
    }
    let found = check::described(&plan.output, &CheckReport { entries: total, findings }, false);
    let path = harproxy_support::shell_quote::path(&plan.output);
    Ok(Some(format!(
        "{found}a killed recording cannot remove values that it found to be secret later; run `harproxy redact {path}` to remove secrets, and add the hashes of other values to `allow` under [check] in harproxy.toml"
    )))
}

fn describe_accepted(recovery: &Recovery) -> String {
    format!("{recovery}: {}", summary::counts(&recovery.summary))
}

fn describe_dropped(leftover: &Leftover, output: &impl std::fmt::Display) -> String {
    let dropped = match leftover.exchanges {
        Some(n) => ui::counted(n, "exchange", "exchanges"),
        None => "an unreadable part".to_owned(),
    };
    format!("dropped {dropped} of a recording into {output} that was {}", leftover.cause)
}
