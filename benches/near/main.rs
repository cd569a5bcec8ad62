//! Accuracy of near misses: changes recorded requests and counts how often the original entry is named first.
//!
//! Run with `cargo bench --bench near`, or faster with `cargo test --bench near`. `-- --wrong` lists the requests for
//! which an unrelated entry was named. `docs/internals/near-misses.md` explains the columns. The figures are the same
//! on every machine.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod mutation;

use mutation::{OPERATORS, Recording, Score};

/// The costs of the matcher's `explain` module were tuned on the first seed. The second one is reported.
const SEEDS: [(u64, &str); 2] = [(1, "tuned on"), (20_261_120, "reported")];

fn main() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/recorded");
    let recordings = mutation::open_recordings(&folder);
    let lists_wrong = std::env::args().any(|argument| argument == "--wrong");
    for (seed, purpose) in SEEDS {
        print_table(&recordings, seed, purpose, lists_wrong);
    }
}

fn print_table(recordings: &[Recording], seed: u64, purpose: &str, lists_wrong: bool) {
    let mut wrong = Vec::new();
    let (scores, total) = mutation::run(recordings, seed, |line| wrong.push(line.to_owned()));
    println!("seed {seed} ({purpose})");
    println!(
        "{:<14} {:>6} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "operator", "misses", "exact", "possible", "same key", "equal", "hits"
    );
    for operator in OPERATORS {
        print_row(&format!("{operator:?}"), scores.get(&operator).copied().unwrap_or_default());
    }
    print_row("all", total);
    // The sum is dominated by the operators that apply to every request. In the mean, all operators weigh the same.
    let mean = |count: fn(&Score) -> f64| {
        let shares = scores.values().map(|score| count(score) * 100.0 / score.misses.max(1) as f64);
        format!("{:.1} %", shares.sum::<f64>() / scores.len() as f64)
    };
    let [exact, possible] = [mean(|score| score.exact as f64), mean(|score| score.possible as f64 / 1e6)];
    let [same_key, equal] = [mean(|score| score.same_key as f64), mean(|score| score.equal as f64)];
    println!("{:<14} {:>6} {exact:>9} {possible:>9} {same_key:>9} {equal:>9}", "mean", "");
    println!();
    if lists_wrong {
        wrong.iter().for_each(|line| println!("{line}"));
        println!();
    }
}

fn print_row(name: &str, score: Score) {
    let share = |count: f64| match score.misses {
        0 => "-".to_owned(),
        misses => format!("{:.1} %", count * 100.0 / misses as f64),
    };
    println!(
        "{name:<14} {:>6} {:>9} {:>9} {:>9} {:>9} {:>9}",
        score.misses,
        share(score.exact as f64),
        share(score.possible as f64 / 1e6),
        share(score.same_key as f64),
        share(score.equal as f64),
        score.hits
    );
}
