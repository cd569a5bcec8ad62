//! What the process as a whole needs: words for a defect instead of a backtrace, and room for many connections.

use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook};

use super::event::Event;
use super::ui::{self, Ui};
use crate::verdict::exit;

/// Runs the program. A defect, which should not be there, is told as such, and the status says that harproxy is to blame.
pub fn guarded(program: impl FnOnce() -> u8) -> u8 {
    tell_defects(Ui::default());
    catch_unwind(AssertUnwindSafe(program)).unwrap_or(exit::BROKEN)
}

/// From here on a defect is told so.
pub fn tell_defects(ui: Ui) {
    set_hook(Box::new(move |defect| ui.alert(Event::Defect, &told(defect))));
}

fn told(defect: &PanicHookInfo<'_>) -> String {
    let payload = defect.payload();
    let what = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let what = what.unwrap_or("of a reason unknown");
    let place = defect.location().map(ToString::to_string).unwrap_or_default();
    let (error, hint) = (ui::bad("error"), ui::help("hint"));
    format!(
        "{error}: a defect of harproxy {} stopped it at {place}\n  because {what}\n\n{hint}: please report it with these lines \
         and the command that led to it",
        env!("CARGO_PKG_VERSION"),
    )
}

/// Raises the limit of open files as far as the administrator lets us: every connection takes one or two. CMD would inherit
/// it, and some programs walk through all they may have, so only a harproxy without CMD does this.
#[cfg(unix)]
pub fn raise_open_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    const ENOUGH: u64 = 65_536;
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let wanted = hard.min(ENOUGH);
        if soft < wanted && setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_err() {
            tracing::debug!(soft, "the limit of open files stays");
        }
    }
}

/// There is no such limit.
#[cfg(not(unix))]
pub fn raise_open_files() {}
