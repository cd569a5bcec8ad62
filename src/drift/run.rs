//! A drift run: asks production for each endpoint, or reads another recording, and compares.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;

use super::check::{check, not_authorized, not_compared};
use super::checks::{self, DriftSeverity};
use super::client::{DriftClient, NoAnswer};
use super::endpoint::{EndpointKey, EndpointRules};
use super::evidence::{AnswerPayload, EndpointEvidence, ObservedAnswer};
use super::finding::{DriftFinding, DriftPlace, EndpointResult};
use super::login::LoginError;
use super::redaction::{learn_secrets, redact};
use super::request::{self, RequestRules};
use super::select::{EndpointSelection, SelectedEndpoint, SkippedEndpoint, entry_place, recorded_evidence};
use super::values::{check_values, has_value};
use harproxy_har::Fixture;
use harproxy_http::NormalUrl;
use harproxy_json::JsonPath;
use harproxy_redact::RedactionView;

/// The result of an endpoint, with the data that only later steps of the run need.
#[derive(Clone, Debug)]
pub struct EndpointRun {
    pub endpoint: SelectedEndpoint,
    pub result: EndpointResult,
    /// The recorded URL of the asked entry.
    pub recorded_url: String,
    /// The answer of production, if it is kept.
    pub live: Option<ObservedAnswer>,
}

/// The comparison of endpoints.
pub struct Comparison {
    pub fixtures: Vec<Fixture>,
    /// `--values`
    pub values: Vec<JsonPath>,
    pub rules: EndpointRules,
    pub view: RedactionView,
    /// Keeps the answers, to update fixtures.
    pub keeps_answers: bool,
}

/// The number of endpoints that are done, and of all of them.
pub type Progress<'p> = &'p dyn Fn(usize, usize);

/// Asks production for each endpoint. The results have the order of the endpoints.
pub async fn ask(
    comparison: &Arc<Comparison>,
    endpoints: &[SelectedEndpoint],
    live: &Arc<(DriftClient, RequestRules)>,
    progress: Progress<'_>,
) -> Vec<EndpointRun> {
    let mut tasks = JoinSet::new();
    for (number, endpoint) in endpoints.iter().enumerate() {
        let (comparison, live, endpoint) = (comparison.clone(), live.clone(), endpoint.clone());
        tasks.spawn(async move { (number, comparison.ask_one(endpoint, &live.0, &live.1).await) });
    }
    let mut runs: Vec<(usize, EndpointRun)> = Vec::with_capacity(endpoints.len());
    while let Some(done) = tasks.join_next().await {
        // A task panics only by a defect, which ends the run.
        match done {
            Ok(run) => runs.push(run),
            Err(error) => std::panic::resume_unwind(Box::new(error.to_string())),
        }
        progress(runs.len(), endpoints.len());
    }
    runs.sort_by_key(|(number, _)| *number);
    runs.into_iter().map(|(_, run)| run).collect()
}

/// Returns the results of endpoints that were not asked, because the login did not succeed.
#[must_use]
pub fn without_login(comparison: &Comparison, endpoints: &[SelectedEndpoint], error: &LoginError) -> Vec<EndpointRun> {
    let finding = match error {
        LoginError::Refused { status: 400 | 401 | 403 | 422, .. } => not_authorized(error.to_string()),
        _ => not_compared(error.to_string()),
    };
    let run = |endpoint: &SelectedEndpoint| {
        let mut run = comparison.new_run(endpoint.clone());
        run.result.findings.push(finding.clone());
        redact(&comparison.view, &mut run.result.findings);
        run
    };
    endpoints.iter().map(run).collect()
}

