//! `harproxy record`.

use std::path::PathBuf;
use std::sync::Arc;

use crate::child::env::Mode;
use crate::cli::advice::Failure;
use crate::cli::args::record::RecordArgs;
use crate::cli::plan::Recording;
use crate::cli::run::{self, About, End, Run};
use crate::cli::summary;
use crate::cli::ui::{self, Ui};
use crate::har::write::ContentMode;
use crate::proxy::upstream::Upstream;
use crate::record::{Ending, Outcome, Recorder};
use crate::tls::authority::Authority;

/// Runs the command.
///
/// # Errors
/// [`Failure`], when there is no verdict.
pub async fn run(args: RecordArgs, ui: &Ui) -> Result<u8, Failure> {
    let Recording { record, upstream, run: plan } = Recording::new(args)?;
    let authority = Arc::new(Authority::load_or_create(&plan.ca_dir)?);
    let upstream = Upstream::anywhere(upstream)?;
    let scope = record.scope.clone();
    let fixture = Fixture { output: record.output.clone(), content: record.content };
    let recorder = Arc::new(Recorder::start(record, upstream)?);
    if let Some(recovered) = recorder.recovered() {
        ui.alert("recovered", &recovered.to_string());
    }

    let may_match = |host: &str| scope.may_match_domain(host);
    let about = About { mode: Mode::Record, may_match: &may_match, recorded_at: None };
    let mut run = Run::new(&plan, ui)?;
    let end = run.serve(recorder.clone(), authority, &about).await?;

    let ending = if end.is_clean() { Ending::Clean } else { Ending::Failed };
    let finalise = tokio::task::spawn_blocking(move || recorder.finalise(ending));
    let outcome = match run.unless_interrupted(finalise).await? {
        Ok(outcome) => outcome,
        Err(panic) => return Err(Failure::System { doing: "finalising the recording", source: panic.into() }),
    };
    match outcome {
        Ok(outcome) => {
            let status = run::conclude(&plan, &end, &outcome.verdict, ui);
            let summary = fixture.summary(&outcome, &end, &plan.cmd);
            match end {
                End::NotStarted(_) => {}
                // Somebody has to decide on it.
                _ if outcome.held.is_some() => ui.alert("summary", &summary),
                _ => ui.note("summary", &summary),
            }
            Ok(status)
        }
        Err(error) => Ok(run::unfinished(&end, &error.into(), ui)),
    }
}

/// What was written to.
struct Fixture {
    output: PathBuf,
    content: ContentMode,
}

impl Fixture {
    /// The table, what changed, and what to type next.
    fn summary(&self, outcome: &Outcome, end: &End, cmd: &[std::ffi::OsString]) -> String {
        let mut text = summary::table(&outcome.hosts);
        let failed = match end {
            End::Cmd(status) => Some(*status).filter(|_| !end.is_clean()),
            End::NoCmd | End::NotStarted(_) => None,
        };
        text.push_str(&format!("\n{}\n", summary::change(outcome, &self.output, failed)));
        if let Some(secrets) = summary::secrets(&outcome.verdict.counts) {
            text.push_str(&format!("{secrets}\n"));
        }
        if outcome.written {
            text.push_str(&format!("\n{}\n", ui::strong("Next:")));
            text.push_str(&summary::next(&self.output, self.content, cmd));
        } else if outcome.held.is_some() {
            text.push_str(&summary::choice(&self.output));
        }
        text
    }
}
