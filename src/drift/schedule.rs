//! The schedule of repeated runs: `--every` with an interval or a cron expression.

use std::time::Duration;

use time::{Date, OffsetDateTime, Time, UtcOffset};

/// The shortest interval.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// The number of days in which a cron expression must have a time: 5 years.
const SEARCHED_DAYS: usize = 5 * 366;
const EXPECTED: &str = "expected an interval, such as `1h`, or five cron fields, such as `0 6 * * MON-FRI`";

/// The times of repeated runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    Interval(Duration),
    Cron(CronExpression),
}

impl Schedule {
    /// Parses an interval, a cron expression, or one of `@hourly`, `@daily`, `@weekly` and `@monthly`.
    ///
    /// # Errors
    /// A sentence for the user, with an example.
    pub fn parse(text: &str, parse_duration: impl Fn(&str) -> Result<Duration, String>) -> Result<Self, String> {
        let text = text.trim();
        let fields: Vec<&str> = text.split_whitespace().collect();
        match *fields.as_slice() {
            [name] if name.starts_with('@') => CronExpression::of_name(name).map(Schedule::Cron),
            [minute, hour, day, month, weekday] => {
                CronExpression::parse([minute, hour, day, month, weekday]).map(Schedule::Cron)
            }
            _ => match parse_duration(text) {
                Ok(interval) if interval < MIN_INTERVAL => Err("the shortest interval is `1s`".to_owned()),
                Ok(interval) => Ok(Schedule::Interval(interval)),
                Err(_) if fields.len() > 1 => Err(format!("{EXPECTED}; it has {} fields", fields.len())),
                Err(_) => Err(EXPECTED.to_owned()),
            },
        }
    }

    /// Returns the next time after `now`. `None` if a cron expression has no time within 5 years, such as 31 February.
    #[must_use]
    pub fn next(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        match self {
            Schedule::Interval(interval) => now.checked_add(time::Duration::try_from(*interval).ok()?),
            Schedule::Cron(expression) => expression.next(now),
        }
    }
}

/// A cron expression: minute, hour, day of the month, month and day of the week, in UTC.
///
/// If both day fields are restricted, a day matches that one of them selects (POSIX `crontab`). As in Vixie cron, a
/// field that begins with `*` is not restricted, also with a step. In each set, bit `n` stands for the value `n`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronExpression {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    /// 0 is Sunday.
    weekdays: u64,
    /// True if both day fields are restricted.
    is_either_day: bool,
}

/// A field of a cron expression.
struct CronField {
    name: &'static str,
    min: u8,
    max: u8,
    /// Names of values, from `min`.
    names: &'static [&'static str],
    example: &'static str,
}

const MINUTE: CronField = CronField { name: "minute", min: 0, max: 59, names: &[], example: "*/15" };
const HOUR: CronField = CronField { name: "hour", min: 0, max: 23, names: &[], example: "9-17" };
const DAY: CronField = CronField { name: "day of the month", min: 1, max: 31, names: &[], example: "1,15" };
const MONTH: CronField = CronField {
    name: "month",
    min: 1,
    max: 12,
    names: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
    example: "JAN-MAR",
};
/// 0 and 7 are both Sunday.
const WEEKDAY: CronField = CronField {
    name: "day of the week",
    min: 0,
    max: 7,
    names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"],
    example: "MON-FRI",
};

impl CronExpression {
    fn of_name(name: &str) -> Result<Self, String> {
        match name.to_ascii_lowercase().as_str() {
            "@hourly" => CronExpression::parse(["0", "*", "*", "*", "*"]),
            "@daily" => CronExpression::parse(["0", "0", "*", "*", "*"]),
            "@weekly" => CronExpression::parse(["0", "0", "*", "*", "0"]),
            "@monthly" => CronExpression::parse(["0", "0", "1", "*", "*"]),
            _ => Err(format!("unknown schedule `{name}`: use `@hourly`, `@daily`, `@weekly` or `@monthly`")),
        }
    }

