//! Operations on entries: list, and add one.

use std::path::PathBuf;
use std::str::FromStr as _;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use tokio::task::spawn_blocking;

use super::api::AdminApi;
use super::requests::parse_query;
use crate::import::{ImportedExchange, add};
use crate::record::lock_fixture;
use crate::serve::control::name_of;
use harproxy_har::Fixture;
use harproxy_http::problem::{Problem, in_words};
use harproxy_http::{Headers, NormalUrl};
use harproxy_matching::EntryRef;
use harproxy_redact::display;

/// The payload of `POST /entries`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewEntry {
    /// The path of a fixture in use. Without it, the first one.
    fixture: Option<String>,
    /// The number of a request of the history, or a request.
    request: NewRequest,
    response: NewResponse,
    /// The name for `x-mock-response-name`.
    name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum NewRequest {
    History(u64),
    Made(Box<MadeRequest>),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MadeRequest {
    method: String,
    url: String,
    #[serde(default)]
    headers: Map<String, Value>,
    json: Option<Value>,
    text: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewResponse {
    status: u16,
    #[serde(default)]
    headers: Map<String, Value>,
    json: Option<Value>,
    text: Option<String>,
}

fn invalid(reason: impl Into<String>) -> Problem {
    Problem::new(400, "the entry is not valid", reason)
}

/// Returns headers, and a payload with the type that it has without `content-type`.
fn message(
    given: Map<String, Value>,
    json: Option<&Value>,
    text: Option<String>,
) -> Result<(Headers, Option<Vec<u8>>), Problem> {
    let mut headers = Headers::default();
    for (name, value) in given {
        let value = value.as_str().ok_or_else(|| invalid(format!("the header `{name}` is not a string")))?;
        let is_valid = ::http::HeaderName::from_str(&name).is_ok() && ::http::HeaderValue::from_str(value).is_ok();
        if !is_valid {
            return Err(invalid(format!("`{name}` is not a valid header")));
        }
        headers.push(name.to_ascii_lowercase(), value.as_bytes().to_vec());
    }
    let (payload, media_type) = match (json, text) {
        (Some(_), Some(_)) => return Err(invalid("a message has `json` or `text`, not both")),
        (Some(json), None) => (Some(json.to_string().into_bytes()), "application/json"),
        (None, Some(text)) => (Some(text.into_bytes()), "text/plain; charset=utf-8"),
        (None, None) => (None, ""),
    };
    if payload.is_some() && !headers.contains("content-type") {
        headers.push("content-type", media_type.as_bytes().to_vec());
    }
    Ok((headers, payload))
}

impl AdminApi {
    pub(super) fn list_entries(&self, query: &str) -> Result<Value, Problem> {
        let mut wanted = None;
        let page = parse_query(query, |name, value| match name {
            "fixture" => {
                wanted = Some(value.to_owned());
                Ok(())
            }
            name => Err(format!("`{name}` is unknown; known are fixture, after, limit")),
        })?;
        let (fixtures, served) = self.replayer.served();
        let is_listed = |at: &EntryRef| {
            wanted.as_ref().is_none_or(|path| fixtures[at.fixture].path().display().to_string() == *path)
        };
        let first = page.after.map_or(0, |after| after.saturating_add(1));
        let numbered = (0_u64..).zip(served.into_iter().filter(|(at, _)| is_listed(at)));
        let listed: Vec<_> = numbered.filter(|(number, _)| *number >= first).take(page.limit + 1).collect();
        let next = listed.get(page.limit).and(listed.get(page.limit - 1)).map(|(number, _)| *number);
        let policy = self.replayer.view().policy();
        let entry = |(_, (at, times)): &(u64, (EntryRef, u32))| {
            let fixture: &Fixture = &fixtures[at.fixture];
            let head = fixture.heads().get(at.entry)?;
            let url = display::redactor(policy).redact_url(head.url).unwrap_or_else(|| head.url.to_owned());
            Some(json!({
                "fixture": fixture.path().display().to_string(),
                "entry": at.entry,
                "line": head.line,
                "method": head.method,
                "url": url,
                "status": head.status,
                "name": name_of(fixture, at.entry),
                "requests": times,
            }))
        };
        let entries: Vec<Value> = listed.iter().take(page.limit).filter_map(entry).collect();
        Ok(json!({ "entries": entries, "next": next }))
    }

    /// Writes an entry into a fixture, at its end, and serves it from now on.
    pub(super) async fn add_entry(&self, new: NewEntry) -> Result<Value, Problem> {
        if self.is_read_only {
            return Err(Problem::new(
                403,
                "fixtures do not change in CI",
                "add the entry on your machine, and commit it",
            ));
        }
        let exchange = self.exchange(new.request, new.response, new.name)?;
        let fixtures = self.replayer.fixtures();
        let path = |fixture: &Fixture| fixture.path().display().to_string();
        let known = fixtures.iter().find(|fixture| new.fixture.as_ref().is_none_or(|name| path(fixture) == *name));
        let Some(fixture) = known.cloned() else {
            let names = fixtures.iter().map(|fixture| path(fixture)).collect::<Vec<_>>().join(", ");
            return Err(Problem::new(404, "no such fixture", format!("known are {names}")));
        };
        if !fixture.is_own() {
            let detail = "import it first: `harproxy import FILE -o hars/api.har`";
            return Err(Problem::new(409, "the fixture was not recorded by harproxy", detail));
        }
        let (replayer, values) = (self.replayer.clone(), self.values.clone());
        let write = move || {
            let path: PathBuf = fixture.path().to_owned();
            let _lock = lock_fixture(&path).map_err(|error| in_words(&error))?;
            let now = Fixture::open(&path).map_err(|error| in_words(&error))?;
            let policy = replayer.view().policy().clone();
            add(&now, exchange, &policy, &values).map_err(|error| in_words(&error))?;
            let entry = now.entries();
            replayer.replace(&path).map_err(|error| in_words(&error))?;
            Ok(json!({ "fixture": path.display().to_string(), "entry": entry }))
        };
        let failed = |reason: String| Problem::new(500, "the entry can't be written", reason);
        spawn_blocking(write).await.map_err(|panic| failed(panic.to_string()))?.map_err(failed)
    }

    fn exchange(
        &self,
        request: NewRequest,
        response: NewResponse,
        name: Option<String>,
    ) -> Result<ImportedExchange, Problem> {
        let (method, url, request_headers, sent) = match request {
            NewRequest::History(id) => {
                let item = self.history.get(id).and_then(|item| item.request);
                let request = item.ok_or_else(|| invalid(format!("the history has no request {id}")))?;
                let payload = request
                    .payload
                    .ok_or_else(|| invalid(format!("the payload of request {id} was not kept: it is too long")))?;
                let payload = (!payload.is_empty()).then(|| payload.to_vec());
                (request.method.to_string(), request.url, Headers::from(&request.headers), payload)
            }
            NewRequest::Made(made) => {
                let url = NormalUrl::parse(&made.url).map_err(|error| invalid(error.to_string()))?;
                ::http::Method::from_str(&made.method)
                    .map_err(|_| invalid(format!("`{}` is not a method", made.method)))?;
                let (headers, payload) = message(made.headers, made.json.as_ref(), made.text)?;
                (made.method, url, headers, payload)
            }
        };
        if !(200..600).contains(&response.status) {
            return Err(invalid("`status` must be from 200 to 599"));
        }
        let (response_headers, received) = message(response.headers, response.json.as_ref(), response.text)?;
        Ok(ImportedExchange {
            method,
            url: url.to_string(),
            request_headers,
            sent,
            status: response.status,
            response_headers,
            received: received.unwrap_or_default(),
            started: i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1000).ok(),
            name,
            ..ImportedExchange::default()
        })
    }
}
