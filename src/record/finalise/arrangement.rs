//! Decides which entries of the old fixture stay, which are replaced, and where new ones go.
//!
//! In each [`Sequence`] a new exchange is paired with the first free entry that has its response. The others are paired
//! in order. Entries that are not paired neither move nor change.

use std::collections::HashMap;

use super::sequences::{Sequence, SharedRequests, is_covered};
use crate::record::UpdateMode;
use crate::verdict::request::{EntryChange, RecordedEntry};
use harproxy_compare::Pairing;

/// One entry of the new fixture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntrySource {
    /// The old entry, byte for byte.
    Keep(usize),
    /// The old entry with the changes of a new exchange.
    Replace {
        old: usize,
        new: usize,
        /// The payload of the response is the old one.
        keeps_payload: bool,
    },
    /// The entry of a new exchange.
    Add(usize),
}

/// The entries of the new fixture, and the changes that they make to the old one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arrangement {
    /// The entries in order.
    pub entries: Vec<EntrySource>,
    /// Old entries that were seen again with the same response.
    pub unchanged: usize,
    /// Old entries that are replaced in place.
    pub changed: usize,
    pub added: usize,
    /// Old entries that were not seen.
    pub not_seen: usize,
    pub removed: usize,
    /// Whether the old fixture had layout 1, and is migrated.
    pub migrated: bool,
    /// The pairs of new exchanges and old entries.
    pub pairs: Vec<(usize, usize)>,
    /// For each new exchange, the index of the entry that stands for it.
    pub entry_of: Vec<usize>,
}

/// The relation of a new exchange to the old fixture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    /// The old entry stands for it.
    Covered(usize),
    /// It changes the old entry.
    Replaces { old: usize, keeps_payload: bool },
    /// It repeats an earlier new exchange of its sequence.
    Repeats(usize),
    /// It has no counterpart.
    Added,
}

impl Arrangement {
    /// Arranges a first recording: all exchanges are added.
    #[must_use]
    pub fn first(exchanges: usize) -> Self {
        let (entries, entry_of) = ((0..exchanges).map(EntrySource::Add).collect(), (0..exchanges).collect());
        Arrangement { entries, entry_of, added: exchanges, ..Arrangement::default() }
    }

    /// Arranges a recording over a fixture of `old` entries.
    #[must_use]
    pub fn update(old: usize, shared: &SharedRequests, mode: UpdateMode) -> Self {
        let exchanges = shared.connections.len();
        let mut builder = ArrangementBuilder {
            relations: vec![Relation::Added; exchanges],
            predecessors: vec![None; exchanges],
            seen: vec![false; old],
            failed: vec![false; old],
        };
        shared.failed.iter().for_each(|&entry| builder.failed[entry] = true);
        shared.sequences.iter().for_each(|sequence| builder.add_sequence(sequence));
        builder.build(&shared.connections, mode)
    }

    /// Returns, for each new exchange, the entry that stands for it and the change of that entry.
    pub fn recorded_entries(&self) -> impl Iterator<Item = RecordedEntry> {
        self.entry_of.iter().map(|&entry| {
            let change = match self.entries[entry] {
                EntrySource::Keep(_) => EntryChange::Unchanged,
                EntrySource::Replace { .. } => EntryChange::Changed,
                EntrySource::Add(_) => EntryChange::Added,
            };
            RecordedEntry { entry, change }
        })
    }
}

struct ArrangementBuilder {
    /// By new exchange.
    relations: Vec<Relation>,
    /// By new exchange: the one before it in its sequence.
    predecessors: Vec<Option<usize>>,
    /// By old entry: whether the recording has its response.
    seen: Vec<bool>,
    /// By old entry: whether its request failed before a connection to upstream. It stays.
    failed: Vec<bool>,
}

