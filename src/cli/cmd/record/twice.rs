//! `record --twice`: CMD runs a second time, and what differed though nothing had changed is proposed as lines of the policy.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::{Learned, finished, serve, start};
use crate::cli::advice::Failure;
use crate::cli::event::Event;
use crate::cli::files;
use crate::cli::run::{End, Run};
use crate::cli::ui::Ui;
use crate::learn::{self, Lessons};
use crate::record::{self, CmdEnd, Outcome, RecordPlan, Recorder, UpdateMode, Volatile};
use harproxy_har::Fixture;
use harproxy_har::write::ContentMode;
use harproxy_proxy::upstream::UpstreamPlan;
use harproxy_tls::authority::Authority;

/// What becomes of what is learned.
#[derive(Clone, Debug)]
pub struct Learning {
    /// `--write-policy`: the file that it is added to.
    pub write_to: Option<PathBuf>,
    /// The one that it would be added to, for the message.
    pub file: PathBuf,
}

/// How the second run went.
pub(super) enum Again {
    /// Well. What was learned, if it is in the policy now.
    Learned(Option<Learned>),
    /// Not: CMD failed, or could not be started.
    Failed(End),
}

/// Runs CMD again and compares. The second recording is kept out of the fixture: it is the first one's measure.
pub(super) async fn again(
    learning: &Learning,
    run: &mut Run<'_>,
    first: &Arc<Recorder>,
    upstream: UpstreamPlan,
    authority: Arc<Authority>,
    ui: &Ui,
) -> Result<Again, Failure> {
    let scratch = tempfile::tempdir();
    let scratch = scratch.map_err(|source| Failure::System { doing: "making a temporary folder", source })?;
    let [once, other, measure] = ["once.har", "twice.har", "measure.har"].map(|name| scratch.path().join(name));
    let copies = copied(first.clone(), [once.clone(), measure.clone()]);
    finished(run.unless_interrupted(copies).await)?;

    ui.note(Event::Again, "running CMD again, to learn what differs though nothing has changed");
    let (update, content) = (UpdateMode::Merge, ContentMode::Attach);
    let plan = RecordPlan { output: measure, update, content, ..first.plan().clone() };
    let second = start(plan, upstream, ui)?;
    match serve(run, &second, authority).await? {
        end if end.is_clean() => {}
        end => {
            ui.alert(Event::Again, "CMD failed when it ran again: there is nothing to learn from that");
            return Ok(Again::Failed(end));
        }
    }
    let learned = spawn_blocking(move || -> Result<_, record::Error> {
        second.copy_to(&other)?;
        let lessons = match other.exists() {
            true => learn::learn(&Fixture::open(&once)?, &Fixture::open(&other)?)?,
            false => Lessons::default(),
        };
        let (volatile, rules) = policy(second.plan(), &lessons);
        let outcome = second.finalise_with_policy(volatile, rules, CmdEnd::Clean)?;
        Ok((lessons, outcome))
    });
    let (lessons, outcome) = finished(run.unless_interrupted(learned).await)?;
    let path = learning.write_to.as_deref().filter(|_| !lessons.is_empty());
    if let Some(path) = path {
        write(path, &lessons)?;
    }
    ui.alert(Event::Learned, &told(&lessons, &outcome, learning));
    Ok(Again::Learned(path.map(|_| policy(first.plan(), &lessons))))
}

async fn copied(first: Arc<Recorder>, to: [PathBuf; 2]) -> Result<Result<(), record::Error>, tokio::task::JoinError> {
    spawn_blocking(move || to.iter().try_for_each(|path| first.copy_to(path))).await
}

/// The policy of a recording with what was learned.
fn policy(plan: &RecordPlan, lessons: &Lessons) -> Learned {
    let mut volatile: Volatile = plan.volatile.clone();
    volatile.headers.extend(lessons.volatile_headers.keys().cloned());
    volatile.json.extend(lessons.volatile_json.keys().cloned());
    (volatile, plan.rules.iter().cloned().chain(lessons.match_rules()).collect())
}

/// What differed, the lines for it, and what they change.
fn told(lessons: &Lessons, outcome: &Outcome, learning: &Learning) -> String {
    let mut text = String::new();
    if lessons.is_empty() && lessons.unexplained.is_empty() {
        return "the second run was answered as the first one: there is nothing to learn".to_owned();
    }
    let examples = lessons.volatile_headers.iter().chain(&lessons.volatile_json);
    for (place, (first, second)) in examples {
        text += &format!("{place}: {}, then {}\n", cut(first), cut(second));
    }
    if !lessons.is_empty() {
        let file = harproxy_support::shell_quote::path(&learning.file);
        text += &match &learning.write_to {
            Some(_) => format!("added to {file}:\n\n{}\n", learn::rendered(lessons)),
            None => format!("lines for {file} (`--write-policy` adds them):\n\n{}\n", learn::rendered(lessons)),
        };
    }
    for difference in &lessons.unexplained {
        text += &format!("no line of a policy says this: {difference}\n");
    }
    let changes = match outcome.changed + outcome.added {
        0 => "nothing in the fixture".to_owned(),
        1 => "1 entry".to_owned(),
        n => format!("{n} entries"),
    };
    let with = if lessons.is_empty() { "the second run" } else { "with that the second run" };
    text += &format!("{with} would change {changes}");
    text
}

/// As much of a value as a line has room for.
fn cut(value: &str) -> String {
    const ROOM: usize = 40;
    match value.char_indices().nth(ROOM) {
        Some((at, _)) => format!("`{}…`", &value[..at]),
        None => format!("`{value}`"),
    }
}

fn write(path: &Path, lessons: &Lessons) -> Result<(), Failure> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(source) => return Err(Failure::Write { path: path.to_owned(), source }),
    };
    let added = learn::added_to(&text, lessons);
    let added = added.map_err(|source| Failure::Learn { path: path.to_owned(), source })?;
    files::write(path, added.as_bytes())
}
