//! The page's data as JSON: the verdict, the requests, and the entries that they refer to. Names, header fields and
//! payloads are stored in tables, so that ten thousand requests take a few megabytes.

use std::collections::HashSet;

use indexmap::IndexSet;
use serde::Serialize;
use time::format_description::well_known::Rfc3339;

use super::store::{PageStore, Tables};
use crate::verdict::EntryView;
use crate::verdict::report::{Report, Shard};
use crate::verdict::request::{EntryChange, RequestRow, ResultKind, SourceKind};
use crate::verdict::{Counts, Finding, FixtureUse, RunMode, Severity, StatusSource};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page<'a> {
    harproxy: &'static str,
    headline: &'a str,
    mode: &'a RunMode,
    passed: bool,
    status: u8,
    source: StatusSource,
    started: String,
    duration_ms: u64,
    command: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    shards: &'a [Shard],
    counts: &'a Counts,
    findings: &'a [Finding],
    fixtures: &'a [FixtureUse],
    /// Names of fixtures. Requests and entries refer to them by number.
    names: Vec<&'a str>,
    requests: Vec<PageRequest<'a>>,
    more_requests: u64,
    entries: Vec<PageEntry<'a>>,
    #[serde(flatten)]
    tables: Tables,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PageRequest<'a> {
    id: u64,
    at: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    waited: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    took: Option<f64>,
    connection: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shard: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    protocol: &'a str,
    method: &'a str,
    url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    outcome: ResultKind,
    source: SourceKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<(usize, usize)>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    followed: &'a [usize],
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<EntryChange>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mime: Option<&'a str>,
    bytes: u64,
    #[serde(skip_serializing_if = "is_true")]
    complete: bool,
    /// `None` if the budget of the page is exhausted.
    asked: Option<Vec<usize>>,
    answered: Option<Vec<usize>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<usize>,
}

#[derive(Serialize)]
struct PageEntry<'a> {
    fixture: usize,
    entry: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    method: &'a str,
    url: &'a str,
    status: u16,
    asked: Option<Vec<usize>>,
    answered: Option<Vec<usize>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    received: Option<usize>,
}

pub(super) fn json(report: &Report, headline: &str) -> String {
    let Report { verdict, status, source, started, command, requests: rows, more_requests, entries: views, shards } =
        report;
    let mut names: IndexSet<&str> = verdict.fixtures.iter().map(|fixture| fixture.fixture.as_str()).collect();
    let mut store = PageStore::default();
    // Failed requests and near entries are stored first, before the budget is exhausted.
    let failing = verdict.findings.iter().filter(|finding| finding.severity == Severity::Error);
    let failed: HashSet<u64> = failing.flat_map(|finding| finding.requests.iter().copied()).collect();
    rows.iter()
        .filter(|row| failed.contains(&row.id))
        .for_each(|row| drop(PageRequest::of(row, &mut names, &mut store)));
    let near = verdict.findings.iter().flat_map(|finding| &finding.near).map(|near| &near.place);
    let near: HashSet<(&str, usize)> = near.map(|place| (place.fixture.as_str(), place.entry)).collect();
    for ((name, entry), view) in views.iter().filter(|((name, entry), _)| near.contains(&(name.as_str(), *entry))) {
        PageEntry::of(name, *entry, view, &mut names, &mut store);
    }
    let requests = rows.iter().map(|row| PageRequest::of(row, &mut names, &mut store)).collect();
    let entries = views.iter().map(|((name, entry), view)| PageEntry::of(name, *entry, view, &mut names, &mut store));
    let entries = entries.collect();
    let page = Page {
        harproxy: env!("CARGO_PKG_VERSION"),
        headline,
        mode: &verdict.mode,
        passed: verdict.passed(),
        status: *status,
        source: *source,
        started: started.format(&Rfc3339).unwrap_or_default(),
        duration_ms: verdict.duration_ms,
        command,
        shards,
        counts: &verdict.counts,
        findings: &verdict.findings,
        fixtures: &verdict.fixtures,
        names: names.into_iter().collect(),
        requests,
        more_requests: *more_requests,
        entries,
        tables: store.tables(),
    };
    // Serialising plain data with string keys never fails.
    serde_json::to_string(&page).unwrap_or_default()
}

impl<'a> PageRequest<'a> {
    fn of(seen: &'a RequestRow, names: &mut IndexSet<&'a str>, store: &mut PageStore) -> Self {
        let fixture = seen.fixture.as_deref().map(|name| names.insert_full(name).0);
        PageRequest {
            id: seen.id,
            at: seen.started_ms,
            waited: seen.waited_ms,
            took: seen.took_ms,
            connection: seen.connection,
            session: seen.session.as_deref(),
            shard: seen.shard.as_deref(),
            protocol: &seen.protocol,
            method: &seen.method,
            url: &seen.url,
            status: seen.status,
            outcome: seen.outcome,
            source: seen.source,
            entry: fixture.zip(seen.entry),
            followed: &seen.followed,
            change: seen.change,
            mime: seen.mime_type.as_deref(),
            bytes: seen.bytes,
            complete: seen.complete,
            payload: store.payload(seen.payload.as_ref()),
            asked: store.fields(&seen.request_headers),
            answered: store.fields(&seen.response_headers),
        }
    }
}

impl<'a> PageEntry<'a> {
    fn of(
        name: &'a str,
        entry: usize,
        view: &'a EntryView,
        names: &mut IndexSet<&'a str>,
        store: &mut PageStore,
    ) -> Self {
        PageEntry {
            fixture: names.insert_full(name).0,
            entry,
            line: view.line,
            method: &view.method,
            url: &view.url,
            status: view.status,
            asked: store.fields(&view.request_headers),
            answered: store.fields(&view.response_headers),
            sent: store.payload(view.request_payload.as_ref()),
            received: store.payload(view.response_payload.as_ref()),
        }
    }
}

fn is_true(value: &bool) -> bool {
    *value
}
