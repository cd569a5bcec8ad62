//! From what was typed to finished plans: everything that can be wrong with a command line is found here, before a port is
//! opened or a file is touched.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::args::common::{AuthorityArgs, ListenArgs, ProxyArgs, RunArgs, UpstreamArgs};
use super::args::doctor::DoctorArgs;
use super::args::explain::ExplainArgs;
use super::args::record::{RecordArgs, RecoverArgs};
use super::args::replay::{DEFAULT_FIXTURES, MatchingArgs, ReplayArgs};
use super::cmd::record::Learning;
use super::config::{self, Config};
use super::files;
use crate::record::{OnFailure, RecordPlan, UpdateMode};
use crate::replay::{NetworkPlan, OnMiss, ReplayPlan};
use crate::verdict::{FailOn, FailOnError};
use harproxy_glob::{GlobError, Globs};
use harproxy_har::{ContentMode, Fixture, JsonLayout};
use harproxy_matching::Options;
use harproxy_proxy::ProxyPlan;
use harproxy_proxy::server::{Credentials, Reverse};
use harproxy_proxy::upstream::UpstreamPlan;
use harproxy_redact::Policy;
use harproxy_tls::authority::Authority;

/// The port without `--listen` and without CMD.
pub const DEFAULT_PORT: u16 = 8899;

/// What replay takes for the present (RFC 3339), so that a test can say how a fixture ages. Not an option: nobody's run
/// should depend on it.
const TEST_NOW: &str = "HARPROXY_TEST_NOW";

/// What is wrong with a command line beyond the form of one value.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A glob that is not one.
    #[error(transparent)]
    Glob(#[from] GlobError),
    /// Others could use the proxy.
    #[error("listening on {0} would let others use the proxy")]
    Remote(SocketAddr),
    /// A recording into what replay does not take for a fixture.
    #[error("{} ends neither in .har nor in .zip, by which `harproxy replay` finds fixtures", output.display())]
    Ending {
        /// As it was given.
        output: PathBuf,
    },
    /// Two reverse origins under one name or prefix.
    #[error("two --reverse origins are {what}")]
    Twice {
        /// "named `API`", "under `/pay`".
        what: String,
        /// What each is to have of its own.
        own: &'static str,
    },
    /// Variables for a proxy on any free port.
    #[error("port 0 is any free port, which nobody knows before harproxy listens")]
    NoPort,
    /// `--tls` alone.
    #[error("--tls is about --reverse, which is not there")]
    TlsWithoutReverse,
    /// Nowhere to keep the authority.
    #[error(
        "looking for the user's data folder, where the certificate authority lives: neither HOME nor XDG_DATA_HOME is set"
    )]
    NoDataFolder,
    /// `--on-miss record` without one fixture to record into.
    #[error("--on-miss record needs the one fixture that it is to add to")]
    NoOneFixture,
    /// `--on-miss record` where CI=true.
    #[error("--on-miss record would change fixtures in CI")]
    RecordsInCi,
    /// `--prune` where CI=true.
    #[error("--prune would change fixtures in CI")]
    PrunesInCi,
    /// `--prune` and `--on-miss record` at once.
    #[error("--prune takes entries out of the fixture that --on-miss record adds to")]
    PrunesAndRecords,
    /// `HARPROXY_TEST_NOW` is no moment.
    #[error("reading {TEST_NOW}, `{value}`")]
    TestNow {
        /// The value.
        value: String,
        /// What is wrong with it.
        source: time::error::Parse,
    },
    /// A fixture where an entry is asked for.
    #[error("`{0}` names no entry")]
    NoEntry(String),
    /// `--fail-on` has a word that is no kind.
    #[error("reading --fail-on `{list}`")]
    FailOn {
        /// The list as typed.
        list: String,
        /// What is wrong with it.
        source: FailOnError,
    },
}

/// The run around a recording or a replay.
#[derive(Clone, Debug)]
pub struct RunPlan {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Who may use the proxy.
    pub auth: Option<Credentials>,
    /// Origins to listen as.
    pub reverse: Vec<Reverse>,
    /// Whether those speak TLS.
    pub reverse_tls: bool,
    /// `--head-timeout`.
    pub head_timeout: Duration,
    /// `--idle-timeout`.
    pub idle_timeout: Duration,
    /// Where the authority lives.
    pub ca_dir: PathBuf,
    /// `--ready-file`.
    pub ready_file: Option<PathBuf>,
    /// `--report`.
    pub reports: Vec<PathBuf>,
    /// `--grace`.
    pub grace: Duration,
    /// Hosts that CMD reaches without the proxy.
    pub bypass: Vec<String>,
    /// The program and its arguments; empty without CMD.
    pub cmd: Vec<OsString>,
    /// What is secret in what reports show.
    pub policy: Arc<Policy>,
    /// The options that a replay of the same CMD needs too, as they would be typed; of a recording alone.
    pub carried: Vec<OsString>,
}

