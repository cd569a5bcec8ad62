//! The client of the admin API, for `harproxy ctl`.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use ::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use ::http::{Method, Request};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use super::access::AdminToken;

/// The time limit of a call.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("connecting to the admin API at {addr}")]
    Connect { addr: SocketAddr, source: io::Error },
    #[error("the admin API at {addr} did not answer within {TIME_LIMIT:?}")]
    TimeOut { addr: SocketAddr },
    #[error("calling the admin API")]
    Http(#[from] hyper::Error),
    #[error("the admin API sent no JSON")]
    Json(#[from] serde_json::Error),
    /// The API refused the call with a problem document.
    #[error("{title}: {detail}")]
    Refused { status: u16, title: String, detail: String },
}

/// A client of one server.
#[derive(Clone, Debug)]
pub struct AdminClient {
    pub addr: SocketAddr,
    pub token: AdminToken,
}

impl AdminClient {
    /// Calls an operation, and returns its answer; `null` for an answer without a payload.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn call(&self, method: Method, target: &str, payload: Option<&Value>) -> Result<Value, CallError> {
        let answer = tokio::time::timeout(TIME_LIMIT, self.exchange(method, target, payload)).await;
        answer.map_err(|_| CallError::TimeOut { addr: self.addr })?
    }

    async fn exchange(&self, method: Method, target: &str, payload: Option<&Value>) -> Result<Value, CallError> {
        let addr = self.addr;
        let stream = TcpStream::connect(addr).await.map_err(|source| CallError::Connect { addr, source })?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let mut request = Request::new(Full::<Bytes>::new(payload.map(Value::to_string).unwrap_or_default().into()));
        *request.method_mut() = method;
        // A target of harproxy itself, and a token in hexadecimal digits, are always valid.
        *request.uri_mut() = target.parse().unwrap_or_default();
        let headers = request.headers_mut();
        let fields = [
            (HOST, addr.to_string()),
            (AUTHORIZATION, format!("Bearer {}", self.token.reveal())),
            (CONTENT_TYPE, "application/json".to_owned()),
        ];
        headers.extend(fields.into_iter().filter_map(|(name, value)| Some((name, value.parse().ok()?))));
        let response = sender.send_request(request).await?;
        let status = response.status();
        let payload: Bytes = response.into_body().collect().await?.to_bytes();
        connection.abort();
        let answer = if payload.is_empty() { Value::Null } else { serde_json::from_slice(&payload)? };
        if status.is_success() {
            return Ok(answer);
        }
        let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        Err(CallError::Refused { status: status.as_u16(), title: text("title"), detail: text("detail") })
    }
}