impl Comparison {
    async fn ask_one(&self, endpoint: SelectedEndpoint, client: &DriftClient, rules: &RequestRules) -> EndpointRun {
        let fixture = &self.fixtures[endpoint.asked.fixture];
        let mut run = self.new_run(endpoint);
        let live = match request::make(fixture, run.result.at.entry, rules) {
            Ok(live) => live,
            Err(reason) => {
                run.result.findings.push(not_compared(format!("the request can't be sent: {reason}")));
                redact(&self.view, &mut run.result.findings);
                return run;
            }
        };
        run.result.url = Some(self.view.redact_url(&live.headers, live.url.as_str()).into_owned());
        let started = Instant::now();
        let answer = client.send(&live).await;
        run.result.took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        match answer {
            Err(NoAnswer { reason, advice }) => {
                let suggestion = advice.into_iter().fold(not_compared(reason), DriftFinding::with_suggestion);
                run.result.findings.push(suggestion);
            }
            Ok(answer) => {
                run.result.status = Some(answer.status);
                self.compare(&mut run, &answer, &live.url);
                learn_secrets(&self.view, &run.result.findings, &answer);
                let is_kept = self.keeps_answers && run.result.is_compared() && !run.result.findings.is_empty();
                run.live = is_kept.then_some(answer);
            }
        }
        redact(&self.view, &mut run.result.findings);
        run
    }

    fn new_run(&self, endpoint: SelectedEndpoint) -> EndpointRun {
        let fixture = &self.fixtures[endpoint.asked.fixture];
        let head = fixture.heads().get(endpoint.asked.entry);
        let result = EndpointResult {
            key: endpoint.key.clone(),
            at: entry_place(fixture, endpoint.asked.entry),
            entries: endpoint.entries.len(),
            url: None,
            status: None,
            took_ms: 0,
            shapes: None,
            findings: Vec::new(),
        };
        let recorded_url = head.map(|head| head.url.to_owned()).unwrap_or_default();
        EndpointRun { endpoint, result, recorded_url, live: None }
    }

    fn compare(&self, run: &mut EndpointRun, answer: &ObservedAnswer, live_url: &NormalUrl) {
        let mut live = EndpointEvidence::default();
        live.observe(answer);
        self.compare_evidence(run, &live, live_url);
        if !self.values.is_empty()
            && run.result.is_compared()
            && let AnswerPayload::Bytes(payload) = &answer.payload
        {
            run.result.findings.extend(self.check_values(&run.endpoint, payload));
        }
    }

    fn compare_evidence(&self, run: &mut EndpointRun, live: &EndpointEvidence, live_url: &NormalUrl) {
        let recorded = match recorded_evidence(&self.fixtures, &run.endpoint) {
            Ok(recorded) => recorded,
            Err(error) => return run.result.findings.push(not_compared(error.to_string())),
        };
        let recorded_url = NormalUrl::parse(&run.recorded_url).ok();
        let redirect = |target: &str| self.redirect(target, recorded_url.as_ref(), live_url);
        run.result.findings = check(&recorded, live, &redirect);
        if let (Some(before), Some(now)) = (&recorded.payload.json, &live.payload.json) {
            run.result.shapes = Some([before.to_string(), now.to_string()]);
        }
    }

    fn check_values(&self, endpoint: &SelectedEndpoint, live: &[u8]) -> Vec<DriftFinding> {
        let fixture = &self.fixtures[endpoint.asked.fixture];
        let entry = fixture.entry(endpoint.asked.entry);
        let payload = entry.and_then(|entry| fixture.payload(endpoint.asked.entry, &entry.response.content)?.bytes());
        payload.map(|recorded| check_values(&self.values, &recorded, live)).unwrap_or_default()
    }

    /// Returns the first path of `--values` that selects no value of an endpoint's recording.
    #[must_use]
    pub fn unused_values(&self, endpoints: &[EndpointRun]) -> Option<&JsonPath> {
        let payload = |run: &EndpointRun| {
            let (fixture, at) = (&self.fixtures[run.endpoint.asked.fixture], run.endpoint.asked.entry);
            fixture.entry(at).and_then(|entry| fixture.payload(at, &entry.response.content)?.bytes()).ok()
        };
        let has = |path: &JsonPath| endpoints.iter().filter_map(payload).any(|payload| has_value(path, &payload));
        self.values.iter().find(|path| !has(path))
    }

