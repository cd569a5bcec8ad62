//! The operations of the admin API by method and path.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use ::http::header::{ALLOW, WWW_AUTHENTICATE};
use ::http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;

use super::access::{AdminToken, check_access};
use super::events::AdminEvents;
use crate::control::{NamedSession, name_session};
use crate::local_api::{AnswerRequest, json_response, read_json, refuse, reply};
use crate::pipeline::Sessions;
use crate::replay::Replayer;
use crate::serve::expect::Expectation;
use crate::serve::history::RequestHistory;
use crate::serve::memory::RouteState;
use crate::serve::rule::RuleChange;
use harproxy_http::problem::Problem;
use harproxy_proxy::Body;
use harproxy_redact::{Placeholder, PlaceholderName, Secret};

/// The description of the API (OpenAPI 3.1).
const OPENAPI: &str = include_str!("../../docs/reference/admin.openapi.json");

/// An operation of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminOperation {
    Health,
    OpenApi,
    ListRequests,
    ClearRequests,
    ShowRequest,
    ExplainRequest,
    ListEntries,
    AddEntry,
    ListRoutes,
    ChangeRoute,
    Verify,
    Reset,
    BeginSession,
    Events,
}

/// The operations: method, path with `{id}` for a segment.
pub const OPERATIONS: [(&str, &str, AdminOperation); 14] = [
    ("GET", "/health", AdminOperation::Health),
    ("GET", "/openapi.json", AdminOperation::OpenApi),
    ("GET", "/requests", AdminOperation::ListRequests),
    ("DELETE", "/requests", AdminOperation::ClearRequests),
    ("GET", "/requests/{id}", AdminOperation::ShowRequest),
    ("GET", "/requests/{id}/explain", AdminOperation::ExplainRequest),
    ("GET", "/entries", AdminOperation::ListEntries),
    ("POST", "/entries", AdminOperation::AddEntry),
    ("GET", "/routes", AdminOperation::ListRoutes),
    ("PUT", "/routes/{id}", AdminOperation::ChangeRoute),
    ("POST", "/verify", AdminOperation::Verify),
    ("POST", "/reset", AdminOperation::Reset),
    ("POST", "/sessions", AdminOperation::BeginSession),
    ("GET", "/events", AdminOperation::Events),
];

/// The parsers of the configuration, for JSON payloads.
#[derive(Clone, Copy)]
pub struct ConfigParsers {
    /// The members of a rule that can be changed.
    pub change: fn(&serde_json::Value) -> Result<RuleChange, String>,
    /// A list of `[[expect]]`.
    pub expectations: fn(&[serde_json::Value]) -> Result<Vec<Expectation>, String>,
}

impl fmt::Debug for ConfigParsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigParsers").finish_non_exhaustive()
    }
}

/// The API of one mock server.
pub struct AdminApi {
    pub addr: SocketAddr,
    pub token: AdminToken,
    pub replayer: Arc<Replayer>,
    pub rules: Arc<RouteState>,
    pub history: Arc<RequestHistory>,
    pub events: AdminEvents,
    pub sessions: Arc<Sessions>,
    /// The user name of `--auth`.
    pub user: Option<String>,
    pub parsers: ConfigParsers,
    /// `[redact.values]`, for new entries.
    pub values: Vec<(Placeholder, Secret)>,
    /// True with `--offline` and in CI: no rule may have a live source.
    pub is_offline: bool,
    /// True in CI, where fixtures must not change.
    pub is_read_only: bool,
    pub started: Instant,
}

impl AnswerRequest for AdminApi {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        if let Err(problem) = check_access(request.headers(), self.addr, &self.token) {
            let mut response = refuse(&problem);
            if problem.status == 401 {
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            return response;
        }
        let path = request.uri().path().to_owned();
        let known: Vec<_> = OPERATIONS
            .iter()
            .filter_map(|(method, template, of)| Some((*method, *of, id_in(template, &path)?)))
            .collect();
        let found = known.iter().find(|(method, _, _)| *method == request.method().as_str());
        let Some((_, operation, id)) = found else { return refuse_unknown(&known) };
        match self.run(*operation, id, request).await {
            Ok(response) => response,
            Err(problem) => refuse(&problem),
        }
    }
}

