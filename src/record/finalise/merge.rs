//! Recording again: which entries of the old fixture stay, which are replaced, and where new ones go.
//!
//! Entries with the same key (method, URL, payload) are turns. New exchanges are paired first with the turns that they
//! equal, the rest in order. Nothing but what was paired moves or changes.

use std::collections::{HashMap, VecDeque};

use crate::record::UpdateMode;
use crate::verdict::request::{EntryChange, RecordedEntry};

/// One entry of the new fixture; the steps are in fixture order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The old entry, as it stands.
    Keep(usize),
    /// The old entry, with what the new exchange changed of it.
    Replace {
        /// The old entry.
        old: usize,
        /// The new exchange.
        new: usize,
    },
    /// The entry of a new exchange.
    Put(usize),
}

/// The result: the steps, and what they change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arrangement {
    /// The new fixture.
    pub steps: Vec<Step>,
    /// Old entries that were seen again, with the same answer.
    pub unchanged: usize,
    /// Old entries that were replaced in place.
    pub changed: usize,
    /// New entries.
    pub added: usize,
    /// Old entries that were not seen, kept or not.
    pub not_seen: usize,
    /// Old entries that are gone.
    pub removed: usize,
    /// New exchanges and the old entries whose turns they are, with the same answer or another.
    pub pairs: Vec<(usize, usize)>,
    /// For each new exchange, the step of the entry that it became, or that says already what it says.
    pub homes: Vec<usize>,
}

impl Arrangement {
    /// The one of a first recording: all of `new` exchanges are added.
    #[must_use]
    pub fn first(new: usize) -> Self {
        let (steps, homes) = ((0..new).map(Step::Put).collect(), (0..new).collect());
        Arrangement { steps, homes, added: new, ..Arrangement::default() }
    }

    /// For each new exchange, the entry of the new fixture that holds it, and what it is to the old one.
    pub fn became(&self) -> impl Iterator<Item = RecordedEntry> {
        self.homes.iter().map(|&entry| {
            let change = match self.steps[entry] {
                Step::Keep(_) => EntryChange::Unchanged,
                Step::Replace { .. } => EntryChange::Changed,
                Step::Put(_) => EntryChange::Added,
            };
            RecordedEntry { entry, change }
        })
    }
}

/// One key's turns: old entries in file order, new exchanges by start time.
#[derive(Clone, Debug, Default)]
pub struct Turns {
    /// Indices of old entries.
    pub old: Vec<usize>,
    /// Indices of new exchanges.
    pub new: Vec<usize>,
}

/// Tells whether answers are the same.
pub trait Compare {
    /// Why comparing failed.
    type Error;

    /// Whether the new exchange was answered as the old entry says.
    ///
    /// # Errors
    /// When one of the two cannot be read.
    fn same_as_old(&mut self, new: usize, old: usize) -> Result<bool, Self::Error>;

    /// Whether the new one got no answer where the old one did.
    fn says_less(&mut self, new: usize, old: usize) -> Result<bool, Self::Error>;

    /// Whether two new exchanges were answered alike.
    ///
    /// # Errors
    /// When one of the two cannot be read.
    fn same_as_new(&mut self, new: usize, other: usize) -> Result<bool, Self::Error>;
}

/// The result of comparing a new exchange with the old entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ResultKind {
    /// Its answer is the old entry's.
    Equal(usize),
    /// It takes the old entry's place.
    Replaces(usize),
    /// It repeats the turn before it, which is this exchange.
    Repeats(usize),
    /// It is a turn that the fixture has not.
    Added,
}

/// Arranges `new` exchanges (one connection number each, by start time) around `old` entries.
/// `turns` holds the keys that both have.
///
/// # Errors
/// The errors of `compare`.
pub fn arrange<C: Compare>(
    old: usize,
    connections: &[Option<u64>],
    turns: &[Turns],
    update: UpdateMode,
    compare: &mut C,
) -> Result<Arrangement, C::Error> {
    let mut fates = vec![ResultKind::Added; connections.len()];
    let mut seen = vec![false; old];
    let mut earlier_turn = vec![None; connections.len()];
    for turns in turns {
        pair(turns, &mut fates, compare)?;
        for pair in turns.new.windows(2) {
            earlier_turn[pair[1]] = Some(pair[0]);
        }
        mark_seen(turns, &fates, &mut seen, compare)?;
    }
    Ok(lay_out(old, connections, &earlier_turn, &fates, &seen, update))
}