/// Everything about one `harproxy record`.
#[derive(Clone, Debug)]
pub struct Recording {
    /// What to record.
    pub record: RecordPlan,
    /// The way out.
    pub upstream: UpstreamPlan,
    /// The run around it.
    pub run: RunPlan,
    /// `--twice`.
    pub learning: Option<Learning>,
}

/// Everything about one `harproxy replay`.
#[derive(Clone, Debug)]
pub struct Replaying {
    /// What to replay.
    pub replay: ReplayPlan,
    /// What becomes of misses, with `--on-miss record`.
    pub record: Option<(RecordPlan, UpstreamPlan)>,
    /// `--prune`: what a run that passed did not use goes.
    pub prune: bool,
    /// The run around it.
    pub run: RunPlan,
}

impl Recording {
    /// Settles a recording.
    ///
    /// # Errors
    /// [`Error`].
    pub fn new(args: RecordArgs) -> Result<Self, Error> {
        if !may_be_fixture(&args.output) {
            return Err(Error::Ending { output: args.output });
        }
        let said = &args.config.said;
        let learning = args.twice.then(|| {
            let file = args.config.config.clone().or_else(config::projects_file).unwrap_or_else(|| config::NAME.into());
            Learning { write_to: args.write_policy.then(|| file.clone()), file }
        });
        let policy = if args.no_redact { Policy::off() } else { said.redact_policy() };
        let policy = Arc::new(policy);
        let record = RecordPlan {
            output: args.output,
            scope: Globs::new(&args.glob)?,
            noise: said.noise(),
            content: args.content,
            update: args.update,
            max_body: args.max_body.map(|size| size.0),
            json_layout: args.json_layout,
            policy: policy.clone(),
            values: if args.no_redact { Vec::new() } else { said.redact_values() },
            on_failure: args.on_failure,
            volatile: said.volatile().clone(),
            rules: said.rules().to_vec(),
        };
        let upstream = upstream(&args.upstream)?;
        let run = RunPlan::new(args.proxy, &args.upstream, args.run, &args.authority, args.cmd, policy)?;
        let run = RunPlan { carried: args.carried, ..run };
        Ok(Recording { record, upstream, run, learning })
    }
}

/// Whether a recording may go there. That a folder is none it is told by itself.
fn may_be_fixture(output: &Path) -> bool {
    let ending = output.extension().unwrap_or_default();
    let is_folder = output.is_dir() || output.as_os_str().as_encoded_bytes().ends_with(b"/");
    is_folder || ["har", "zip"].iter().any(|known| ending.eq_ignore_ascii_case(known))
}

/// Settles `harproxy recover`: what was recorded says itself what its scope was.
#[must_use]
pub fn recovering(args: RecoverArgs) -> RecordPlan {
    RecordPlan {
        output: args.output,
        scope: Globs::default(),
        noise: args.config.said.noise(),
        content: args.content,
        update: args.update,
        max_body: None,
        json_layout: args.json_layout,
        policy: Arc::new(args.config.said.redact_policy()),
        values: args.config.said.redact_values(),
        on_failure: OnFailure::default(),
        volatile: args.config.said.volatile().clone(),
        rules: args.config.said.rules().to_vec(),
    }
}

impl Replaying {
    /// Settles a replay.
    ///
    /// # Errors
    /// [`Error`].
    pub fn new(args: ReplayArgs) -> Result<Self, Error> {
        let with_cmd = !args.cmd.is_empty();
        match (args.prune, args.on_miss) {
            (true, OnMiss::Record) => return Err(Error::PrunesAndRecords),
            (true, _) if in_ci() => return Err(Error::PrunesInCi),
            _ => {}
        }
        let network = network(&args)?;
        let record = if args.on_miss == OnMiss::Record { Some(misses(&args)?) } else { None };
        let (fixtures, everything) = match &record {
            // Everything is missing yet.
            Some((record, _)) if !record.output.exists() => (Vec::new(), Some(Globs::new(["**"])?)),
            _ => (fixtures_or_default(args.fixtures), None),
        };
        let replay = ReplayPlan {
            fixtures,
            scope: scope(&args.glob)?.or(everything),
            with_cmd,
            matching: matching(args.matching, &args.config.said),
            noise: args.config.said.noise(),
            local: !args.no_local,
            on_miss: args.on_miss,
            network,
            latency: args.latency,
            max_age: args.max_age,
            miss: args.miss_status,
            policy: Arc::new(args.config.said.redact_policy()),
            mark: !args.no_mark,
            clock: args.clock,
            now: test_now()?,
            fail_on: fail_on(args.fail_on.as_deref(), with_cmd)?,
            timeouts: args.upstream.timeouts(),
        };
        let policy = replay.policy.clone();
        let run = RunPlan::new(args.proxy, &args.upstream, args.run, &args.authority, args.cmd, policy)?;
        Ok(Replaying { replay, record, prune: args.prune, run })
    }
}

