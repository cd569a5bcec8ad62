//! The routes of a recording: everything is forwarded, and what is in scope is recorded.

use std::sync::Arc;

use super::Recorder;
use super::source::RecordingSource;
use crate::pipeline::{EventBus, Exchange, Marks, Pipeline, Router, RunRedaction, SourceList, TlsRefusal, TunnelRoute};
use crate::verdict::request::ResultKind;
use crate::verdict::{Finding, connections};
use harproxy_http::NormalUrl;
use harproxy_http::url::is_loopback_host;
use harproxy_matching::noise;
use harproxy_proxy::upstream::Upstream;
use harproxy_proxy::{ConnectionEvent, Handler, Origin, Scheme};

impl Recorder {
    /// The handler that records the requests of an engine. Its events go to the bus.
    #[must_use]
    pub fn handler(self: &Arc<Self>, bus: &EventBus) -> Arc<dyn Handler> {
        let recorded: SourceList = Arc::new([Arc::new(RecordingSource(self.clone()))]);
        let forwarded: SourceList = Arc::new([self.live.clone()]);
        let router = RecordRouter { recorder: self.clone(), recorded, forwarded };
        let redaction = Arc::new(RunRedaction::new(self.view.clone()));
        Arc::new(Pipeline::new(Arc::new(router), self.collector.clone(), bus, redaction, Marks::OwnErrors))
    }
}

/// Decides which requests are recorded.
struct RecordRouter {
    recorder: Arc<Recorder>,
    recorded: SourceList,
    forwarded: SourceList,
}

impl RecordRouter {
    /// Returns true if a URL of this host may be recorded. Inside a CONNECT the scheme is not known yet.
    fn may_record(&self, to: &Origin) -> bool {
        let plan = self.recorder.plan();
        [Scheme::Https, Scheme::Http]
            .into_iter()
            .any(|scheme| plan.may_include_origin(&Origin { scheme, ..to.clone() }.to_string()))
    }

    /// The result of a request for this URL: recorded, noise, or passed on to this machine or the network.
    fn result(&self, url: &NormalUrl, connect_to: &Origin) -> ResultKind {
        let plan = self.recorder.plan();
        if !plan.includes(url.as_str()) {
            if url.parts().is_loopback() {
                self.recorder.add_local(url);
            }
            self.recorder.passed.get_or_init(|| {
                let redacted = self.recorder.view.redactor().redact_url(url.as_str());
                redacted.unwrap_or_else(|| url.as_str().to_owned())
            });
            return if is_loopback_host(&connect_to.host) { ResultKind::Local } else { ResultKind::Passed };
        }
        if !plan.noise {
            return ResultKind::Recorded;
        }
        // Browsers request the icon by themselves. It is recorded only if a glob names it.
        let is_icon =
            url.parts().path == "/favicon.ico" && !plan.scope.sources().iter().any(|glob| glob.contains("favicon.ico"));
        if is_icon || noise::is_noise(url) { ResultKind::Noise } else { ResultKind::Recorded }
    }
}

impl Router for RecordRouter {
    fn route(&self, exchange: &mut Exchange<'_>) -> SourceList {
        let result = exchange.url.as_ref().map_or(ResultKind::Passed, |url| self.result(url, &exchange.connect_to));
        let outcome = exchange.outcome();
        outcome.result = Some(result);
        outcome.in_scope = !matches!(result, ResultKind::Passed | ResultKind::Local);
        if result == ResultKind::Recorded { self.recorded.clone() } else { self.forwarded.clone() }
    }

    fn route_tunnel(&self, to: &Origin) -> TunnelRoute {
        let live = self.recorder.live().clone();
        if self.may_record(to) { TunnelRoute::Intercept(live) } else { TunnelRoute::PassThrough(live) }
    }

    fn route_tls_refusal(&self, to: &Origin) -> TlsRefusal {
        if noise::knows(&to.host) { TlsRefusal::Ignore } else { TlsRefusal::Report }
    }

    fn check_tunnel(&self, event: &ConnectionEvent) -> Option<Finding> {
        match event {
            // A tunnel out of scope need not be read.
            ConnectionEvent::TunnelClosed { to, sent, received, .. } if sent + received > 0 && self.may_record(to) => {
                Some(connections::unrecorded_tunnel(&to.host_and_port()))
            }
            ConnectionEvent::TunnelClosed { to, .. } if !self.may_record(to) => {
                let origin = Origin { scheme: Scheme::Https, ..to.clone() };
                let origin = NormalUrl::parse(&format!("{origin}/")).ok().filter(|url| url.parts().is_loopback());
                origin.iter().for_each(|origin| self.recorder.add_local_tunnel(origin));
                None
            }
            _ => None,
        }
    }

    fn upstreams(&self) -> Vec<&Upstream> {
        vec![&self.recorder.live().upstream]
    }
}
