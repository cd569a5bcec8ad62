//! What the client is told when upstream could not be asked: the host, the reason, the next step.

use ::http::Response;

use crate::verdict::{CheckId, Finding, Severity};
use harproxy_http::problem::{Problem, in_words};
use harproxy_proxy::upstream::{Step, UpstreamError};
use harproxy_proxy::{Body, Origin, respond};

/// The answer to a request to `to` that failed with `error`.
#[must_use]
pub fn answer(to: &Origin, error: &UpstreamError) -> Response<Body> {
    let title = if error.status() == 504 { "upstream took too long" } else { "upstream could not be asked" };
    let detail = format!("{}; {}", in_words(error), advice(to, error));
    let problem = Problem::new(error.status(), title, detail).with("kind", error.kind()).with("host", to.authority());
    respond::problem(&problem, "live")
}

/// What the run says of it at its end. One upstream that is down is one finding, however often it was asked.
#[must_use]
pub fn finding(to: &Origin, error: &UpstreamError) -> Finding {
    let explanation =
        format!("{}\nit is recorded as a failure, and replayed as one: the connection is closed", in_words(error));
    Finding { hint: Some(advice(to, error)), ..Finding::new(CheckId::UPSTREAM_FAILED, Severity::Warning, explanation) }
}

fn advice(to: &Origin, error: &UpstreamError) -> String {
    let host = to.authority();
    if error.wants_certificate() {
        let name = &to.host;
        return format!("{host} asks for a client certificate: `--client-cert {name}=FILE` (PEM, with its key)");
    }
    if error.shares_no_protocol() {
        return format!("{host} speaks neither HTTP/1.1 nor HTTP/2 over TLS, and harproxy no other");
    }
    match error {
        UpstreamError::Resolve { .. } => {
            format!("check the name, or say where {host} is with `--map {host}=ADDR:PORT`")
        }
        UpstreamError::Connect { .. } => {
            format!("check that {host} is up, or say where it is with `--map {host}=ADDR:PORT`")
        }
        UpstreamError::Proxy { .. } => {
            format!("check `--upstream-proxy`, or the proxy variables that harproxy was started with, for {host}")
        }
        UpstreamError::Tls { .. } => {
            format!(
                "trust the issuer of {host} with `--upstream-ca FILE`, or accept its certificate as it is with `--insecure={to}/**`"
            )
        }
        UpstreamError::Broken { .. } => format!("the request may have reached {host}: it is not sent again"),
        UpstreamError::Timeout { step, proxy: Some(_), .. } => format!(
            "give {host} more time with `{}`, or check `--upstream-proxy`, or the proxy variables that harproxy was started with",
            step.option()
        ),
        UpstreamError::Timeout { step: step @ (Step::Connect | Step::Tls), .. } => {
            format!("give {host} more time with `{}`, or check that it can be reached from here", step.option())
        }
        UpstreamError::Timeout { step: step @ Step::Answer, .. } => {
            format!("give {host} more time with `{}`; the request has reached it and is not sent again", step.option())
        }
        UpstreamError::Elsewhere { .. } => format!("only this machine may be reached, and {host} is not on it"),
        UpstreamError::Request { .. } => format!("check the URL and the Host of the request for {host}"),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use http_body_util::BodyExt;

    use super::*;
    use harproxy_proxy::Scheme;

    #[test]
    fn a_bad_certificate_names_both_ways_out() {
        let to = Origin { scheme: Scheme::Https, host: "api.test".into(), port: 8443 };
        let source = io::Error::other("invalid peer certificate: Expired");
        let response = answer(&to, &UpstreamError::Tls { to: to.clone(), source });
        assert_eq!(response.status(), 502);
        assert_eq!(response.headers()["x-harproxy"], "live");
        let body = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(response.collect()).unwrap();
        let problem: serde_json::Value = serde_json::from_slice(&body.to_bytes()).unwrap();
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("Expired") && detail.contains("--upstream-ca"), "{detail}");
        assert!(detail.contains("--insecure=https://api.test:8443/**"), "{detail}");
        assert_eq!(problem["kind"], "tls");
    }
}
