//! `--clock shift`: fixtures don't expire. `Date`, `Expires`, the cookies' `Expires` and the times of redacted JWTs move by
//! now minus the recorded `Date` (else `startedDateTime`), so that what was fresh for an hour then is fresh for an hour now.

use std::cell::RefCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::http::HeaderMap;
use ::http::header::{DATE, EXPIRES, Entry, HeaderValue, SET_COOKIE};
use harproxy_har::parse_time;
use harproxy_http::jwt;

/// Seconds since 1970. Dates in HTTP have no finer unit.
type Seconds = i64;

/// 9999-12-31T23:59:59Z: HTTP dates have four digits for the year.
const LAST: Seconds = 253_402_300_799;

/// What a `Date` that moves is until an answer is sent: the same in all of them, so that it is none's own.
const MOVES: HeaderValue = HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT");

/// The dates of an answer that move, found once for each entry.
#[derive(Debug)]
pub(super) struct Shift {
    recorded: Seconds,
    date: bool,
    expires: Option<Seconds>,
    /// For each `Set-Cookie`, in order.
    cookies: Vec<Option<Expiry>>,
    /// Redacted JWTs, whose times move, are in a header.
    tokens: bool,
    /// And in the body.
    body: bool,
}

/// Where in a `Set-Cookie` the value of its `Expires` stands, and what it says.
#[derive(Clone, Copy, Debug)]
struct Expiry {
    start: usize,
    end: usize,
    at: Seconds,
}

impl Shift {
    /// What moves in these headers and, where it is text at hand, in the body; `None` when nothing does or nobody knows from
    /// when. `started` is `startedDateTime`. Of a `Date` that moves, one is left in its place, which is the same in all answers.
    pub(super) fn of(headers: &mut HeaderMap, body: Option<&[u8]>, started: &str) -> Option<Self> {
        let date = headers.get(DATE).and_then(|value| http_date(value.to_str().ok()?));
        let started = || Some(parse_time(started)?.unix_timestamp());
        let shift = Shift {
            recorded: date.or_else(started)?,
            date: date.is_some(),
            expires: headers.get(EXPIRES).and_then(|value| http_date(value.to_str().ok()?)),
            cookies: headers.get_all(SET_COOKIE).iter().map(|value| Expiry::of(value.as_bytes())).collect(),
            tokens: headers.values().any(|value| jwt::shift_times(value.as_bytes(), 0).is_some()),
            body: body.is_some_and(|body| jwt::shift_times(body, 0).is_some()),
        };
        let dates = shift.date || shift.expires.is_some() || shift.cookies.iter().any(Option::is_some);
        if shift.date {
            headers.insert(DATE, MOVES);
        }
        let moves = dates || shift.tokens || shift.body;
        moves.then_some(shift)
    }

    /// Whether something in the body does.
    pub(super) fn moves_body(&self) -> bool {
        self.body
    }

    /// Moves the dates. The headers are those that [`Shift::of`] saw, in the same order.
    pub(super) fn apply(&self, headers: &mut HeaderMap, now: SystemTime) {
        let delta = seconds(now) - self.recorded;
        if self.date {
            date(headers, now);
        }
        if let Some(expires) = self.expires
            && let Some(value) = header(expires.saturating_add(delta))
        {
            headers.insert(EXPIRES, value);
        }
        if self.cookies.iter().any(Option::is_some)
            && let Entry::Occupied(mut cookies) = headers.entry(SET_COOKIE)
        {
            for (value, expiry) in cookies.iter_mut().zip(&self.cookies) {
                if let Some(moved) = expiry.and_then(|expiry| expiry.moved(value.as_bytes(), delta)) {
                    *value = moved;
                }
            }
        }
        if self.tokens {
            for value in headers.values_mut() {
                if let Some(moved) = tokens(value.as_bytes(), delta) {
                    *value = moved;
                }
            }
        }
    }

    /// The same for the cookie of another answer, a followed hop's.
    pub(super) fn cookie(&self, value: &[u8], now: SystemTime) -> Option<HeaderValue> {
        let delta = seconds(now) - self.recorded;
        let expires = Expiry::of(value).and_then(|expiry| expiry.moved(value, delta));
        tokens(expires.as_ref().map_or(value, HeaderValue::as_bytes), delta).or(expires)
    }