/// Returns the segment for `{id}`, decoded, if the path fits a template. It is empty without `{id}`.
fn id_in(template: &str, path: &str) -> Option<String> {
    let mut id = String::new();
    let (wanted, given): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
    let fits = wanted.len() == given.len()
        && wanted.iter().zip(given).all(|(wanted, given)| match *wanted {
            "{id}" => {
                id = percent_decode_str(given).decode_utf8_lossy().into_owned();
                !given.is_empty()
            }
            segment => segment == given,
        });
    fits.then_some(id)
}

/// Refuses a request without an operation. `known` are the operations of its path.
fn refuse_unknown(known: &[(&str, AdminOperation, String)]) -> Response<Body> {
    if known.is_empty() {
        return refuse(&Problem::new(404, "no such operation", "`GET /openapi.json` describes the admin API"));
    }
    let methods = known.iter().map(|(method, _, _)| *method).collect::<Vec<_>>().join(", ");
    let mut response = refuse(&Problem::new(405, "no such operation", format!("this path has {methods}")));
    if let Ok(methods) = HeaderValue::from_str(&methods) {
        response.headers_mut().insert(ALLOW, methods);
    }
    response
}

impl AdminApi {
    /// Returns the values that are not shown, and that a new entry must not have: those of the configuration, and the
    /// server's own.
    #[must_use]
    pub fn secrets(&self) -> Vec<(Placeholder, Secret)> {
        let token = Secret::from(self.token.reveal());
        let own = [token].into_iter().chain(self.rules.keys.0.iter().cloned());
        let name = PlaceholderName::new("server");
        let own = (1..).zip(own).map(|(number, secret)| (Placeholder { name: name.clone(), number }, secret));
        self.values.iter().cloned().chain(self.rules.table.load().secrets()).chain(own).collect()
    }

    async fn run(
        &self,
        operation: AdminOperation,
        id: &str,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Problem> {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let ok = |members: serde_json::Value| reply(StatusCode::OK, &members);
        Ok(match operation {
            AdminOperation::Health => ok(self.health()),
            AdminOperation::OpenApi => json_response(StatusCode::OK, OPENAPI),
            AdminOperation::ListRequests => ok(self.list_requests(&query)?),
            AdminOperation::ClearRequests => {
                self.history.clear();
                no_content()
            }
            AdminOperation::ShowRequest => ok(self.show_request(id)?),
            AdminOperation::ExplainRequest => ok(self.explain_request(id).await?),
            AdminOperation::ListEntries => ok(self.list_entries(&query).await?),
            AdminOperation::AddEntry => reply(StatusCode::CREATED, &self.add_entry(read_json(request).await?).await?),
            AdminOperation::ListRoutes => ok(self.list_routes()),
            AdminOperation::ChangeRoute => ok(self.change_route(id, &read_json(request).await?)?),
            AdminOperation::Verify => ok(self.verify(read_json(request).await?).await?),
            AdminOperation::Reset => {
                self.reset(read_json::<Option<_>>(request).await?.unwrap_or_default());
                no_content()
            }
            AdminOperation::BeginSession => {
                let named: NamedSession = read_json(request).await?;
                ok(name_session(&self.sessions, &named, self.user.as_deref())?)
            }
            AdminOperation::Events => self.events.response(),
        })
    }
}

fn no_content() -> Response<Body> {
    let mut response = Response::new(Body::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn templates_match_whole_segments() {
        assert_eq!(id_in("/requests/{id}", "/requests/7").as_deref(), Some("7"));
        assert_eq!(id_in("/routes/{id}", "/routes/a%2Fb").as_deref(), Some("a/b"));
        assert_eq!(id_in("/requests", "/requests").as_deref(), Some(""));
        for path in ["/requests/", "/requests/7/x", "/request", "requests/7", "//7"] {
            assert_eq!(id_in("/requests/{id}", path), None, "{path}");
        }
    }

    #[test]
    fn openapi_file_describes_every_operation_and_no_other() {
        let openapi: serde_json::Value = serde_json::from_str(OPENAPI).unwrap();
        let described = openapi["paths"].as_object().unwrap().iter().flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(move |method| (method.to_uppercase(), path.clone()))
        });
        let known = OPERATIONS.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned()));
        assert_eq!(described.collect::<BTreeSet<_>>(), known.collect());
    }
}
