//! Operations on the last requests: list, show, explain.

use serde_json::{Map, Value, json};
use tokio::task::spawn_blocking;

use super::api::AdminApi;
use crate::replay::explanation::{AnswerExplanation, answer};
use crate::serve::history::{HistoryFilter, HistoryItem, KeptRequest};
use crate::verdict::request::{ExplainedRow, RequestRow};
use harproxy_http::Headers;
use harproxy_http::headers::to_chars;
use harproxy_http::problem::Problem;
use harproxy_matching::{Query, RequestPattern, RequestSession};

/// The number of items of a page, and the greatest one.
const PAGE: usize = 100;
const MAX_PAGE: usize = 1000;

/// Members of a row by which requests can be chosen.
const MEMBERS: [&str; 4] = ["outcome", "source", "session", "fixture"];

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
                Ok(limit @ 1..=1000) => {
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
        let page = parse_query(query, |name, value| {
            match name {
                "match" => filter.pattern = Some(RequestPattern::parse(value)?),
                "status" => filter.status = Some(value.parse().map_err(|_| "`status` must be a number")?),
                "rule" => filter.rule = Some(value.to_owned()),
                name => match MEMBERS.iter().find(|member| **member == name) {
                    Some(member) => filter.members.push((member, value.to_owned())),
                    None => {
                        let known = MEMBERS.join(", ");
                        return Err(format!(
                            "`{name}` is unknown; known are match, status, rule, {known}, after, limit"
                        ));
                    }
                },
            }
            Ok(())
        })?;
        filter.after = page.after.unwrap_or_default();
        let mut items = self.history.list(&filter, page.limit + 1);
        let has_more = items.len() > page.limit;
        items.truncate(page.limit);
        let next = items.last().filter(|_| has_more).map(|item| item.id);
        let rows: Vec<&RequestRow> = items.iter().filter_map(|item| item.row.as_ref()).collect();
        Ok(json!({ "requests": rows.into_iter().map(ExplainedRow::of).collect::<Vec<_>>(), "next": next }))
    }

    fn request(&self, id: &str) -> Result<HistoryItem, Problem> {
        let item = id.parse().ok().and_then(|id| self.history.get(id));
        item.ok_or_else(|| Problem::new(404, "no such request", format!("the history has no request {id}")))
    }

    pub(super) fn show_request(&self, id: &str) -> Result<Value, Problem> {
        let item = self.request(id)?;
        let Some(row) = &item.row else { return Ok(Value::Null) };
        let mut shown = json!(ExplainedRow::of(row));
        if let Value::Object(members) = &mut shown {
            members.insert("requestHeaders".to_owned(), fields(&row.request_headers));
            members.insert("responseHeaders".to_owned(), fields(&row.response_headers));
            members.insert("payload".to_owned(), self.payload(item.request.as_ref()));
        }
        Ok(shown)
    }

    /// Returns the payload of a request without secrets. `null` if it is not text, or was not kept.
    fn payload(&self, request: Option<&KeptRequest>) -> Value {
        let Some(KeptRequest { headers, payload: Some(payload), .. }) = request else { return Value::Null };
        let redacted = self.replayer.view().redact_payload(headers, payload);
        redacted.and_then(|payload| String::from_utf8(payload).ok()).map_or(Value::Null, Value::from)
    }

    /// Explains a request with the fixtures and rules of now. The sequences of its session do not advance.
    pub(super) async fn explain_request(&self, id: &str) -> Result<Value, Problem> {
        let item = self.request(id)?;
        let Some(request) = item.request else {
            return Err(Problem::new(409, "the request can't be explained", "it has no valid URL, or is a tunnel"));
        };
        let (replayer, table) = (self.replayer.clone(), self.rules.table.load_full());
        let explain = move || {
            let matcher = replayer.dry_run().map_err(|error| error.to_string())?;
            let query = Query::new(request.method.as_str(), &request.url, &request.headers, request.payload.as_deref());
            let (outcome, body) = answer(&matcher, &query, RequestSession::from(request.session.as_deref()));
            let rules = table.explain(&request.facts());
            Ok::<_, String>(json!(AnswerExplanation::of(&matcher, &[], &outcome, body).with_rules(rules)))
        };
        let failed = |reason: String| Problem::new(500, "the request can't be explained", reason);
        let explained = spawn_blocking(explain).await.map_err(|panic| failed(panic.to_string()))?;
        let row = item.row.as_ref().map(ExplainedRow::of);
        Ok(json!({ "request": row, "answer": explained.map_err(failed)? }))
    }
}

/// Returns headers as a HAR has them.
fn fields(headers: &Headers) -> Value {
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
