//! Runs a maintenance command on several fixtures, independently of each other.

use std::path::{Path, PathBuf};

use super::advice::Failure;
use super::plan;
use super::ui::Ui;
use crate::record;
use crate::verdict::exit;

/// Runs `work` on each given fixture (default: `hars/`) in order. A failure is printed, and the remaining fixtures are
/// processed. Returns the highest exit status of all.
pub fn for_each(named: Vec<PathBuf>, ui: &Ui, mut work: impl FnMut(&Path) -> Result<u8, Failure>) -> u8 {
    let found = harproxy_har::find(&plan::fixtures_or_default(named)).into_iter();
    let done = found.map(|path| {
        let done = path.map_err(Failure::from).and_then(|path| work(&path));
        done.unwrap_or_else(|failure| failure.print(ui))
    });
    done.max().unwrap_or(exit::SUCCESS)
}

/// Locks a fixture against recordings and runs `work`, which writes it. Temporary files of a killed writer are removed
/// first. Fails with [`record::Error::Locked`] during a recording, and with the errors of `work`.
pub fn with_lock<T, E: Into<Failure>>(path: &Path, work: impl FnOnce() -> Result<T, E>) -> Result<T, Failure> {
    let _lock = record::lock_fixture(path)?;
    work().map_err(Into::into)
}