    /// The same for the body; `None` when nothing moves in it.
    pub(super) fn body(&self, body: &[u8], now: SystemTime) -> Option<Vec<u8>> {
        self.body.then(|| jwt::shift_times(body, seconds(now) - self.recorded)).flatten()
    }
}

/// Moves a `Date`: it is now, or not there where that can't be told (RFC 9110 section 6.6.1).
fn date(headers: &mut HeaderMap, now: SystemTime) {
    let Some(now) = present(now) else { return drop(headers.remove(DATE)) };
    // Who inserts makes room for one more field first, whether it is one more or not.
    if let Some(date) = headers.get_mut(DATE) {
        *date = now;
    }
}

impl Expiry {
    fn of(cookie: &[u8]) -> Option<Self> {
        let cookie = std::str::from_utf8(cookie).ok()?;
        let mut start = cookie.find(';')? + 1;
        for attribute in cookie[start..].split(';') {
            if let Some((name, value)) = attribute.split_once('=')
                && name.trim().eq_ignore_ascii_case("expires")
            {
                let end = start + attribute.len();
                let start = end - value.trim_start().len();
                return Some(Expiry { start, end, at: cookie_date(value.trim())? });
            }
            start += attribute.len() + 1;
        }
        None
    }

    fn moved(self, cookie: &[u8], delta: Seconds) -> Option<HeaderValue> {
        let date = header(self.at.saturating_add(delta))?;
        let moved = [&cookie[..self.start], date.as_bytes(), &cookie[self.end..]].concat();
        HeaderValue::from_bytes(&moved).ok()
    }
}

/// A field's value with the times of its redacted JWTs moved.
fn tokens(value: &[u8], delta: Seconds) -> Option<HeaderValue> {
    HeaderValue::from_bytes(&jwt::shift_times(value, delta)?).ok()
}

/// The three forms of RFC 9110 section 5.6.7.
fn http_date(value: &str) -> Option<Seconds> {
    httpdate::parse_http_date(value).ok().map(seconds)
}

/// The forms that cookies come in, which are more (RFC 6265 section 5.1.1).
fn cookie_date(value: &str) -> Option<Seconds> {
    http_date(value).or_else(|| {
        let cookie = cookie::Cookie::parse(format!("a=b; Expires={value}")).ok()?;
        Some(cookie.expires_datetime()?.unix_timestamp())
    })
}

fn seconds(at: SystemTime) -> Seconds {
    let whole = |d: Duration| Seconds::try_from(d.as_secs()).unwrap_or(Seconds::MAX);
    at.duration_since(UNIX_EPOCH).map_or_else(|before| -whole(before.duration()), whole)
}

/// `None` when an HTTP date cannot say it; but for a `Date`, the value then stays as recorded.
fn header(at: Seconds) -> Option<HeaderValue> {
    let at = u64::try_from(at).ok().filter(|_| at <= LAST)?;
    HeaderValue::from_str(&httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(at))).ok()
}

