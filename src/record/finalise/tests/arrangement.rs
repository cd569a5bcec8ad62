//! The arrangement of the entries of a new fixture.

use proptest::prelude::*;

use super::super::arrangement::EntrySource::{Add, Keep, Replace};
use super::super::sequences::{Sequence, SharedRequests};
use super::*;
use harproxy_compare::{ContentKey, Digest, ResponseKey};

/// Returns the request of `request=response`.
fn key(word: &str) -> &str {
    word.split('=').next().unwrap()
}

fn answer(word: &str) -> &str {
    word.split('@').next().unwrap().split('=').nth(1).unwrap()
}

/// Returns the key of a response that is a word. `down` is a failure.
fn response(word: &str) -> ResponseKey {
    let mut digest = Digest::default();
    digest[..answer(word).len()].copy_from_slice(answer(word).as_bytes());
    ResponseKey {
        status: if answer(word) == "down" { 0 } else { 200 },
        reason: None,
        head: Digest::default(),
        content: ContentKey::Bytes(digest),
        is_encoded: false,
        cut: None,
    }
}

/// Arranges words like `request=response@connection`; without a connection it is 1.
fn arranged(update: UpdateMode, old: &[&str], new: &[&str]) -> Arrangement {
    let connections: Vec<_> =
        new.iter().map(|word| Some(word.split_once('@').map_or(1, |(_, n)| n.parse().unwrap()))).collect();
    let mut sequences: HashMap<&str, Sequence> = HashMap::new();
    for (at, word) in old.iter().enumerate() {
        sequences.entry(key(word)).or_default().old.push((at, Some(response(word))));
    }
    for (at, word) in new.iter().enumerate() {
        if let Some(sequence) = sequences.get_mut(key(word)) {
            sequence.new.push((at, response(word)));
        }
    }
    let sequences = sequences.into_values().filter(|sequence| !sequence.new.is_empty()).collect();
    Arrangement::update(old.len(), &SharedRequests { sequences, connections, failed: Vec::new() }, update)
}

