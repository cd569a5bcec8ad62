//! The named differences between harproxy's and Playwright's responses. Each difference must have a name, and both
//! responses must show what the name claims.

use std::sync::Arc;

use harproxy_har::model::Storage;
use harproxy_har::{Entry, Fixture};
use harproxy_http::NormalUrl;

use super::case::{Answer, Case, Request};

/// The reasons for differences, in the order in which they are tested. docs/reference/matching.md lists them.
pub const DIFFERENCES: &[(&str, Explains)] = &[
    ("redirect-target-missing: the redirect itself is served", |d| {
        d.has_quirk("redirect-target-missing") && d.theirs_is_miss() && d.serves_redirect()
    }),
    ("fragment in `Location`: ignored", |d| {
        d.reaches(|entry| entry.response.headers.get_str("location").is_some_and(|location| location.contains('#')))
            && d.differs_in_entry()
            && d.ours_entry().is_some()
    }),
    ("cycle-though-later-answer-recorded: no entry is passed twice", |d| {
        (d.has_quirk("cycle-though-later-answer-recorded") || d.redirects_to_itself())
            && d.request.expect.error_kind.as_deref() == Some("redirect-cycle")
            && !matches!(d.ours, Answer::Nothing)
    }),
    ("a redirect to text that is not a URL is served as it is", |d| {
        d.request.expect.error_kind.as_deref() == Some("invalid-location") && d.serves_redirect()
    }),
    ("a navigation is sent to the next hop, also when that is its own URL", |d| {
        let Answer::Redirect { location, .. } = &d.theirs else {
            return d.navigates_to_itself() || (d.is_redirected() && d.ours.entry() == d.theirs.entry());
        };
        d.request.is_navigation
            && (d.serves_redirect()
                || d.ours.entry() == d.theirs.entry()
                || matches!(&d.ours, Answer::Redirect { location: next, .. } if next != location && d.leads_to(next)))
    }),
    ("URLs are compared in normal form, as browsers send them", |d| {
        let is_other_text = |entry: &Arc<Entry>| entry.request.url != d.request.url;
        d.differs_in_entry() && (d.ours_entry().is_some_and(|entry| is_other_text(&entry) && is_of(&entry, d.url)))
    }),
    ("lower-case methods of other tools match requests in upper case", |d| {
        d.theirs_is_miss()
            && d.ours_has(|entry| {
                let recorded = &entry.request.method;
                *recorded != d.request.method && recorded.to_ascii_uppercase() == d.request.method
            })
    }),
    ("206: served only to a request for that range", |d| {
        d.theirs_has(|entry| entry.response.status == 206 && !d.has_range_of(entry)) && d.differs_in_entry()
    }),
    (
        "served-304: served to requests with validators; else 200 with the cached body, if nothing better is there",
        |d| {
            let is_304 = |entry: &Entry| entry.response.status == 304;
            (d.theirs_has(is_304) || d.ours_has(is_304)) && d.ours != d.theirs
        },
    ),
    ("failures close the connection, and only when nothing answered", |d| {
        let failed = |entry: &Entry| !(100..=999).contains(&entry.response.status);
        (d.theirs_has(failed) || d.has_malformed_status())
            && !matches!(d.ours, Answer::Serve { status, .. } if *status < 100)
    }),
    ("a body that was not kept is a miss", |d| {
        d.ours_is_miss() && matches!(&d.theirs, Answer::Serve { body, .. } if body == SHA256_OF_NOTHING)
    }),
    ("body-ignored: payloads are compared for every method", |d| {
        d.request.method != "POST" && d.has_quirk("body-ignored") && d.decides_by_payload()
    }),
    ("bodyless-request-matched-body: a request without a payload has its own entries", |d| {
        !d.request.has_payload() && d.theirs_has(|entry| entry.request.post_data.is_some()) && d.agrees_or_misses()
    }),
    ("payloads decide which redirect is followed, and on its hops", |d| d.decides_by_payload()),
    ("multipart: a quoted boundary and `Boundary=` are recognised", |d| {
        let asked = d.request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("content-type"));
        d.theirs_is_miss()
            && d.ours_has(|entry| {
                let recorded = entry.request.headers.get_str("content-type").map(str::to_owned);
                asked
                    .clone()
                    .map(|header| header.value.clone())
                    .chain(recorded)
                    .any(|media| is_unusual_multipart(&media))
            })
    }),
    ("multipart: a boundary that only `mimeType` states counts", |d| {
        let is_stated_there = |entry: &Entry| {
            let mime = entry.request.post_data.as_ref().map(|body| &*body.mime_type).unwrap_or_default();
            !entry.request.headers.contains("content-type") && mime.contains("boundary=")
        };
        d.ours_has(is_stated_there) && (d.theirs_is_miss() || d.theirs.entry() > d.ours.entry())
    }),
    ("reading: a HAR without `log`, or with a byte order mark, is read", |d| {
        let text = d.case.har_text();
        d.theirs_is_miss() && d.ours_entry().is_some() && (!text.contains("\"log\"") || text.starts_with('\u{feff}'))
    }),
    ("one malformed entry, or a missing payload file, is an error for itself", |d| {
        d.request.expect.error_kind.is_some() && d.request.expect.answer() == Answer::Nothing && !d.ours_is_miss()
            || d.theirs_has(|entry| entry.request.headers.iter().any(|header| header.value.is_empty()))
    }),
    ("a hidden payload file is refused", |d| {
        let is_hidden =
            |entry: &Entry| matches!(&entry.response.content.stored, Storage::File(name) if name.starts_with('.'));
        d.ours_is_miss() && d.theirs_has(is_hidden)
    }),
    ("headers that select a representation rank before the score", |d| {
        d.ranks_before(|ours, theirs| d.contradictions(ours) < d.contradictions(theirs))
    }),
    ("presence of credentials ranks before the score", |d| {
        d.ranks_before(|ours, theirs| {
            let are_equal = d.contradictions(ours) == d.contradictions(theirs);
            are_equal && d.differing_credentials(ours) < d.differing_credentials(theirs)
        })
    }),
    ("reading: a `text` that is a number is the text of that number", |d| {
        d.har_says(r#""text":0"#) && d.ours_entry().is_some()
    }),
];

