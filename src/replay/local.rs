//! Local requests: out of scope and on this machine, so dialled directly. It is the developer's own server under test.
//!
//! The only file of replay that holds a connector, and that connector can hold no address but loopback.

use std::net::IpAddr;

use ::http::{Request, Response};
use hyper::body::Incoming;

use harproxy_http::NormalUrl;
use harproxy_http::problem::{Problem, in_words};
use harproxy_http::url::is_localhost;
use harproxy_proxy::forward::forward;
use harproxy_proxy::respond;
use harproxy_proxy::upstream::{Dialled, Timeouts, Upstream, UpstreamError};
use harproxy_proxy::{Body, Close, Connection, Origin};

/// The `x-harproxy` value of local answers.
const LOCAL: &str = "local";

/// The connector to servers on this machine.
pub(super) struct Local {
    upstream: Upstream,
}

impl Local {
    pub(super) fn new(timeouts: Timeouts) -> Self {
        Local { upstream: Upstream::loopback(timeouts) }
    }

    /// Connections opened so far.
    pub(super) fn opened(&self) -> u64 {
        self.upstream.opened()
    }

    /// For a CONNECT that becomes a tunnel.
    pub(super) async fn dial(&self, to: &Origin) -> Result<Dialled, UpstreamError> {
        self.upstream.dial(to).await
    }

    /// Passes a request on, an Upgrade included.
    pub(super) async fn pass(
        &self,
        connection: &Connection,
        to: &Origin,
        mut request: Request<Incoming>,
        mark: bool,
    ) -> Result<Response<Body>, Close> {
        let client = hyper::upgrade::on(&mut request);
        let mark_as = mark.then_some(LOCAL);
        let answer = forward(&self.upstream, &connection.pool, to, request, client, mark_as).await?;
        Ok(answer.unwrap_or_else(|error| failed(to, &error, mark)))
    }
}

/// Why a local server could not be reached, for the client.
pub(super) fn failed(to: &Origin, error: &UpstreamError, mark: bool) -> Response<Body> {
    let advice = match error {
        UpstreamError::Timeout { step, .. } => format!("give it more time with `{}`", step.option()),
        _ => "is the server running?".to_owned(),
    };
    let detail = format!("{}\n{to} is local and out of scope, so it is dialled; {advice}", in_words(error));
    let problem = Problem::new(error.status(), "a local server did not answer", detail).with("kind", error.kind());
    respond::problem(&problem, if mark { LOCAL } else { "" })
}

/// Returns true if a URL's host is 127.0.0.0/8, ::1, `localhost` or `*.localhost` (RFC 6761 section 6.3).
/// Names are never resolved.
pub(super) fn is_local(url: &NormalUrl) -> bool {
    let parts = url.parts();
    let host = parts.host().trim_matches(['[', ']']);
    match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => is_localhost(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_is_loopback_by_address_or_by_the_names_that_mean_it() {
        for (url, local) in [
            ("http://127.0.0.1:3000/", true),
            ("http://127.9.8.7/", true),
            ("http://2130706433/", true),
            ("http://[::1]:8080/", true),
            ("http://localhost/", true),
            ("https://LOCALHOST.:8443/", true),
            ("http://app.localhost/", true),
            ("http://0.0.0.0/", false),
            ("http://192.168.0.1/", false),
            ("http://localhost.example.com/", false),
            ("http://notlocalhost/", false),
            ("http://127.0.0.1.nip.io/", false),
        ] {
            assert_eq!(is_local(&NormalUrl::parse(url).unwrap()), local, "{url}");
        }
    }
}
