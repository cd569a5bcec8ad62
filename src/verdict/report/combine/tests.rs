use super::super::{json, junit, markdown};
use super::*;
use crate::verdict::Counts;
use crate::verdict::Severity;
use crate::verdict::request::{RequestRow, ResultKind};
use time::macros::datetime;

fn fixture(fixture: &str, entries: usize, unused: &[usize]) -> FixtureUse {
    FixtureUse {
        fixture: fixture.into(),
        entries,
        used: entries - unused.len(),
        served: Default::default(),
        unused: unused.to_vec(),
        pruned: None,
        sha256: None,
    }
}

fn miss(page: u32) -> Finding {
    Finding {
        at: Location::request(format!("GET https://api.test/users?page={page}")),
        requests: vec![1],
        ..Finding::new(CheckId::MISS, Severity::Error, "no entry has this URL")
    }
}

fn unused(fixture: &str, entry: usize, severity: Severity) -> Finding {
    Finding {
        at: Location {
            request: Some(format!("GET https://api.test/{entry}")),
            fixture: Some(fixture.into()),
            entry: Some(entry),
            line: Some(entry * 30 + 1),
        },
        ..Finding::new(CheckId::UNUSED, severity, "nothing asked for it")
    }
}

fn no_traffic() -> Finding {
    Finding::new(CheckId::NO_TRAFFIC, Severity::Error, "nothing came through the proxy")
}

fn seen(id: u64) -> RequestRow {
    RequestRow {
        id,
        connection: 1,
        started_ms: 10.0,
        method: "GET".into(),
        outcome: ResultKind::Served,
        ..RequestRow::default()
    }
}

/// A shard that began at this second and saw one request.
fn shard(second: u8, findings: Vec<Finding>, fixtures: Vec<FixtureUse>) -> Report {
    let verdict = Verdict {
        mode: RunMode::REPLAY,
        counts: Counts { requests: 1, served: 1, bytes: 70, ..Counts::default() },
        findings,
        fixtures,
        duration_ms: 1500,
        rules: Vec::new(),
        observation: None,
    };
    let (status, source) = crate::verdict::exit_status(&verdict, Some(0));
    Report {
        verdict,
        status,
        source,
        started: datetime!(2026-11-20 09:30:00 UTC) + Duration::from_secs(second.into()),
        command: "npm test".into(),
        shards: vec![],
        requests: vec![seen(1)],
        more_requests: 1,
        entries: IndexMap::new(),
    }
}

fn combined(reports: Vec<Report>) -> Report {
    combine(named(reports), None).unwrap()
}

fn named(reports: Vec<Report>) -> Vec<(String, Report)> {
    reports.into_iter().enumerate().map(|(n, report)| (format!("r{n}.json"), report)).collect()
}

fn of(check: CheckId, report: &Report) -> Vec<&Finding> {
    report.verdict.findings.iter().filter(|finding| finding.check == check).collect()
}

#[test]
fn counts_are_added_and_equal_findings_are_merged() {
    let report = combined(vec![shard(2, vec![miss(1), miss(2)], vec![]), shard(0, vec![miss(2)], vec![])]);
    assert_eq!((report.verdict.counts.requests, report.verdict.counts.bytes, report.more_requests), (2, 140, 2));
    let found: Vec<_> = report.verdict.findings.iter().map(|f| (f.at.request.as_deref().unwrap(), f.times)).collect();
    assert_eq!(found, [("GET https://api.test/users?page=1", 1), ("GET https://api.test/users?page=2", 2)]);
    assert_eq!((report.status, report.source, &*report.command), (1, StatusSource::Verdict, "npm test"));
}

