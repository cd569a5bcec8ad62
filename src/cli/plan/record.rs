//! The plans of `harproxy record` and `harproxy recover`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::Error;
use super::run::RunPlan;
use super::upstream::upstream;
use crate::cli::args::record::{RecordArgs, RecoverArgs};
use crate::cli::config;
use crate::record::{OnFailure, RecordPlan};
use harproxy_glob::Globs;
use harproxy_proxy::upstream::UpstreamPlan;
use harproxy_redact::Policy;

/// `--twice`: the file for the configuration of volatile values.
#[derive(Clone, Debug)]
pub struct Learning {
    /// The file that the learned lines are added to, with `--write-policy`.
    pub write_to: Option<PathBuf>,
    /// The file that the message names.
    pub file: PathBuf,
}

#[derive(Clone, Debug)]
pub struct RecordJob {
    pub record: RecordPlan,
    pub upstream: UpstreamPlan,
    pub run: RunPlan,
    pub learning: Option<Learning>,
}

impl RecordJob {
    pub fn new(args: RecordArgs) -> Result<Self, Error> {
        if !has_fixture_extension(&args.output) {
            return Err(Error::Ending { output: args.output });
        }
        let config = &args.config.loaded;
        let learning = args.twice.then(|| {
            let file = args.config.config.clone().or_else(config::projects_file).unwrap_or_else(|| config::NAME.into());
            Learning { write_to: args.write_policy.then(|| file.clone()), file }
        });
        let policy = if args.no_redact { Policy::off() } else { config.redact_policy() };
        let policy = Arc::new(policy);
        let record = RecordPlan {
            output: args.output,
            scope: Globs::new(&args.glob)?,
            noise: config.noise(),
            content: args.content,
            update: args.update,
            max_body: args.max_body.map(|size| size.0),
            json_layout: args.json_layout,
            policy: policy.clone(),
            values: if args.no_redact { Vec::new() } else { config.redact_values() },
            on_failure: args.on_failure,
            volatile: config.volatile().clone(),
            rules: config.rules().to_vec(),
        };
        let upstream = upstream(&args.upstream)?;
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
        output: args.output,
        scope: Globs::default(),
        noise: args.config.loaded.noise(),
        content: args.content,
        update: args.update,
        max_body: None,
        json_layout: args.json_layout,
        policy: Arc::new(args.config.loaded.redact_policy()),
        values: args.config.loaded.redact_values(),
        on_failure: OnFailure::default(),
        volatile: args.config.loaded.volatile().clone(),
        rules: args.config.loaded.rules().to_vec(),
    }
}
