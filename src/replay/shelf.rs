//! Prepared answers by entry, and by key those that nothing has to be chosen for. Each has a place of its own that is filled once, so that
//! connections share no lock.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use ::http::HeaderValue;
use tokio::task::spawn_blocking;

use super::by_key::{ByKey, Place};
use super::fields::{self, Ahead, Common};
use super::prepared::{About, Prepared};
use super::ready::Ready;
use super::source::{Budget, SourceError};
use super::{Clock, Latency};
use harproxy_har::Fixture;
use harproxy_matching::{Chosen, EntryRef, Key, Matcher, Sole};

/// How much memory prepared answers may take, bytes; what is served beyond it is read and made anew each time.
const KEPT: u64 = 256 * 1024 * 1024;

/// From so many keys on it takes less time to have the memory of several answers fetched than to wait for that of each, if they are of 1 KiB. What it costs is
/// one more turn of each request's task.
const MANY: usize = 18_000;

type Slot = OnceLock<Arc<Prepared>>;

// One more line of memory would be one more to wait for.
const _: () = assert!(size_of::<Place<Ready>>() == 64);

/// The prepared answers of all fixtures.
#[derive(Debug)]
pub(super) struct Shelf {
    fixtures: Vec<Arc<Fixture>>,
    names: Vec<String>,
    slots: Vec<Box<[Slot]>>,
    /// Its 96 bytes for a key are not in the budget.
    ready: ByKey<Ready>,
    gathers: bool,
    budget: Arc<Budget>,
    mark: bool,
    clock: Clock,
    latency: Latency,
    common: Arc<Common>,
}

impl Shelf {
    pub(super) fn new(matcher: &Matcher, mark: bool, clock: Clock, latency: Latency) -> Self {
        let fixtures = matcher.fixtures();
        Shelf {
            ready: ByKey::new(matcher.keys()),
            gathers: matcher.keys() >= MANY,
            fixtures: fixtures.to_vec(),
            names: fixtures.iter().map(|fixture| fixture.path().display().to_string()).collect(),
            slots: fixtures.iter().map(|fixture| (0..numbered(fixture)).map(|_| Slot::new()).collect()).collect(),
            budget: Arc::new(Budget::new(KEPT)),
            mark,
            clock,
            latency,
            common: Arc::default(),
        }
    }

    /// The fixtures as they were named.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// What coded bytes are kept from.
    pub(super) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// What answers a key whoever asks, if it has answered before and was kept, and what was done for it while it was fetched.
    pub(super) fn ready(&self, key: Key) -> Option<(&Ready, Option<Ahead<'_>>)> {
        self.ready.get(key, |hint| self.common.ahead(hint))
    }

    /// Whether there may be more ready than a processor has at hand, so that it is better to know several keys before the first is asked for.
    pub(super) fn gathers(&self) -> bool {
        self.gathers
    }

    /// Has what is ready for these keys fetched, of all of them at the same time.
    pub(super) fn fetch(&self, keys: impl Iterator<Item = Key> + Clone) {
        self.ready.fetch(keys, fields::fetch_hinted);
    }

    /// What answers a key whoever asks, if `is_plain`, which is asked while it is fetched.
    pub(super) fn ready_while(&self, key: Key, is_plain: &dyn Fn() -> bool) -> Option<&Ready> {
        let (ready, is_plain) = self.ready.get(key, |hint| {
            fields::fetch_hinted(hint);
            is_plain()
        })?;
        is_plain.then_some(ready)
    }

    /// From now on this entry's answer is ready for a key whose method is not HEAD, if it was kept, can be sent at once and, says `alone`,
    /// nothing has to be chosen.
    pub(super) fn make_ready(&self, key: Key, at: EntryRef, alone: impl FnOnce() -> Option<Sole>) {
        let slot = self.slots.get(at.fixture).and_then(|slots| slots.get(at.entry));
        if let Some(prepared) = slot.and_then(Slot::get)
            && prepared.may_be_at_once()
            && self.ready.get(key, |_| ()).is_none()
            && let Some(sole) = alone()
        {
            self.ready.put(key, || Ready::new(sole, prepared));
        }
    }

    /// The prepared answer of an entry, made now if it answers for the first time.
    pub(super) async fn take(&self, chosen: &Chosen) -> Result<Cow<'_, Arc<Prepared>>, SourceError> {
        let slot = self.slots.get(chosen.at.fixture).and_then(|slots| slots.get(chosen.at.entry));
        if let Some(prepared) = slot.and_then(Slot::get) {
            return Ok(Cow::Borrowed(prepared));
        }
        let fixture = self.fixtures[chosen.at.fixture].clone();
        let (at, mark) = (chosen.at, self.mark(&[chosen.at]));
        let about = About {
            own: fixture.is_own(),
            mark,
            clock: self.clock,
            latency: self.latency,
            common: self.common.clone(),
        };
        let make = move || {
            let entry = fixture.entry(at.entry)?;
            Prepared::of(&entry, fixture.payload(at.entry, &entry.response.content)?, &about)
        };
        let prepared = Arc::new(spawn_blocking(make).await??);
        match slot {
            // Two that made it at the same time: the first stays.
            Some(slot) if slot.get().is_none() && self.budget.take(prepared.weight()) => {
                Ok(Cow::Borrowed(slot.get_or_init(|| prepared)))
            }
            _ => Ok(Cow::Owned(prepared)),
        }
    }

    /// What `x-harproxy` says of an answer that took these entries, the one that was matched first; `None` when answers
    /// are not marked.
    pub(super) fn mark(&self, path: &[EntryRef]) -> Option<HeaderValue> {
        let (first, followed) = path.split_first().filter(|_| self.mark)?;
        let mut mark = format!("replay; entry={}#{}", self.names[first.fixture], first.entry);
        for (n, at) in followed.iter().enumerate() {
            mark.push_str(if n == 0 { "; followed=" } else { "," });
            mark.push_str(&format!("#{}", at.entry));
        }
        // A path may have control characters, a header may not.
        let bytes: Vec<u8> = mark.bytes().map(|byte| if byte < b' ' || byte == 0x7f { b'?' } else { byte }).collect();
        HeaderValue::from_bytes(&bytes).ok()
    }
}