    fn parse([minute, hour, day, month, weekday]: [&str; 5]) -> Result<Self, String> {
        let weekdays = WEEKDAY.parse(weekday)?;
        Ok(CronExpression {
            minutes: MINUTE.parse(minute)?,
            hours: HOUR.parse(hour)?,
            days: DAY.parse(day)?,
            months: MONTH.parse(month)?,
            weekdays: weekdays & 0x7f | weekdays >> 7,
            is_either_day: !day.starts_with('*') && !weekday.starts_with('*'),
        })
    }

    fn next(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        let now = now.checked_to_offset(UtcOffset::UTC)?;
        let first = now.replace_second(0).ok()?.replace_nanosecond(0).ok()?.checked_add(time::Duration::MINUTE)?;
        let days = std::iter::successors(Some(first.date()), |date| date.next_day()).take(SEARCHED_DAYS);
        days.filter(|date| self.has_day(*date)).find_map(|date| {
            let from = if date == first.date() { first.time() } else { Time::MIDNIGHT };
            self.first_time(from).map(|time| date.with_time(time).assume_utc())
        })
    }

    fn has_day(&self, date: Date) -> bool {
        let in_month = has(self.days, date.day());
        let in_week = has(self.weekdays, date.weekday().number_days_from_sunday());
        let is_day = if self.is_either_day { in_month || in_week } else { in_month && in_week };
        is_day && has(self.months, date.month().into())
    }

    /// Returns the first time of a day from `from` on.
    fn first_time(&self, from: Time) -> Option<Time> {
        let minute = first_from(self.minutes, from.minute()).filter(|_| has(self.hours, from.hour()));
        let (hour, minute) = match minute {
            Some(minute) => (from.hour(), minute),
            None => (first_from(self.hours, from.hour() + 1)?, first_from(self.minutes, 0)?),
        };
        Time::from_hms(hour, minute, 0).ok()
    }
}

fn has(set: u64, value: u8) -> bool {
    set >> value & 1 == 1
}

/// Returns the least value of a set that is not less than `from`.
fn first_from(set: u64, from: u8) -> Option<u8> {
    (from..64).find(|value| has(set, *value))
}

impl CronField {
    /// Returns the set of the values that a field selects.
    fn parse(&self, text: &str) -> Result<u64, String> {
        let mut sets = text.split(',').map(|item| self.parse_item(item).ok_or_else(|| self.error(item)));
        sets.try_fold(0, |all, set| Ok(all | set?))
    }

    /// Parses `*`, a value or a range. The first and the last may have a step.
    fn parse_item(&self, item: &str) -> Option<u64> {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(number(step).filter(|step| (1..=self.max).contains(step))?)),
            None => (item, None),
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (self.min, self.max),
            Some((first, last)) => (self.value(first, false)?, self.value(last, true)?),
            None if step.is_some() => return None,
            None => (self.value(range, false)?, self.value(range, false)?),
        };
        let values = (first..=last).step_by(step.unwrap_or(1).into());
        (first <= last).then(|| values.fold(0, |set, value| set | 1 << value))
    }

    /// Returns the value of a number or a name. `is_last` is true for the end of a range, where `SUN` is 7.
    fn value(&self, text: &str, is_last: bool) -> Option<u8> {
        let mut names = self.names.iter();
        let is_name = |name: &&str| name.eq_ignore_ascii_case(text);
        let named = if is_last { names.rposition(is_name) } else { names.position(is_name) };
        let value = match named {
            Some(index) => self.min + u8::try_from(index).ok()?,
            None => number(text)?,
        };
        (self.min..=self.max).contains(&value).then_some(value)
    }

    fn error(&self, item: &str) -> String {
        let CronField { name, min, max, example, .. } = self;
        format!(
            "`{item}` is not a valid {name}: expected {min} to {max}, a list, a range or a step, such as `{example}`"
        )
    }
}

