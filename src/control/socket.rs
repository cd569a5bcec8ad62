//! The requests of the control socket.

use std::sync::Arc;

use ::http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::json;

use super::session::{NamedSession, name_session};
use crate::local_api::{AnswerRequest, read_json, refuse, reply};
use crate::pipeline::Sessions;
use harproxy_http::problem::Problem;
use harproxy_proxy::Body;

/// Answers the requests of CMD.
pub(super) struct ControlService {
    pub(super) sessions: Arc<Sessions>,
    /// The user name of `--auth`.
    pub(super) user: Option<String>,
}

impl AnswerRequest for ControlService {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        match self.result(request).await {
            Ok(members) => reply(StatusCode::OK, &members),
            Err(problem) => refuse(&problem),
        }
    }
}

impl ControlService {
    async fn result(&self, request: Request<Incoming>) -> Result<serde_json::Value, Problem> {
        let query = request.uri().query().unwrap_or_default().to_owned();
        match (request.method(), request.uri().path()) {
            (&Method::POST, "/sessions") => {
                let named: NamedSession = read_json(request).await?;
                name_session(&self.sessions, &named, self.user.as_deref())
            }
            (&Method::GET, "/findings") => {
                let mut parameters = url::form_urlencoded::parse(query.as_bytes());
                match parameters.find(|(name, _)| name == "session") {
                    Some((_, session)) => Ok(json!({ "findings": self.sessions.findings(&session) })),
                    None => Err(refused(400, "name the session: `GET /findings?session=NAME`")),
                }
            }
            (_, "/sessions" | "/findings") => {
                Err(refused(405, "the control socket has POST /sessions and GET /findings"))
            }
            _ => Err(refused(404, "the control socket has POST /sessions and GET /findings")),
        }
    }
}

fn refused(status: u16, detail: &str) -> Problem {
    Problem::new(status, "the control socket refused the request", detail)
}
