//! One line of log for each request that was answered, at the level `info`. Without its query: that is where secrets are.

use std::time::Instant;

use ::http::{Method, Response};

use crate::body::Body;
use crate::handler::{Close, Exchange, Handler};
use crate::respond::MARK;

/// What of a request is told once its answer is there.
pub(super) struct Access {
    method: Method,
    /// Origin and path.
    url: String,
    at: Instant,
}

impl Access {
    /// Whether somebody listens.
    pub(super) fn is_told() -> bool {
        tracing::enabled!(tracing::Level::INFO)
    }

    /// Keeps what is to be told; nothing if nobody listens.
    pub(super) fn of(exchange: &Exchange, handler: &dyn Handler) -> Option<Self> {
        Access::is_told().then(|| {
            let url = format!("{}{}", exchange.origin, exchange.request.uri().path());
            let url = handler.told(exchange.request.headers(), &url).into_owned();
            Access { method: exchange.request.method().clone(), url, at: exchange.at }
        })
    }

    /// Tells it: the status, and the mark that says where the answer came from.
    pub(super) fn log(self, answered: &Result<Response<Body>, Close>) {
        let Access { method, url, at } = self;
        let took = at.elapsed().as_millis();
        match answered {
            Ok(response) => {
                let mark = response.headers().get(MARK).and_then(|mark| mark.to_str().ok()).unwrap_or_default();
                tracing::info!("{method} {url} {} in {took} ms {mark}", response.status().as_u16());
            }
            Err(Close) => tracing::info!("{method} {url} closed without an answer in {took} ms"),
        }
    }
}
