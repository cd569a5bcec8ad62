//! The verdict of a replay: the counts and findings of the collector, the use of the fixtures, and stale entries.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use crate::pipeline::Collector;
use crate::source::UpstreamSource;
use crate::source::fixture::FixtureSource;
use crate::verdict::explain::EntryPlace;
use crate::verdict::findings::MAX_FINDINGS;
use crate::verdict::{
    CheckId, Counts, EntryUse, FailOn, Finding, FixtureUse, Location, RunMode, Severity, Verdict, connections,
};
use harproxy_har::{EntryHead, Fixture, LeftOutCause};
use harproxy_matching::Matcher;
use harproxy_redact::{Policy, display};
use harproxy_support::printable::{Shown as _, one_line};

/// Returns the verdict so far.
pub(super) fn verdict(
    collector: &Collector,
    source: &FixtureSource,
    stale: &[Finding],
    has_rule_applied: bool,
    sources: impl Iterator<Item = Arc<UpstreamSource>>,
) -> Verdict {
    let (matcher, options) = (&source.matcher, &source.options);
    let mut counts = collector.replay_counts();
    sources.for_each(|source| source.count_connections(&mut counts));
    let mut findings = collector.findings();
    findings.extend(source.guesses.findings());
    // A request that an entry was chosen for may still wait for its response.
    let has_traffic = has_rule_applied
        || has_traffic(&counts, collector.forwarded(), &findings)
        || matcher.served().any(|(_, times)| times > 0);
    // Requests out of scope fail the run by themselves: they are the reason why no fixture was asked.
    let cause = findings
        .iter_mut()
        .find(|finding| finding.check == CheckId::OUT_OF_SCOPE && finding.severity == Severity::Error)
        .filter(|_| !has_traffic);
    if let Some(cause) = cause {
        cause.text.push_str("\nno request was in scope, so that no entry was used");
    } else if !has_traffic {
        findings.push(no_traffic(&counts, options.with_cmd, options.fail_on.severity(&CheckId::NO_TRAFFIC)));
    }
    findings.extend(stale.iter().cloned());
    let named = matcher.fixtures().iter().zip(&source.names);
    findings.extend(named.flat_map(|(fixture, name)| find_left_out(fixture, name, &options.fail_on)));
    // Without traffic every entry is unused, which is no finding of its own unless only it fails the run.
    let fails = |finding: &Finding| finding.severity == Severity::Error;
    let unused_fails = options.fail_on.severity(&CheckId::UNUSED) == Severity::Error;
    if has_traffic || (unused_fails && !findings.iter().any(fails)) {
        let room = MAX_FINDINGS.saturating_sub(findings.len()).max(1);
        findings.extend(unused(matcher, &source.names, &options.policy, &options.fail_on, room));
    }
    let fixtures = matcher.fixtures().iter().zip(&source.names).map(|(fixture, name)| FixtureUse {
        fixture: name.clone(),
        entries: fixture.heads().len(),
        used: 0,
        served: Vec::new(),
        unused: Vec::new(),
        pruned: None,
        sha256: None,
    });
    let mut fixtures: Vec<FixtureUse> = fixtures.collect();
    for (at, times) in matcher.served() {
        let fixture = &mut fixtures[at.fixture];
        match times {
            0 => fixture.unused.push(at.entry),
            times => {
                fixture.used += 1;
                fixture.served.push(EntryUse { entry: at.entry, requests: times.into() });
            }
        }
    }
    Verdict {
        mode: RunMode::REPLAY,
        counts,
        findings,
        fixtures,
        rules: Vec::new(),
        duration_ms: collector.duration_ms(),
        observation: None,
    }
}

/// Returns a finding for each cause for which replay leaves out entries of a fixture, which messages call `name`. Other
/// tools record requests that cannot be replayed, so their entries are only warned of.
fn find_left_out(fixture: &Fixture, name: &str, fail_on: &FailOn) -> Vec<Finding> {
    let severity = match fixture.is_own() {
        true => fail_on.severity(&CheckId::ENTRY_LEFT_OUT),
        false => Severity::Warning,
    };
    let finding = |left_out: &LeftOutCause| {
        let (entry, line) = *left_out.first.first()?;
        let others: Vec<String> = left_out.first[1..].iter().map(|(_, line)| line.to_string()).collect();
        let more = if left_out.entries > left_out.first.len() { " and others" } else { "" };
        let text = match others.is_empty() {
            true => format!("{}, so no request gets it", left_out.cause.shown()),
            false => {
                format!("{}, so no request gets it; also on line {}{more}", left_out.cause.shown(), others.join(", "))
            }
        };
        let place = EntryPlace { fixture: name.to_owned(), entry, line: Some(line) };
        let finding = Finding::new(CheckId::ENTRY_LEFT_OUT, severity, text);
        let finding = finding.with_hint("correct or remove the entry; `harproxy check` lists all of them");
        Some(Finding { at: Location::entry(place, None), times: left_out.entries as u64, ..finding })
    };
    fixture.left_out().iter().filter_map(finding).collect()
}

