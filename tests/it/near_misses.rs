//! Accuracy of near misses: the figures of docs/internals/near-misses.md, for the seed that was not used for tuning.

#[path = "../../benches/near/mutation/mod.rs"]
mod mutation;

use crate::support::repo;

#[test]
fn near_miss_names_original_entry_when_its_request_is_changed() {
    let recordings = mutation::open_recordings(&repo("tests/corpus/recorded"));
    let (scores, total) = mutation::run(&recordings, 20_261_120, |_| {});
    let share = |count: usize| count * 1000 / total.misses;
    let figures = format!("{scores:#?}\n{total:?}");
    assert!(total.misses > 11_000 && scores.len() == mutation::OPERATORS.len(), "{figures}");
    assert!(share(total.equal) >= 985, "equal, of 1000: {figures}");
    assert!(share(total.same_key) >= 935, "same key, of 1000: {figures}");
    assert!(share(total.exact) >= 800, "exact, of 1000: {figures}");
    let of_possible = total.exact as u64 * 1_000_000_000 / total.possible;
    assert!(of_possible >= 950, "exact, of 1000 possible: {figures}");
}

#[test]
fn mutation_draws_same_requests_when_seed_is_same() {
    let one = || mutation::open_recordings(&repo("tests/corpus/recorded")).into_iter().take(1).collect::<Vec<_>>();
    let [a, b] = [7, 7].map(|seed| mutation::run(&one(), seed, |_| {}));
    assert_eq!(a, b);
    assert_ne!(a, mutation::run(&one(), 8, |_| {}));
}