/// Everything about one `harproxy doctor`.
#[derive(Clone, Debug)]
pub struct Doctoring {
    /// The way out.
    pub upstream: UpstreamPlan,
    /// The run around it.
    pub run: RunPlan,
}

impl Doctoring {
    /// Settles it.
    ///
    /// # Errors
    /// [`Error`].
    pub fn new(args: DoctorArgs) -> Result<Self, Error> {
        let (grace, head_timeout) = (Duration::from_secs(1), Duration::from_secs(15));
        let proxy =
            ProxyArgs { listen: args.listen, allow_remote: false, reverse: Vec::new(), tls: false, head_timeout };
        let run = RunArgs { report: Vec::new(), ready_file: None, grace };
        let policy = Arc::new(args.config.said.redact_policy());
        let run = RunPlan::new(proxy, &args.upstream, run, &args.authority, args.cmd, policy)?;
        Ok(Doctoring { upstream: upstream(&args.upstream)?, run })
    }
}

/// Everything about one `harproxy explain` but the requests: what a replay would look into, and how.
#[derive(Clone, Debug)]
pub struct Explaining {
    /// Fixtures and folders, in order.
    pub fixtures: Vec<PathBuf>,
    /// `-g`.
    pub scope: Option<Globs>,
    /// Matching options.
    pub matching: Options,
    /// What is secret in what is told of requests.
    pub policy: Arc<Policy>,
}

impl Explaining {
    /// Settles it.
    ///
    /// # Errors
    /// [`Error`].
    pub fn new(args: ExplainArgs) -> Result<Self, Error> {
        Ok(Explaining {
            fixtures: fixtures_or_default(args.fixtures),
            scope: scope(&args.glob)?,
            policy: Arc::new(args.config.said.redact_policy()),
            matching: matching(args.matching, &args.config.said),
        })
    }
}

impl RunPlan {
    fn new(
        proxy: ProxyArgs,
        upstream: &UpstreamArgs,
        run: RunArgs,
        authority: &AuthorityArgs,
        cmd: Vec<OsString>,
        policy: Arc<Policy>,
    ) -> Result<Self, Error> {
        let listen = listen(&proxy.listen, !cmd.is_empty());
        if !listen.ip().is_loopback() && proxy.listen.auth.is_none() && !proxy.allow_remote {
            return Err(Error::Remote(listen));
        }
        if proxy.tls && proxy.reverse.is_empty() {
            return Err(Error::TlsWithoutReverse);
        }
        each_once(&proxy.reverse)?;
        Ok(RunPlan {
            listen,
            auth: proxy.listen.auth,
            reverse: proxy.reverse,
            reverse_tls: proxy.tls,
            head_timeout: proxy.head_timeout,
            idle_timeout: upstream.idle_timeout,
            ca_dir: ca_dir(authority)?,
            ready_file: run.ready_file,
            reports: run.report,
            grace: run.grace,
            bypass: proxy.listen.bypass,
            cmd,
            policy,
            carried: Vec::new(),
        })
    }

    /// Nothing has been done yet, and who waits for the run to be ready is not to find what an earlier one said.
    pub fn begin(&self) {
        self.ready_file.iter().for_each(|path| files::forget(path));
    }

    /// The plan of the engine.
    #[must_use]
    pub fn proxy(&self, authority: Arc<Authority>) -> ProxyPlan {
        ProxyPlan {
            listen: self.listen,
            reverse: self.reverse.clone(),
            reverse_tls: self.reverse_tls,
            auth: self.auth.clone(),
            authority,
            head_timeout: self.head_timeout,
            idle_timeout: self.idle_timeout,
        }
    }
}

/// Where to listen: as typed, else the well-known port, else (CMD is told) any.
#[must_use]
pub fn listen(args: &ListenArgs, with_cmd: bool) -> SocketAddr {
    let port = if with_cmd { 0 } else { DEFAULT_PORT };
    args.listen.map_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port), |listen| listen.0)
}

/// `--ca-dir`, else the user's data folder; absolute, since CMD and `--ready-file` are told files in it.
///
/// # Errors
/// [`Error::NoDataFolder`].
pub fn ca_dir(args: &AuthorityArgs) -> Result<PathBuf, Error> {
    let dir = args.ca_dir.clone().or_else(Authority::default_dir).ok_or(Error::NoDataFolder)?;
    Ok(absolute(&dir))
}

