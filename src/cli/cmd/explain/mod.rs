//! `harproxy explain`: explains which entry answers a request, with the matcher of `replay`.

mod account;
pub mod requests;

use std::sync::Arc;

use crate::cli::advice::Failure;
use crate::cli::args::diagnose::ExplainArgs;
use crate::cli::plan;
use crate::cli::ui::Ui;
use crate::replay;
use crate::replay::explanation::{AnswerExplanation, with_payload};
use crate::serve::table::RouteTable;
use crate::verdict::exit;
use account::Account;
use harproxy_matching::RequestSession;
use harproxy_redact::RedactionView;

/// Runs the command: answers the requests in order, so that sequences advance.
/// A miss is not an error.
pub fn run(mut args: ExplainArgs, ui: &Ui) -> Result<u8, Failure> {
    let requests = requests::read(&mut args)?;
    let json = args.json;
    let config = &args.config.loaded;
    let (scope, matching) = (plan::scope(&args.glob)?, plan::matching_options(args.matching, config));
    let matcher = replay::open(&plan::fixtures_or_default(args.fixtures), scope, matching)?;
    let table = RouteTable { rules: config.routes.clone(), ..RouteTable::default() };
    let view = Arc::new(RedactionView::new(config.policy.clone(), &config.redact_values()));
    let matcher = matcher.redact_with(view);
    for (n, request) in requests.enumerate() {
        let request = request?;
        let query = request.query();
        let rules = if table.rules.is_empty() { Vec::new() } else { table.explain(&request.facts()) };
        let written = if json {
            let (outcome, body) = with_payload(&matcher, matcher.answer(&query, None));
            let answer = AnswerExplanation::of(&matcher, &args.glob, &outcome, body).with_rules(rules);
            ui.json(&format!("{}\n", serde_json::json!(answer)))
        } else {
            // The candidates before the answer advances the sequence.
            let contenders = matcher.contenders(&query, RequestSession::default());
            let (outcome, body) = with_payload(&matcher, matcher.answer(&query, None));
            let account = Account {
                matcher: &matcher,
                globs: &args.glob,
                query: &query,
                outcome: &outcome,
                contenders: &contenders,
                rules: &rules,
            };
            ui.data(&format!("{}{}\n", if n == 0 { "" } else { "\n" }, account.text(body.as_ref())))
        };
        written.map_err(Failure::Output)?;
    }
    Ok(exit::SUCCESS)
}