impl ArrangementBuilder {
    fn add_sequence(&mut self, Sequence { old, new }: &Sequence) {
        let is_old = |at: usize, entry: usize| old[entry].1.as_ref().is_some_and(|key| is_covered(&new[at].1, key));
        let mut pairing = Pairing::new(new.len(), old.len());
        pairing.pair_by(is_old);
        let mut covered = pairing.pairs();
        let repeats_covered = |covered: &[(usize, usize)], entry| covered.iter().any(|&(at, _)| is_old(at, entry));
        // A poll may be shorter than before. Its superfluous "pending" is not paired with a response that changed.
        let surplus = pairing.free_right().len().saturating_sub(pairing.free_left().len());
        let superfluous = pairing.free_right().into_iter().filter(|&entry| repeats_covered(&covered, entry));
        superfluous.take(surplus).for_each(|entry| pairing.exclude_right(entry));
        // A poll may be longer than before. Its additional "pending" is not new.
        let surplus = pairing.free_left().len().saturating_sub(pairing.free_right().len());
        let repeats = |&at: &usize| at > 0 && is_covered(&new[at].1, &new[at - 1].1);
        for at in pairing.free_left().into_iter().filter(repeats).take(surplus) {
            pairing.exclude_left(at);
            self.relations[new[at].0] = Relation::Repeats(new[at - 1].0);
        }
        for (at, entry) in pairing.free_left().into_iter().zip(pairing.free_right()) {
            pairing.pair(at, entry);
            let (exchange, new) = &new[at];
            let (old, before) = (old[entry].0, old[entry].1.as_ref());
            // A failed request does not change the recorded response.
            if before.is_some_and(|before| before.is_received() && !new.is_received()) {
                covered.push((at, entry));
            } else {
                let keeps_payload = before.is_some_and(|before| new.has_same_payload(before));
                self.relations[*exchange] = Relation::Replaces { old, keeps_payload };
            }
        }
        for &(at, entry) in &covered {
            self.relations[new[at].0] = Relation::Covered(old[entry].0);
        }
        for (entry, (index, _)) in old.iter().enumerate() {
            self.seen[*index] = pairing.partner_of_right(entry).is_some() || repeats_covered(&covered, entry);
        }
        for pair in new.windows(2) {
            self.predecessors[pair[1].0] = Some(pair[0].0);
        }
    }

    fn build(&self, connections: &[Option<u64>], mode: UpdateMode) -> Arrangement {
        let (old, exchanges) = (self.seen.len(), self.relations.len());
        let mut replaced = vec![None; old];
        // The new entries behind each old one. The last list holds those that follow no other request.
        let mut added_behind: Vec<Vec<usize>> = vec![Vec::new(); old + 1];
        // By new exchange: the old entry at which, or behind which, it stands.
        let mut anchors = vec![old; exchanges];
        let mut last_on: HashMap<u64, usize> = HashMap::new();
        for (new, relation) in self.relations.iter().enumerate() {
            let before = connections[new].and_then(|connection| last_on.insert(connection, new));
            anchors[new] = match *relation {
                Relation::Covered(at) => at,
                Relation::Replaces { old, keeps_payload } => {
                    replaced[old] = Some(EntrySource::Replace { old, new, keeps_payload });
                    old
                }
                Relation::Repeats(earlier) => anchors[earlier],
                Relation::Added => {
                    let at = before.map_or(old, |before| anchors[before]);
                    // The order of a sequence is kept.
                    let at = self.predecessors[new].map_or(at, |earlier| at.max(anchors[earlier]));
                    added_behind[at].push(new);
                    at
                }
            };
        }
        let mut result = Arrangement::default();
        let (mut entry_of_old, mut entry_of_added) = (vec![0; old], vec![0; exchanges]);
        for (at, added) in added_behind.iter().enumerate() {
            if let Some(&seen) = self.seen.get(at) {
                let replaced = replaced[at].filter(|_| mode != UpdateMode::Missing);
                result.not_seen += usize::from(!seen);
                result.changed += usize::from(replaced.is_some());
                result.unchanged += usize::from(seen && replaced.is_none());
                if seen || self.failed[at] || mode != UpdateMode::Replace {
                    entry_of_old[at] = result.entries.len();
                    result.entries.push(replaced.unwrap_or(EntrySource::Keep(at)));
                } else {
                    result.removed += 1;
                }
            }
            for &new in added {
                entry_of_added[new] = result.entries.len();
                result.entries.push(EntrySource::Add(new));
            }
            result.added += added.len();
        }
        for (new, relation) in self.relations.iter().enumerate() {
            result.entry_of.push(match *relation {
                Relation::Covered(old) | Relation::Replaces { old, .. } => {
                    result.pairs.push((new, old));
                    entry_of_old[old]
                }
                Relation::Repeats(earlier) => result.entry_of[earlier],
                Relation::Added => entry_of_added[new],
            });
        }
        result
    }
}
