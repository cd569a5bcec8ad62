//! `harproxy recover`: what a killed or failed recording left becomes part of the fixture, or is dropped.

use crate::cli::advice::Failure;
use crate::cli::args::record::RecoverArgs;
use crate::cli::event::Event;
use crate::cli::ui::{self, Ui};
use crate::cli::{plan, summary};
use crate::record::{self, Left, Recovered};
use crate::verdict::exit;

/// Runs the command. That there is nothing to do is no failure where there is a fixture: all that was recorded is in it.
///
/// # Errors
/// [`Failure`].
pub fn run(args: RecoverArgs, ui: &Ui) -> Result<u8, Failure> {
    let discard = args.discard;
    let plan = plan::recovering(args);
    let output = plan.output.display();
    let lines: Vec<String> = match discard {
        true => record::discard(&plan.output)?.iter().map(|left| dropped(left, &output)).collect(),
        false => record::recover(&plan)?.iter().map(accepted).collect(),
    };
    if lines.is_empty() {
        ui.note(Event::Recovered, &format!("nothing was left of a recording into {output}"));
    } else if discard {
        ui.note(Event::Discarded, &lines.join("\n"));
    } else {
        let next = summary::next(&plan.output, plan.content, &[], &[]);
        ui.note(Event::Recovered, &format!("{}\n\n{}\n{next}", lines.join("\n"), ui::strong("Next:")));
    }
    Ok(exit::HELD)
}

fn accepted(recovered: &Recovered) -> String {
    let Recovered { added, changed, unchanged, not_seen, .. } = *recovered;
    format!("{recovered}: {}", summary::counts(added, changed, unchanged, not_seen))
}

fn dropped(left: &Left, output: &impl std::fmt::Display) -> String {
    let what = match left.exchanges {
        Some(1) => "1 exchange".to_owned(),
        Some(many) => format!("{many} exchanges"),
        None => "what can't be read".to_owned(),
    };
    format!("dropped {what} of a recording into {output} that was {}", left.why)
}