fn pair<C: Compare>(turns: &Turns, fates: &mut [ResultKind], compare: &mut C) -> Result<(), C::Error> {
    let mut free: Vec<usize> = turns.old.clone();
    let mut rest = Vec::new();
    let mut equals = Vec::new();
    for (turn, &new) in turns.new.iter().enumerate() {
        let mut equal = None;
        for (at, &old) in free.iter().enumerate() {
            if compare.same_as_old(new, old)? {
                equal = Some(at);
                break;
            }
        }
        match equal.map(|at| free.remove(at)) {
            Some(old) => {
                fates[new] = ResultKind::Equal(old);
                equals.push(new);
            }
            None => rest.push((turn, new)),
        }
    }
    // A poll that was shorter this time: what is left of its "pending" says nothing of the answer that changed.
    let mut surplus = free.len().saturating_sub(rest.len());
    let mut kept = VecDeque::with_capacity(free.len());
    for old in free {
        if surplus > 0 && repeats(old, &equals, compare)? {
            surplus -= 1;
        } else {
            kept.push_back(old);
        }
    }
    // And one that was longer: "pending" once more than last time says nothing new.
    let mut surplus = rest.len().saturating_sub(kept.len());
    for (turn, new) in rest {
        let before = turn.checked_sub(1).filter(|_| surplus > 0).map(|before| turns.new[before]);
        if let Some(before) = before
            && compare.same_as_new(new, before)?
        {
            surplus -= 1;
            fates[new] = ResultKind::Repeats(before);
        } else if let Some(old) = kept.pop_front() {
            // An API that was down this time has not changed its answer.
            fates[new] = if compare.says_less(new, old)? { ResultKind::Equal(old) } else { ResultKind::Replaces(old) };
        }
    }
    Ok(())
}

/// Marks old entries as seen if they were paired with a new exchange or repeat the answer of an equal one.
/// A poll that was answered "pending" once less therefore loses no entry.
fn mark_seen<C: Compare>(
    turns: &Turns,
    fates: &[ResultKind],
    seen: &mut [bool],
    compare: &mut C,
) -> Result<(), C::Error> {
    for &new in &turns.new {
        if let ResultKind::Equal(old) | ResultKind::Replaces(old) = fates[new] {
            seen[old] = true;
        }
    }
    let equal: Vec<usize> =
        turns.new.iter().copied().filter(|new| matches!(fates[*new], ResultKind::Equal(_))).collect();
    for &old in &turns.old {
        seen[old] = seen[old] || repeats(old, &equal, compare)?;
    }
    Ok(())
}

