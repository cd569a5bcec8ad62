//! The plan of upstream connections.

use super::error::Error;
use crate::cli::args::common::UpstreamArgs;
use harproxy_glob::Globs;
use harproxy_proxy::upstream::UpstreamPlan;

pub(super) fn upstream(args: &UpstreamArgs) -> Result<UpstreamPlan, Error> {
    Ok(UpstreamPlan {
        proxy: args.upstream_proxy.clone().unwrap_or_default(),
        extra_roots: args.upstream_ca.clone(),
        client_certs: args.client_cert.clone(),
        insecure: if args.insecure.is_empty() { None } else { Some(Globs::new(&args.insecure)?) },
        map: args.map.clone(),
        timeouts: args.timeouts(),
    })
}
