//! Process-wide setup: the panic message, the limits of files and the clock.

use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook};
use std::time::{SystemTime, UNIX_EPOCH};

use super::advice::Failure;
use super::event::Event;
use super::ui::{self, Ui};
use crate::verdict::exit;

/// Runs the program. A panic is reported as a defect of harproxy and sets the exit status.
pub fn run_guarded(program: impl FnOnce() -> u8) -> u8 {
    report_defects(Ui::default());
    catch_unwind(AssertUnwindSafe(program)).unwrap_or(exit::INTERNAL_ERROR)
}

/// Installs the panic hook that reports a defect.
pub fn report_defects(ui: Ui) {
    set_hook(Box::new(move |defect| ui.alert(Event::Defect, &message(defect))));
}

fn message(defect: &PanicHookInfo<'_>) -> String {
    let payload = defect.payload();
    let message =
        payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let message = message.unwrap_or("the reason is unknown");
    let place = defect.location().map(ToString::to_string).unwrap_or_default();
    let (error, hint) = (ui::bad("error"), ui::help("hint"));
    format!(
        "{error}: harproxy {} stopped because of a defect at {place}\n  because {message}\n\n{hint}: please report it with these lines \
         and the command that led to it",
        env!("CARGO_PKG_VERSION"),
    )
}

/// Blocks the signal of a file that grows beyond `ulimit -f`, so that writing it is an error like a full disk and not
/// the end of the process. Threads that start later inherit this. CMD does not: std starts programs with no signal
/// blocked.
#[cfg(unix)]
pub fn block_file_size_signal() {
    use nix::sys::signal::{SigSet, Signal};
    if let Err(error) = SigSet::from_iter([Signal::SIGXFSZ]).thread_block() {
        tracing::debug!(%error, "SIGXFSZ is not blocked");
    }
}

/// Does nothing: other systems have no such signal.
#[cfg(not(unix))]
pub fn block_file_size_signal() {}

/// Checks that the clock can be used: TLS and HTTP have no times before 1970.
///
/// # Errors
/// [`Failure::Clock`] before 1970.
pub fn check_clock() -> Result<(), Failure> {
    if SystemTime::now() < UNIX_EPOCH { Err(Failure::Clock) } else { Ok(()) }
}

/// Raises the soft limit of open files, because every connection needs one or two. Only a proxy without CMD calls
/// this: CMD would inherit the limit, and some programs iterate over all possible descriptors.
#[cfg(unix)]
pub fn raise_open_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    const ENOUGH: u64 = 65_536;
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let wanted = hard.min(ENOUGH);
        if soft < wanted && setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_err() {
            tracing::debug!(soft, "the limit of open files is unchanged");
        }
    }
}

/// Does nothing: other systems have no such limit.
#[cfg(not(unix))]
pub fn raise_open_files() {}
