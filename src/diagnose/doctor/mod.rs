//! `harproxy doctor`: forwards all requests and counts them, so that a client that bypasses the proxy or does not trust
//! it can be diagnosed. Nothing is recorded.

mod diagnosis;

pub use diagnosis::{Diagnosis, Host};

use std::sync::Arc;

use crate::pipeline::{Collector, EventBus, Exchange, Marks, Pipeline, Router, SourceList, TunnelRoute};
use crate::source::UpstreamSource;
use harproxy_proxy::upstream::{PlanError, Upstream, UpstreamPlan};
use harproxy_proxy::{Handler, Origin};
use harproxy_redact::Policy;

#[derive(Debug)]
pub struct Doctor {
    live: Arc<UpstreamSource>,
    collector: Arc<Collector>,
}

impl Doctor {
    pub fn new(upstream: UpstreamPlan) -> Result<Self, PlanError> {
        let live = Arc::new(UpstreamSource::live(Upstream::anywhere(upstream)?));
        Ok(Doctor { live, collector: Arc::new(Collector::new(true)) })
    }

    /// The handler that forwards the requests of an engine. Its events go to the bus.
    #[must_use]
    pub fn handler(&self, bus: &EventBus) -> Arc<dyn Handler> {
        let router = ForwardAll { list: Arc::new([self.live.clone()]), live: self.live.clone() };
        let policy = Arc::new(Policy::default());
        Arc::new(Pipeline::new(Arc::new(router), self.collector.clone(), bus, policy, Marks::OwnErrors))
    }
}

struct ForwardAll {
    live: Arc<UpstreamSource>,
    list: SourceList,
}

impl Router for ForwardAll {
    fn route(&self, _: &mut Exchange<'_>) -> SourceList {
        self.list.clone()
    }

    fn route_tunnel(&self, _: &Origin) -> TunnelRoute {
        TunnelRoute::Intercept(self.live.clone())
    }

    fn upstreams(&self) -> Vec<&Upstream> {
        vec![&self.live.upstream]
    }
}