    /// Returns the target of a redirect without values: a template of its path, and its host if that is another one.
    fn redirect(&self, target: &str, recorded: Option<&NormalUrl>, live: &NormalUrl) -> String {
        let Ok(url) = live.join(target) else { return target.to_owned() };
        let site = url.parts().site().into_owned();
        let is_own = recorded.is_some_and(|recorded| recorded.parts().site() == site) || live.parts().site() == site;
        match self.rules.key("GET", url.as_str(), 200, Default::default()) {
            Some(key) if is_own => key.path,
            Some(key) => format!("{}{}", key.origin, key.path),
            None => target.to_owned(),
        }
    }

    /// Compares each endpoint with the same endpoint of another recording. Endpoints that the other one does not have
    /// are skipped.
    pub fn against(
        &self,
        selection: &mut EndpointSelection,
        other: &[Fixture],
        others: &EndpointSelection,
        base_url: Option<&NormalUrl>,
    ) -> Vec<EndpointRun> {
        let mut runs = Vec::new();
        let selected: HashSet<(EndpointKey, u16)> =
            selection.endpoints.iter().map(|endpoint| (endpoint.key.request(), endpoint.key.status_class)).collect();
        let mut by_request: HashMap<EndpointKey, Vec<&SelectedEndpoint>> = HashMap::new();
        for other in &others.endpoints {
            by_request.entry(other.key.request()).or_default().push(other);
        }
        for endpoint in std::mem::take(&mut selection.endpoints) {
            let wanted = EndpointKey {
                origin: base_url.map_or_else(|| endpoint.key.origin.clone(), |base| base.parts().site().into_owned()),
                ..endpoint.key.request()
            };
            let candidates = by_request.get(&wanted).map(Vec::as_slice).unwrap_or_default();
            let same_class = |other: &&&SelectedEndpoint| other.key.status_class == endpoint.key.status_class;
            let found = candidates.iter().find(same_class).or_else(|| candidates.first()).copied();
            let mut run = self.new_run(endpoint);
            let Some(found) = found else {
                let EndpointResult { key, at, .. } = run.result;
                let reason = "the other recording does not have it".to_owned();
                selection.skipped.push(SkippedEndpoint { key, at, reason });
                continue;
            };
            let url = other[found.asked.fixture].heads().get(found.asked.entry).map(|head| head.url.to_owned());
            let url = url.and_then(|url| NormalUrl::parse(&url).ok());
            match (recorded_evidence(other, found), url) {
                (Ok(live), Some(url)) => {
                    run.result.status = Some(live.status());
                    self.compare_evidence(&mut run, &live, &url);
                    let recorded = |class| selected.contains(&(run.endpoint.key.request(), class));
                    let classes =
                        candidates.iter().map(|other| other.key.status_class).filter(|class| !recorded(*class));
                    for class in classes.filter(|class| *class != found.key.status_class) {
                        let text = format!("the other recording has {class}xx answers, too, which were not recorded");
                        let place = DriftPlace::Status;
                        let finding = DriftFinding::new(checks::STATUS_CHANGED, DriftSeverity::Warning, place, text);
                        run.result.findings.push(finding);
                    }
                }
                (Err(error), _) => run.result.findings.push(not_compared(error.to_string())),
                (_, None) => run.result.findings.push(not_compared("the other entry has an invalid URL")),
            }
            if !self.values.is_empty() && run.result.is_compared() {
                let fixture = &other[found.asked.fixture];
                let entry = fixture.entry(found.asked.entry);
                let payload =
                    entry.and_then(|entry| fixture.payload(found.asked.entry, &entry.response.content)?.bytes());
                if let Ok(payload) = payload {
                    run.result.findings.extend(self.check_values(&run.endpoint, &payload));
                }
            }
            redact(&self.view, &mut run.result.findings);
            runs.push(run);
        }
        runs
    }
}
