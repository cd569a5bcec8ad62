//! `harproxy drift --update`: writes answers of production into the fixtures.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Finished;
use crate::cli::advice::Failure;
use crate::cli::args::drift::{DriftRunArgs, DriftUpdate};
use crate::cli::config::Config;
use crate::cli::event::Event;
use crate::cli::ui::{Ui, counted};
use crate::cli::usage_error::UsageError;
use crate::cli::{fixtures, next_steps};
use crate::drift::check::check;
use crate::drift::checks;
use crate::drift::client::DriftClient;
use crate::drift::evidence::{AnswerPayload, EndpointEvidence, ObservedAnswer};
use crate::drift::finding::{DriftFinding, DriftPlace};
use crate::drift::merge::add_fields;
use crate::drift::request::{self, RequestRules};
use crate::drift::run::EndpointRun;
use crate::drift::select::{self, EntryIndex};
use crate::drift::update::{EntryUpdate, UpdateRules, write};
use harproxy_compare::ShapePath;
use harproxy_har::{Error, Fixture};
use harproxy_redact::{Placeholder, Secret};
use harproxy_support::printable::Shown as _;

type Updates = BTreeMap<usize, BTreeMap<usize, EntryUpdate>>;

/// Updates the fixtures, if `--update` asks for it. Returns the status of the run, which found differences or not.
pub async fn run(args: &DriftRunArgs, finished: Finished, status: u8, ui: &Ui) -> Result<u8, Failure> {
    let (Some(update), Some(live)) = (args.update, &finished.live) else { return Ok(status) };
    let all = &finished.comparison.fixtures;
    let updates = match update {
        DriftUpdate::NonBreaking => non_breaking(&finished.runs, all)?,
        DriftUpdate::All => again(&finished.runs, all, &live.0, &live.1, ui).await,
    };
    if let Some(foreign) = updates.keys().map(|number| &all[*number]).find(|fixture| !fixture.is_own()) {
        return Err(UsageError::new(
            format!("{} was not recorded by harproxy, so nothing is updated", foreign.path().shown()),
            "import it first: `harproxy import FILE -o hars/api.har`",
        )
        .into());
    }
    let mut values = args.config.loaded.redact_values();
    values.extend(live.1.secrets());
    let mut changed: Vec<PathBuf> = Vec::new();
    for (number, updates) in updates {
        let fixture = &all[number];
        let entries = counted(updates.len(), "entry", "entries");
        let secrets = update_fixture(fixture, updates, &args.config.loaded, &values)?;
        let redacted = match secrets {
            0 => String::new(),
            n => format!("; {} redacted", counted(n, "value", "values")),
        };
        ui.alert(Event::Summary, &format!("{}: {entries} updated{redacted}", fixture.path().shown()));
        changed.extend(next_steps::files_of(fixture.path(), true));
    }
    match changed.is_empty() {
        true => ui.note(Event::Summary, "no fixture was changed"),
        false => ui.note(Event::Next, &next_steps::block(&["git diff"], &changed, &["harproxy drift".to_owned()])),
    }
    Ok(status)
}

fn update_fixture(
    fixture: &Fixture,
    updates: BTreeMap<usize, EntryUpdate>,
    config: &Config,
    values: &[(Placeholder, Secret)],
) -> Result<usize, Failure> {
    let path = fixture.path();
    let volatile = config
        .volatile
        .rules()
        .map_err(|error| UsageError::new("reading [volatile]", "fix the JSON paths of [volatile]").because(error))?;
    let rules = UpdateRules { policy: &config.policy, values, volatile: &volatile };
    fixtures::with_lock(path, || {
        let now = Fixture::open(path)?;
        if !fixture.has_same_text(&now)? {
            return Err(Failure::from(UsageError::new(
                format!("{} changed during the run", path.shown()),
                "run `harproxy drift` again",
            )));
        }
        Ok(write(&now, updates, rules)?)
    })
}

/// Returns the payloads of the asked entries with the fields that only production sends.
fn non_breaking(runs: &[EndpointRun], fixtures: &[Fixture]) -> Result<Updates, Error> {
    let mut updates = Updates::new();
    for run in runs {
        let Some(ObservedAnswer { payload: AnswerPayload::Bytes(live), .. }) = &run.live else { continue };
        if !run.result.is_compared() || run.result.shapes.is_none() {
            continue;
        }
        let EntryIndex { fixture, entry } = run.endpoint.asked;
        let added =
            |finding: &&DriftFinding| finding.suppressed.is_none() && finding.check == checks::FIELD_MISSING_IN_MOCK;
        let fields: Vec<ShapePath> = run
            .result
            .findings
            .iter()
            .filter(added)
            .filter_map(|finding| match &finding.place {
                DriftPlace::Payload(path) => Some(path.clone()),
                _ => None,
            })
            .collect();
        let content = fixtures[fixture].entry(entry)?.response.content.clone();
        let recorded = fixtures[fixture].payload(entry, &content)?.bytes()?;
        if let Some(merged) = add_fields(&recorded, live, &fields) {
            updates.entry(fixture).or_default().insert(entry, EntryUpdate::Payload(merged));
        }
    }
    Ok(updates)
}

/// Asks production again for each entry of an endpoint with open differences, and returns its answers.
async fn again(
    runs: &[EndpointRun],
    fixtures: &[Fixture],
    client: &DriftClient,
    rules: &RequestRules,
    ui: &Ui,
) -> Updates {
    let mut updates = Updates::new();
    let drifted = |run: &&EndpointRun| run.result.is_compared() && run.result.open().next().is_some();
    for run in runs.iter().filter(drifted) {
        for at in &run.endpoint.entries {
            let answer = match &run.live {
                Some(answer) if *at == run.endpoint.asked => Ok(answer.clone()),
                _ => match request::make(&fixtures[at.fixture], at.entry, rules) {
                    Ok(live) => client.send(&live).await.map_err(|no_answer| no_answer.reason),
                    Err(reason) => Err(reason),
                },
            };
            match answer.and_then(|answer| usable(answer, &fixtures[at.fixture], at.entry)) {
                Ok(answer) => {
                    updates.entry(at.fixture).or_default().insert(at.entry, EntryUpdate::Response(answer));
                }
                Err(reason) => ui.warn(Event::Warning, &kept(fixtures, *at, &reason)),
            }
        }
    }
    updates
}

/// Returns the answer if it can replace that of an entry: it has a status of the same class, and a payload of the same
/// kind.
fn usable(answer: ObservedAnswer, fixture: &Fixture, entry: usize) -> Result<ObservedAnswer, String> {
    let recorded = select::entry_evidence(fixture, entry).map_err(|error| error.to_string())?;
    let mut live = EndpointEvidence::default();
    live.observe(&answer);
    let refusal = check(&recorded, &live, &str::to_owned)
        .into_iter()
        .find(|finding| finding.is_about_the_run() || finding.check == checks::STATUS_CLASS_CHANGED);
    match refusal {
        Some(finding) => Err(finding.text),
        None => Ok(answer),
    }
}

fn kept(fixtures: &[Fixture], at: EntryIndex, reason: &str) -> String {
    format!("{}#{} is not updated: {reason}", fixtures[at.fixture].path().shown(), at.entry)
}
