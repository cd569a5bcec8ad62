//! Adds explanations and hints about CMD to a verdict.

use super::bypass;
use super::evidence::Evidence;
use super::{remedy, runtime};
use crate::verdict::{CheckId, Finding, Severity, Verdict};

/// Adds a finding for each program that bypassed the proxy. If no request came, it also explains the silence by CMD's
/// runtime and names the change that makes this runtime use the proxy.
pub fn advise(verdict: &mut Verdict, evidence: &Evidence) {
    let is_silent = verdict.counts.requests == 0;
    let is_tls_refused = verdict.findings.iter().any(|finding| finding.check == CheckId::TLS_REFUSED);
    let missing = |finding: &&mut Finding| match finding.check.as_str() {
        "no-traffic" => true,
        "nothing-recorded" => is_silent,
        _ => false,
    };
    match verdict.findings.iter_mut().find(missing) {
        // The finding already names the cause.
        Some(_) if is_silent && verdict.counts.unauthorized > 0 => {}
        Some(finding) if is_silent && is_tls_refused => {
            finding.text += ": clients connected, and rejected harproxy's certificate (tls-refused)";
            let trust_hint = Some("make the client trust the CA, see the hint of tls-refused".to_owned());
            finding.hint = join_lines(trust_hint.into_iter().chain(doctor_hint(evidence)));
        }
        Some(finding) if is_silent => explain_silence(finding, evidence),
        Some(finding) if !evidence.bypasses.likely.is_empty() => {
            let programs = bypass::programs(&evidence.bypasses.likely);
            let mut hints: Vec<String> =
                programs.iter().map(|program| remedy::for_program(program, evidence)).collect();
            hints.dedup();
            finding.hint = join_lines(finding.hint.take().into_iter().chain(hints).chain(doctor_hint(evidence)));
        }
        _ => {}
    }
    verdict.findings.extend(bypass_findings(evidence, is_silent));
}

fn explain_silence(finding: &mut Finding, evidence: &Evidence) {
    if let Some(connections) = evidence.bypasses.describe_all() {
        finding.text += &format!(", but {connections}");
    } else if !evidence.short_lived.is_empty() {
        let programs = evidence.short_lived.join(", ");
        finding.text += &format!(", but {programs} opened connections that closed before their address could be read");
    }
    if let Some(name) = &evidence.unset_url {
        finding.hint = Some(format!("CMD reads HARPROXY_URL_{name}: pass `--reverse {name}=URL`, as in the recording"));
        return;
    }
    let mut hints: Vec<String> = runtime::guess(evidence)
        .iter()
        .map(|guess| format!("{}: {}", guess.reason, remedy::for_runtime(guess.runtime, evidence)))
        .collect();
    if hints.is_empty() {
        hints.extend(finding.hint.take());
    }
    finding.hint = join_lines(hints.into_iter().chain(doctor_hint(evidence)));
}

/// Returns a finding for each program that bypassed the proxy. In a silent run the finding for the silence has the
/// hint.
fn bypass_findings(evidence: &Evidence, is_silent: bool) -> Vec<Finding> {
    let finding = |(program, explanation): (&str, String)| {
        let hint = (!is_silent).then(|| remedy::for_program(program, evidence));
        Finding { hint, ..Finding::new(CheckId::BYPASS, Severity::Warning, explanation) }
    };
    evidence.bypasses.describe_by_program().into_iter().map(finding).collect()
}

fn join_lines(lines: impl Iterator<Item = String>) -> Option<String> {
    Some(lines.collect::<Vec<_>>().join("\n")).filter(|text| !text.is_empty())
}

fn doctor_hint(evidence: &Evidence) -> Option<String> {
    /// A longer command is not repeated in the hint.
    const MAX_LENGTH: usize = 60;
    let short =
        !evidence.command.is_empty() && evidence.command.len() <= MAX_LENGTH && !evidence.command.contains('\n');
    let command = if short { &evidence.command } else { "CMD" };
    let text = format!("run `harproxy doctor -- {command}`: it names the programs that bypass the proxy");
    (!evidence.is_doctor).then_some(text)
}