/// Parses decimal digits, without a sign.
fn number(text: &str) -> Option<u8> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn parse(text: &str) -> Result<Schedule, String> {
        Schedule::parse(text, |text| {
            let (number, unit) = text.split_at(text.len().saturating_sub(1));
            let factor = match unit {
                "h" => 3600.0,
                "s" => 1.0,
                _ => return Err("no duration".to_owned()),
            };
            number.parse::<f64>().map(|number| Duration::from_secs_f64(number * factor)).map_err(|e| e.to_string())
        })
    }

    /// The first times after `now`.
    fn times<const N: usize>(text: &str, now: OffsetDateTime) -> [OffsetDateTime; N] {
        let schedule = parse(text).unwrap();
        let mut time = now;
        std::array::from_fn(|_| {
            time = schedule.next(time).unwrap();
            time
        })
    }

    #[test]
    fn intervals_count_from_now() {
        let now = datetime!(2026-11-25 12:00:07 UTC);
        assert_eq!(parse(" 1h ").unwrap(), Schedule::Interval(Duration::from_secs(3600)));
        assert_eq!(times("90s", now), [datetime!(2026-11-25 12:01:37 UTC), datetime!(2026-11-25 12:03:07 UTC)]);
        assert_eq!(parse("0.5s").unwrap_err(), "the shortest interval is `1s`");
        assert!(parse("1s").is_ok());
        assert_eq!(Schedule::Interval(Duration::MAX).next(now), None);
    }

    #[test]
    fn next_is_after_now() {
        let now = datetime!(2026-11-25 12:15:00 UTC);
        assert_eq!(times("15 12 * * *", now), [datetime!(2026-11-26 12:15 UTC)]);
        assert_eq!(times("15 12 * * *", datetime!(2026-11-25 12:14:59.9 UTC)), [now]);
        assert_eq!(times("* * * * *", datetime!(2026-12-31 23:59:30 UTC)), [datetime!(2027-01-01 00:00 UTC)]);
    }

    #[test]
    fn times_are_utc() {
        let now = datetime!(2026-11-25 23:30 -05:00);
        assert_eq!(times("0 6 * * *", now), [datetime!(2026-11-26 06:00 UTC)]);
    }

    #[test]
    fn steps_ranges_and_names_select_working_hours() {
        // A Friday.
        let now = datetime!(2026-11-27 17:20 UTC);
        let expected = [
            datetime!(2026-11-27 17:30 UTC),
            datetime!(2026-11-27 17:45 UTC),
            datetime!(2026-11-30 09:00 UTC),
            datetime!(2026-11-30 09:15 UTC),
        ];
        assert_eq!(times("*/15 9-17 * * MON-FRI", now), expected);
        assert_eq!(times("*/15 9-17 * * mon-fri", now), expected);
        assert_eq!(parse("10-30/10,59 * * * *"), parse("10,20,30,59 * * * *"));
        assert_eq!(parse("0 0 1 JAN-MAR,Dec *"), parse("0 0 1 1,2,3,12 *"));
    }

    #[test]
    fn sunday_is_0_and_7() {
        let now = datetime!(2026-11-25 12:00 UTC);
        for weekday in ["0", "7", "SUN"] {
            assert_eq!(times(&format!("0 0 * * {weekday}"), now), [datetime!(2026-11-29 00:00 UTC)]);
        }
        assert_eq!(parse("0 0 * * FRI-SUN"), parse("0 0 * * 0,5,6"));
        assert_eq!(parse("0 0 * * SUN-TUE"), parse("0 0 * * 0,1,2"));
        assert_eq!(parse("0 0 * * 5-7"), parse("0 0 * * 0,5,6"));
        let expected = [26, 28, 29].map(|day| datetime!(2026-11-01 00:00 UTC).replace_day(day).unwrap());
        assert_eq!(times("0 0 * * */2", now), expected);
    }

    #[test]
    fn either_day_matches_if_both_are_restricted() {
        let now = datetime!(2026-11-25 12:00 UTC);
        let expected =
            [datetime!(2026-11-27 00:00 UTC), datetime!(2026-12-01 00:00 UTC), datetime!(2026-12-04 00:00 UTC)];
        assert_eq!(times("0 0 1 * FRI", now), expected);
        // Only Fridays that are the 1st, 13th or 25th: a field that begins with `*` is not restricted.
        let expected = [datetime!(2026-12-25 00:00 UTC), datetime!(2027-01-01 00:00 UTC)];
        assert_eq!(times("0 0 */12 * FRI", now), expected);
        assert_eq!(times("0 0 1 * *", now), [datetime!(2026-12-01 00:00 UTC)]);
    }

    #[test]
    fn month_ends_and_leap_years_are_respected() {
        let expected =
            [datetime!(2026-12-31 00:00 UTC), datetime!(2027-01-31 00:00 UTC), datetime!(2027-03-31 00:00 UTC)];
        assert_eq!(times("0 0 31 * *", datetime!(2026-11-25 12:00 UTC)), expected);
        let leap_days = [datetime!(2028-02-29 00:00 UTC), datetime!(2032-02-29 00:00 UTC)];
        assert_eq!(times("0 0 29 2 *", datetime!(2026-11-25 12:00 UTC)), leap_days);
        assert_eq!(times("59 23 28 FEB *", datetime!(2028-02-28 23:59 UTC)), [datetime!(2029-02-28 23:59 UTC)]);
        assert_eq!(parse("0 0 31 FEB *").unwrap().next(datetime!(2026-11-25 12:00 UTC)), None);
        assert_eq!(parse("0 0 31 2,4,6 *").unwrap().next(datetime!(2026-11-25 12:00 UTC)), None);
        assert_eq!(parse("* * * * *").unwrap().next(datetime!(9999-12-31 23:59:30 UTC)), None);
    }

    #[test]
    fn names_stand_for_expressions() {
        for (name, expression) in
            [("@hourly", "0 * * * *"), ("@Daily", "0 0 * * *"), ("@weekly", "0 0 * * 0"), ("@monthly", "0 0 1 * *")]
        {
            assert_eq!(parse(name).unwrap(), parse(expression).unwrap());
        }
    }

    #[test]
    fn errors_name_the_field_and_an_example() {
        let cases = [
            ("60 * * * *", "`60` is not a valid minute: expected 0 to 59", "`*/15`"),
            ("*/0 * * * *", "`*/0` is not a valid minute", "`*/15`"),
            ("*/61 * * * *", "`*/61` is not a valid minute", "`*/15`"),
            ("5/15 * * * *", "`5/15` is not a valid minute", "`*/15`"),
            ("1,,2 * * * *", "`` is not a valid minute", "`*/15`"),
            ("+1 * * * *", "`+1` is not a valid minute", "`*/15`"),
            ("300 * * * *", "`300` is not a valid minute", "`*/15`"),
            ("0 24 * * *", "`24` is not a valid hour", "`9-17`"),
            ("0 17-9 * * *", "`17-9` is not a valid hour", "`9-17`"),
            ("0 1-2-3 * * *", "`1-2-3` is not a valid hour", "`9-17`"),
            ("0 *-3 * * *", "`*-3` is not a valid hour", "`9-17`"),
            ("0 0 0 * *", "`0` is not a valid day of the month: expected 1 to 31", "`1,15`"),
            ("0 0 32 * *", "`32` is not a valid day of the month", "`1,15`"),
            ("0 0 L * *", "`L` is not a valid day of the month", "`1,15`"),
            ("0 0 * 13 *", "`13` is not a valid month", "`JAN-MAR`"),
            ("0 0 * MON *", "`MON` is not a valid month", "`JAN-MAR`"),
            ("0 0 * * 8", "`8` is not a valid day of the week", "`MON-FRI`"),
            ("0 0 * * MONDAY", "`MONDAY` is not a valid day of the week", "`MON-FRI`"),
            ("@yearly", "unknown schedule `@yearly`", "`@daily`"),
            ("* * * *", "expected an interval", "4 fields"),
            ("* * * * * *", "expected an interval", "6 fields"),
            ("", "expected an interval", "`1h`"),
            ("often", "expected an interval", "`0 6 * * MON-FRI`"),
        ];
        for (text, start, part) in cases {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(start) && error.contains(part), "{text}: {error}");
        }
    }
}
