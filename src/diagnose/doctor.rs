//! `harproxy doctor`: forwards all requests and counts them, so that a client that bypasses the proxy or does not trust
//! it can be diagnosed. Nothing is recorded.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::processes::{DirectConnection, Program};
use super::{Evidence, advise};
use crate::pipeline::{
    Collector, EventBus, Exchange, HostCounts, Marks, Pipeline, Router, RunRedaction, SourceList, TlsRefusal,
    TunnelRoute,
};
use crate::source::UpstreamSource;
use crate::verdict::{CheckId, Counts, Finding, RunMode, Severity, Verdict, connections};
use harproxy_matching::noise;
use harproxy_proxy::upstream::{PlanError, Upstream, UpstreamPlan};
use harproxy_proxy::{Handler, Origin};
use harproxy_redact::RedactionView;

#[derive(Debug)]
pub struct Doctor {
    live: Arc<UpstreamSource>,
    collector: Arc<Collector>,
    /// The redaction of logs.
    pub view: Arc<RedactionView>,
}

impl Doctor {
    pub fn new(upstream: UpstreamPlan) -> Result<Self, PlanError> {
        let live = Arc::new(UpstreamSource::live(Upstream::anywhere(upstream)?));
        Ok(Doctor { live, collector: Arc::new(Collector::new(true)), view: Arc::default() })
    }

    /// The handler that forwards the requests of an engine. Its events go to the bus.
    #[must_use]
    pub fn handler(&self, bus: &EventBus) -> Arc<dyn Handler> {
        let router = Arc::new(ForwardAll(self.live.clone()));
        let redaction = Arc::new(RunRedaction::new(self.view.clone()));
        Arc::new(Pipeline::new(router, self.collector.clone(), bus, redaction, Marks::OwnErrors))
    }
}

struct ForwardAll(Arc<UpstreamSource>);

impl Router for ForwardAll {
    fn route(&self, _: &mut Exchange<'_>) -> SourceList {
        Arc::new([self.0.clone()])
    }

    fn route_tunnel(&self, _: &Origin) -> TunnelRoute {
        TunnelRoute::Intercept(self.0.clone())
    }

    fn route_tls_refusal(&self, to: &Origin) -> TlsRefusal {
        if noise::knows(&to.host) { TlsRefusal::Ignore } else { TlsRefusal::Report }
    }

    fn upstreams(&self) -> Vec<&Upstream> {
        vec![&self.0.upstream]
    }
}

/// An origin with its request counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Host {
    /// `https://host:port`, without a default port.
    pub origin: String,
    pub requests: u64,
    /// Number of these requests that failed upstream.
    pub failed: u64,
    pub error: Option<String>,
}

/// Traffic, programs and findings of a run of CMD.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    /// Programs that ran. `None` where processes cannot be observed; direct connections are unknown there too.
    pub programs: Option<Vec<Program>>,
    /// Origins of the requests that the proxy received.
    pub hosts: Vec<Host>,
    /// Number of closed tunnels whose bytes were passed through.
    pub tunnels: u64,
    /// Direct connections that bypassed the proxy.
    pub past: Vec<DirectConnection>,
    /// The reason why `--isolate` does not work on this machine; `None` if it works.
    pub isolation: Option<String>,
    pub findings: Vec<Finding>,
}

/// Checks that make a diagnosis fail.
const FAILING: [CheckId; 3] = [CheckId::BYPASS, CheckId::TLS_REFUSED, CheckId::NO_TRAFFIC];

impl Diagnosis {
    /// Combines the traffic seen by `doctor` with the evidence collected about CMD.
    #[must_use]
    pub fn of(doctor: &Doctor, evidence: Evidence) -> Self {
        let host = |(origin, HostCounts { requests, failed, error, .. }): (Origin, HostCounts)| {
            (requests > 0).then(|| Host { origin: origin.to_string(), requests, failed, error })
        };
        let hosts: Vec<Host> = doctor.collector.hosts().into_iter().filter_map(host).collect();
        let requests = hosts.iter().map(|host| host.requests).sum();
        let mut findings = doctor.collector.findings();
        let Counts { tunnels, unauthorized, .. } = doctor.collector.counts();
        let counts = Counts { requests, tunnels, unauthorized, ..Counts::default() };
        if let Some(keyless) = connections::unauthorized(&counts, CheckId::NO_TRAFFIC, Severity::Error) {
            findings.push(keyless);
        } else if requests == 0 {
            let nothing = Finding::new(CheckId::NO_TRAFFIC, Severity::Error, "nothing came through the proxy");
            let remedy = "see that CMD heeds HTTP_PROXY and HTTPS_PROXY, for hosts on this machine too, or let harproxy stand in for \
                          the API: `--reverse API=URL`";
            findings.push(Finding { hint: Some(remedy.to_owned()), ..nothing });
        }
        let mut verdict = Verdict {
            mode: RunMode::DOCTOR,
            counts,
            findings,
            fixtures: Vec::new(),
            duration_ms: 0,
            rules: Vec::new(),
            observation: None,
        };
        let evidence = Evidence { bypasses: evidence.bypasses.with_possible(), is_doctor: true, ..evidence };
        advise(&mut verdict, &evidence);
        let past = evidence.bypasses.likely;
        Diagnosis { programs: evidence.programs, hosts, tunnels, past, isolation: None, findings: verdict.findings }
    }

    /// Returns true if no finding is for bypassed connections, refused TLS or missing traffic.
    #[must_use]
    pub fn is_well(&self) -> bool {
        !self.findings.iter().any(|finding| FAILING.contains(&finding.check))
    }

    /// Names of the programs that were started without the proxy variables.
    pub fn cleared(&self) -> impl Iterator<Item = &str> {
        self.programs
            .iter()
            .flatten()
            .filter(|program| program.cleared == Some(true))
            .map(|program| program.name.as_str())
    }

    /// Returns the diagnosis as JSON, documented in `docs/guides/doctor.md`. Later versions only add members.
    #[must_use]
    pub fn json(&self) -> Value {
        let past = self.past.iter().map(|DirectConnection { program, to, udp, .. }| {
            json!({"program": program, "address": to, "protocol": if *udp { "udp" } else { "tcp" }})
        });
        json!({
            "schema": "harproxy.doctor/1",
            "well": self.is_well(),
            "programs": self.programs,
            "hosts": self.hosts,
            "tunnels": self.tunnels,
            "past": past.collect::<Vec<_>>(),
            "isolation": self.isolation,
            "findings": self.findings,
        })
    }
}
