//! The recording time of an entry, in the formats of all tools.

use serde::Deserialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Fixture;
use super::entry;

/// Parses a `startedDateTime`: RFC 3339, an offset without colon (`+0200`) or without offset (UTC), or the seconds or
/// milliseconds since 1970.
///
/// ```
/// use harproxy_har::parse_time;
/// let noon = parse_time("2026-11-20T12:00:00Z");
/// assert!(noon.is_some());
/// assert_eq!(parse_time("2026-11-20T14:00:00.000+0200"), noon);
/// assert_eq!(parse_time("2026-11-20T12:00:00"), noon);
/// assert_eq!(parse_time("1795176000000"), noon);
/// assert_eq!(parse_time("NaN-NaN-NaNTNaN:NaN:NaN.NaNZ"), None);
/// ```
#[must_use]
pub fn parse_time(text: &str) -> Option<OffsetDateTime> {
    let text = text.trim();
    let rfc3339 = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok();
    rfc3339(text)
        .or_else(|| rfc3339(&with_colon(text)?))
        .or_else(|| rfc3339(&format!("{text}Z")))
        .or_else(|| epoch(text))
}

/// `+0200` as `+02:00`.
fn with_colon(text: &str) -> Option<String> {
    let (rest, minutes) = text.split_at_checked(text.len().checked_sub(2)?)?;
    Some(format!("{rest}:{minutes}"))
}

fn epoch(text: &str) -> Option<OffsetDateTime> {
    /// As milliseconds this is 1973, as seconds the year 5138.
    const MILLISECONDS_FROM: f64 = 1e11;
    let number: f64 = text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0)?;
    let seconds = if number >= MILLISECONDS_FROM { number / 1000.0 } else { number };
    #[expect(clippy::cast_possible_truncation, reason = "`as` saturates; an invalid time is refused")]
    OffsetDateTime::from_unix_timestamp(seconds as i64).ok()
}

impl Fixture {
    /// The recording time of an entry, without parsing the rest of it. `None` if it is missing, invalid or unreadable.
    #[must_use]
    pub fn recorded_at(&self, entry: usize) -> Option<OffsetDateTime> {
        #[derive(Deserialize)]
        struct Started<'a> {
            #[serde(rename = "startedDateTime", borrow)]
            started: &'a RawValue,
        }
        let json = self.entry_json(entry).ok()?;
        match serde_json::from_str::<Started<'_>>(entry::utf8(&json).ok()?) {
            Ok(Started { started }) => parse_time(started.get().trim_matches('"')),
            // Such as a duplicate member.
            Err(_) => parse_time(&self.entry(entry).ok()?.started),
        }
    }
}