/// Whether an old entry says what one of these new exchanges was answered.
fn repeats<C: Compare>(old: usize, equal: &[usize], compare: &mut C) -> Result<bool, C::Error> {
    for &new in equal {
        if compare.same_as_old(new, old)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn lay_out(
    old: usize,
    connections: &[Option<u64>],
    earlier_turn: &[Option<usize>],
    fates: &[ResultKind],
    seen: &[bool],
    update: UpdateMode,
) -> Arrangement {
    let mut replaced = vec![None; old];
    // New entries behind the old one after which they came; the last list is for those that came after none.
    let mut behind: Vec<Vec<usize>> = vec![Vec::new(); old + 1];
    let mut place = vec![old; fates.len()];
    let mut last_on: HashMap<u64, usize> = HashMap::new();
    for (new, fate) in fates.iter().enumerate() {
        let before = connections[new].and_then(|connection| last_on.insert(connection, new));
        place[new] = match *fate {
            ResultKind::Equal(at) => at,
            ResultKind::Replaces(at) => {
                replaced[at] = Some(new);
                at
            }
            ResultKind::Repeats(turn) => place[turn],
            ResultKind::Added => {
                // Never before an earlier turn of its own key.
                let at = before.map_or(old, |before| place[before]);
                let at = earlier_turn[new].map_or(at, |turn| at.max(place[turn]));
                behind[at].push(new);
                at
            }
        };
    }
    let pairs = fates.iter().enumerate().filter_map(|(new, fate)| match fate {
        ResultKind::Equal(old) | ResultKind::Replaces(old) => Some((new, *old)),
        ResultKind::Repeats(_) | ResultKind::Added => None,
    });
    let mut result = Arrangement { pairs: pairs.collect(), ..Arrangement::default() };
    // Where the steps of old entries and of new ones are.
    let (mut kept, mut put) = (vec![0; old], vec![0; fates.len()]);
    for (at, added) in behind.iter().enumerate() {
        if at < old {
            let step = match replaced[at] {
                Some(new) if update != UpdateMode::Missing => Step::Replace { old: at, new },
                _ => Step::Keep(at),
            };
            let dropped = !seen[at] && update == UpdateMode::Replace;
            result.not_seen += usize::from(!seen[at]);
            result.removed += usize::from(dropped);
            result.changed += usize::from(matches!(step, Step::Replace { .. }));
            result.unchanged += usize::from(seen[at] && step == Step::Keep(at));
            if !dropped {
                kept[at] = result.steps.len();
                result.steps.push(step);
            }
        }
        result.added += added.len();
        for new in added {
            put[*new] = result.steps.len();
            result.steps.push(Step::Put(*new));
        }
    }
    for (new, fate) in fates.iter().enumerate() {
        let home = match *fate {
            ResultKind::Equal(at) | ResultKind::Replaces(at) => kept[at],
            ResultKind::Repeats(turn) => result.homes[turn],
            ResultKind::Added => put[new],
        };
        result.homes.push(home);
    }
    result
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Step::{Keep, Put, Replace};
    use super::*;

    /// Answers are words.
    struct Words<'a> {
        old: &'a [&'a str],
        new: &'a [&'a str],
    }

    impl Compare for Words<'_> {
        type Error = std::convert::Infallible;

        fn same_as_old(&mut self, new: usize, old: usize) -> Result<bool, Self::Error> {
            Ok(answer(self.new[new]) == answer(self.old[old]))
        }

        fn says_less(&mut self, new: usize, old: usize) -> Result<bool, Self::Error> {
            Ok(answer(self.new[new]) == "down" && answer(self.old[old]) != "down")
        }

        fn same_as_new(&mut self, new: usize, other: usize) -> Result<bool, Self::Error> {
            Ok(answer(self.new[new]) == answer(self.new[other]))
        }
    }

    fn key(word: &str) -> &str {
        word.split('=').next().unwrap()
    }

    fn answer(word: &str) -> &str {
        word.split('@').next().unwrap().split('=').nth(1).unwrap()
    }

    /// `key=answer@connection`; without a connection it is 1.
    fn arranged(update: UpdateMode, old: &[&str], new: &[&str]) -> Arrangement {
        let connections: Vec<_> =
            new.iter().map(|word| Some(word.split_once('@').map_or(1, |(_, n)| n.parse().unwrap()))).collect();
        let mut turns: Vec<(&str, Turns)> = Vec::new();
        for (at, word) in old.iter().enumerate() {
            match turns.iter_mut().find(|(k, _)| *k == key(word)) {
                Some((_, turns)) => turns.old.push(at),
                None => turns.push((key(word), Turns { old: vec![at], new: vec![] })),
            }
        }
        for (at, word) in new.iter().enumerate() {
            if let Some((_, turns)) = turns.iter_mut().find(|(k, _)| *k == key(word)) {
                turns.new.push(at);
            }
        }
        let turns: Vec<Turns> =
            turns.into_iter().map(|(_, turns)| turns).filter(|turns| !turns.new.is_empty()).collect();
        arrange(old.len(), &connections, &turns, update, &mut Words { old, new }).unwrap_or_else(|never| match never {})
    }

    /// The words of the new fixture.
    fn merged<'a>(update: UpdateMode, old: &[&'a str], new: &[&'a str]) -> Vec<&'a str> {
        let steps = arranged(update, old, new).steps;
        steps
            .into_iter()
            .map(|step| match step {
                Keep(at) => old[at],
                Replace { new: at, .. } | Put(at) => new[at],
            })
            .collect()
    }

    const MERGE: UpdateMode = UpdateMode::Merge;

    #[test]
    fn an_api_that_was_down_keeps_the_answer_it_gave() {
        for update in [UpdateMode::Merge, UpdateMode::Missing, UpdateMode::Replace] {
            assert_eq!(merged(update, &["a=1", "b=1"], &["a=down", "b=2"])[0], "a=1");
        }
        assert_eq!(merged(UpdateMode::Merge, &["a=down"], &["a=1"]), ["a=1"]);
        assert_eq!(merged(UpdateMode::Merge, &["a=1", "a=2"], &["a=down", "a=1"]), ["a=1", "a=2"]);
        assert_eq!(merged(UpdateMode::Merge, &[], &["a=down"]), ["a=down"]);
    }

    #[test]
    fn the_same_again_changes_nothing() {
        let words = ["a=1", "b=1", "a=2", "c=1", "a=2"];
        let result = arranged(MERGE, &words, &words);
        assert_eq!(result.steps, (0..5).map(Keep).collect::<Vec<_>>());
        assert_eq!((result.unchanged, result.changed, result.added, result.not_seen), (5, 0, 0, 0));
    }

    #[test]
    fn in_another_order_changes_nothing_either() {
        let result = arranged(MERGE, &["a=1", "b=1", "c=1"], &["c=1", "a=1", "b=1"]);
        assert_eq!(result.steps, [Keep(0), Keep(1), Keep(2)]);
    }

    #[test]
    fn what_differs_is_replaced_in_place_and_the_rest_stays() {
        let result = arranged(MERGE, &["a=1", "b=1", "c=1"], &["c=9"]);
        assert_eq!(result.steps, [Keep(0), Keep(1), Replace { old: 2, new: 0 }]);
        assert_eq!((result.unchanged, result.changed, result.added, result.not_seen), (0, 1, 0, 2));
    }

    #[test]
    fn equal_answers_are_paired_before_turns() {
        assert_eq!(merged(MERGE, &["a=1", "a=2", "a=3"], &["a=0", "a=3", "a=1"]), ["a=1", "a=0", "a=3"]);
    }

    #[test]
    fn a_poll_that_took_longer_or_shorter_is_the_same_poll() {
        let short = ["p=pending", "p=pending", "p=done"];
        let long = ["p=pending", "p=pending", "p=pending", "p=pending", "p=done"];
        for (old, new) in [(&short[..], &long[..]), (&long, &short)] {
            for update in [UpdateMode::Merge, UpdateMode::Missing, UpdateMode::Replace] {
                let result = arranged(update, old, new);
                assert_eq!(result.steps, (0..old.len()).map(Keep).collect::<Vec<_>>());
                assert_eq!((result.unchanged, result.not_seen), (old.len(), 0));
            }
        }
    }

    #[test]
    fn the_end_of_a_poll_that_changed_is_changed_however_long_it_took() {
        let old = ["p=pending", "p=pending", "p=pending", "p=done"];
        assert_eq!(merged(MERGE, &old, &["p=pending", "p=failed"])[3], "p=failed");
        assert_eq!(
            merged(MERGE, &old, &["p=pending", "p=pending", "p=pending", "p=pending", "p=failed"])[3],
            "p=failed"
        );
        assert_eq!(merged(MERGE, &["a=1", "a=1"], &["a=1", "a=2"]), ["a=1", "a=2"]);
        assert_eq!(merged(MERGE, &["a=1", "a=1", "a=3"], &["a=1", "a=2", "a=4"]), ["a=1", "a=2", "a=4"]);
    }

    #[test]
    fn a_state_that_comes_back_is_a_turn_of_its_own() {
        assert_eq!(
            merged(MERGE, &["list=empty"], &["list=empty", "list=one", "list=empty"]),
            ["list=empty", "list=one", "list=empty"]
        );
    }

    #[test]
    fn new_ones_follow_what_preceded_them_on_their_connection() {
        assert_eq!(
            merged(MERGE, &["a=1", "b=1", "c=1"], &["b=1@1", "c=1@2", "x=1@1", "y=1@2", "z=1@1", "w=1@3"]),
            ["a=1", "b=1", "x=1@1", "z=1@1", "c=1", "y=1@2", "w=1@3"]
        );
    }

    #[test]
    fn a_new_turn_never_comes_before_an_earlier_one() {
        assert_eq!(merged(MERGE, &["x=1", "y=1", "k=1"], &["k=1@1", "x=1@2", "k=2@2"]), ["x=1", "y=1", "k=1", "k=2@2"]);
    }

    #[test]
    fn missing_only_adds() {
        assert_eq!(merged(UpdateMode::Missing, &["a=1", "b=1"], &["b=2", "c=1", "a=1"]), ["a=1", "b=1", "c=1"]);
        let result = arranged(UpdateMode::Missing, &["a=1", "b=1"], &["b=2"]);
        assert_eq!((result.changed, result.added), (0, 0));
    }

    #[test]
    fn replace_keeps_what_was_seen_in_the_old_order() {
        let result = arranged(UpdateMode::Replace, &["a=1", "b=1", "c=1"], &["c=1", "d=1", "a=2"]);
        assert_eq!(result.steps, [Replace { old: 0, new: 2 }, Keep(2), Put(1)]);
        assert_eq!((result.unchanged, result.changed, result.added, result.not_seen, result.removed), (1, 1, 1, 1, 1));
    }

    proptest! {
        #[test]
        fn nothing_moves_and_everything_new_is_placed_once(
            old in prop::collection::vec("[abc]=[123]", 0..8),
            new in prop::collection::vec("[abcd]=[1234]@[123]", 0..10),
        ) {
            let old: Vec<&str> = old.iter().map(String::as_str).collect();
            let new: Vec<&str> = new.iter().map(String::as_str).collect();
            for update in [UpdateMode::Merge, UpdateMode::Missing, UpdateMode::Replace] {
                let result = arranged(update, &old, &new);
                let kept = result.steps.iter().filter_map(|step| match *step {
                    Keep(at) | Replace { old: at, .. } => Some(at),
                    Put(_) => None,
                });
                let kept: Vec<usize> = kept.collect();
                prop_assert!(kept.is_sorted_by(|a, b| a < b), "{kept:?}");
                prop_assert_eq!(kept.len(), old.len() - result.removed);
                prop_assert!(update == UpdateMode::Replace || result.removed == 0);
                prop_assert!(update != UpdateMode::Missing || result.changed == 0);
                let mut put: Vec<usize> = result.steps.iter().filter_map(|step| match *step {
                    Put(new) | Replace { new, .. } => Some(new),
                    Keep(_) => None,
                }).collect();
                prop_assert_eq!(put.len(), result.added + result.changed);
                for (at, became) in result.became().enumerate() {
                    let says = match result.steps[became.entry] {
                        Replace { new: at, .. } | Put(at) => new[at],
                        Keep(at) => old[at],
                    };
                    prop_assert_eq!(key(says), key(new[at]));
                    let same = answer(says) == answer(new[at]);
                    prop_assert!(same || update == UpdateMode::Missing, "{} became {}", new[at], says);
                }
                prop_assert_eq!(result.homes.len(), new.len());
                put.sort_unstable();
                put.dedup();
                prop_assert_eq!(put.len(), result.added + result.changed);
                // What it came to is what the next recording of the same finds unchanged.
                let now = merged(update, &old, &new);
                let again = arranged(UpdateMode::Merge, &now, &new);
                let same: Vec<&str> = again.steps.iter().filter_map(|step| if let Keep(at) = step { Some(now[*at]) } else { None }).collect();
                prop_assert!(update == UpdateMode::Missing || same == now, "{now:?} became {:?}", again.steps);
            }
        }
    }
}
