//! The socket, and its requests.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use ::http::{Method, Request, Response, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use serde_json::json;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::pipeline::{NameError, Sessions};
use harproxy_http::problem::{Problem, in_words};

/// The length of the longest payload, bytes.
const MAX_PAYLOAD: usize = 64 << 10;
/// The pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The payload of `POST /sessions`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedSession {
    /// The user name in the proxy URL of the client.
    client: Option<String>,
    name: Option<String>,
}

/// Serves connections until the future is dropped. `user` is the user name of `--auth`.
pub(super) async fn serve(listener: &UnixListener, sessions: Arc<Sessions>, user: Option<Arc<str>>) -> Infallible {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => _ = connections.spawn(converse(stream, sessions.clone(), user.clone())),
            // No descriptors are left.
            Err(error) => {
                tracing::warn!(%error, "the control socket");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn converse(stream: UnixStream, sessions: Arc<Sessions>, user: Option<Arc<str>>) {
    let service = service_fn(|request| {
        let (sessions, user) = (sessions.clone(), user.clone());
        async move { Ok::<_, Infallible>(answer(request, &sessions, user.as_deref()).await) }
    });
    let served = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to the control socket");
    }
}

async fn answer(request: Request<Incoming>, sessions: &Sessions, user: Option<&str>) -> Response<Full<Bytes>> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    match (request.method(), request.uri().path()) {
        (&Method::POST, "/sessions") => {
            let payload = match Limited::new(request.into_body(), MAX_PAYLOAD).collect().await {
                Ok(payload) => payload.to_bytes(),
                Err(error) => return refuse(StatusCode::BAD_REQUEST, &format!("the payload can't be read: {error}")),
            };
            let named: NamedSession = match serde_json::from_slice(&payload) {
                Ok(named) => named,
                Err(error) => return refuse(StatusCode::BAD_REQUEST, &format!("the payload is not valid: {error}")),
            };
            let client = session_of(named.client.as_deref().unwrap_or_default(), user);
            match sessions.begin(client, named.name.as_deref()) {
                Ok(()) => reply(&json!({ "client": client, "name": named.name })),
                Err(error @ NameError::Taken) => refuse(StatusCode::CONFLICT, &in_words(&error)),
                Err(error) => refuse(StatusCode::BAD_REQUEST, &in_words(&error)),
            }
        }
        (&Method::GET, "/findings") => {
            let mut parameters = url::form_urlencoded::parse(query.as_bytes());
            match parameters.find(|(name, _)| name == "session") {
                Some((_, session)) => reply(&json!({ "findings": sessions.findings(&session) })),
                None => refuse(StatusCode::BAD_REQUEST, "name the session: `GET /findings?session=NAME`"),
            }
        }
        (_, "/sessions" | "/findings") => {
            refuse(StatusCode::METHOD_NOT_ALLOWED, "the control socket has POST /sessions and GET /findings")
        }
        _ => refuse(StatusCode::NOT_FOUND, "the control socket has POST /sessions and GET /findings"),
    }
}

/// Returns the session that a user name selects: with `--auth` the part behind `USER+`.
fn session_of<'c>(client: &'c str, user: Option<&str>) -> &'c str {
    let Some(user) = user else { return client };
    let behind = client.strip_prefix(user).filter(|rest| rest.is_empty() || rest.starts_with('+'));
    behind.map_or(client, |rest| rest.trim_start_matches('+'))
}

fn reply(members: &serde_json::Value) -> Response<Full<Bytes>> {
    respond(StatusCode::OK, "application/json", format!("{members}\n"))
}

fn refuse(status: StatusCode, detail: &str) -> Response<Full<Bytes>> {
    let problem = Problem::new(status.as_u16(), "the control socket refused the request", detail);
    respond(status, Problem::MEDIA_TYPE, problem.to_json())
}

fn respond(status: StatusCode, media_type: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(media_type));
    response
}

#[cfg(test)]
mod tests {
    use super::session_of;

    #[test]
    fn session_follows_the_user_name_of_auth() {
        for (client, user, session) in [
            ("gw0", None, "gw0"),
            ("me+gw0", None, "me+gw0"),
            ("me+gw0", Some("me"), "gw0"),
            ("me", Some("me"), ""),
            ("gw0", Some("me"), "gw0"),
            ("mean", Some("me"), "mean"),
            ("", Some("me"), ""),
        ] {
            assert_eq!(session_of(client, user), session, "{client} {user:?}");
        }
    }
}