#[test]
fn requests_are_renumbered_and_findings_keep_their_requests() {
    let report = combined(vec![shard(2, vec![miss(1)], vec![]), shard(0, vec![miss(2)], vec![])]);
    let found: Vec<_> =
        report.requests.iter().map(|s| (s.id, s.connection, s.started_ms, s.shard.as_deref())).collect();
    assert_eq!(found, [(1, 1, 2010.0, Some("r0.json")), (2, 2, 10.0, Some("r1.json"))]);
    assert_eq!(report.verdict.findings.iter().map(|f| f.requests[0]).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(report.started, datetime!(2026-11-20 09:30:00 UTC));
    assert_eq!(report.verdict.duration_ms, 3500, "from the first beginning to the last end");
}

#[test]
fn entry_is_unused_if_no_shard_used_it() {
    let warned = |entry| unused("hars/api.har", entry, Severity::Warning);
    let report = combined(vec![
        shard(0, vec![warned(1), warned(2)], vec![fixture("hars/api.har", 4, &[1, 2]), fixture("hars/b.har", 1, &[0])]),
        shard(0, vec![warned(2), warned(3)], vec![fixture("./hars/api.har", 4, &[2, 3])]),
    ]);
    let fixtures = [fixture("hars/api.har", 4, &[2]), fixture("hars/b.har", 1, &[0])];
    assert_eq!(report.verdict.fixtures, fixtures);
    let found: Vec<_> = of(CheckId::UNUSED, &report).iter().map(|f| (f.at.entry, f.at.line, f.times)).collect();
    assert_eq!(found, [(Some(2), Some(61), 1), (None, None, 1)], "what no finding tells of is counted");
    assert_eq!(report.status, 0);
}

#[test]
fn no_traffic_remains_if_every_shard_reports_it() {
    let silent = || shard(0, vec![no_traffic()], vec![]);
    assert!(combined(vec![silent(), shard(0, vec![], vec![])]).verdict.passed());
    let report = combined(vec![silent(), silent()]);
    assert_eq!(of(CheckId::NO_TRAFFIC, &report).len(), 1);
    assert_eq!(report.status, 1);
}

#[test]
fn fixture_of_unknown_age_does_not_fail_with_fail_on_stale() {
    let stale = |entry| {
        let finding = Finding::new(CheckId::STALE, Severity::Warning, "it is stale, or does not say");
        shard(0, vec![Finding { at: Location { entry, ..Location::fixture("hars/api.har") }, ..finding }], vec![])
    };
    let fail_on = SeverityOverride::parse("+stale").unwrap();
    let status = |entry| combine(named(vec![stale(entry)]), Some(&fail_on)).unwrap().status;
    assert_eq!((status(Some(3)), status(None)), (1, 0));
}

#[test]
fn shard_with_failed_cmd_or_harproxy_fails_the_combined_report() {
    let ended = |status, source| Report { status, source, ..shard(0, vec![], vec![]) };
    let report = combined(vec![
        ended(0, StatusSource::Verdict),
        ended(137, StatusSource::Cmd),
        ended(3, StatusSource::Harproxy),
    ]);
    assert!(report.verdict.passed());
    assert_eq!((report.status, report.source), (1, StatusSource::Cmd));
    assert_eq!(
        combined(vec![ended(3, StatusSource::Harproxy), ended(0, StatusSource::Verdict)]).source,
        StatusSource::Harproxy
    );
    let markdown = markdown::render(&report);
    assert!(markdown.contains("r1.json: CMD ended with status 137 (signal 9)"), "{markdown}");
    assert!(junit::render(&report).contains("errors=\"2\""));
}

#[test]
fn severities_are_kept_unless_fail_on_changes_them() {
    let report = |list: &str| {
        let shards = vec![
            shard(0, vec![miss(1), unused("a.har", 0, Severity::Warning)], vec![fixture("a.har", 2, &[0])]),
            shard(0, vec![unused("a.har", 0, Severity::Warning)], vec![fixture("a.har", 2, &[0, 1])]),
        ];
        combine(named(shards), Some(&SeverityOverride::parse(list).unwrap())).unwrap()
    };
    for (list, failing) in
        [("+unused", "miss unused"), ("-miss", ""), ("unused", "unused"), ("none", ""), ("-miss,+unused", "unused")]
    {
        let report = report(list);
        let errors = report.verdict.findings.iter().filter(|finding| finding.severity == Severity::Error);
        assert_eq!(errors.map(|f| f.check.as_str()).collect::<Vec<_>>().join(" "), failing, "{list}");
        assert_eq!(report.status, u8::from(!failing.is_empty()), "{list}");
    }
    let strict = |severity| shard(0, vec![unused("a.har", 0, severity)], vec![fixture("a.har", 1, &[0])]);
    let report = combined(vec![strict(Severity::Warning), strict(Severity::Error)]);
    assert_eq!(of(CheckId::UNUSED, &report)[0].severity, Severity::Error, "as a shard had it");
}

#[test]
fn combined_report_can_be_combined_again() {
    let api = |unused: &[usize]| vec![fixture("hars/api.har", 4, unused)];
    let shards = || {
        [
            shard(0, vec![miss(1), no_traffic()], api(&[0, 1])),
            shard(3, vec![miss(1)], api(&[1, 2])),
            shard(1, vec![miss(3)], api(&[1])),
        ]
    };
    let [a, b, c] = shards();
    let at_once = combined(shards().into());
    let first = combine(vec![("r0.json".into(), a), ("r1.json".into(), b)], None).unwrap();
    let first = json::read(json::render(&first).as_bytes()).unwrap();
    let in_two = combine(vec![("first.json".into(), first), ("r2.json".into(), c)], None).unwrap();
    assert_eq!(json::render(&at_once), json::render(&in_two));
}

#[test]
fn recordings_and_replays_cannot_be_combined() {
    let mut recorded = shard(0, vec![], vec![]);
    recorded.verdict.mode = RunMode::RECORD;
    let error = combine(named(vec![shard(0, vec![], vec![]), recorded]), None).unwrap_err();
    assert_eq!(error.to_string(), "r1.json is of a recording, and r0.json of a replay");
    assert_eq!(combine(vec![], None).unwrap_err(), CombineError::Nothing);
}
