//! The plans of `harproxy record` and `harproxy recover`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::run::{RunPlan, upstream_plan};
use crate::cli::args::record::{RecordArgs, RecoverArgs};
use crate::cli::command_error::CommandError;
use crate::cli::config::{self, Config};
use crate::record::{OnFailure, RecordPlan, UpdateMode};
use harproxy_glob::Globs;
use harproxy_har::{ContentMode, JsonLayout};
use harproxy_proxy::upstream::UpstreamPlan;
use harproxy_redact::Policy;
use harproxy_support::shell_quote;

/// `--twice`: the file for the configuration of volatile values.
#[derive(Clone, Debug)]
pub struct Learning {
    /// The file that the message names.
    pub file: PathBuf,
    /// `--write-policy`: add the learned lines to the file.
    pub write: bool,
}

#[derive(Clone, Debug)]
pub struct RecordJob {
    pub record: RecordPlan,
    pub upstream: UpstreamPlan,
    pub run: RunPlan,
    pub learning: Option<Learning>,
}

impl RecordJob {
    pub fn new(args: RecordArgs) -> Result<Self, CommandError> {
        if !has_fixture_extension(&args.output) {
            let har = shell_quote::path(&args.output.with_extension("har"));
            return Err(CommandError::new(
                format!(
                    "{} ends neither in .har nor in .zip, by which `harproxy replay` finds fixtures",
                    args.output.display()
                ),
                format!(
                    "`-o {har}` has its payloads in a folder beside it, `.zip` is one archive; `.har.gz` is read, not written"
                ),
            ));
        }
        let learning = args.twice.then(|| {
            let file = args.config.config.clone().or_else(config::projects_file).unwrap_or_else(|| config::NAME.into());
            Learning { file, write: args.write_policy }
        });
        let mut record = RecordPlan {
            scope: Globs::new(&args.glob)?,
            content: args.content,
            update: args.update,
            max_body: args.max_body,
            json_layout: args.json_layout,
            on_failure: args.on_failure,
            ..record_plan(args.output, &args.config.loaded)
        };
        if args.no_redact {
            (record.policy, record.values) = (Arc::new(Policy::off()), Vec::new());
        }
        let upstream = upstream_plan(&args.upstream)?;
        let policy = record.policy.clone();
        let run = RunPlan::new(args.proxy, &args.upstream, args.run, &args.authority, args.cmd, policy)?;
        let run = RunPlan { replay_options: args.replay_options, ..run };
        Ok(RecordJob { record, upstream, run, learning })
    }
}

/// Returns true if the recorder accepts the path. Folders pass: the recorder has a better error for them.
fn has_fixture_extension(output: &Path) -> bool {
    let ending = output.extension().unwrap_or_default();
    let is_folder = output.is_dir() || output.as_os_str().as_encoded_bytes().ends_with(b"/");
    is_folder || ["har", "zip"].iter().any(|known| ending.eq_ignore_ascii_case(known))
}

/// Returns the plan of `harproxy recover`. The journal has the scope.
#[must_use]
pub fn recover_plan(args: RecoverArgs) -> RecordPlan {
    RecordPlan {
        content: args.content,
        update: args.update,
        json_layout: args.json_layout,
        ..record_plan(args.output, &args.config.loaded)
    }
}

/// Returns the plan of a recording with the settings of the configuration and the defaults of all options.
#[must_use]
pub fn record_plan(output: PathBuf, config: &Config) -> RecordPlan {
    RecordPlan {
        output,
        scope: Globs::default(),
        noise: config.noise(),
        content: ContentMode::default(),
        update: UpdateMode::default(),
        max_body: None,
        json_layout: JsonLayout::default(),
        policy: config.policy.clone(),
        values: config.redact_values(),
        on_failure: OnFailure::default(),
        volatile: config.volatile.clone(),
        rules: config.rules.clone(),
    }
}
