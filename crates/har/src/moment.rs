//! When an entry was recorded, as the tools write it.

use serde::Deserialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Fixture, parse};

/// The moment that a `startedDateTime` names: RFC 3339, an offset without its colon (`+0200`) or none (UTC), or a number of
/// seconds or milliseconds since 1970.
///
/// ```
/// use harproxy_har::moment;
/// let noon = moment("2026-11-20T12:00:00Z");
/// assert!(noon.is_some());
/// assert_eq!(moment("2026-11-20T14:00:00.000+0200"), noon);
/// assert_eq!(moment("2026-11-20T12:00:00"), noon);
/// assert_eq!(moment("1795176000000"), noon);
/// assert_eq!(moment("NaN-NaN-NaNTNaN:NaN:NaN.NaNZ"), None);
/// ```
#[must_use]
pub fn moment(text: &str) -> Option<OffsetDateTime> {
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
    #[expect(clippy::cast_possible_truncation, reason = "`as` saturates, and what is no moment is refused")]
    OffsetDateTime::from_unix_timestamp(seconds as i64).ok()
}

impl Fixture {
    /// When an entry was recorded, without parsing the rest of it. `None` when it doesn't say, or can't be read.
    #[must_use]
    pub fn recorded_at(&self, entry: usize) -> Option<OffsetDateTime> {
        #[derive(Deserialize)]
        struct Started<'a> {
            #[serde(rename = "startedDateTime", borrow)]
            started: &'a RawValue,
        }
        let json = self.entry_json(entry).ok()?;
        match serde_json::from_str::<Started<'_>>(parse::utf8(&json).ok()?) {
            Ok(Started { started }) => moment(started.get().trim_matches('"')),
            // Named twice, say.
            Err(_) => moment(&self.entry(entry).ok()?.started),
        }
    }
}
