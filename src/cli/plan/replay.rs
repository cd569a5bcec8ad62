//! The plan of `harproxy replay`.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::error::{Error, TEST_NOW};
use super::matching::{fixtures_or_default, matching, scope};
use super::run::RunPlan;
use super::upstream::upstream;
use crate::cli::args::replay::ReplayArgs;
use crate::record::{OnFailure, RecordPlan, UpdateMode};
use crate::replay::{FixtureOptions, NetworkPlan, OnMiss, ReplayPlan};
use crate::verdict::FailOn;
use harproxy_glob::Globs;
use harproxy_har::{ContentMode, Fixture, JsonLayout};
use harproxy_proxy::upstream::UpstreamPlan;

#[derive(Clone, Debug)]
pub struct ReplayJob {
    pub replay: ReplayPlan,
    /// The recording of misses, with `--on-miss record`.
    pub record: Option<(RecordPlan, UpstreamPlan)>,
    /// `--prune`: remove unused entries after a run that passed.
    pub prune: bool,
    pub run: RunPlan,
}

impl ReplayJob {
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
            // The fixture does not exist yet, so every request is a miss.
            Some((record, _)) if !record.output.exists() => (Vec::new(), Some(Globs::new(["**"])?)),
            _ => (fixtures_or_default(args.fixtures), None),
        };
        let replay = ReplayPlan {
            fixtures,
            matching: matching(args.matching, &args.config.loaded),
            local: !args.no_local,
            network,
            max_age: args.max_age,
            mark: !args.no_mark,
            answers: FixtureOptions {
                scope: scope(&args.glob)?.or(everything),
                with_cmd,
                fail_on: fail_on(args.fail_on.as_deref(), with_cmd)?,
                on_miss: args.on_miss,
                miss: args.miss_status,
                noise: args.config.loaded.noise(),
                clock: args.clock,
                now: test_now()?,
                latency: args.latency,
                timeouts: args.upstream.timeouts(),
                policy: Arc::new(args.config.loaded.redact_policy()),
            },
        };
        let policy = replay.answers.policy.clone();
        let run = RunPlan::new(args.proxy, &args.upstream, args.run, &args.authority, args.cmd, policy)?;
        Ok(ReplayJob { replay, record, prune: args.prune, run })
    }
}

/// Returns the plan of the recording of misses: into the one replayed fixture, whose entries are unchanged.
fn misses(args: &ReplayArgs) -> Result<(RecordPlan, UpstreamPlan), Error> {
    let [output] = &args.fixtures[..] else { return Err(Error::NoOneFixture) };
    if output.is_dir() {
        return Err(Error::NoOneFixture);
    }
    if in_ci() && !args.allow_ci_record {
        return Err(Error::RecordsInCi);
    }
    let config = &args.config.loaded;
    let record = RecordPlan {
        output: output.clone(),
        scope: if args.glob.is_empty() { Globs::new(recorded_scope(output))? } else { Globs::new(&args.glob)? },
        noise: config.noise(),
        content: ContentMode::default(),
        update: UpdateMode::Missing,
        max_body: None,
        json_layout: JsonLayout::default(),
        policy: Arc::new(config.redact_policy()),
        values: config.redact_values(),
        on_failure: OnFailure::Hold,
        volatile: config.volatile().clone(),
        rules: config.rules().to_vec(),
    };
    Ok((record, upstream(&args.upstream)?))
}

/// Returns true in CI, where fixtures must not change.
fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|ci| ["1", "true"].contains(&&*ci.to_ascii_lowercase()))
}

/// Returns the globs that the fixture was recorded with. An unreadable fixture is reported when the replay opens it.
fn recorded_scope(fixture: &Path) -> Vec<String> {
    let opened = if fixture.exists() { Fixture::open(fixture).ok() } else { None };
    opened.and_then(|fixture| fixture.scope().map(<[String]>::to_vec)).unwrap_or_default()
}

/// Returns the plan of requests that are forwarded to the network; `None` without such an option.
fn network(args: &ReplayArgs) -> Result<Option<NetworkPlan>, Error> {
    if args.passthrough.is_empty() && args.on_miss != OnMiss::Passthrough {
        return Ok(None);
    }
    let named = if args.passthrough.is_empty() { None } else { Some(Globs::new(&args.passthrough)?) };
    Ok(Some(NetworkPlan { named, upstream: upstream(&args.upstream)? }))
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
