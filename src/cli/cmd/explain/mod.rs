//! `harproxy explain`: explains which entry answers a request, with the matcher of `replay`.

mod account;
mod answer;
pub mod requests;

use crate::cli::advice::Failure;
use crate::cli::args::explain::ExplainArgs;
use crate::cli::plan::ExplainJob;
use crate::cli::ui::Ui;
use crate::replay;
use crate::verdict::exit;
use account::Account;
use answer::JsonAnswer;

/// Runs the command: answers the requests in order, so that sequences advance.
/// A miss is not an error.
pub fn run(mut args: ExplainArgs, ui: &Ui) -> Result<u8, Failure> {
    let requests = requests::read(&mut args)?;
    let json = args.json;
    let ExplainJob { fixtures, scope, matching, policy } = ExplainJob::new(args)?;
    let globs = scope.as_ref().map(|globs| globs.sources().to_vec()).unwrap_or_default();
    let matcher = replay::open(&fixtures, scope, matching)?.redact_with(policy);
    for (n, request) in requests.enumerate() {
        let request = request?;
        let query = request.query();
        let text = if json {
            let (outcome, body) = answer::answer(&matcher, &query);
            serde_json::json!(JsonAnswer::of(&matcher, &outcome, body)).to_string()
        } else {
            // The candidates before the answer advances the sequence.
            let contenders = matcher.contenders(&query, None);
            let (outcome, body) = answer::answer(&matcher, &query);
            let account =
                Account { matcher: &matcher, globs: &globs, query: &query, outcome: &outcome, contenders: &contenders };
            format!("{}{}", if n == 0 { "" } else { "\n" }, account.text(body.as_ref()))
        };
        ui.data(&format!("{text}\n")).map_err(Failure::Output)?;
    }
    Ok(exit::SUCCESS)
}
