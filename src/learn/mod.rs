//! Learning what is noise: two recordings of the same program are compared, and what differed though nothing had changed
//! becomes lines of the policy (`record --twice`).
//!
//! [`pair`] finds the entries of the two recordings that belong together, [`differ`] says where two of them differ,
//! [`Lessons`] is what follows from that, and [`write`] puts it into a `harproxy.toml`.

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

/// What follows from two recordings of the same program.
///
/// # Errors
/// When an entry or a payload of one of them can't be read.
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
