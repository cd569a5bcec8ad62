//! Tunnels: what happens to a CONNECT, and the events of connections.

use super::event::RunEvent;
use super::scope::{TlsRefusal, TunnelRoute};
use super::{Pipeline, mark};
use crate::source::UpstreamSource;
use crate::verdict::request::{ResultKind, SourceKind};
use crate::verdict::{CheckId, connections};
use harproxy_http::url::is_loopback_host;
use harproxy_proxy::upstream::{Dialled, UpstreamError};
use harproxy_proxy::{Connection, ConnectionEvent, Origin, Tunnel};
use harproxy_tls::authority::Alpn;

impl Pipeline {
    /// Answers a CONNECT, and dials if its route says so.
    pub(super) async fn open_tunnel(&self, connection: &Connection, to: &Origin) -> Tunnel {
        match self.router.route_tunnel(to) {
            TunnelRoute::Serve => Tunnel::Intercept(None),
            TunnelRoute::Intercept(source) => {
                Tunnel::Intercept(source.upstream.dial_for_intercept(&connection.pool, to).await)
            }
            TunnelRoute::PassThrough(source) => match source.upstream.dial(to).await {
                Ok(dialled) => Tunnel::PassThrough(dialled),
                Err(error) => self.refuse_tunnel(&source, to, error),
            },
        }
    }

    fn refuse_tunnel(&self, source: &UpstreamSource, to: &Origin, error: UpstreamError) -> Tunnel {
        let mut response = source.problem(to, &error);
        let mut outcome = source.failed_outcome(error);
        if is_loopback_host(&to.host) {
            outcome.decide(ResultKind::Local, SourceKind::Local);
        }
        mark(&mut response, &outcome, self.marks);
        self.observer.publish_refused_tunnel(to, &outcome);
        Tunnel::Refuse(response)
    }

    /// Chooses the protocol that a client is offered inside a CONNECT.
    pub(super) async fn choose_protocol(
        &self,
        connection: &Connection,
        to: &Origin,
        offered: &[Vec<u8>],
        dialled: Option<Dialled>,
    ) -> Alpn {
        match self.router.route_tunnel(to) {
            TunnelRoute::Intercept(source) | TunnelRoute::PassThrough(source) => {
                source.upstream.negotiate(&connection.pool, to, offered, dialled).await
            }
            TunnelRoute::Serve if self.router.speaks_h2(to) => Alpn::Http2,
            TunnelRoute::Serve => Alpn::Http1,
        }
    }

    /// Counts and publishes an event of a connection.
    pub(super) fn handle_event(&self, event: &ConnectionEvent) {
        self.observer.bus.publish(&RunEvent::Connection(event));
        match event {
            ConnectionEvent::TunnelClosed { to, .. } => {
                let source = match self.router.route_tunnel(to) {
                    TunnelRoute::PassThrough(_) if is_loopback_host(&to.host) => SourceKind::Local,
                    TunnelRoute::PassThrough(source) | TunnelRoute::Intercept(source) => source.kind,
                    // The fixtures were loaded again since the tunnel was opened.
                    TunnelRoute::Serve => SourceKind::Live,
                };
                self.observer.publish_tunnel(event, source);
                if let Some(finding) = self.router.check_tunnel(event) {
                    self.observer.publish_finding(&finding);
                }
            }
            ConnectionEvent::UnknownProtocol { to } => {
                self.observer.publish_finding(&connections::unreadable_tunnel(
                    &to.host_and_port(),
                    self.router.severity(&CheckId::UNREADABLE),
                ));
            }
            ConnectionEvent::MalformedHead { reason, is_too_long } => {
                let severity = self.router.severity(&CheckId::UNREADABLE);
                self.observer.publish_finding(&connections::malformed_head(reason, *is_too_long, severity));
            }
            ConnectionEvent::Unauthorized => self.collector.count_unauthorized(),
            ConnectionEvent::TlsRefused { to, client, started, refusal } => match self.router.route_tls_refusal(to) {
                TlsRefusal::Report => self.collector.add_refused(to, client.as_deref(), *started, refusal),
                TlsRefusal::Count(result) => self.collector.count(result),
                TlsRefusal::Ignore => {}
            },
            ConnectionEvent::TlsAccepted { to, client } => self.collector.add_accepted(to, client.as_deref()),
        }
    }
}
