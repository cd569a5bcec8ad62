//! The cache of prepared responses: bounded, shared by all connections, and filled once for all requests that wait for
//! the same entry.

use std::sync::Arc;

use ::http::HeaderValue;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use super::blocking::run_blocking;
use super::prepared::{EntryContext, Prepared};
use super::response_payload::PayloadError;
use super::{Clock, Latency};
use harproxy_har::model::Body;
use harproxy_har::{Entry, Fixture};
use harproxy_matching::EntryRef;

/// The memory that prepared responses may take, in bytes. Any other response is prepared again when it is requested.
const CAPACITY: u64 = 64 << 20;
/// The length in bytes up to which entries and payloads are read by the serving thread: a thread switch takes longer.
const SHORT: u64 = 64 << 10;
/// The number of responses that the cache is laid out for.
const TYPICAL_RESPONSES: usize = 10_000;

/// Prepares the responses of entries and keeps them in a bounded cache.
pub(super) struct ResponseCache {
    fixtures: Vec<Arc<Fixture>>,
    names: Vec<String>,
    responses: Cache<EntryRef, Arc<Prepared>, ByWeight>,
    mark: bool,
    clock: Clock,
    latency: Latency,
}

/// Weighs a response by the memory that it takes.
#[derive(Clone)]
struct ByWeight;

impl Weighter<EntryRef, Arc<Prepared>> for ByWeight {
    fn weight(&self, _: &EntryRef, response: &Arc<Prepared>) -> u64 {
        response.weight()
    }
}

impl ResponseCache {
    /// An empty cache over these fixtures.
    pub(super) fn new(fixtures: &[Arc<Fixture>], mark: bool, clock: Clock, latency: Latency) -> Self {
        // One shard, so that the largest response may take all of the capacity.
        let mut options = OptionsBuilder::new();
        options.shards(1).estimated_items_capacity(TYPICAL_RESPONSES).weight_capacity(CAPACITY);
        #[expect(clippy::expect_used, reason = "both capacities are set above")]
        let options = options.build().expect("both capacities are set");
        ResponseCache {
            names: fixtures.iter().map(|fixture| fixture.path().display().to_string()).collect(),
            fixtures: fixtures.to_vec(),
            responses: Cache::with_options(
                options,
                ByWeight,
                DefaultHashBuilder::default(),
                DefaultLifecycle::default(),
            ),
            mark,
            clock,
            latency,
        }
    }

    /// The paths of the fixtures as the user gave them.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// The prepared response of an entry. Concurrent requests for the same entry share one preparation.
    ///
    /// # Errors
    /// When the entry or its payload cannot be read; the next request tries again.
    pub(super) async fn get(&self, at: EntryRef) -> Result<Arc<Prepared>, PayloadError> {
        self.responses.get_or_insert_async(&at, self.prepare(at)).await
    }

    async fn prepare(&self, at: EntryRef) -> Result<Arc<Prepared>, PayloadError> {
        let fixture = self.fixtures[at.fixture].clone();
        let context =
            EntryContext { own: fixture.is_own(), mark: self.mark(&[at]), clock: self.clock, latency: self.latency };
        let prepare = move || {
            let mut entry = Arc::unwrap_or_clone(fixture.entry(at.entry)?);
            let content = &mut entry.response.content;
            let body = Body { stored: std::mem::take(&mut content.stored), ..content.clone() };
            Prepared::of(&entry, fixture.into_payload(at.entry, body)?, &context)
        };
        let response =
            if is_short(&self.fixtures[at.fixture], at.entry) { prepare() } else { run_blocking(prepare).await? };
        Ok(Arc::new(response?))
    }

    /// The `x-harproxy` value of a response that these entries produced, the entry that was matched first; `None` if
    /// responses are not marked.
    pub(super) fn mark(&self, path: &[EntryRef]) -> Option<HeaderValue> {
        let (first, followed) = path.split_first().filter(|_| self.mark)?;
        let mut mark = format!("replay; entry={}#{}", self.names[first.fixture], first.entry);
        for (n, at) in followed.iter().enumerate() {
            mark.push_str(if n == 0 { "; followed=" } else { "," });
            mark.push_str(&format!("#{}", at.entry));
        }
        // A path may contain control characters, a header value may not.
        let bytes: Vec<u8> = mark.bytes().map(|byte| if byte < b' ' || byte == 0x7f { b'?' } else { byte }).collect();
        HeaderValue::from_bytes(&bytes).ok()
    }
}

fn is_short(fixture: &Fixture, entry: usize) -> bool {
    let has_short_payload = |entry: Arc<Entry>| entry.response.content.size.is_some_and(|size| size <= SHORT as i64);
    fixture.entry_len(entry) <= SHORT && fixture.entry(entry).is_ok_and(has_short_payload)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A cache over a fixture of so many entries that share a payload file of 1 MiB.
    fn cache_of(entries: usize) -> (tempfile::TempDir, ResponseCache) {
        let entry = json!({
            "startedDateTime": "2015-10-21T07:28:00.000Z", "time": 1, "cache": {},
            "request": {"method": "GET", "url": "https://a.test/", "httpVersion": "HTTP/1.1", "headers": [],
                "cookies": [], "queryString": [], "headersSize": -1, "bodySize": 0},
            "response": {"status": 200, "statusText": "", "httpVersion": "HTTP/1.1", "cookies": [], "redirectURL": "",
                "headers": [],
                "content": {"size": 1 << 20, "mimeType": "application/octet-stream", "_file": "payload.bin"},
                "headersSize": -1, "bodySize": -1},
            "timings": {"send": 0, "wait": 0, "receive": 0},
        });
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("payload.bin"), vec![7; 1 << 20]).unwrap();
        let log = json!({"version": "1.2", "creator": {"name": "t", "version": "1"}, "entries": vec![entry; entries]});
        let path = folder.path().join("api.har");
        std::fs::write(&path, json!({"log": log}).to_string()).unwrap();
        let fixture = Arc::new(Fixture::open(&path).unwrap());
        (folder, ResponseCache::new(&[fixture], true, Clock::Shift, Latency::None))
    }

    #[tokio::test]
    async fn cache_prepares_a_response_once_for_concurrent_requests() {
        let (_folder, cache) = cache_of(1);
        let at = EntryRef { fixture: 0, entry: 0 };
        let (one, two) = tokio::join!(cache.get(at), cache.get(at));
        let (one, two, three) = (one.unwrap(), two.unwrap(), cache.get(at).await.unwrap());
        assert!(Arc::ptr_eq(&one, &two) && Arc::ptr_eq(&two, &three));
    }

    #[tokio::test]
    async fn cache_stays_within_its_capacity_when_all_entries_were_requested() {
        const ENTRIES: usize = 100;
        let (_folder, cache) = cache_of(ENTRIES);
        for entry in 0..ENTRIES {
            cache.get(EntryRef { fixture: 0, entry }).await.unwrap();
        }
        let weight = cache.responses.weight();
        assert!((CAPACITY / 2..=CAPACITY).contains(&weight), "{weight}");
    }

    #[tokio::test]
    async fn cache_retries_an_entry_whose_payload_could_not_be_read() {
        let (folder, cache) = cache_of(1);
        let (at, payload) = (EntryRef { fixture: 0, entry: 0 }, folder.path().join("payload.bin"));
        std::fs::remove_file(&payload).unwrap();
        assert!(cache.get(at).await.is_err());
        std::fs::write(&payload, "back").unwrap();
        assert!(cache.get(at).await.is_ok());
    }
}
