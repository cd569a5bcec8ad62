//! Learns volatile values from two recordings of the same program (`record --twice`) and writes them as policy rules.
//!
//! [`pair`] pairs the entries of the two recordings, and [`differ`] compares each pair. [`Lessons`] collects the
//! resulting rules, and [`write`] adds them to a `harproxy.toml`.

mod differ;
mod exchange;
mod lessons;
mod pair;
mod write;

#[cfg(test)]
mod tests;

pub use lessons::{Lessons, Rule, Where};
pub use write::{WriteError, added_to, rendered};

use exchange::Exchange;
use harproxy_har::Fixture;

/// Compares two recordings of the same program and returns the learned rules.
///
/// # Errors
/// Fails if an entry or a payload of either recording cannot be read.
pub fn learn(first: &Fixture, second: &Fixture) -> Result<Lessons, harproxy_har::Error> {
    let (first, second) = (Exchange::all(first)?, Exchange::all(second)?);
    let pairs = pair::pairs(&first, &second);
    let mut lessons = Lessons::default();
    for (a, b) in &pairs.both {
        differ::differences(&first[*a], &second[*b], &mut lessons);
    }
    for (one, exchanges, run) in [(&pairs.only_first, &first, "first"), (&pairs.only_second, &second, "second")] {
        for &at in one {
            lessons.unexplained.push(format!("{} was seen in the {run} run only", exchanges[at].line()));
        }
    }
    Ok(lessons)
}
