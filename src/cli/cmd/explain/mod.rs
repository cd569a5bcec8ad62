//! `harproxy explain`: which entry would answer, and why. It asks the same code as `replay`.

mod account;
mod answer;
pub mod requests;

use crate::cli::advice::Failure;
use crate::cli::args::explain::ExplainArgs;
use crate::cli::plan::Explaining;
use crate::cli::ui::Ui;
use crate::replay;
use crate::verdict::exit;
use account::Account;
use answer::Answer;

/// Runs the command: the requests in order, so that turns are taken.
///
/// # Errors
/// [`Failure`]. Whatever the answers, they are none.
pub fn run(mut args: ExplainArgs, ui: &Ui) -> Result<u8, Failure> {
    let requests = requests::read(&mut args)?;
    let json = args.json;
    let Explaining { fixtures, scope, matching, policy } = Explaining::new(args)?;
    let globs = scope.as_ref().map(|globs| globs.sources().to_vec()).unwrap_or_default();
    let matcher = replay::open(&fixtures, scope, matching)?.telling(policy);
    for (n, request) in requests.enumerate() {
        let request = request?;
        let query = request.query();
        let text = if json {
            let (outcome, body) = answer::answer(&matcher, &query);
            serde_json::json!(Answer::of(&matcher, &outcome, body)).to_string()
        } else {
            // Before the answer: the turns as they are now.
            let contenders = matcher.contenders(&query, None);
            let (outcome, body) = answer::answer(&matcher, &query);
            let account =
                Account { matcher: &matcher, globs: &globs, query: &query, outcome: &outcome, contenders: &contenders };
            format!("{}{}", if n == 0 { "" } else { "\n" }, account.text(body.as_ref()))
        };
        ui.data(&format!("{text}\n")).map_err(Failure::Output)?;
    }
    Ok(exit::HELD)
}
