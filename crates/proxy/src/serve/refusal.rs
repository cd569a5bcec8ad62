//! Error responses of the engine itself, for requests that no handler gets.

use std::net::SocketAddr;

use ::http::header::{ALLOW, PROXY_AUTHENTICATE};
use ::http::{HeaderValue, Response};

use crate::body::Body;
use crate::limits::H2_MAX_FIELDS;
use crate::respond::problem;
use harproxy_http::problem::Problem;

/// Why the engine refuses a request.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The credentials of `--auth` are missing or wrong.
    Unauthorized,
    /// The request target is not usable; the reason.
    InvalidTarget(String),
    /// The Host inside a CONNECT is not one host with an optional port; the reason.
    InvalidHost(&'static str),
    /// A request in origin form with another Host than the proxy's: a client that does not use the proxy as a proxy, or
    /// a site whose name was rebound to this address.
    Misdirected(SocketAddr),
    /// The proxy has no page at this path.
    UnknownPage,
    /// The method is not allowed on the proxy's own pages.
    ReadOnlyPage,
    /// No `--reverse` prefix matches the path; the prefixes.
    UnknownPrefix(Vec<String>),
    /// The request would be forwarded to the proxy itself.
    Loop(SocketAddr),
    /// A transfer coding other than `chunked`.
    TransferCoding,
    /// An HTTP/2 request has more fields than [`H2_MAX_FIELDS`].
    TooManyFields,
    /// CONNECT where no tunnel is possible; the reason.
    NoTunnel(&'static str),
}

impl Refusal {
    pub(crate) fn problem(&self) -> Problem {
        match self {
            Refusal::Unauthorized => Problem::new(
                407,
                "The proxy needs credentials",
                "Put the user name and password given to --auth into the proxy URL: \
                 http://USER:PASS@host:port. A session is named as USER+SESSION.",
            ),
            Refusal::InvalidTarget(reason) => Problem::new(400, "The request target is not usable", reason),
            Refusal::InvalidHost(reason) => Problem::new(400, "The Host of the request is not usable", *reason),
            Refusal::Misdirected(proxy) => Problem::new(
                421,
                "This is a proxy, not a web server",
                format!(
                    "The request came in origin form for another host than this proxy. Use it as a proxy \
                     (HTTP_PROXY=http://{proxy} HTTPS_PROXY=http://{proxy}), or start harproxy with --reverse URL for \
                     clients that can't use one."
                ),
            ),
            Refusal::UnknownPage => Problem::new(404, "No such page", "harproxy has /, /healthz and /ca.pem."),
            Refusal::ReadOnlyPage => Problem::new(405, "Method not allowed", "harproxy's own pages can only be read."),
            Refusal::UnknownPrefix(prefixes) => Problem::new(
                404,
                "No --reverse has a prefix for this path",
                format!("The prefixes on this port are: {}.", prefixes.join(", ")),
            ),
            Refusal::Loop(proxy) => Problem::new(
                508,
                "The proxy was asked to forward to itself",
                format!(
                    "{proxy} is harproxy's own address. Its own pages (/, /healthz, /ca.pem) can be read; to reach a server \
                     of yours, use the server's port."
                ),
            ),
            Refusal::TransferCoding => Problem::new(
                501,
                "Transfer coding not implemented",
                "Only one `Transfer-Encoding: chunked` can be forwarded; compress with Content-Encoding instead.",
            ),
            Refusal::TooManyFields => Problem::new(
                431,
                "Request header fields too large",
                format!("A request over HTTP/2 may have {H2_MAX_FIELDS} header fields."),
            ),
            Refusal::NoTunnel(reason) => Problem::new(400, "No tunnel can be made here", *reason),
        }
    }

    pub(crate) fn response(&self) -> Response<Body> {
        let mut response = problem(&self.problem(), "");
        match self {
            Refusal::Unauthorized => {
                let challenge = HeaderValue::from_static("Basic realm=\"harproxy\"");
                response.headers_mut().insert(PROXY_AUTHENTICATE, challenge);
            }
            Refusal::ReadOnlyPage => {
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            }
            _ => {}
        }
        response
    }
}
