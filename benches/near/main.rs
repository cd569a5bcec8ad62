//! How often the entry that a request was made of is named first, when one thing of the request, or two, are others.
//!
//! `cargo bench --bench near`, or faster with `cargo test --bench near`; `-- --wrong` lists the requests that were taken for
//! another entry's. `docs/internals/near-misses.md` explains the columns. The figures are the same on every machine.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod mutation;

use mutation::{OPERATORS, Recorded, Score};

/// The weights of `matching/explain/cost.rs` were chosen on the first; the second is what counts.
const SEEDS: [(u64, &str); 2] = [(1, "tuned on"), (20_261_120, "reported")];

fn main() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/recorded");
    let recorded = mutation::recorded(&folder);
    let list = std::env::args().any(|argument| argument == "--wrong");
    for (seed, what) in SEEDS {
        table(&recorded, seed, what, list);
    }
}

fn table(recorded: &[Recorded], seed: u64, what: &str, list: bool) {
    let mut wrong = Vec::new();
    let (scores, total) = mutation::run(recorded, seed, |line| wrong.push(line.to_owned()));
    println!("seed {seed} ({what})");
    println!(
        "{:<14} {:>6} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "operator", "misses", "itself", "at most", "its equal", "alike", "answered"
    );
    for operator in OPERATORS {
        row(&format!("{operator:?}"), scores.get(&operator).copied().unwrap_or_default());
    }
    row("all", total);
    // Operators that every entry can take weigh most in the sum: here each weighs the same.
    let mean = |count: fn(&Score) -> f64| {
        let shares = scores.values().map(|score| count(score) * 100.0 / score.misses.max(1) as f64);
        format!("{:.1} %", shares.sum::<f64>() / scores.len() as f64)
    };
    let [exact, possible] = [mean(|score| score.exact as f64), mean(|score| score.possible as f64 / 1e6)];
    let [equal, alike] = [mean(|score| score.equal as f64), mean(|score| score.alike as f64)];
    println!("{:<14} {:>6} {exact:>9} {possible:>9} {equal:>9} {alike:>9}", "each alike", "");
    println!();
    if list {
        wrong.iter().for_each(|line| println!("{line}"));
        println!();
    }
}

fn row(name: &str, score: Score) {
    let share = |count: f64| match score.misses {
        0 => "-".to_owned(),
        misses => format!("{:.1} %", count * 100.0 / misses as f64),
    };
    println!(
        "{name:<14} {:>6} {:>9} {:>9} {:>9} {:>9} {:>9}",
        score.misses,
        share(score.exact as f64),
        share(score.possible as f64 / 1e6),
        share(score.equal as f64),
        share(score.alike as f64),
        score.answered
    );
}
