//! Reports to render.

use super::super::{Report, Shard};
use crate::verdict::explain::EntryPlace;
use crate::verdict::request::{EntryChange, RequestRow, ResultKind, SourceKind};
use crate::verdict::{
    CheckId, Counts, EntryUse, Finding, FixtureUse, Location, NearEntry, RuleUse, RunMode, Severity, StatusSource,
    Verdict,
};
use harproxy_matching::{Difference, RequestPart};

pub(super) fn report(verdict: Verdict, status: u8, source: StatusSource) -> Report {
    Report {
        verdict,
        status,
        source,
        started: time::OffsetDateTime::UNIX_EPOCH,
        command: "npm test".into(),
        shards: vec![],
        requests: vec![],
        more_requests: 0,
        entries: indexmap::IndexMap::new(),
    }
}

pub(super) fn passed() -> Verdict {
    Verdict {
        mode: RunMode::REPLAY,
        counts: Counts { requests: 14, served: 12, local: 1, noise: 1, upstream_connections: 1, ..Counts::default() },
        findings: vec![],
        fixtures: vec![FixtureUse {
            fixture: "hars/api.har".into(),
            entries: 12,
            used: 12,
            served: Default::default(),
            unused: vec![],
            pruned: None,
            sha256: None,
        }],
        duration_ms: 1234,
        rules: Vec::new(),
        observation: None,
    }
}

pub(super) fn failed() -> Verdict {
    let miss = Finding {
        at: Location {
            request: Some("GET https://api.example.com/users?page=3".into()),
            fixture: Some("hars/api.har".into()),
            entry: Some(4),
            line: Some(120),
        },
        hint: Some("`--ignore-query page`".into()),
        times: 2,
        ..Finding::new(
            CheckId::MISS,
            Severity::Error,
            "no entry answers it; 3 entries share its host and path\n\
             nearest: hars/api.har#4 (line 120): query parameter `page` is `3`, recorded `2`",
        )
    };
    let refused = Finding {
        hint: Some(
            "let the client trust the CA, or leave the host alone with `-g '!https://pinned.example/**'`".into(),
        ),
        ..Finding::new(CheckId::TLS_REFUSED, Severity::Warning, "pinned.example does not trust our certificate")
    };
    let unused = |entry, url: &str| Finding {
        at: Location {
            request: Some(format!("GET {url}")),
            fixture: Some("hars/api.har".into()),
            entry: Some(entry),
            line: Some(entry * 30),
        },
        ..Finding::new(CheckId::UNUSED, Severity::Warning, "nothing asked for it")
    };
    let out_of_scope = Finding {
        at: Location::request("POST https://telemetry.example/v1"),
        hint: Some("`--bypass telemetry.example`".into()),
        ..Finding::new(CheckId::OUT_OF_SCOPE, Severity::Error, "the scope is `https://api.example.com/**`")
    };
    let unused: Vec<Finding> = (5..9).map(|entry| unused(entry, &format!("https://api.example.com/{entry}"))).collect();
    Verdict {
        mode: RunMode::REPLAY,
        counts: Counts { requests: 9, served: 6, misses: 2, out_of_scope: 1, bytes: 4096, ..Counts::default() },
        findings: [vec![refused, out_of_scope, miss], unused].concat(),
        fixtures: vec![
            FixtureUse {
                fixture: "hars/api.har".into(),
                entries: 9,
                used: 5,
                served: (0..5).map(|entry| EntryUse { entry, requests: entry as u64 % 2 + 1 }).collect(),
                unused: vec![],
                pruned: None,
                sha256: None,
            },
            FixtureUse {
                fixture: "hars/auth.har".into(),
                entries: 1,
                used: 1,
                served: Default::default(),
                unused: vec![],
                pruned: None,
                sha256: None,
            },
        ],
        duration_ms: 5,
        rules: vec![RuleUse { rule: "slow".into(), pattern: "GET https://api.example.com/**".into(), requests: 3 }],
        observation: None,
    }
}

pub(super) fn nothing_recorded() -> Verdict {
    Verdict {
        mode: RunMode::RECORD,
        counts: Counts { requests: 2, passed: 2, tunnels: 1, ..Counts::default() },
        findings: vec![Finding {
            hint: Some("check the scope with `harproxy glob`".into()),
            ..Finding::new(CheckId::NOTHING_RECORDED, Severity::Error, "2 requests passed, none was in scope")
        }],
        fixtures: vec![],
        duration_ms: 70,
        rules: Vec::new(),
        observation: None,
    }
}

