//! The plan of `harproxy doctor`.

use std::sync::Arc;
use std::time::Duration;

use super::error::Error;
use super::run::RunPlan;
use super::upstream::upstream;
use crate::cli::args::common::{ProxyArgs, RunArgs};
use crate::cli::args::doctor::DoctorArgs;
use harproxy_proxy::upstream::UpstreamPlan;

#[derive(Clone, Debug)]
pub struct DoctorJob {
    pub upstream: UpstreamPlan,
    pub run: RunPlan,
}

impl DoctorJob {
    pub fn new(args: DoctorArgs) -> Result<Self, Error> {
        let (grace, head_timeout) = (Duration::from_secs(1), Duration::from_secs(15));
        let proxy =
            ProxyArgs { listen: args.listen, allow_remote: false, reverse: Vec::new(), tls: false, head_timeout };
        let run = RunArgs { report: Vec::new(), ready_file: None, grace };
        let policy = Arc::new(args.config.loaded.redact_policy());
        let run = RunPlan::new(proxy, &args.upstream, run, &args.authority, args.cmd, policy)?;
        Ok(DoctorJob { upstream: upstream(&args.upstream)?, run })
    }
}