/// Returns a finding for each unused entry, up to `room`, and one that counts the rest.
fn unused(matcher: &Matcher, names: &[String], policy: &Policy, fail_on: &FailOn, room: usize) -> Vec<Finding> {
    let severity = fail_on.severity(&CheckId::UNUSED);
    let mut unused = matcher.unused();
    let mut findings: Vec<Finding> = unused
        .by_ref()
        .take(room)
        .filter_map(|at| {
            let head = matcher.fixtures()[at.fixture].heads().get(at.entry)?;
            let fixture = names[at.fixture].clone();
            let place = EntryPlace { fixture, entry: at.entry, line: Some(head.line) };
            let finding = Finding::new(CheckId::UNUSED, severity, "nothing asked for it");
            let finding = finding.with_hint("`--prune` removes it after a run that passed");
            Some(Finding { at: Location::entry(place, request_line(&head, policy)), ..finding })
        })
        .collect();
    let more = unused.count() as u64;
    if more > 0 {
        let sum = Finding::new(CheckId::UNUSED, severity, "more entries that nothing asked for");
        findings.push(Finding { times: more, ..sum });
    }
    findings
}

/// Returns the request of an entry without secrets.
fn request_line(head: &EntryHead<'_>, policy: &Policy) -> String {
    let url = display::redactor(policy).redact_url(head.url);
    format!("{} {}", head.method, url.as_deref().unwrap_or(head.url))
}

/// Returns true if a request in scope was seen. Refused WebSockets and streams were in scope, and so were requests that
/// a rule could not answer.
fn has_traffic(counts: &Counts, forwarded: u64, findings: &[Finding]) -> bool {
    counts.served + counts.misses + counts.preflights + forwarded > 0
        || findings
            .iter()
            .any(|finding| [CheckId::WEBSOCKET, CheckId::STREAM, CheckId::RULE_FAILED].contains(&finding.check))
}

/// Returns the finding that no request in scope was seen, with what happened to the others.
fn no_traffic(counts: &Counts, with_cmd: bool, severity: Severity) -> Finding {
    if let Some(unauthorized) = connections::unauthorized(counts, CheckId::NO_TRAFFIC, severity) {
        return unauthorized;
    }
    let outside = counts.requests - counts.passed - counts.refused;
    let text = match counts.requests {
        0 => "nothing came through the proxy".to_owned(),
        1 => {
            let what = match (counts.passed, counts.refused) {
                (1.., _) => "went to the network, as `--passthrough` says",
                (_, 1..) => "was refused with 400: its URL or its payload is broken",
                _ => "was out of scope",
            };
            format!("the one request that came {what}")
        }
        n if outside == n => format!("none of the {n} requests that came was in scope"),
        n => {
            let groups = [
                (counts.passed, "passed on by `--passthrough`"),
                (counts.refused, "refused with 400, broken in URL or payload"),
                (outside, "out of scope"),
            ];
            let groups = groups.into_iter().filter(|(times, _)| *times > 0);
            let groups: Vec<String> = groups.map(|(times, what)| format!("{times} {what}")).collect();
            format!("none of the {n} requests that came asked a fixture: {}", groups.join(", "))
        }
    };
    let hint = match (counts.requests, with_cmd) {
        (n, _) if n > 0 && n == counts.passed => {
            "name fewer URLs with `--passthrough`: their requests never get an answer from a fixture"
        }
        (n, _) if n > 0 && n == counts.refused => "the answer to the client names the cause",
        (1.., _) => "set the scope with `-g GLOB`, or record the requests with `harproxy record`",
        (0, true) => {
            "`harproxy env` prints what CMD was told: see that it heeds the proxy variables, also for hosts on this machine, or \
             point it at a `--reverse` port"
        }
        (0, false) => "`harproxy env` prints what makes a client use the proxy",
    };
    Finding::new(CheckId::NO_TRAFFIC, severity, text).with_hint(hint)
}

/// The limit of `--max-age`.
#[derive(Clone, Copy, Debug)]
pub(super) struct MaxAge {
    pub(super) age: Duration,
    pub(super) now: OffsetDateTime,
}