/// The header of the present second: made once a second on each thread, since nearly every answer carries it.
fn present(now: SystemTime) -> Option<HeaderValue> {
    let now = seconds(now);
    thread_local! {
        static PRESENT: RefCell<Option<(Seconds, HeaderValue)>> = const { RefCell::new(None) };
    }
    PRESENT.with_borrow_mut(|present| match present {
        Some((at, value)) if *at == now => Some(value.clone()),
        _ => {
            let value = header(now)?;
            *present = Some((now, value.clone()));
            Some(value)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDED: &str = "Wed, 21 Oct 2015 07:28:00 GMT";
    /// A day and an hour later.
    const NOW: &str = "Thu, 22 Oct 2015 08:28:00 GMT";

    fn now() -> SystemTime {
        httpdate::parse_http_date(NOW).unwrap()
    }

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn shifted(fields: &[(&'static str, &str)], started: &str) -> Vec<String> {
        let mut headers = headers(fields);
        if let Some(shift) = Shift::of(&mut headers, None, started) {
            shift.apply(&mut headers, now());
        }
        headers.values().map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn date_expires_and_cookies_move_by_now_minus_the_recorded_date() {
        let fields = [
            ("x-first", "1"),
            ("date", RECORDED),
            ("expires", "Wed, 21 Oct 2015 08:28:00 GMT"),
            ("set-cookie", "a=1; Path=/; Expires=Thu, 22 Oct 2015 07:28:00 GMT; Secure"),
            ("set-cookie", "b=2; HttpOnly"),
            ("set-cookie", "c=3; expires= Wed, 21-Oct-2015 07:28:00 GMT"),
        ];
        assert_eq!(
            shifted(&fields, "1999-01-01T00:00:00Z"),
            [
                "1",
                NOW,
                "Thu, 22 Oct 2015 09:28:00 GMT",
                "a=1; Path=/; Expires=Fri, 23 Oct 2015 08:28:00 GMT; Secure",
                "b=2; HttpOnly",
                "c=3; expires= Thu, 22 Oct 2015 08:28:00 GMT",
            ]
        );
    }

    #[test]
    fn of_several_dates_one_is_left() {
        assert_eq!(shifted(&[("date", RECORDED), ("x-a", "1"), ("date", RECORDED)], ""), [NOW, "1"]);
    }

    #[test]
    fn without_a_date_the_start_of_the_entry_counts_and_no_date_is_added() {
        let fields = [("expires", "Wed, 21 Oct 2015 07:28:00 GMT")];
        assert_eq!(shifted(&fields, "2015-10-21T09:28:00+02:00"), [NOW]);
        assert_eq!(shifted(&fields, "not a date"), [fields[0].1], "nobody knows from when");
    }

    #[test]
    fn what_is_no_date_or_can_not_move_stays_as_recorded() {
        let fields = [
            ("date", RECORDED),
            ("expires", "-1"),
            ("set-cookie", "a=1; Expires=Fri, 31 Dec 9999 23:59:59 GMT"),
            ("set-cookie", "expires=Wed, 21 Oct 2015 07:28:00 GMT"),
        ];
        assert_eq!(shifted(&fields, ""), [NOW, "-1", fields[2].1, fields[3].1]);
    }

    #[test]
    fn a_cookie_that_deletes_still_deletes() {
        let fields = [("date", RECORDED), ("set-cookie", "a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT")];
        assert_eq!(shifted(&fields, "")[1], "a=; Expires=Fri, 02 Jan 1970 01:00:00 GMT");
    }

    #[test]
    fn every_form_of_a_cookies_date_is_read() {
        for form in [
            "Wed, 21 Oct 2015 07:28:00 GMT",
            "Wednesday, 21-Oct-15 07:28:00 GMT",
            "Wed, 21-Oct-2015 07:28:00 GMT",
            "Wed, 21-Oct-15 07:28:00 GMT",
            "Wed Oct 21 07:28:00 2015",
        ] {
            assert_eq!(cookie_date(form), http_date(RECORDED), "{form}");
        }
    }

    /// {"exp":1445416080}, which is [`RECORDED`] and an hour, and a day and an hour later.
    const TOKENS: [&str; 2] = [
        "eyJhbGciOiJub25lIn0.eyJleHAiOjE0NDU0MTYwODB9.REDACTED-token-1",
        "eyJhbGciOiJub25lIn0.eyJleHAiOjE0NDU1MDYwODB9.REDACTED-token-1",
    ];

    #[test]
    fn redacted_tokens_move_in_headers_and_body() {
        let [then, now_valid] = TOKENS;
        let fields = |token: &str| {
            let cookie = |date| format!("jwt={token}; Expires={date}; Path=/");
            (format!("Bearer {token}"), [cookie(RECORDED), cookie(NOW)])
        };
        let ((authorization, [cookie, _]), (moved, [_, moved_cookie])) = (fields(then), fields(now_valid));
        let sent = [("date", RECORDED), ("authorization", &*authorization), ("set-cookie", &*cookie)];
        assert_eq!(shifted(&sent, ""), [NOW, &moved, &moved_cookie]);

        let started = "2015-10-21T07:28:00Z";
        let shift = Shift::of(&mut HeaderMap::new(), Some(then.as_bytes()), started).unwrap();
        assert_eq!(shift.body(then.as_bytes(), now()).unwrap(), now_valid.as_bytes());
        assert_eq!(shift.cookie(cookie.as_bytes(), now()).unwrap(), moved_cookie);
    }

    #[test]
    fn an_answer_without_dates_needs_no_work() {
        assert!(
            Shift::of(&mut headers(&[("etag", "x"), ("set-cookie", "a=1")]), Some(b"{}"), "2015-10-21T07:28:00Z")
                .is_none()
        );
    }
}
