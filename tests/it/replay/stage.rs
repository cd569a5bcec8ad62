//! A replay in this process: the proxy engine and the replayer with a fixture from HAR text.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use harproxy::pipeline::EventBus;
use harproxy::replay::{Clock, FixtureOptions, Latency, MissAnswer, OnMiss, ReplayPlan, Replayer};
use harproxy::verdict::explain::RerunCommand;
use harproxy::verdict::{CheckId, FailOn, Finding, Verdict};
use harproxy_glob::Globs;
use harproxy_matching::Options;
use harproxy_proxy::upstream::Timeouts;
use harproxy_proxy::{Proxy, ProxyPlan, Running};
use harproxy_tls::authority::Authority;
use serde_json::{Value, json};

use crate::support::client::{Client, Proto};

/// An entry: `METHOD URL` and members of its response.
pub fn entry(request: &str, response: Value) -> Value {
    let (method, url) = request.split_once(' ').unwrap();
    let mut entry = json!({
        "startedDateTime": "2015-10-21T07:28:00.000Z",
        "time": 1,
        "request": {"method": method, "url": url, "httpVersion": "HTTP/1.1", "headers": [], "cookies": [],
            "queryString": [], "headersSize": -1, "bodySize": 0},
        "response": {"status": 200, "statusText": "OK", "httpVersion": "HTTP/1.1", "headers": [], "cookies": [],
            "content": {"size": 0, "mimeType": ""}, "redirectURL": "", "headersSize": -1, "bodySize": -1},
        "cache": {},
        "timings": {"send": 0, "wait": 0, "receive": 0},
    });
    for (name, value) in response.as_object().unwrap() {
        entry["response"][name] = value.clone();
    }
    entry
}

/// An entry with a text body.
pub fn text(request: &str, body: &str) -> Value {
    entry(request, json!({"content": {"size": body.len(), "mimeType": "text/plain", "text": body}}))
}

/// Adds a request payload to an entry.
pub fn posted(mut entry: Value, body: &str) -> Value {
    entry["request"]["postData"] = json!({"mimeType": "application/json", "text": body});
    entry["request"]["bodySize"] = json!(body.len());
    entry
}

/// An own HAR with this scope.
pub fn own(scope: &[&str], entries: &[Value]) -> Value {
    let mut har = foreign(entries);
    har["log"]["_harproxy"] = json!({"version": 1, "scope": scope});
    har
}

/// A foreign HAR.
pub fn foreign(entries: &[Value]) -> Value {
    json!({"log": {"version": "1.2", "creator": {"name": "test", "version": "1"}, "entries": entries}})
}

/// A running replay.
pub struct Stage {
    _folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    replayer: Arc<Replayer>,
    running: Option<Running>,
    addr: std::net::SocketAddr,
    ca: String,
}

impl Stage {
    /// Replays this HAR as `api.har`, with the defaults of a run with CMD.
    pub fn of(har: &Value) -> Self {
        Stage::with(har, |_| {})
    }

    /// Replays this HAR with changed options.
    pub fn with(har: &Value, change: impl FnOnce(&mut ReplayPlan)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api.har");
        std::fs::write(&path, har.to_string()).unwrap();
        Stage::in_folder(folder, |plan| {
            plan.fixtures = vec![path];
            change(plan);
        })
    }

    /// Replays the fixtures in `folder` with changed options. The folder is removed with the stage.
    pub fn in_folder(folder: tempfile::TempDir, change: impl FnOnce(&mut ReplayPlan)) -> Self {
        let mut plan = plan(folder.path());
        change(&mut plan);
        let replayer = Arc::new(Replayer::open(plan, None).unwrap());
        let authority = Arc::new(Authority::load_or_create(&folder.path().join("ca")).unwrap());
        let ca = authority.cert_pem().to_owned();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (addr, running) = runtime.block_on(async {
            let plan = ProxyPlan {
                listen: "127.0.0.1:0".parse().unwrap(),
                reverse: vec![],
                reverse_tls: false,
                auth: None,
                authority,
                head_timeout: Duration::from_secs(15),
                idle_timeout: Duration::from_secs(60),
            };
            let proxy = Proxy::bind(plan).await.unwrap();
            (proxy.addr(), proxy.serve(replayer.handler(&EventBus::new(Vec::new()))))
        });
        Stage { _folder: folder, runtime, replayer, running: Some(running), addr, ca }
    }

    pub fn addr(&self) -> std::net::SocketAddr {
        self.addr
    }

    /// A client that trusts the CA.
    pub fn client(&self, proto: Proto) -> Client {
        Client::new(self.addr, self.ca.clone(), proto)
    }

    pub fn h1(&self) -> Client {
        self.client(Proto::H1)
    }

    /// Waits until the verdict fulfils a condition.
    #[track_caller]
    pub fn wait_for(&self, condition: impl Fn(&Verdict) -> bool) {
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while !condition(&self.replayer.verdict()) {
            assert!(std::time::Instant::now() < deadline, "condition not fulfilled: {:?}", self.replayer.verdict());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Drains the proxy and returns the verdict.
    pub fn verdict(mut self) -> Verdict {
        if let Some(running) = self.running.take() {
            self.runtime.block_on(running.drain(Duration::from_secs(5)));
        }
        self.replayer.verdict()
    }
}

fn plan(folder: &Path) -> ReplayPlan {
    ReplayPlan {
        fixtures: vec![folder.to_owned()],
        matching: Options::default(),
        local: true,
        network: None,
        routes: None,
        max_age: None,
        mark: true,
        answers: FixtureOptions {
            scope: None,
            with_cmd: true,
            rerun: RerunCommand::default(),
            fail_on: FailOn::standard(true),
            on_miss: OnMiss::Fail,
            miss: MissAnswer::Status(501),
            noise: true,
            clock: Clock::Shift,
            now: None,
            latency: Latency::None,
            timeouts: Timeouts::default(),
            policy: Arc::default(),
        },
    }
}

pub fn globs(globs: &[&str]) -> Option<Globs> {
    Some(Globs::new(globs).unwrap())
}

/// The findings of a kind.
pub fn found(verdict: &Verdict, check: CheckId) -> Vec<&Finding> {
    verdict.findings.iter().filter(|finding| finding.check == check).collect()
}
