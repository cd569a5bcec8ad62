//! `harproxy rm`: removes entries from fixtures.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;

use super::show;
use crate::cli::advice::Failure;
use crate::cli::args::fixtures::RmArgs;
use crate::cli::prune::PruneResult;
use crate::cli::ui::Ui;
use crate::fixtures::prune::prune_locked;
use crate::verdict::exit;
use harproxy_har::Fixture;

/// Runs the command. No fixture is changed if an entry does not exist.
pub fn run(args: RmArgs, ui: &Ui) -> Result<u8, Failure> {
    let mut named: BTreeMap<PathBuf, BTreeSet<usize>> = BTreeMap::new();
    for argument in &args.entries {
        let (file, entry) = show::entry_name(OsStr::new(argument))?;
        named.entry(file.to_owned()).or_default().insert(entry);
    }
    let open = |(path, entries): (PathBuf, BTreeSet<usize>)| {
        let fixture = Fixture::open(&path)?;
        // The number is checked like that of other commands. An entry that cannot be read can be removed.
        if let Some(missing) = entries.iter().find(|entry| **entry >= fixture.entries()) {
            fixture.entry(*missing)?;
        }
        Ok::<_, harproxy_har::Error>((Arc::new(fixture), entries))
    };
    let fixtures = named.into_iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let mut result = PruneResult::default();
    for (fixture, entries) in fixtures {
        let removed = prune_locked(&fixture, &entries);
        result.add(fixture, removed.map_err(Failure::from));
    }
    result.print(ui);
    Ok(if result.failures.is_empty() { exit::SUCCESS } else { exit::INTERNAL_ERROR })
}
