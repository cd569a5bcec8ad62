//! Sources that forward requests: to the network, or to servers of this machine.

use ::http::{Response, StatusCode};

use super::{Answer, Source};
use crate::pipeline::{Exchange, Outcome};
use crate::verdict::Counts;
use crate::verdict::request::{ResultKind, SourceKind};
use harproxy_http::problem::{Problem, in_words};
use harproxy_proxy::upstream::{self, SendError, Step, Timeouts, Upstream, UpstreamError};
use harproxy_proxy::{Body, BoxFuture, Origin, respond, splice};

/// Forwards requests to the network, or to servers of this machine.
#[derive(Debug)]
pub struct UpstreamSource {
    pub(crate) upstream: Upstream,
    pub(crate) kind: SourceKind,
}

impl UpstreamSource {
    /// Returns a source that forwards to the network.
    #[must_use]
    pub fn live(upstream: Upstream) -> Self {
        UpstreamSource { upstream, kind: SourceKind::Live }
    }

    /// Returns a source that forwards to servers of this machine. It dials no other address.
    #[must_use]
    pub fn local(timeouts: Timeouts) -> Self {
        UpstreamSource { upstream: Upstream::loopback(timeouts), kind: SourceKind::Local }
    }

    /// Adds the connections opened so far, beyond this machine and on it.
    pub fn count_connections(&self, counts: &mut Counts) {
        let local = self.upstream.opened_local();
        counts.local_connections += local;
        counts.upstream_connections += self.upstream.opened().saturating_sub(local);
    }

    /// Returns the result of requests that no earlier stage gave another one.
    fn result(&self) -> ResultKind {
        if self.kind == SourceKind::Local { ResultKind::Local } else { ResultKind::Live }
    }

    /// Forwards a request, an upgrade included.
    ///
    /// # Errors
    /// The answer for the client, if there is no response.
    pub async fn send(&self, exchange: &mut Exchange<'_>) -> Result<Box<upstream::Answer>, Answer> {
        let outcome = exchange.outcome();
        let result = *outcome.result.get_or_insert(self.result());
        // A recording reaches this machine over the network's upstream, as `--map` can say.
        outcome.source = if result == ResultKind::Local { SourceKind::Local } else { self.kind };
        let mut request = std::mem::take(&mut exchange.request);
        let client = hyper::upgrade::on(&mut request);
        match self.upstream.send(&exchange.connection.pool, &exchange.connect_to, request).await {
            Ok(mut answer) => {
                if answer.response.status() == StatusCode::SWITCHING_PROTOCOLS {
                    tokio::spawn(splice(client, hyper::upgrade::on(&mut answer.response)));
                }
                Ok(Box::new(answer))
            }
            Err(SendError::Stale) => Err(Answer::Close),
            Err(SendError::Upstream(error)) => {
                let response = self.problem(&exchange.connect_to, &error);
                exchange.outcome().upstream_error = Some(error);
                Err(Answer::Response(response))
            }
        }
    }

    /// Returns the outcome of a tunnel that could not be opened.
    #[must_use]
    pub fn failed_outcome(&self, error: UpstreamError) -> Outcome {
        let mut outcome = Outcome { upstream_error: Some(error), ..Outcome::default() };
        outcome.decide(self.result(), self.kind);
        outcome
    }

    /// Returns the response to a request that could not be forwarded: the host, the reason and the next step.
    #[must_use]
    pub fn problem(&self, to: &Origin, error: &UpstreamError) -> Response<Body> {
        let (title, detail) = match self.kind {
            SourceKind::Local => {
                let advice = match error {
                    UpstreamError::Timeout { step, .. } => format!("give it more time with `{}`", step.option()),
                    _ => "is the server running?".to_owned(),
                };
                let why = format!("{to} is local and out of scope, so it is dialled; {advice}");
                ("a local server did not answer", format!("{}\n{why}", in_words(error)))
            }
            _ => {
                let title = if error.status() == 504 { "upstream took too long" } else { "upstream request failed" };
                (title, format!("{}; {}", in_words(error), advice(to, error)))
            }
        };
        let problem = Problem::new(error.status(), title, detail).with("kind", error.kind());
        respond::problem(&problem.with("host", to.authority()), "")
    }
}

impl Source for UpstreamSource {
    fn answer<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            match self.send(exchange).await {
                Ok(answer) => Answer::Response(answer.response.map(Body::boxed)),
                Err(answer) => answer,
            }
        })
    }
}

/// Returns the next step for a request that upstream did not answer.
#[must_use]
pub fn advice(to: &Origin, error: &UpstreamError) -> String {
    let host = to.authority();
    if error.wants_certificate() {
        let name = &to.host;
        return format!("{host} requires a client certificate: pass `--client-cert {name}=FILE` (PEM, with its key)");
    }
    if error.shares_no_protocol() {
        return format!(
            "{host} supports neither HTTP/1.1 nor HTTP/2 over TLS, and harproxy supports no other protocol"
        );
    }
    match error {
        UpstreamError::Resolve { .. } => {
            format!("check the name, or set the address of {host} with `--map {host}=ADDR:PORT`")
        }
        UpstreamError::Connect { .. } => {
            format!("check that {host} is up, or set its address with `--map {host}=ADDR:PORT`")
        }
        UpstreamError::Proxy { .. } => {
            format!("check `--upstream-proxy`, or the proxy variables that harproxy was started with, for {host}")
        }
        UpstreamError::Tls { .. } => {
            format!(
                "trust the issuer of {host} with `--upstream-ca FILE`, or accept its certificate as it is with \
                 `--insecure={to}/**`"
            )
        }
        UpstreamError::Broken { .. } => format!("the request may have reached {host}: it is not sent again"),
        UpstreamError::Timeout { step, proxy: Some(_), .. } => format!(
            "give {host} more time with `{}`, or check `--upstream-proxy`, or the proxy variables that harproxy was started \
             with",
            step.option()
        ),
        UpstreamError::Timeout { step: step @ (Step::Connect | Step::Tls), .. } => {
            format!("give {host} more time with `{}`, or check that it can be reached from here", step.option())
        }
        UpstreamError::Timeout { step: step @ Step::Answer, .. } => {
            format!("give {host} more time with `{}`; the request has reached it and is not sent again", step.option())
        }
        UpstreamError::NotLoopback { .. } => format!("only this machine may be reached, and {host} is not on it"),
        UpstreamError::Request { .. } => format!("check the URL and the Host of the request for {host}"),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use http_body_util::BodyExt;

    use super::*;
    use harproxy_proxy::Scheme;
    use harproxy_proxy::upstream::UpstreamPlan;

    #[test]
    fn problem_for_an_invalid_certificate_names_both_options() {
        let to = Origin { scheme: Scheme::Https, host: "api.test".into(), port: 8443 };
        let source = io::Error::other("invalid peer certificate: Expired");
        let live = UpstreamSource::live(Upstream::anywhere(UpstreamPlan::default()).unwrap());
        let response = live.problem(&to, &UpstreamError::Tls { to: to.clone(), source });
        assert_eq!(response.status(), 502);
        let body = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(response.collect()).unwrap();
        let problem: serde_json::Value = serde_json::from_slice(&body.to_bytes()).unwrap();
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("Expired") && detail.contains("--upstream-ca"), "{detail}");
        assert!(detail.contains("--insecure=https://api.test:8443/**"), "{detail}");
        assert_eq!(problem["kind"], "tls");
    }
}