pub(super) fn recorded() -> Verdict {
    Verdict {
        mode: RunMode::RECORD,
        counts: Counts { requests: 3, recorded: 1, passed: 2, ..Counts::default() },
        findings: vec![],
        fixtures: vec![],
        duration_ms: 70,
        rules: Vec::new(),
        observation: None,
    }
}

/// A report with everything in it that there can be, and hostile at that.
pub(super) fn full() -> Report {
    let differs = |part, name: &str, request: Option<&str>, recorded: Option<&str>| Difference {
        part,
        name: name.into(),
        request: request.map(Into::into),
        recorded: recorded.map(Into::into),
    };
    let near = NearEntry {
        place: EntryPlace { fixture: "hars/api.har".into(), entry: 4, line: Some(120) },
        operation: Some("GetUsers".into()),
        differences: vec![
            differs(RequestPart::Query, "page", Some("3"), Some("2")),
            differs(RequestPart::Body, "$.note", Some("a `b`\n```\n@octocat </script><b>|"), Some("two\nlines")),
            differs(RequestPart::Header, "x-tenant", None, Some("blue")),
            differs(RequestPart::Query, "debug", Some("1"), None),
        ],
    };
    let mut verdict = failed();
    let miss = verdict.findings.iter_mut().find(|finding| finding.check == CheckId::MISS).unwrap();
    miss.near = vec![near];
    miss.requests = vec![2];
    verdict.findings.push(Finding {
        at: Location::request("GET https://api.example.com/<img src=x onerror=alert(1)>?a=`|`"),
        hint: Some("say `--x \u{1b}[31m`, @octocat:\n```\n  use: { proxy: 1 }".into()),
        ..Finding::new(CheckId::TRUNCATED, Severity::Warning, "cut\u{0}\n::error::not a command ]]> #1 @octocat")
    });
    verdict.fixtures[0].unused = vec![5, 6, 7, 8];
    let served = RequestRow {
        id: 1,
        shard: Some("shard-1.json".into()),
        started_ms: 12.5,
        waited_ms: Some(0.9),
        took_ms: Some(1.25),
        connection: 1,
        session: Some("worker-1".into()),
        protocol: "HTTP/1.1".into(),
        method: "GET".into(),
        url: "https://api.example.com/users?page=2".into(),
        status: Some(200),
        outcome: ResultKind::Served,
        source: SourceKind::Fixture,
        fixture: Some("hars/api.har".into()),
        entry: Some(4),
        followed: vec![2, 3],
        rules: vec![],
        mime_type: Some("application/json".into()),
        bytes: 812,
        complete: true,
        ..RequestRow::default()
    };
    let missed = RequestRow {
        id: 2,
        url: "https://api.example.com/users?page=3".into(),
        status: Some(501),
        outcome: ResultKind::Miss,
        source: SourceKind::None,
        followed: vec![],
        rules: vec![],
        ..served.clone()
    };
    let login = RequestRow {
        change: Some(EntryChange::Added),
        id: 3,
        method: "POST".into(),
        url: "https://api.example.com/login".into(),
        entry: Some(0),
        took_ms: None,
        ..served.clone()
    };
    let tunnel = RequestRow {
        id: 4,
        method: "CONNECT".into(),
        url: "db.example.com:5432".into(),
        outcome: ResultKind::Tunnel,
        source: SourceKind::Live,
        complete: true,
        ..RequestRow::default()
    };
    let shard = |shard: &str, status, source| Shard {
        shard: shard.into(),
        passed: status == 0,
        status,
        source,
        requests: 2,
        duration_ms: 70,
    };
    Report {
        shards: vec![shard("shard-1.json", 0, StatusSource::Verdict), shard("shard-2.json", 137, StatusSource::Cmd)],
        requests: vec![served, missed, login, tunnel],
        more_requests: 3,
        ..report(verdict, 137, StatusSource::Cmd)
    }
}

/// One run with everything in it, as [`full`] has it of two.
pub(super) fn one_run() -> Report {
    Report { shards: vec![], ..full() }
}