/// Finds the stale entries of a fixture, which messages call `name`. There is one finding, with the oldest entry: a
/// fixture is recorded again as a whole. Entries without a time are never stale. If no
/// entry has one, the finding is a warning whatever `severity` says.
pub(super) fn find_stale(
    max_age: MaxAge,
    fixture: &Arc<Fixture>,
    name: &str,
    policy: &Policy,
    severity: Severity,
) -> Option<Finding> {
    let (mut stale, mut undated) = (0, 0);
    let mut oldest: Option<(OffsetDateTime, usize)> = None;
    for head in fixture.heads().iter() {
        match fixture.recorded_at(head.entry) {
            None => undated += 1,
            Some(at) if max_age.now - at > max_age.age => {
                stale += 1;
                if oldest.is_none_or(|(before, _)| at < before) {
                    oldest = Some((at, head.entry));
                }
            }
            Some(_) => {}
        }
    }
    let entries = fixture.heads().len();
    let of = if entries == 1 { "entry" } else { "entries" };
    let Some((at, entry)) = oldest else {
        let explanation = format!(
            "none of the {entries} {of} of {} has a time of recording, so `--max-age` cannot check their age",
            name.shown()
        );
        let finding = Finding::new(CheckId::STALE, Severity::Warning, explanation);
        return (undated == entries && entries > 0).then(|| Finding { at: Location::fixture(name), ..finding });
    };
    let head = fixture.heads().get(entry)?;
    let request = request_line(&head, policy);
    let mut explanation = format!(
        "{stale} of {entries} {of} of {} {} recorded more than {} ago; the oldest is #{entry} {}, of {} ({} days)",
        name.shown(),
        if stale == 1 { "was" } else { "were" },
        age_text(max_age.age),
        one_line(&request),
        at.date(),
        (max_age.now - at).whole_days(),
    );
    if undated > 0 {
        explanation.push_str(&format!("; {undated} without a time of recording"));
    }
    let place = EntryPlace { fixture: name.to_owned(), entry, line: Some(head.line) };
    // If there is one stale entry, the finding is about it.
    let at = Location::entry(place, (stale == 1).then_some(request));
    let finding = Finding::new(CheckId::STALE, severity, explanation).with_hint(rerecord_hint(fixture));
    Some(Finding { at, times: stale, ..finding })
}

/// Returns the command that records the fixture again.
fn rerecord_hint(fixture: &Fixture) -> String {
    let path = harproxy_support::shell_quote::path(fixture.path());
    let Some(scope) = fixture.scope() else {
        return "record it again with the tool that wrote it, or with `harproxy record` into another file".to_owned();
    };
    // `**` is the scope of a recording without `-g`.
    let globs: String = scope
        .iter()
        .filter(|glob| *glob != "**")
        .map(|glob| format!(" -g {}", harproxy_support::shell_quote::word(glob)))
        .collect();
    format!("record it again: `harproxy record -o {path}{globs} -- CMD`")
}

