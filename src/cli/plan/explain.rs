//! The plan of `harproxy explain`.

use std::path::PathBuf;
use std::sync::Arc;

use super::error::Error;
use super::matching::{fixtures_or_default, matching, scope};
use crate::cli::args::explain::ExplainArgs;
use harproxy_glob::Globs;
use harproxy_matching::Options;
use harproxy_redact::Policy;

/// The plan of one `harproxy explain`, without the requests: fixtures, scope and matching options of a replay.
#[derive(Clone, Debug)]
pub struct ExplainJob {
    pub fixtures: Vec<PathBuf>,
    pub scope: Option<Globs>,
    pub matching: Options,
    pub policy: Arc<Policy>,
}

impl ExplainJob {
    pub fn new(args: ExplainArgs) -> Result<Self, Error> {
        Ok(ExplainJob {
            fixtures: fixtures_or_default(args.fixtures),
            scope: scope(&args.glob)?,
            policy: Arc::new(args.config.loaded.redact_policy()),
            matching: matching(args.matching, &args.config.loaded),
        })
    }
}
