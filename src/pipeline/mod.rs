//! The pipeline: every request takes the same path, in stages.
//!
//! | stage | file |
//! | --- | --- |
//! | identify: session, URL, id | [`exchange`] |
//! | scope: the sources that may answer | [`scope`] |
//! | answer: the first source that does | [`crate::source`] |
//! | send: mark, outcome, end of the response | [`observe`] |
//!
//! [`Outcome`] is the account of a request. [`event`] publishes it to subscribers: [`collector`] (counts and findings),
//! [`log`] (rows for reports, log lines), and the live list.

mod collector;
pub mod event;
mod exchange;
mod log;
mod observe;
pub mod outcome;
mod redaction;
pub mod scope;
mod sessions;
mod tunnel;

pub use collector::{Collector, HostCounts};
pub use event::{EventBus, RunEvent, Subscriber};
pub use exchange::Exchange;
pub use log::{AccessLog, RequestLog};
pub use observe::{Observer, ends_with_head};
pub use outcome::Outcome;
pub use redaction::RunRedaction;
pub use scope::{Router, SourceList, TlsRefusal, TunnelRoute};
pub use sessions::{ExchangeSession, NameError, Sessions};

use std::sync::Arc;

use ::http::{HeaderName, Response};

use crate::source::Answer;
use harproxy_proxy::respond::MARK;
use harproxy_proxy::upstream::{Dialled, Upstream};
use harproxy_proxy::{
    Body, BoxFuture, Close, Connection, ConnectionEvent, Exchange as Received, Handler, Origin, Tunnel,
};
use harproxy_tls::authority::Alpn;

/// The responses that get an `x-harproxy` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marks {
    All,
    /// Those that harproxy made because upstream sent none. A recording client should get what upstream sent.
    OwnErrors,
    /// None (`--no-mark`).
    None,
}

impl Marks {
    fn include(self, outcome: &Outcome) -> bool {
        match self {
            Marks::All => true,
            Marks::OwnErrors => outcome.upstream_error.is_some(),
            Marks::None => false,
        }
    }
}

/// The handler of the engine, in every mode.
pub struct Pipeline {
    router: Arc<dyn Router>,
    collector: Arc<Collector>,
    observer: Arc<Observer>,
    marks: Marks,
}

impl Pipeline {
    /// A pipeline with these routes. It publishes on the bus, and notifies the collector first.
    #[must_use]
    pub fn new(
        router: Arc<dyn Router>,
        collector: Arc<Collector>,
        bus: &EventBus,
        redaction: Arc<RunRedaction>,
        marks: Marks,
    ) -> Self {
        let observer = Arc::new(Observer { bus: bus.with(collector.clone()), redaction });
        Pipeline { router, collector, observer, marks }
    }

    async fn run(&self, connection: &Connection, received: Received) -> Result<Response<Body>, Close> {
        let mut exchange = Exchange::identify(self.observer.clone(), connection, received);
        let sources = self.router.route(&mut exchange);
        exchange.observation.learn_secrets(&exchange.request);
        let mut answer = Answer::Pass;
        for source in &*sources {
            answer = source.answer(&mut exchange).await;
            if !matches!(answer, Answer::Pass) {
                break;
            }
        }
        let answer = match answer {
            Answer::Response(mut response) => {
                mark(&mut response, exchange.outcome(), self.marks);
                Ok(response)
            }
            Answer::Close | Answer::Pass => Err(Close),
        };
        exchange.observation.answer(answer)
    }
}

impl Handler for Pipeline {
    fn tunnel<'a>(&'a self, connection: &'a Connection, to: &'a Origin) -> BoxFuture<'a, Tunnel> {
        Box::pin(self.open_tunnel(connection, to))
    }

    fn alpn<'a>(
        &'a self,
        connection: &'a Connection,
        to: &'a Origin,
        offered: &'a [Vec<u8>],
        dialled: Option<Dialled>,
    ) -> BoxFuture<'a, Alpn> {
        Box::pin(self.choose_protocol(connection, to, offered, dialled))
    }

    fn handle<'a>(
        &'a self,
        connection: &'a Connection,
        exchange: Received,
    ) -> BoxFuture<'a, Result<Response<Body>, Close>> {
        Box::pin(self.run(connection, exchange))
    }

    fn event(&self, event: ConnectionEvent) {
        self.handle_event(&event);
    }

    fn upstreams(&self) -> Vec<&Upstream> {
        self.router.upstreams()
    }
}

/// Sets the `x-harproxy` header of a response.
fn mark(response: &mut Response<Body>, outcome: &Outcome, marks: Marks) {
    if marks.include(outcome)
        && let Some(mark) = outcome.mark()
    {
        response.headers_mut().insert(HeaderName::from_static(MARK), mark);
    }
}
