//! Values that differ from one run to the next by their nature: ids, times and random tokens.

/// Maximum distance of a time from the recording, in seconds: a year.
const NEAR: i64 = 366 * 86_400;
/// Minimum number of digits of a hexadecimal id.
const MIN_HEX: usize = 16;
/// Minimum length of a random token in bytes.
const MIN_TOKEN: usize = 16;

/// Returns true if a value looks volatile: a UUID, a number of at least 16 hexadecimal digits, a time within a year of
/// the recording, or a random token. `recorded` is the time of the recording in Unix seconds; without it every time
/// looks volatile.
///
/// ```
/// use harproxy_compare::looks_volatile;
/// assert!(looks_volatile("1f0c9c2e-7b1f-4a36-9d0e-0b6f8f6f2a11", None));
/// assert!(looks_volatile("1700000000123", Some(1_700_000_100)));
/// assert!(!looks_volatile("1700000000123", Some(1_500_000_000)));
/// for word in ["2", "page-2", "price", "createOrder", "spring-collection-2024"] {
///     assert!(!looks_volatile(word, None), "{word}");
/// }
/// ```
#[must_use]
pub fn looks_volatile(value: &str, recorded: Option<i64>) -> bool {
    let is_near = |seconds: i64| recorded.is_none_or(|recorded| (seconds - recorded).abs() <= NEAR);
    if let Some(seconds) = unix_time(value).or_else(|| date(value)) {
        return is_near(seconds);
    }
    is_uuid(value) || (value.len() >= MIN_HEX && value.bytes().all(|byte| byte.is_ascii_hexdigit())) || is_random(value)
}

fn is_uuid(value: &str) -> bool {
    value.len() == 36
        && value.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Parses a time in seconds, milliseconds, microseconds or nanoseconds since 1970, of the years 2001 to 2286.
fn unix_time(value: &str) -> Option<i64> {
    let whole = value.split_once('.').map_or(value, |(whole, _)| whole);
    let divisor = match whole.len() {
        10 => 1,
        13 => 1_000,
        16 => 1_000_000,
        19 => 1_000_000_000,
        _ => return None,
    };
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && !whole.starts_with('0');
    if is_number { whole.parse::<i64>().ok().map(|time| time / divisor) } else { None }
}

/// Parses the date of `2026-11-24`, `2026-11-24T08:30:00Z` or `20261124T083000Z` to Unix seconds.
fn date(value: &str) -> Option<i64> {
    let digits: String = value.chars().take_while(|letter| *letter != 'T').filter(|letter| *letter != '-').collect();
    let has_form = matches!((value.len(), value.find('-'), value.find('T')), (10.., Some(4), _) | (15.., _, Some(8)));
    if !has_form || digits.len() != 8 {
        return None;
    }
    let number = |from: usize, to: usize| digits.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // A month more or less does not count: days are approximate.
    Some(((year - 1970) * 1461 / 4 + (month - 1) * 61 / 2 + day) * 86_400)
}

/// Returns true if letters and digits alternate as in a random token. Words and numbers have long runs of one class.
fn is_random(value: &str) -> bool {
    let class = |byte: u8| match byte {
        b'a'..=b'z' => Some(0),
        b'A'..=b'Z' => Some(1),
        b'0'..=b'9' => Some(2),
        b'-' | b'_' | b'+' | b'/' | b'=' | b'.' | b'~' | b'%' => Some(3),
        _ => None,
    };
    let Some(classes) = value.bytes().map(class).collect::<Option<Vec<_>>>() else { return false };
    let words = classes.windows(2).filter(|pair| pair[0] != pair[1] && pair[0] != 3 && pair[1] != 3);
    value.len() >= MIN_TOKEN && classes.contains(&2) && words.count() * 4 >= value.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_times_and_tokens_look_volatile_and_words_do_not() {
        let recorded = Some(1_795_500_000);
        for value in [
            "1F0C9C2E-7B1F-4A36-9D0E-0B6F8F6F2A11",
            "d41d8cd98f00b204e9800998ecf8427e",
            "1795455558",
            "1795455558123",
            "2026-11-24",
            "2026-11-24T08:30:00.000Z",
            "20261123T172108Z",
            "xK9f2Lq7Vb3NzT8wPr5d",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.4f1Kd83",
        ] {
            assert!(looks_volatile(value, recorded), "{value}");
        }
        for value in [
            "",
            "1",
            "99",
            "A-4-0",
            "name",
            "createOrder",
            "2019-01-01",
            "1500000000",
            "order-confirmation-page",
            "GetProductsByCategory",
            "berlin-mitte-10115",
            "SKU-000000000000123",
        ] {
            assert!(!looks_volatile(value, recorded), "{value}");
        }
    }
}
