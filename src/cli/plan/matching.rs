//! Fixtures, scope and matching options, which `replay` and `explain` share.

use std::path::PathBuf;

use super::error::Error;
use crate::cli::args::replay::{DEFAULT_FIXTURES, MatchingArgs};
use crate::cli::config::Config;
use harproxy_glob::Globs;
use harproxy_matching::Options;

/// Returns the given fixtures and folders, or the default folder.
#[must_use]
pub fn fixtures_or_default(given: Vec<PathBuf>) -> Vec<PathBuf> {
    if given.is_empty() { vec![DEFAULT_FIXTURES.into()] } else { given }
}

pub(super) fn scope(globs: &[String]) -> Result<Option<Globs>, Error> {
    Ok(if globs.is_empty() { None } else { Some(Globs::new(globs)?) })
}

pub(super) fn matching(args: MatchingArgs, config: &Config) -> Options {
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
