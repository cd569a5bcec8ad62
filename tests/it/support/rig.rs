//! A recorder and its proxy in this process, in front of an origin.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use harproxy::pipeline::EventBus;
use harproxy::record::{CmdEnd, Error, OnFailure, RecordPlan, Recorder, RecordingResult, UpdateMode, Volatile};
use harproxy_glob::Globs;
use harproxy_har::Fixture;
use harproxy_har::write::{ContentMode, JsonLayout};
use harproxy_proxy::upstream::{Mapping, Timeouts, Upstream, UpstreamPlan, UpstreamProxy};
use harproxy_proxy::{Proxy, ProxyPlan, Running};
use harproxy_tls::authority::Authority;

use super::client::{Client, Proto};
use super::origin::Origin;
use super::repo;
use super::sandbox::Sandbox;

pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running recording.
pub struct Rig {
    runtime: tokio::runtime::Runtime,
    running: Running,
    pub recorder: Arc<Recorder>,
    pub proxy: SocketAddr,
    pub ca: String,
}

/// The settings of a recording.
pub struct Setup {
    pub record: RecordPlan,
    pub upstream: UpstreamPlan,
}

/// Settings that record `api.test` into `hars/api.har` of this folder. No host is mapped yet.
pub fn setup(sandbox: &Sandbox) -> Setup {
    Setup {
        record: RecordPlan {
            output: sandbox.join("hars/api.har"),
            scope: Globs::new(["**/api/**"]).unwrap(),
            named: Vec::new(),
            content: ContentMode::Embed,
            noise: true,
            update: UpdateMode::Merge,
            max_body: None,
            max_decoded: harproxy_http::DecodeLimit::default(),
            json_layout: JsonLayout::Indent,
            policy: Arc::default(),
            values: Vec::new(),
            record_failures: true,
            on_failure: OnFailure::Hold,
            volatile: Volatile::default(),
            rules: Vec::new(),
        },
        upstream: UpstreamPlan {
            proxy: UpstreamProxy::Direct,
            extra_roots: vec![repo("certs/ca.pem")],
            timeouts: Timeouts { connect: PATIENCE, idle: PATIENCE, answer: PATIENCE },
            ..UpstreamPlan::default()
        },
    }
}

impl Setup {
    /// Maps `api.test` and `app.test` to this origin.
    pub fn to(self, origin: &Origin) -> Self {
        self.map("api.test", origin.http, origin.https).map("app.test", origin.http, origin.https)
    }

    /// Maps a host to these addresses.
    pub fn map(mut self, host: &str, http: SocketAddr, https: SocketAddr) -> Self {
        for (port, addr) in [(80, http), (443, https)] {
            self.upstream.map.push(Mapping {
                host: host.into(),
                port: Some(port),
                to_host: addr.ip().to_string(),
                to_port: Some(addr.port()),
            });
        }
        self
    }

    pub fn globs<const N: usize>(mut self, globs: [&str; N]) -> Self {
        self.record.scope = Globs::new(globs).unwrap();
        self
    }

    /// Starts recording.
    pub fn start(self, sandbox: &Sandbox) -> Result<Rig, Error> {
        let authority = Arc::new(Authority::load_or_create(&sandbox.join("ca")).unwrap());
        let record = self.record;
        let recorder = Arc::new(Recorder::start(record, Upstream::anywhere(self.upstream)?)?);
        let ca = authority.cert_pem().to_owned();
        let plan = ProxyPlan {
            listen: "127.0.0.1:0".parse().unwrap(),
            reverse: Vec::new(),
            reverse_tls: false,
            auth: None,
            authority,
            head_timeout: PATIENCE,
            idle_timeout: PATIENCE,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (proxy, running) = runtime.block_on(async {
            let proxy = Proxy::bind(plan).await.unwrap();
            (proxy.addr(), proxy.serve(recorder.handler(&EventBus::new(Vec::new()))))
        });
        Ok(Rig { runtime, running, recorder, proxy, ca })
    }
}

impl Rig {
    pub fn client(&self, proto: Proto) -> Client {
        Client::new(self.proxy, self.ca.clone(), proto)
    }

    /// Ends the recording.
    pub fn finish(self, ending: CmdEnd) -> RecordingResult {
        self.finish_within(Duration::from_millis(200), ending)
    }

    /// Like [`Rig::finish`], but waits up to `limit` for exchanges in progress.
    pub fn finish_within(self, limit: Duration, ending: CmdEnd) -> RecordingResult {
        self.runtime.block_on(self.running.drain(limit));
        self.recorder.finalise(ending).unwrap()
    }

    /// Ends the recording without finalising it, like a kill.
    pub fn kill(self) {
        self.runtime.block_on(self.running.drain(Duration::ZERO));
    }
}

/// The answers of a fixture: method, URL, status, payload.
pub fn answers(path: &Path) -> Vec<(String, String, i32, Vec<u8>)> {
    let fixture = Fixture::open(path).unwrap();
    let answer = |at: usize| {
        let entry = fixture.entry(at).unwrap();
        let payload = fixture.payload(at, &entry.response.content).unwrap().bytes().unwrap();
        (entry.request.method.clone(), entry.request.url.clone(), entry.response.status, payload.to_vec())
    };
    (0..fixture.heads().len()).map(answer).collect()
}
