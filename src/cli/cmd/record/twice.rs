//! `record --twice`: runs CMD a second time and proposes configuration for the values that differ.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{FINALISING, Learned, serve, start};
use crate::cli::advice::Failure;
use crate::cli::event::Event;
use crate::cli::files;
use crate::cli::plan::Learning;
use crate::cli::run::{End, Run};
use crate::cli::ui::{Ui, counted, cut_at};
use crate::record::twice::{self, LearnedPolicy};
use crate::record::{self, CmdEnd, RecordPlan, Recorder, RecordingResult, UpdateMode, Volatile};
use harproxy_har::Fixture;
use harproxy_har::write::ContentMode;
use harproxy_proxy::upstream::UpstreamPlan;
use harproxy_tls::authority::Authority;

/// Maximum number of shown characters of a value.
const MAX_SHOWN: usize = 41;

/// Runs CMD again and compares the recordings. The second recording is not added to the fixture. Returns the learned
/// configuration if it was written.
/// Fails with the end of the run if CMD failed or could not be started.
pub(super) async fn run_again(
    learning: &Learning,
    run: &mut Run<'_>,
    first: &Arc<Recorder>,
    upstream: UpstreamPlan,
    authority: Arc<Authority>,
    ui: &Ui,
) -> Result<Option<Learned>, End> {
    let scratch = tempfile::tempdir();
    let scratch = scratch.map_err(|source| Failure::System { doing: "making a temporary folder", source })?;
    let [once, other, measure] = ["once.har", "twice.har", "measure.har"].map(|name| scratch.path().join(name));
    let (recorder, copies) = (first.clone(), [once.clone(), measure.clone()]);
    run.run_last_work(FINALISING, move || copies.iter().try_for_each(|path| recorder.copy_to(path))).await?;

    ui.note(Event::Again, "running CMD again to find volatile values");
    let (update, content) = (UpdateMode::Merge, ContentMode::Attach);
    let plan = RecordPlan { output: measure, update, content, ..first.plan().clone() };
    let second = start(plan, upstream, ui)?;
    first.view().add_recorded(second.secrets().clone());
    let end = serve(run, &second, authority).await?;
    if !end.is_clean() {
        ui.alert(Event::Again, "CMD failed in its second run: nothing can be learned");
        return Err(end);
    }
    let learn = move || -> Result<_, record::Error> {
        second.copy_to(&other)?;
        let lessons = match other.exists() {
            true => twice::learn(&Fixture::open(&once)?, &Fixture::open(&other)?)?,
            false => LearnedPolicy::default(),
        };
        let (volatile, rules) = policy(second.plan(), &lessons);
        let outcome = second.finalise_with_policy(volatile, rules, CmdEnd::Clean)?;
        Ok((lessons, outcome))
    };
    let (lessons, outcome) = run.run_last_work(FINALISING, learn).await?;
    let path = Some(&learning.file).filter(|_| learning.write && !lessons.is_empty());
    if let Some(path) = path {
        add_to_config(path, &lessons)?;
    }
    ui.alert(Event::Learned, &summary(&lessons, &outcome, learning));
    Ok(path.map(|_| policy(first.plan(), &lessons)))
}

/// Returns the configuration of a recording with the learned lines.
fn policy(plan: &RecordPlan, lessons: &LearnedPolicy) -> Learned {
    let mut volatile: Volatile = plan.volatile.clone();
    volatile.headers.extend(lessons.volatile_headers.keys().cloned());
    volatile.json.extend(lessons.volatile_json.keys().cloned());
    (volatile, plan.rules.iter().cloned().chain(lessons.match_rules()).collect())
}

/// Formats the differences, the proposed lines and their effect.
fn summary(lessons: &LearnedPolicy, outcome: &RecordingResult, learning: &Learning) -> String {
    let mut text = String::new();
    if lessons.is_empty() && lessons.unexplained.is_empty() {
        return "the second run got the responses of the first one: nothing to learn".to_owned();
    }
    for (place, (first, second)) in lessons.volatile_headers.iter().chain(&lessons.volatile_json) {
        let [first, second] = [first, second].map(|value| cut_at(value, MAX_SHOWN));
        text += &format!("{place}: `{first}`, then `{second}`\n");
    }
    if !lessons.is_empty() {
        let file = harproxy_support::shell_quote::path(&learning.file);
        let heading = match learning.write {
            true => format!("added to {file}"),
            false => format!("lines for {file} (`--write-policy` adds them)"),
        };
        text += &format!("{heading}:\n\n{}\n", twice::to_toml(lessons));
    }
    for difference in &lessons.unexplained {
        text += &format!("no configuration covers this: {difference}\n");
    }
    let changes = match outcome.summary.changed + outcome.summary.added {
        0 => "nothing in the fixture".to_owned(),
        n => counted(n, "entry", "entries"),
    };
    let with = if lessons.is_empty() { "the second run" } else { "with these lines the second run" };
    text += &format!("{with} changes {changes}");
    text
}

/// Adds rules to a configuration file, which is created if it is missing.
pub fn add_to_config(path: &Path, lessons: &LearnedPolicy) -> Result<(), Failure> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(source) => return Err(Failure::Write { path: path.to_owned(), source }),
    };
    let added = twice::add_to(&text, lessons);
    let added = added.map_err(|source| Failure::Learn { path: path.to_owned(), source })?;
    files::write(path, added.as_bytes())
}
