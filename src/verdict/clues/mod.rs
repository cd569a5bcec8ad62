//! What is known of CMD beside its traffic, and what follows when that traffic is missing: which runtime it is, what went past
//! the proxy, and the line that sends it through.
//!
//! The facts are gathered by the shell (`child`); everything here is a function of them.

mod past;
mod project;
mod remedy;
mod runtime;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;

pub use past::{Bounds, Past};
pub use project::Project;
pub use remedy::PLAYWRIGHT;
pub use runtime::Runtime;

use super::{CheckId, Finding, Severity, Verdict};

/// What is known of CMD.
#[derive(Clone, Debug, Default)]
pub struct Clues {
    /// CMD and its arguments.
    pub words: Vec<String>,
    /// The same as it may be told, for the shell.
    pub command: String,
    /// The folder that it ran in.
    pub project: Project,
    /// The programs that ran; `None` where that can't be seen.
    pub programs: Option<Vec<Program>>,
    /// What went past the proxy.
    pub past: Past,
    /// Programs with connections that had ended before it could be seen where they led. Where nothing came to the proxy, they
    /// went past it.
    pub unseen: Vec<String>,
    /// The `NAME` of a `HARPROXY_URL_NAME` that CMD speaks of and that nothing serves.
    pub unserved: Option<String>,
    /// Whether it is `harproxy doctor` that asks, which does not send to itself.
    pub is_doctor: bool,
}

/// A program that ran as CMD or below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its name, without folder and arguments.
    pub name: String,
    /// Its version, where its path says it.
    pub version: Option<String>,
    /// Whether it was started without the variables that lead to the proxy; `None`: it can't be seen.
    pub cleared: Option<bool>,
}

/// A connection that a program of CMD opened, and that does not lead to harproxy.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Connection {
    /// The program's name.
    pub program: String,
    /// The other end.
    pub to: SocketAddr,
    /// Whether it is UDP.
    pub udp: bool,
    /// Whether a program of CMD listens at the other end.
    pub own: bool,
}

/// Adds to a verdict what is known of CMD: what went past the proxy, and where nothing came, what kind of program it is and
/// what makes that use the proxy.
pub fn advise(verdict: &mut Verdict, clues: &Clues) {
    let none_came = verdict.counts.requests == 0;
    let distrusted = verdict.findings.iter().any(|finding| finding.check == CheckId::TLS_REFUSED);
    let missing = |finding: &&mut Finding| match finding.check.as_str() {
        "no-traffic" => true,
        "nothing-recorded" => none_came,
        _ => false,
    };
    match verdict.findings.iter_mut().find(missing) {
        // It is known what is wrong.
        Some(_) if none_came && verdict.counts.unauthorized > 0 => {}
        Some(finding) if none_came && distrusted => {
            finding.text += ": clients connected, and refused harproxy's certificate (tls-refused)";
            let trust = Some("make the client trust the CA, as said at tls-refused".to_owned());
            finding.hint = joined(trust.into_iter().chain(ask_doctor(clues)));
        }
        Some(finding) if none_came => explain_silence(finding, clues),
        Some(finding) if !clues.past.is_empty() => {
            let remedy = finding.hint.take().into_iter();
            finding.hint = joined(remedy.chain(clues.past.advice(clues)).chain(ask_doctor(clues)));
        }
        _ => {}
    }
    verdict.findings.extend(bypasses(clues, none_came));
}

/// Says of a run to whose proxy nothing came why that most likely is.
fn explain_silence(finding: &mut Finding, clues: &Clues) {
    if let Some(seen) = clues.past.told_with_possible() {
        finding.text += &format!(", but {seen}");
    } else if !clues.unseen.is_empty() {
        let programs = clues.unseen.join(", ");
        finding.text +=
            &format!(", but {programs} opened connections that ended before it could be seen where they led");
    }
    if let Some(name) = &clues.unserved {
        finding.hint = Some(format!(
            "CMD takes an address from HARPROXY_URL_{name}, which is set by `--reverse {name}=URL`: give it here as in the recording"
        ));
        return;
    }
    let mut advice: Vec<String> = runtime::guess(clues).iter().map(|guess| guess.told(clues)).collect();
    if advice.is_empty() {
        advice.extend(finding.hint.take());
    }
    finding.hint = joined(advice.into_iter().chain(ask_doctor(clues)));
}

/// One finding for each program that went past the proxy. Where nothing came at all, the remedy stands there.
fn bypasses(clues: &Clues, none_came: bool) -> Vec<Finding> {
    let finding = |(program, explanation): (&str, String)| {
        let hint = (!none_came).then(|| remedy::of_program(program, clues));
        Finding { hint, ..Finding::new(CheckId::BYPASS, Severity::Warning, explanation) }
    };
    clues.past.by_program().into_iter().map(finding).collect()
}

fn joined(lines: impl Iterator<Item = String>) -> Option<String> {
    Some(lines.collect::<Vec<_>>().join("\n")).filter(|text| !text.is_empty())
}

/// The command that finds out.
fn ask_doctor(clues: &Clues) -> Option<String> {
    const LONGEST: usize = 60;
    let short = !clues.command.is_empty() && clues.command.len() <= LONGEST && !clues.command.contains('\n');
    let command = if short { &clues.command } else { "CMD" };
    let text = format!("`harproxy doctor -- {command}` runs it once and names what goes past the proxy");
    (!clues.is_doctor).then_some(text)
}