/// The path from the root; as given when the working directory is gone.
#[must_use]
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// How misses are recorded: into the one fixture that is replayed, of which nothing is changed.
fn misses(args: &ReplayArgs) -> Result<(RecordPlan, UpstreamPlan), Error> {
    let [output] = &args.fixtures[..] else { return Err(Error::NoOneFixture) };
    if output.is_dir() {
        return Err(Error::NoOneFixture);
    }
    if in_ci() && !args.allow_ci_record {
        return Err(Error::RecordsInCi);
    }
    let said = &args.config.said;
    let record = RecordPlan {
        output: output.clone(),
        scope: if args.glob.is_empty() { Globs::new(recorded_scope(output))? } else { Globs::new(&args.glob)? },
        noise: said.noise(),
        content: ContentMode::default(),
        update: UpdateMode::Missing,
        max_body: None,
        json_layout: JsonLayout::default(),
        policy: Arc::new(said.redact_policy()),
        values: said.redact_values(),
        on_failure: OnFailure::Hold,
        volatile: said.volatile().clone(),
        rules: said.rules().to_vec(),
    };
    Ok((record, upstream(&args.upstream)?))
}

/// Whether this is a run of CI, where fixtures are not to change.
fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|ci| ["1", "true"].contains(&&*ci.to_ascii_lowercase()))
}

/// The globs that a fixture says it was recorded with. One that can't be read is told of when it is opened.
fn recorded_scope(fixture: &Path) -> Vec<String> {
    let opened = if fixture.exists() { Fixture::open(fixture).ok() } else { None };
    opened.and_then(|fixture| fixture.scope().map(<[String]>::to_vec)).unwrap_or_default()
}

/// What may go to the network by itself; `None` unless an option says so.
fn network(args: &ReplayArgs) -> Result<Option<NetworkPlan>, Error> {
    if args.passthrough.is_empty() && args.on_miss != OnMiss::Passthrough {
        return Ok(None);
    }
    let named = if args.passthrough.is_empty() { None } else { Some(Globs::new(&args.passthrough)?) };
    Ok(Some(NetworkPlan { named, upstream: upstream(&args.upstream)? }))
}

fn upstream(args: &UpstreamArgs) -> Result<UpstreamPlan, Error> {
    Ok(UpstreamPlan {
        proxy: args.upstream_proxy.clone().unwrap_or_default(),
        extra_roots: args.upstream_ca.clone(),
        client_certs: args.client_cert.clone(),
        insecure: if args.insecure.is_empty() { None } else { Some(Globs::new(&args.insecure)?) },
        map: args.map.clone(),
        timeouts: args.timeouts(),
    })
}

/// The fixtures and folders that were named, else the usual folder.
#[must_use]
pub fn fixtures_or_default(given: Vec<PathBuf>) -> Vec<PathBuf> {
    if given.is_empty() { vec![DEFAULT_FIXTURES.into()] } else { given }
}

fn scope(globs: &[String]) -> Result<Option<Globs>, Error> {
    Ok(if globs.is_empty() { None } else { Some(Globs::new(globs)?) })
}

fn matching(args: MatchingArgs, config: &Config) -> Options {
    Options {
        repeat: args.repeat,
        redirects: args.redirects,
        match_body: args.match_body,
        match_headers: args.match_header,
        ignore_query: args.ignore_query,
        ignore_body: args.ignore_body,
        same_host: args.same_host,
        score_all_headers: args.score_all_headers,
        missing_body: args.missing_body,
        rules: config.rules().to_vec(),
        values: config.redact_values(),
    }
}

fn test_now() -> Result<Option<SystemTime>, Error> {
    let Some(value) = std::env::var(TEST_NOW).ok().filter(|value| !value.is_empty()) else { return Ok(None) };
    let at = OffsetDateTime::parse(&value, &Rfc3339).map_err(|source| Error::TestNow { value, source })?;
    Ok(Some(at.into()))
}

fn fail_on(list: Option<&str>, with_cmd: bool) -> Result<FailOn, Error> {
    match list {
        None => Ok(FailOn::standard(with_cmd)),
        Some(list) => FailOn::parse(list, with_cmd).map_err(|source| Error::FailOn { list: list.to_owned(), source }),
    }
}

fn each_once(reverse: &[Reverse]) -> Result<(), Error> {
    const NAME: &str = "name of its own: `--reverse billing=https://api.example.com`";
    const PREFIX: &str = "prefix of its own: `--reverse BILLING=/billing=https://api.example.com`";
    let (mut names, mut prefixes) = (BTreeSet::new(), BTreeSet::new());
    for origin in reverse {
        if !names.insert(&origin.name) {
            return Err(Error::Twice { what: format!("named `{}`", origin.name), own: NAME });
        }
        if let Some(prefix) = &origin.prefix
            && !prefixes.insert(prefix)
        {
            return Err(Error::Twice { what: format!("under `{prefix}`"), own: PREFIX });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
