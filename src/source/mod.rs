//! Sources: the components that can answer a request. The pipeline asks them in the order of the route.

mod cors;
pub mod fixture;
mod refusal;
mod request_view;
mod upstream;

pub use cors::{allow_page, is_preflight};
pub use refusal::RefusingSource;
pub use upstream::{UpstreamSource, advice};

use ::http::Response;

use crate::pipeline::Exchange;
use harproxy_proxy::{Body, BoxFuture};

/// A component that can answer requests.
pub trait Source: Send + Sync {
    /// Answers a request, and writes result, source and findings into its outcome.
    fn answer<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> BoxFuture<'a, Answer>;
}

pub enum Answer {
    Response(Response<Body>),
    /// None: ask the next source.
    Pass,
    /// Close the connection without a response.
    Close,
}