/// How far the entries of a fixture are numbered; unusable ones have numbers too.
fn numbered(fixture: &Fixture) -> usize {
    fixture.heads().iter().map(|head| head.entry + 1).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use ::http::HeaderMap;
    use serde_json::json;

    use super::*;
    use harproxy_http::NormalUrl;
    use harproxy_matching::{Options, Outcome, Payload};

    const DATE: &str = "Wed, 21 Oct 2015 07:28:00 GMT";

    fn matcher(folder: &tempfile::TempDir) -> Matcher {
        let entry = |method: &str, path: &str, status: u16| {
            let mut headers = vec![json!({"name": "date", "value": DATE}), json!({"name": "x-path", "value": path})];
            if path == "coded" {
                headers.push(json!({"name": "content-encoding", "value": "gzip"}));
            }
            json!({
                "startedDateTime": "2015-10-21T07:28:00.000Z", "time": 1, "cache": {},
                "request": {"method": method, "url": format!("https://a.test/{path}"), "httpVersion": "HTTP/1.1", "headers": [],
                    "cookies": [], "queryString": [], "headersSize": -1, "bodySize": 0},
                "response": {"status": status, "statusText": "", "httpVersion": "HTTP/1.1", "cookies": [], "redirectURL": "",
                    "headers": headers,
                    "content": {"size": path.len(), "mimeType": "text/plain", "text": path},
                    "headersSize": -1, "bodySize": -1},
                "timings": {"send": 0, "wait": 0, "receive": 0},
            })
        };
        let entries = [
            ("GET", "one", 200),
            ("GET", "two", 404),
            ("POST", "one", 201),
            ("GET", "none", 204),
            ("GET", "coded", 200),
        ];
        let mut entries: Vec<_> = entries.iter().map(|(method, path, status)| entry(method, path, *status)).collect();
        entries.extend([entry("GET", "poll", 200), entry("GET", "poll", 200)]);
        let log = json!({"version": "1.2", "creator": {"name": "t", "version": "1"}, "entries": entries});
        let path = folder.path().join("api.har");
        std::fs::write(&path, json!({"log": log}).to_string()).unwrap();
        Matcher::new(vec![Arc::new(Fixture::open(&path).unwrap())], None, Options::default()).unwrap()
    }

    #[tokio::test]
    async fn what_has_answered_is_ready_where_nothing_is_to_be_chosen() {
        let folder = tempfile::tempdir().unwrap();
        let matcher = matcher(&folder);
        let shelf = Shelf::new(&matcher, false, Clock::Shift, Latency::None);
        let now = || SystemTime::UNIX_EPOCH;
        for _ in 0..2 {
            for (method, path, answer) in [
                ("GET", "one", Some(200)),
                ("GET", "two", Some(404)),
                ("POST", "one", Some(201)),
                ("GET", "none", None),
                ("GET", "coded", Some(200)),
                ("GET", "poll", None),
            ] {
                let url = NormalUrl::parse(&format!("https://a.test/{path}")).unwrap();
                let found = matcher.find(method, &url);
                let outcome = matcher.choose_found(&found, &HeaderMap::new(), Payload::Held(&[]), None);
                let Ok(Outcome::Serve(chosen)) = outcome else { panic!("{method} {path}: {outcome:?}") };
                drop(shelf.take(&chosen).await.unwrap());
                let key = Key::of(method, url.as_str());
                shelf.make_ready(key, chosen.at, || matcher.alone(&found));
                let ready = shelf.ready(key).map(|(ready, ahead)| {
                    assert_eq!(ahead.is_some(), path != "coded", "what depends on who asks has no fields made ahead");
                    ready.answer(ahead, &HeaderMap::new(), now).unwrap()
                });
                assert_eq!(ready.as_ref().map(|ready| ready.status().as_u16()), answer, "{method} {path}");
                if let Some(ready) = ready {
                    assert_eq!(ready.headers()["x-path"], path);
                    assert_eq!(ready.headers()["date"], "Thu, 01 Jan 1970 00:00:00 GMT");
                }
            }
        }
        assert!(shelf.ready(Key::of("GET", "https://a.test/three")).is_none());
    }
}
