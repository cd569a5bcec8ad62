//! Operations on the last requests: list, show, explain.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokio::task::spawn_blocking;

use super::api::AdminApi;
use crate::replay::explanation::{AnswerExplanation, with_payload};
use crate::serve::history::{HistoryFilter, HistoryItem, RecentRequest};
use crate::verdict::request::{ExplainedRow, RequestRow};
use harproxy_http::Headers;
use harproxy_http::headers::to_chars;
use harproxy_http::problem::Problem;
use harproxy_matching::{Query, RequestPattern, RequestSession};

/// The number of items of a page, and the greatest one.
const PAGE: usize = 100;
const MAX_PAGE: usize = 1000;

/// A page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ListPage {
    /// The last item of the previous page.
    pub(super) after: Option<u64>,
    pub(super) limit: usize,
}

/// Parses a query. `other` gets the parameters that do not belong to the page.
pub(super) fn parse_query(
    query: &str,
    mut other: impl FnMut(&str, &str) -> Result<(), String>,
) -> Result<ListPage, Problem> {
    let mut page = ListPage { after: None, limit: PAGE };
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let number = || value.parse::<u64>().map_err(|_| format!("`{name}` must be a number"));
        let read = match &*name {
            "after" => number().map(|after| page.after = Some(after)),
            "limit" => match number() {
                Ok(limit) if (1..=MAX_PAGE as u64).contains(&limit) => {
                    page.limit = usize::try_from(limit).unwrap_or(MAX_PAGE);
                    Ok(())
                }
                _ => Err(format!("`limit` must be a number from 1 to {MAX_PAGE}")),
            },
            name => other(name, &value),
        };
        read.map_err(|reason| Problem::new(400, "the query is not valid", reason))?;
    }
    Ok(page)
}

impl AdminApi {
    pub(super) fn list_requests(&self, query: &str) -> Result<Value, Problem> {
        let mut filter = HistoryFilter::default();
        let mut is_newest = false;
        let page = parse_query(query, |name, value| {
            match name {
                "match" => filter.pattern = Some(RequestPattern::parse(value)?),
                "status" => filter.status = Some(value.parse().map_err(|_| "`status` must be a number")?),
                "outcome" => filter.outcome = Some(parse_name(name, value)?),
                "source" => filter.source = Some(parse_name(name, value)?),
                "session" => filter.session = Some(value.to_owned()),
                "fixture" => filter.fixture = Some(value.to_owned()),
                "rule" => filter.rule = Some(value.to_owned()),
                "newest" => is_newest = value.parse().map_err(|_| "`newest` must be true or false")?,
                name => {
                    let known = "match, status, outcome, source, session, fixture, rule, after, limit, newest";
                    return Err(format!("`{name}` is unknown; known are {known}"));
                }
            }
            Ok(())
        })?;
        filter.after = page.after.unwrap_or_default();
        let items = self.history.items();
        let mut listed: Vec<&RequestRow> =
            items.iter().filter(|item| filter.includes(item)).filter_map(|item| item.row.as_ref()).collect();
        let next = match is_newest {
            true => {
                listed.drain(..listed.len().saturating_sub(page.limit));
                None
            }
            false => {
                let has_more = listed.len() > page.limit;
                listed.truncate(page.limit);
                listed.last().filter(|_| has_more).map(|row| row.id)
            }
        };
        Ok(json!({ "requests": listed.into_iter().map(ExplainedRow::of).collect::<Vec<_>>(), "next": next }))
    }

    fn recent_request(&self, id: &str) -> Result<Arc<HistoryItem>, Problem> {
        let item = id.parse().ok().and_then(|id| self.history.get(id));
        item.ok_or_else(|| Problem::new(404, "no such request", format!("the history has no request {id}")))
    }

    pub(super) fn show_request(&self, id: &str) -> Result<Value, Problem> {
        let item = self.recent_request(id)?;
        let Some(row) = &item.row else { return Ok(Value::Null) };
        let mut shown = json!(ExplainedRow::of(row));
        if let Value::Object(members) = &mut shown {
            members.insert("requestHeaders".to_owned(), headers_json(&row.request_headers));
            members.insert("responseHeaders".to_owned(), headers_json(&row.response_headers));
            members.insert("payload".to_owned(), self.payload(item.request.as_ref()));
        }
        self.replayer.view().redact_json(&mut shown);
        Ok(shown)
    }

    /// Returns the payload of a request without secrets. `null` if it is not text, or was not kept.
    fn payload(&self, request: Option<&RecentRequest>) -> Value {
        let Some(RecentRequest { headers, payload: Some(payload), .. }) = request else { return Value::Null };
        let redacted = self.replayer.view().redact_payload(headers, payload);
        redacted.and_then(|payload| String::from_utf8(payload).ok()).map_or(Value::Null, Value::from)
    }

    /// Explains a request with the fixtures and rules of now. The sequences of its session do not advance.
    pub(super) async fn explain_request(&self, id: &str) -> Result<Value, Problem> {
        let item = self.recent_request(id)?;
        if item.request.is_none() {
            return Err(Problem::new(409, "the request can't be explained", "it has no valid URL, or is a tunnel"));
        }
        let (source, table, explained) = (self.replayer.fixture_source(), self.rules.table.load_full(), item.clone());
        let explain = move || {
            let request = explained.request.as_ref()?;
            let RecentRequest { method, url, headers, payload, sequence, test } = &request;
            let query = Query::new(method.as_str(), url, headers, payload.as_deref());
            let session = RequestSession { sequence: sequence.as_deref(), test: test.as_deref() };
            let outcome = source.matcher.answer_dry_run(&query, session);
            let (outcome, body) = with_payload(&source.matcher, outcome);
            let rules = table.explain(&request.facts());
            Some(json!(AnswerExplanation::of(&source.matcher, &[], &outcome, body).with_rules(rules)))
        };
        let failed = |reason: String| Problem::new(500, "the request can't be explained", reason);
        let mut answer = json!(spawn_blocking(explain).await.map_err(|panic| failed(panic.to_string()))?);
        self.replayer.view().redact_json(&mut answer);
        Ok(json!({ "request": item.row.as_ref().map(ExplainedRow::of), "answer": answer }))
    }
}

/// Parses a name as reports have it.
fn parse_name<T: DeserializeOwned>(parameter: &str, name: &str) -> Result<T, String> {
    serde_json::from_value(name.into()).map_err(|error| format!("`{parameter}`: {error}"))
}

/// Returns headers as a HAR has them.
fn headers_json(headers: &Headers) -> Value {
    let field = |header: &harproxy_http::Header| {
        let mut field = Map::new();
        field.insert("name".to_owned(), header.name.clone().into());
        field.insert("value".to_owned(), to_chars(&header.value).into());
        Value::Object(field)
    };
    headers.iter().map(field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_have_a_page_and_known_parameters() {
        let known = |name: &str, _: &str| if name == "status" { Ok(()) } else { Err(format!("`{name}` is unknown")) };
        let parse = |query| parse_query(query, known);
        assert_eq!(parse("").unwrap(), ListPage { after: None, limit: 100 });
        assert_eq!(parse("after=7&limit=5&status=1").unwrap(), ListPage { after: Some(7), limit: 5 });
        for (query, said) in [
            ("limit=0", "from 1 to 1000"),
            ("limit=1001", "from 1 to 1000"),
            ("after=x", "`after` must be a number"),
            ("color=red", "`color` is unknown"),
        ] {
            assert!(parse(query).unwrap_err().detail.contains(said), "{query}");
        }
    }
}
