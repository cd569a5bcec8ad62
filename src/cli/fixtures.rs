//! Commands that look after several fixtures: each is done, whatever became of the one before.

use std::path::{Path, PathBuf};

use super::advice::Failure;
use super::plan;
use super::ui::Ui;
use crate::record;
use crate::verdict::exit;

/// Lets `work` see to each fixture that was named (`hars/` when none was), in order. What can't be done is told, and the
/// rest done. The status is the worst of all: what `work` gives, or what a failure deserves.
pub fn each(named: Vec<PathBuf>, ui: &Ui, mut work: impl FnMut(&Path) -> Result<u8, Failure>) -> u8 {
    let found = harproxy_har::find(&plan::fixtures_or_default(named)).into_iter();
    let done = found.map(|path| {
        let done = path.map_err(Failure::from).and_then(|path| work(&path));
        done.unwrap_or_else(|failure| {
            failure.tell(ui);
            failure.status()
        })
    });
    done.max().unwrap_or(exit::HELD)
}

/// Lets `work` write a fixture while nobody records into it; what a killed writer of it left is swept first.
///
/// # Errors
/// [`record::Error::Locked`] while somebody does, and whatever becomes of the work.
pub fn alone<T, E: Into<Failure>>(path: &Path, work: impl FnOnce() -> Result<T, E>) -> Result<T, Failure> {
    let _hold = record::lock_fixture(path)?;
    work().map_err(Into::into)
}
