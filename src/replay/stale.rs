//! `--max-age`: finds the entries that are too old. Each fixture has one finding, which names its oldest entry, since a
//! fixture is recorded again as a whole.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use super::verdict::request_line;
use crate::verdict::explain::EntryPlace;
use crate::verdict::{CheckId, Finding, Location, Severity};
use harproxy_har::Fixture;
use harproxy_http::escape::one_line;
use harproxy_redact::Policy;

/// The limit of `--max-age`.
#[derive(Clone, Copy, Debug)]
pub(super) struct MaxAge {
    pub(super) age: Duration,
    pub(super) now: OffsetDateTime,
}

/// Finds the stale entries of a fixture, which messages call `name`. Entries without a time are never stale. If no
/// entry has one, the finding is a warning whatever `severity` says.
pub(super) fn find(
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
            "none of the {entries} {of} of {name} has a time of recording, so `--max-age` cannot check their age"
        );
        let finding = Finding::new(CheckId::STALE, Severity::Warning, explanation);
        return (undated == entries && entries > 0).then(|| Finding { at: Location::fixture(name), ..finding });
    };
    let head = fixture.heads().get(entry)?;
    let request = request_line(&head, policy);
    let mut explanation = format!(
        "{stale} of {entries} {of} of {name} {} recorded more than {} ago; the oldest is #{entry} {}, of {} ({} days)",
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
    let finding = Finding::new(CheckId::STALE, severity, explanation).with_hint(remedy(fixture));
    Some(Finding { at, times: stale, ..finding })
}

/// The command that records the fixture again.
fn remedy(fixture: &Fixture) -> String {
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

/// An age in the largest unit that divides it.
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

    fn find_in(own: &str, started: &[Option<&str>]) -> Option<Finding> {
        let entry = |started: &Option<&str>| {
            let started = started.map(|text| format!(r#""startedDateTime": {text:?}, "#)).unwrap_or_default();
            format!(
                "{{{started}\"request\": {{\"method\": \"GET\", \"url\": \"http://a.test/?token=s3cret-s3cret\"}}, \"response\": {{\"status\": 200}}}}"
            )
        };
        let entries = started.iter().map(entry).collect::<Vec<_>>().join(",\n");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("it's.har");
        std::fs::write(&path, format!("{{\"log\": {{{own} \"entries\": [\n{entries}]}}}}")).unwrap();
        let max_age =
            MaxAge { age: Duration::from_secs(180 * 86_400), now: parse_time("2026-11-20T00:00:00Z").unwrap() };
        let fixture = Arc::new(Fixture::open(&path).unwrap());
        let found = find(max_age, &fixture, "it's.har", &Policy::default(), Severity::Error)?;
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
            "2 of 6 entries of it's.har were recorded more than 180 days ago; the oldest is #3 GET http://a.test/?token=REDACTED-token, \
             of 2024-01-02 (1052 days); 1 without a time of recording"
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