/// Returns an age in the largest unit that divides it.
fn age_text(age: Duration) -> String {
    let seconds = age.as_secs();
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute")];
    let divides = |(unit, _): &(u64, &str)| seconds >= *unit && seconds.is_multiple_of(*unit);
    let (unit, name) = units.into_iter().find(divides).unwrap_or((1, "second"));
    let n = seconds / unit;
    format!("{n} {name}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use harproxy_har::parse_time;

    #[test]
    fn no_traffic_says_what_happened_to_the_requests() {
        for (counts, text, in_scope_hint) in [
            (Counts::default(), "nothing came", false),
            (
                Counts { requests: 1, out_of_scope: 1, ..Counts::default() },
                "the one request that came was out of scope",
                true,
            ),
            (
                Counts { requests: 2, local: 1, noise: 1, ..Counts::default() },
                "none of the 2 requests that came was in scope",
                true,
            ),
            (
                Counts { requests: 1, passed: 1, ..Counts::default() },
                "the one request that came went to the network, as `--passthrough` says",
                false,
            ),
            (
                Counts { requests: 1, refused: 1, ..Counts::default() },
                "the one request that came was refused with 400: its URL or its payload is broken",
                false,
            ),
            (
                Counts { requests: 3, passed: 2, local: 1, ..Counts::default() },
                "2 passed on by `--passthrough`, 1 out of scope",
                true,
            ),
        ] {
            assert!(!has_traffic(&counts, 0, &[]));
            let finding = no_traffic(&counts, true, Severity::Error);
            assert!(finding.text.contains(text), "{}", finding.text);
            let hint = finding.hint.unwrap();
            assert_eq!(hint.contains("`-g GLOB`"), in_scope_hint, "{hint}");
        }
    }

    #[test]
    fn requests_in_scope_are_traffic_and_others_are_not() {
        let served = Counts { requests: 1, served: 1, ..Counts::default() };
        let missed = Counts { requests: 1, misses: 1, ..Counts::default() };
        let preflight = Counts { requests: 1, preflights: 1, ..Counts::default() };
        for counts in [served, missed, preflight] {
            assert!(has_traffic(&counts, 0, &[]), "{counts:?}");
        }
        let local = Counts { requests: 1, local: 1, ..Counts::default() };
        assert!(!has_traffic(&local, 0, &[]));
        assert!(has_traffic(&local, 1, &[]), "a miss that was forwarded");
        let websocket = Finding::new(CheckId::WEBSOCKET, Severity::Warning, "");
        assert!(has_traffic(&local, 0, &[websocket]));
    }

    fn find_in(own: &str, started: &[Option<&str>]) -> Option<Finding> {
        let entry = |started: &Option<&str>| {
            let started = started.map(|text| format!(r#""startedDateTime": {text:?}, "#)).unwrap_or_default();
            format!(
                "{{{started}\"request\": {{\"method\": \"GET\", \"url\": \"http://a.test/?token=s3cret-s3cret\"}}, \
                 \"response\": {{\"status\": 200}}}}"
            )
        };
        let entries = started.iter().map(entry).collect::<Vec<_>>().join(",\n");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("it's.har");
        std::fs::write(&path, format!("{{\"log\": {{{own} \"entries\": [\n{entries}]}}}}")).unwrap();
        let max_age =
            MaxAge { age: Duration::from_secs(180 * 86_400), now: parse_time("2026-11-20T00:00:00Z").unwrap() };
        let fixture = Arc::new(Fixture::open(&path).unwrap());
        let found = find_stale(max_age, &fixture, "it's.har", &Policy::default(), Severity::Error)?;
        let here = harproxy_support::shell_quote::path(&path);
        Some(Finding { hint: found.hint.map(|text| text.replace(&here, "FILE")), ..found })
    }

    const OWN: &str = r#""_harproxy": {"format": 1, "scope": ["https://a.test/**", "!**/it's"]},"#;

    #[test]
    fn fixture_has_one_finding_with_its_oldest_entry_and_the_command() {
        let found = find_in(
            OWN,
            &[
                Some("2026-11-19T00:00:00Z"),
                Some("2024-03-02T00:00:00.000+0100"),
                None,
                Some("2024-01-02T03:04:05"),
                Some("2026-05-24T00:00:01Z"),
                Some("2100-01-01T00:00:00Z"),
            ],
        );
        let found = found.unwrap();
        assert_eq!(
            found.text,
            "2 of 6 entries of it's.har were recorded more than 180 days ago; the oldest is \
             #3 GET http://a.test/?token=REDACTED-token, of 2024-01-02 (1052 days); 1 without a time of recording"
        );
        assert_eq!(
            (found.severity, found.at.entry, found.at.line, found.times),
            (Severity::Error, Some(3), Some(5), 2)
        );
        assert_eq!(found.at.request, None);
        let remedy = r"record it again: `harproxy record -o FILE -g 'https://a.test/**' -g '!**/it'\''s' -- CMD`";
        assert_eq!(found.hint.as_deref(), Some(remedy));
    }

    #[test]
    fn single_stale_entry_is_named_and_an_entry_of_exactly_the_limit_is_not_stale() {
        let found = find_in("", &[Some("1716422400000"), Some("2026-05-24T00:00:00Z")]).unwrap();
        assert_eq!((found.times, found.at.entry), (1, Some(0)));
        assert_eq!(found.at.request.as_deref(), Some("GET http://a.test/?token=REDACTED-token"));
        assert!(found.hint.unwrap().contains("the tool that wrote it"));
        assert_eq!(find_in(OWN, &[Some("2026-05-24T00:00:00Z")]), None);
        assert_eq!(find_in(OWN, &[]), None);
    }

    #[test]
    fn fixture_without_times_is_a_warning() {
        let found = find_in("", &[None, Some(""), Some("NaN-NaN-NaNTNaN:NaN:NaNZ")]).unwrap();
        assert_eq!((found.severity, found.at.entry), (Severity::Warning, None));
        assert!(found.text.starts_with("none of the 3 entries of it's.har has"), "{}", found.text);
        assert_eq!(find_in("", &[None, Some("2026-11-19T00:00:00Z")]), None);
    }

    #[test]
    fn age_is_written_in_its_largest_unit() {
        for (seconds, said) in [(86_400, "1 day"), (180 * 86_400, "180 days"), (5400, "90 minutes"), (0, "0 seconds")] {
            assert_eq!(age_text(Duration::from_secs(seconds)), said);
        }
    }
}
