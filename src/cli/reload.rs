//! Watches the fixtures of a replay without CMD and reloads changed ones.

use std::io;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::event::Event;
use super::ui::{self, Ui, counted};
use crate::replay::{ChangeKind, FixtureChange, Reloader};
use harproxy_support::printable::Shown as _;

/// Interval of checks. A changed file is loaded when it is the same in two checks.
const PAUSE: Duration = Duration::from_millis(250);
/// The check takes at most 1/SHARE of the time, with any number of files.
const SHARE: u32 = 20;

/// Starts a thread that checks the fixtures until the returned function is called. That function waits for a fixture
/// that is being loaded.
pub fn watch(mut reloader: Reloader, ui: Ui) -> io::Result<impl FnOnce() + Send + 'static> {
    repeat(PAUSE, move || reloader.poll().iter().for_each(|change| print(change, &ui)))
}

fn repeat(least: Duration, mut check: impl FnMut() + Send + 'static) -> io::Result<impl FnOnce() + Send + 'static> {
    let (stop, stopped) = channel::<()>();
    let thread = thread::Builder::new().name("reload".to_owned()).spawn(move || {
        let mut pause = least;
        while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
            let began = Instant::now();
            check();
            pause = least.max(began.elapsed() * SHARE);
        }
    })?;
    Ok(move || {
        drop(stop);
        // The panic hook has reported a panic of the thread.
        let _ = thread.join();
    })
}

fn print(FixtureChange { fixture, kind }: &FixtureChange, ui: &Ui) {
    let shown = fixture.shown();
    let loaded = |entries: usize| format!("reloaded {shown}: {}", counted(entries, "entry", "entries"));
    let (change, entries, text) = match kind {
        ChangeKind::Changed(entries) => ("changed", *entries, loaded(*entries)),
        ChangeKind::Added(entries) => ("added", *entries, loaded(*entries)),
        ChangeKind::Removed => ("removed", 0, format!("{shown} was removed; its entries are no longer served")),
        ChangeKind::Refused { is_removed, because } => {
            let what = if *is_removed { "was removed" } else { "was edited and cannot be loaded" };
            let text = format!(
                "{}: {shown} {what}; its previous version stays in use\n  because {because}",
                ui::caution("warning")
            );
            return ui.say(Event::ReloadFailed, &text, json!({ "fixture": fixture, "because": because }));
        }
    };
    if !ui.quiet {
        ui.say(Event::Reloaded, &text, json!({ "fixture": fixture, "change": change, "entries": entries }));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn stopping_the_checks_waits_for_a_check_in_progress() {
        for _ in 0..50 {
            let (begins, began) = channel();
            let is_looking = Arc::new(AtomicBool::new(false));
            let looking = is_looking.clone();
            let stop = repeat(Duration::ZERO, move || {
                looking.store(true, Ordering::SeqCst);
                let _ = begins.send(());
                (0..1000).for_each(|_| thread::yield_now());
                looking.store(false, Ordering::SeqCst);
            });
            began.recv().unwrap();
            stop.unwrap()();
            assert!(!is_looking.load(Ordering::SeqCst));
        }
    }
}