/// The words of the new fixture.
fn merged<'a>(update: UpdateMode, old: &[&'a str], new: &[&'a str]) -> Vec<&'a str> {
    let entries = arranged(update, old, new).entries;
    entries
        .into_iter()
        .map(|entry| match entry {
            Keep(at) => old[at],
            Replace { new: at, .. } | Add(at) => new[at],
        })
        .collect()
}

const MERGE: UpdateMode = UpdateMode::Merge;

#[test]
fn recorded_response_stays_when_the_api_is_down() {
    for update in [UpdateMode::Merge, UpdateMode::Missing, UpdateMode::Replace] {
        assert_eq!(merged(update, &["a=1", "b=1"], &["a=down", "b=2"])[0], "a=1");
    }
    assert_eq!(merged(UpdateMode::Merge, &["a=down"], &["a=1"]), ["a=1"]);
    assert_eq!(merged(UpdateMode::Merge, &["a=1", "a=2"], &["a=down", "a=1"]), ["a=1", "a=2"]);
    assert_eq!(merged(UpdateMode::Merge, &[], &["a=down"]), ["a=down"]);
}

#[test]
fn equal_recording_changes_nothing() {
    let words = ["a=1", "b=1", "a=2", "c=1", "a=2"];
    let result = arranged(MERGE, &words, &words);
    assert_eq!(result.entries, (0..5).map(Keep).collect::<Vec<_>>());
    assert_eq!((result.unchanged, result.changed, result.added, result.not_seen), (5, 0, 0, 0));
}

#[test]
fn order_of_a_recording_changes_nothing() {
    let result = arranged(MERGE, &["a=1", "b=1", "c=1"], &["c=1", "a=1", "b=1"]);
    assert_eq!(result.entries, [Keep(0), Keep(1), Keep(2)]);
}

#[test]
fn changed_entry_is_replaced_in_place_and_the_rest_stays() {
    let result = arranged(MERGE, &["a=1", "b=1", "c=1"], &["c=9"]);
    assert_eq!(result.entries, [Keep(0), Keep(1), Replace { old: 2, new: 0, keeps_payload: false }]);
    assert_eq!((result.unchanged, result.changed, result.added, result.not_seen), (0, 1, 0, 2));
}

#[test]
fn equal_responses_are_paired_before_others() {
    assert_eq!(merged(MERGE, &["a=1", "a=2", "a=3"], &["a=0", "a=3", "a=1"]), ["a=1", "a=0", "a=3"]);
}

#[test]
fn poll_is_unchanged_when_it_is_longer_or_shorter() {
    let short = ["p=pending", "p=pending", "p=done"];
    let long = ["p=pending", "p=pending", "p=pending", "p=pending", "p=done"];
    for (old, new) in [(&short[..], &long[..]), (&long, &short)] {
        for update in [UpdateMode::Merge, UpdateMode::Missing, UpdateMode::Replace] {
            let result = arranged(update, old, new);
            assert_eq!(result.entries, (0..old.len()).map(Keep).collect::<Vec<_>>());
            assert_eq!((result.unchanged, result.not_seen), (old.len(), 0));
        }
    }
}

#[test]
fn the_end_of_a_poll_that_changed_is_changed_however_long_it_took() {
    let old = ["p=pending", "p=pending", "p=pending", "p=done"];
    assert_eq!(merged(MERGE, &old, &["p=pending", "p=failed"])[3], "p=failed");
    assert_eq!(merged(MERGE, &old, &["p=pending", "p=pending", "p=pending", "p=pending", "p=failed"])[3], "p=failed");
    assert_eq!(merged(MERGE, &["a=1", "a=1"], &["a=1", "a=2"]), ["a=1", "a=2"]);
    assert_eq!(merged(MERGE, &["a=1", "a=1", "a=3"], &["a=1", "a=2", "a=4"]), ["a=1", "a=2", "a=4"]);
}

#[test]
fn returning_state_is_an_entry_of_its_own() {
    assert_eq!(
        merged(MERGE, &["list=empty"], &["list=empty", "list=one", "list=empty"]),
        ["list=empty", "list=one", "list=empty"]
    );
}

#[test]
fn new_entry_follows_the_previous_one_of_its_connection() {
    assert_eq!(
        merged(MERGE, &["a=1", "b=1", "c=1"], &["b=1@1", "c=1@2", "x=1@1", "y=1@2", "z=1@1", "w=1@3"]),
        ["a=1", "b=1", "x=1@1", "z=1@1", "c=1", "y=1@2", "w=1@3"]
    );
}

#[test]
fn new_entry_stays_behind_earlier_ones_of_its_sequence() {
    assert_eq!(merged(MERGE, &["x=1", "y=1", "k=1"], &["k=1@1", "x=1@2", "k=2@2"]), ["x=1", "y=1", "k=1", "k=2@2"]);
}

#[test]
fn update_missing_only_adds() {
    assert_eq!(merged(UpdateMode::Missing, &["a=1", "b=1"], &["b=2", "c=1", "a=1"]), ["a=1", "b=1", "c=1"]);
    let result = arranged(UpdateMode::Missing, &["a=1", "b=1"], &["b=2"]);
    assert_eq!((result.changed, result.added), (0, 0));
}

#[test]
fn update_replace_keeps_seen_entries_in_the_old_order() {
    let result = arranged(UpdateMode::Replace, &["a=1", "b=1", "c=1"], &["c=1", "d=1", "a=2"]);
    assert_eq!(result.entries, [Replace { old: 0, new: 2, keeps_payload: false }, Keep(2), Add(1)]);
    assert_eq!((result.unchanged, result.changed, result.added, result.not_seen, result.removed), (1, 1, 1, 1, 1));
}

proptest! {
    #[test]
    fn old_entries_never_move_and_new_ones_are_placed_once(
        old in prop::collection::vec("[abc]=[123]", 0..8),
        new in prop::collection::vec("[abcd]=[1234]@[123]", 0..10),
    ) {
        let old: Vec<&str> = old.iter().map(String::as_str).collect();
        let new: Vec<&str> = new.iter().map(String::as_str).collect();
        for update in [UpdateMode::Merge, UpdateMode::Missing, UpdateMode::Replace] {
            let result = arranged(update, &old, &new);
            let kept = result.entries.iter().filter_map(|step| match *step {
                Keep(at) | Replace { old: at, .. } => Some(at),
                Add(_) => None,
            });
            let kept: Vec<usize> = kept.collect();
            prop_assert!(kept.is_sorted_by(|a, b| a < b), "{kept:?}");
            prop_assert_eq!(kept.len(), old.len() - result.removed);
            prop_assert!(update == UpdateMode::Replace || result.removed == 0);
            prop_assert!(update != UpdateMode::Missing || result.changed == 0);
            let mut put: Vec<usize> = result.entries.iter().filter_map(|step| match *step {
                Add(new) | Replace { new, .. } => Some(new),
                Keep(_) => None,
            }).collect();
            prop_assert_eq!(put.len(), result.added + result.changed);
            for (at, became) in result.recorded_entries().enumerate() {
                let says = match result.entries[became.entry] {
                    Replace { new: at, .. } | Add(at) => new[at],
                    Keep(at) => old[at],
                };
                prop_assert_eq!(key(says), key(new[at]));
                let same = answer(says) == answer(new[at]);
                prop_assert!(same || update == UpdateMode::Missing, "{} became {}", new[at], says);
            }
            prop_assert_eq!(result.entry_of.len(), new.len());
            put.sort_unstable();
            put.dedup();
            prop_assert_eq!(put.len(), result.added + result.changed);
            // The next recording of the same exchanges finds the result unchanged.
            let now = merged(update, &old, &new);
            let again = arranged(UpdateMode::Merge, &now, &new);
            let same: Vec<&str> = again.entries.iter().filter_map(|step| if let Keep(at) = step { Some(now[*at]) } else { None }).collect();
            prop_assert!(update == UpdateMode::Missing || same == now, "{now:?} became {:?}", again.entries);
        }
    }
}
