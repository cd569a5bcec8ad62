//! Operations on entries: list, and add one.

use std::error::Error;
use std::path::Path;
use std::str::FromStr as _;

use ::http::header::HOST;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use tokio::task::{JoinError, spawn_blocking};

use super::api::AdminApi;
use super::requests::{ListPage, parse_query};
use crate::import::{ImportedExchange, add};
use crate::record::{self, lock_fixture};
use crate::replay::{FixtureSource, Replayer};
use crate::serve::control::{ControlHeaders, name_of};
use harproxy_har::Fixture;
use harproxy_http::problem::{Problem, in_words};
use harproxy_http::{Headers, NormalUrl};
use harproxy_matching::EntryRef;
use harproxy_redact::{Placeholder, Policy, Secret, display};

/// The payload of `POST /entries`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewEntry {
    /// The path of a fixture in use. Without it, the first one.
    fixture: Option<String>,
    /// The number of a request of the history, or a request.
    request: Value,
    response: NewResponse,
    /// The name for `x-mock-response-name`.
    name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MadeRequest {
    method: String,
    url: String,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(default, deserialize_with = "deserialize_present")]
    json: Option<Value>,
    text: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewResponse {
    status: u16,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(default, deserialize_with = "deserialize_present")]
    json: Option<Value>,
    text: Option<String>,
}

/// Reads a member that is there, also if it is `null`.
fn deserialize_present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

fn invalid(reason: impl Into<String>) -> Problem {
    Problem::new(400, "the entry is not valid", reason)
}