const SHA256_OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Returns true for a multipart type whose boundary Playwright does not recognise.
fn is_unusual_multipart(media: &str) -> bool {
    media.starts_with("multipart/") && (media.contains("boundary=\"") || media.contains("Boundary="))
}

/// Returns true if a difference has this reason.
pub type Explains = fn(&Difference<'_>) -> bool;

/// A response that differs.
pub struct Difference<'a> {
    pub case: &'a Case,
    pub request: &'a Request,
    pub url: &'a NormalUrl,
    pub fixture: &'a Fixture,
    pub ours: &'a Answer,
    pub theirs: &'a Answer,
}

impl Difference<'_> {
    fn has_quirk(&self, name: &str) -> bool {
        self.request.quirks.iter().any(|quirk| quirk == name)
    }

    fn har_says(&self, text: &str) -> bool {
        self.case.har.as_ref().is_some_and(|har| har.get().contains(text))
    }

    fn has_malformed_status(&self) -> bool {
        self.case.tags.iter().any(|tag| tag == "bad-type") && matches!(self.theirs, Answer::Serve { status: 0, .. })
    }

    fn ours_entry(&self) -> Option<Arc<Entry>> {
        self.entry_of(self.ours)
    }

    fn theirs_entry(&self) -> Option<Arc<Entry>> {
        self.entry_of(self.theirs)
    }

    fn entry_of(&self, answer: &Answer) -> Option<Arc<Entry>> {
        answer.entry().and_then(|entry| self.fixture.entry(entry).ok())
    }

    fn ours_has(&self, is_so: impl Fn(&Entry) -> bool) -> bool {
        self.ours_entry().is_some_and(|entry| is_so(&entry))
    }

    fn theirs_has(&self, is_so: impl Fn(&Entry) -> bool) -> bool {
        self.theirs_entry().is_some_and(|entry| is_so(&entry))
    }

    fn ours_is_miss(&self) -> bool {
        *self.ours == Answer::Nothing
    }

    fn theirs_is_miss(&self) -> bool {
        *self.theirs == Answer::Nothing
    }

    fn differs_in_entry(&self) -> bool {
        self.ours.entry() != self.theirs.entry()
    }

    /// Returns true if harproxy serves a recorded redirect as the response.
    fn serves_redirect(&self) -> bool {
        matches!(self.ours, Answer::Serve { .. } | Answer::Redirect { .. })
            && self.ours_has(|entry| (300..400).contains(&entry.response.status))
    }

    /// Returns true if harproxy's entry is before Playwright's, or before a redirect that Playwright may follow. Both
    /// have the same method and URL.
    fn ranks_before(&self, is_before: impl Fn(&Entry, &Entry) -> bool) -> bool {
        let Some(ours) = self.ours_entry() else { return false };
        let is_redirect = |entry: &Entry| entry.response.headers.get_str("location").is_some();
        let redirects = self.reachable_from(self.url).into_iter().filter(|entry| is_redirect(entry));
        let mut others = self.theirs_entry().into_iter().chain(redirects);
        others.any(|other| {
            let has_key = other.request.method == ours.request.method && other.request.url == ours.request.url;
            has_key && is_before(&ours, &other)
        })
    }

    /// Returns the number of headers that select a representation in which the request differs from an entry.
    fn contradictions(&self, entry: &Entry) -> usize {
        let names = ["accept", "accept-language", "x-api-version", "api-version", "x-github-api-version"];
        let all = |values: Vec<String>| (!values.is_empty()).then(|| values.join(",").to_lowercase().replace(' ', ""));
        let differs = |name: &&&str| {
            let sent = self.request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
            let recorded = entry.request.headers.get_all(name).map(|value| String::from_utf8_lossy(value).into_owned());
            all(sent.map(|header| header.value.clone()).collect()) != all(recorded.collect())
        };
        names.iter().filter(differs).count()
    }

    /// Returns the number of headers with credentials that only the request or only an entry has.
    fn differing_credentials(&self, entry: &Entry) -> usize {
        let policy = harproxy_redact::Policy::default();
        let sent = self.request.headers.iter().map(|header| header.name.to_lowercase());
        let recorded = entry.request.headers.iter().map(|header| header.name.to_lowercase());
        let is_secret = |name: &String| {
            ["authorization", "cookie", "x-api-key"].contains(&&**name) || policy.is_secret_header(name)
        };
        let [sent, recorded] = [sent.collect::<Vec<_>>(), recorded.collect()]
            .map(|names| names.into_iter().filter(is_secret).collect::<std::collections::BTreeSet<_>>());
        sent.symmetric_difference(&recorded).count()
    }

    /// Returns true if the request can reach an entry with another payload, and harproxy does not serve that.
    fn decides_by_payload(&self) -> bool {
        self.differs_in_entry() && self.reaches(|entry| !self.has_payload_of(entry)) && self.agrees_or_misses()
    }

    /// Returns true if harproxy misses, or serves an entry with the payload of the request.
    fn agrees_or_misses(&self) -> bool {
        self.ours_is_miss()
            // In a foreign HAR, an entry without a payload answers any request.
            || self.ours_has(|entry| entry.request.post_data.is_none() || self.has_payload_of(entry))
            || self.reaches(|entry| entry.response.headers.get_str("location").is_some())
    }

    /// Returns true if the request asks for the range that an entry was recorded for.
    fn has_range_of(&self, entry: &Entry) -> bool {
        let asked = self.request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("range"));
        asked.is_some_and(|asked| entry.request.headers.get_str("range") == Some(&*asked.value))
    }

    /// Returns true if the request has the payload of an entry; payloads are compared as text without boundaries.
    fn has_payload_of(&self, entry: &Entry) -> bool {
        self.request.has_payload() == entry.request.post_data.is_some()
            && entry.request.post_data.as_ref().is_none_or(|payload| {
                let index = self
                    .fixture
                    .heads()
                    .iter()
                    .find(|head| self.fixture.entry(head.entry).is_ok_and(|other| std::ptr::eq(&*other, entry)));
                index.is_none_or(|head| {
                    let recorded = self.fixture.payload(head.entry, payload).and_then(|payload| payload.bytes());
                    recorded.is_ok_and(|recorded| Some(&*recorded) == self.request.body().as_deref())
                })
            })
    }

    /// Returns true if an entry of this request redirects to its own URL.
    fn redirects_to_itself(&self) -> bool {
        self.reaches(|entry| {
            let from = NormalUrl::parse_any(&entry.request.url).ok();
            let location = entry.response.headers.get_str("location");
            from.zip(location).is_some_and(|(from, location)| from.join(location).is_ok_and(|to| to == from))
        })
    }

    fn is_redirected(&self) -> bool {
        self.request.is_navigation && matches!(self.ours, Answer::Redirect { .. })
    }

    fn navigates_to_itself(&self) -> bool {
        self.request.is_navigation && self.redirects_to_itself()
    }

    /// Returns true if the redirects from this URL lead to Playwright's entry.
    fn leads_to(&self, from: &str) -> bool {
        let Ok(from) = NormalUrl::parse_any(from) else { return false };
        let theirs = self.theirs_entry();
        self.reachable_from(&from).iter().any(|entry| theirs.as_ref().is_some_and(|theirs| Arc::ptr_eq(entry, theirs)))
    }

    /// Returns true if an entry that the request can reach, directly or by redirects, fulfils the condition.
    fn reaches(&self, is_so: impl Fn(&Entry) -> bool) -> bool {
        self.reachable_from(self.url).iter().any(|entry| is_so(entry))
    }

    fn reachable_from(&self, url: &NormalUrl) -> Vec<Arc<Entry>> {
        let fixture = self.fixture;
        let entries: Vec<_> = fixture.heads().iter().filter_map(|head| fixture.entry(head.entry).ok()).collect();
        let mut urls = vec![url.clone()];
        let mut seen = 0;
        while seen < urls.len() {
            let from = urls[seen].clone();
            seen += 1;
            for entry in entries.iter().filter(|entry| is_of(entry, &from)) {
                let location = entry.response.headers.get_str("location").and_then(|location| from.join(location).ok());
                urls.extend(location.filter(|url| !urls.contains(url)));
            }
        }
        entries.into_iter().filter(|entry| urls.iter().any(|url| is_of(entry, url))).collect()
    }
}

fn is_of(entry: &Entry, url: &NormalUrl) -> bool {
    NormalUrl::parse_any(&entry.request.url).is_ok_and(|recorded| recorded == *url)
}