/// Returns headers, and a payload with the type that it has without `content-type`.
fn parse_message(
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
    pub(super) async fn list_entries(&self, query: &str) -> Result<Value, Problem> {
        let mut wanted = None;
        let page = parse_query(query, |name, value| match name {
            "fixture" => {
                wanted = Some(value.to_owned());
                Ok(())
            }
            name => Err(format!("`{name}` is unknown; known are fixture, after, limit")),
        })?;
        let (source, policy) = (self.replayer.fixture_source(), self.replayer.view().policy().clone());
        let list = move || entries_json(&source, &policy, wanted.as_deref(), page);
        let failed = |panic: JoinError| Problem::new(500, "the entries can't be listed", panic.to_string());
        spawn_blocking(list).await.map_err(failed)
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
        let url = NormalUrl::parse(&exchange.url).map_err(|error| invalid(error.to_string()))?;
        let scope = &self.replayer.fixture_source().options.scope;
        if scope.as_ref().is_some_and(|globs| !globs.matches(url.as_str())) {
            let detail = "no request gets the entry: `-g` of the server does not include its URL";
            return Err(Problem::new(409, "the URL is out of scope", detail));
        }
        let (replayer, values) = (self.replayer.clone(), self.secrets());
        let write = move || write_entry(&replayer, fixture.path(), exchange, &values);
        let failed = |panic: JoinError| Problem::new(500, "the entry can't be written", panic.to_string());
        spawn_blocking(write).await.map_err(failed)?
    }

    fn exchange(
        &self,
        request: Value,
        response: NewResponse,
        name: Option<String>,
    ) -> Result<ImportedExchange, Problem> {
        let (method, url, request_headers, sent) = match request {
            Value::Number(ref id) => {
                let id = id.as_u64().unwrap_or_default();
                let item = self.history.get(id);
                let request = item.as_ref().and_then(|item| item.request.as_ref());
                let request = request.ok_or_else(|| invalid(format!("the history has no request {id}")))?;
                let payload = request.payload.as_ref().ok_or_else(|| {
                    invalid(format!(
                        "the payload of request {id} was not kept: it is longer than 1 MiB, or was not read"
                    ))
                })?;
                let payload = (!payload.is_empty()).then(|| payload.to_vec());
                let mut headers = request.headers.clone();
                ControlHeaders::remove(&mut headers);
                // The name of a reverse port; the writer sets that of the URL.
                headers.remove(HOST);
                (request.method.to_string(), request.url.clone(), Headers::from(&headers), payload)
            }
            Value::Object(_) => {
                let made: MadeRequest =
                    serde_json::from_value(request).map_err(|error| invalid(format!("`request`: {error}")))?;
                let url = NormalUrl::parse(&made.url).map_err(|error| invalid(error.to_string()))?;
                let is_method = !made.method.is_empty() && made.method.bytes().all(|byte| byte.is_ascii_uppercase());
                if !is_method || made.method == "CONNECT" {
                    return Err(invalid(format!("`{}` is not a method of a request, such as GET", made.method)));
                }
                if url.parts().authority().contains('@') {
                    return Err(invalid("a URL with a user name is never requested: clients send it in a header"));
                }
                let (headers, payload) = parse_message(made.headers, made.json.as_ref(), made.text)?;
                (made.method, url, headers, payload)
            }
            _ => return Err(invalid("`request` is the number of a request, or an object with `method` and `url`")),
        };
        if !(200..600).contains(&response.status) {
            return Err(invalid("`status` must be from 200 to 599"));
        }
        let (response_headers, received) = parse_message(response.headers, response.json.as_ref(), response.text)?;
        if matches!(response.status, 204 | 304) && received.is_some() {
            return Err(invalid("an answer with this status has no payload"));
        }
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

/// Lists the entries of a page, of one fixture or of all.
fn entries_json(source: &FixtureSource, policy: &Policy, wanted: Option<&str>, page: ListPage) -> Value {
    let fixtures = source.matcher.fixtures();
    let path = |at: &EntryRef| fixtures[at.fixture].path().display().to_string();
    let first = page.after.map_or(0, |after| after.saturating_add(1));
    let is_listed = |(at, _): &(EntryRef, u32)| wanted.is_none_or(|wanted| path(at) == wanted);
    let numbered = (0_u64..).zip(source.matcher.served().filter(is_listed)).filter(|(number, _)| *number >= first);
    let listed: Vec<_> = numbered.take(page.limit + 1).collect();
    let next = listed.get(page.limit).and(listed.get(page.limit - 1)).map(|(number, _)| *number);
    let entry = |(_, (at, requests)): &(u64, (EntryRef, u32))| {
        let fixture: &Fixture = &fixtures[at.fixture];
        let head = fixture.heads().get(at.entry)?;
        let url = display::redactor(policy).redact_url(head.url).unwrap_or_else(|| head.url.to_owned());
        Some(json!({
            "fixture": path(at),
            "entry": at.entry,
            "line": head.line,
            "method": head.method,
            "url": url,
            "status": head.status,
            "name": name_of(fixture, at.entry),
            "requests": requests,
        }))
    };
    let entries: Vec<Value> = listed.iter().take(page.limit).filter_map(entry).collect();
    json!({ "entries": entries, "next": next })
}

/// Writes an entry at the end of a fixture, and loads it.
fn write_entry(
    replayer: &Replayer,
    path: &Path,
    exchange: ImportedExchange,
    values: &[(Placeholder, Secret)],
) -> Result<Value, Problem> {
    let failed = |error: &dyn Error| Problem::new(500, "the entry can't be written", in_words(error));
    let reloads = replayer.hold_reloads();
    let _lock = match lock_fixture(path) {
        Err(error @ record::Error::Locked { .. }) => {
            return Err(Problem::new(409, "another program writes the fixture", in_words(&error)));
        }
        lock => lock.map_err(|error| failed(&error))?,
    };
    let now = Fixture::open(path).map_err(|error| failed(&error))?;
    add(&now, exchange, replayer.view().policy(), values).map_err(|error| failed(&error))?;
    let loaded = reloads.load_extended(path);
    loaded.map_err(|error| Problem::new(500, "the entry is written, and can't be loaded", in_words(&error)))?;
    Ok(json!({ "fixture": path.display().to_string(), "entry": now.entries() }))
}
