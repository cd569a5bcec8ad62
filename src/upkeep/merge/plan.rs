//! What becomes of each entry when two branches of a fixture are merged, and in which order.

use std::collections::HashMap;

use indexmap::IndexMap;

use super::look::{Look, Sum};
use super::side::Side;
use super::turns::pair;

/// Whose entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Ours,
    Theirs,
}

/// An entry as it goes into the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Take {
    pub(super) who: Who,
    pub(super) entry: usize,
    /// The entry of the other side whose request headers go with it: they were edited there and not here.
    pub(super) asked_by: Option<usize>,
}

/// A piece of the result, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Take(Take),
    /// Nobody but a person can tell; a side that is `None` has removed the entry.
    Conflict {
        ours: Option<Take>,
        theirs: Option<Take>,
        /// Neither had it before.
        new: bool,
    },
}

/// How many of their entries made a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Entries that only they have.
    pub added: usize,
    /// Entries that are as they changed them.
    pub changed: usize,
    /// Entries that they removed.
    pub removed: usize,
}

/// One entry in up to three fixtures.
#[derive(Clone, Copy, Debug, Default)]
struct Item {
    base: Option<usize>,
    ours: Option<usize>,
    theirs: Option<usize>,
}

/// The result of two branches.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) pieces: Vec<Piece>,
    pub(super) counts: Counts,
    /// Ours and theirs of entries that both have and that say the same, of which ours stays.
    pub(super) same: Vec<(usize, usize)>,
}

/// What becomes of an item.
enum Fate {
    Gone,
    Stays(Piece),
}

/// Lays two branches over their common ancestor.
pub(super) fn plan(base: &Side, ours: &Side, theirs: &Side) -> Plan {
    let items = identify([&base.looks, &ours.looks, &theirs.looks]);
    let mut plan = Plan::default();
    for at in order(&items, ours.looks.len(), theirs.looks.len()) {
        let item = items[at];
        let look = |side: &Side, entry: Option<usize>| entry.map(|entry| side.looks[entry].clone());
        let looks = [look(base, item.base), look(ours, item.ours), look(theirs, item.theirs)];
        if let (Some(o), Some(t)) = (item.ours, item.theirs)
            && looks[1].as_ref().map(|look| look.meaning) == looks[2].as_ref().map(|look| look.meaning)
        {
            plan.same.push((o, t));
        }
        match fate(item, [looks[0].as_ref(), looks[1].as_ref(), looks[2].as_ref()]) {
            Fate::Gone => plan.counts.removed += usize::from(item.ours.is_some()),
            Fate::Stays(piece) => {
                if let Piece::Take(Take { who: Who::Theirs, .. }) = piece {
                    plan.counts.added += usize::from(item.ours.is_none());
                    plan.counts.changed += usize::from(item.ours.is_some());
                }
                plan.pieces.push(piece);
            }
        }
    }
    plan
}

fn fate(item: Item, looks: [Option<&Look>; 3]) -> Fate {
    let take = |who, entry: Option<usize>| entry.map(|entry| Take { who, entry, asked_by: None });
    let (ours, theirs) = (take(Who::Ours, item.ours), take(Who::Theirs, item.theirs));
    let conflict = Fate::Stays(Piece::Conflict { ours, theirs, new: item.base.is_none() });
    let [base, o, t] = looks;
    let chosen = match (base, o, t) {
        (_, None, None) => None,
        // Removed by one: gone, unless the other changed what it says.
        (Some(b), Some(x), None) | (Some(b), None, Some(x)) if x.meaning != b.meaning => return conflict,
        (Some(_), Some(_), None) | (Some(_), None, Some(_)) => None,
        (None, Some(_), None) => ours,
        (None, None, Some(_)) => theirs,
        (None, Some(o), Some(t)) if o.meaning != t.meaning => return conflict,
        (None, Some(_), Some(_)) => ours,
        (Some(b), Some(o), Some(t)) => match choose(b, o, t) {
            Some(Who::Ours) => with_headers(ours, item.theirs, [b, o, t]),
            Some(Who::Theirs) => with_headers(theirs, item.ours, [b, t, o]),
            None => return conflict,
        },
    };
    chosen.map_or(Fate::Gone, |take| Fate::Stays(Piece::Take(take)))
}

/// Whose entry stays when all three have it; `None` when both changed it, each in its way.
fn choose(base: &Look, ours: &Look, theirs: &Look) -> Option<Who> {
    if theirs.text == base.text || ours.text == theirs.text {
        return Some(Who::Ours);
    }
    if ours.text == base.text {
        return Some(Who::Theirs);
    }
    let changed = |side: &Look| side.meaning != base.meaning;
    match (changed(ours), changed(theirs)) {
        (false, true) => Some(Who::Theirs),
        (true, true) if ours.meaning != theirs.meaning => None,
        _ => Some(Who::Ours),
    }
}

/// What one side did to the request's headers (took a secret out, say) is not lost because the other side has a new answer.
fn with_headers(take: Option<Take>, other: Option<usize>, [base, chosen, not_chosen]: [&Look; 3]) -> Option<Take> {
    let edited = chosen.asked == base.asked && not_chosen.asked != base.asked;
    take.map(|take| Take { asked_by: other.filter(|_| edited), ..take })
}

/// For each of `theirs`, its partner among `ours`. Of several pairings that are as good it is the same one whoever is ours, so that
/// a merge and the merge the other way round have the same entries.
fn pair_evenly(ours: &[Sum], theirs: &[Sum]) -> Vec<Option<usize>> {
    if ours <= theirs {
        return pair(ours, theirs);
    }
    let mut partners = vec![None; theirs.len()];
    for (at, partner) in pair(theirs, ours).into_iter().enumerate() {
        if let Some(partner) = partner {
            partners[partner] = Some(at);
        }
    }
    partners
}

/// Finds what is one entry in the three fixtures: by key, and within a key by turn.
fn identify([base, ours, theirs]: [&[Look]; 3]) -> Vec<Item> {
    let mut keys: IndexMap<Sum, [Vec<usize>; 3]> = IndexMap::new();
    for (side, looks) in [base, ours, theirs].into_iter().enumerate() {
        for (entry, look) in looks.iter().enumerate() {
            keys.entry(look.key).or_default()[side].push(entry);
        }
    }
    let mut items = Vec::with_capacity(ours.len().max(theirs.len()));
    for [b, o, t] in keys.into_values() {
        let meanings =
            |looks: &[Look], entries: &[usize]| entries.iter().map(|at| looks[*at].meaning).collect::<Vec<_>>();
        let (of_base, of_ours, of_theirs) = (meanings(base, &b), meanings(ours, &o), meanings(theirs, &t));
        let mut turns: Vec<Item> = b.iter().map(|&at| Item { base: Some(at), ..Item::default() }).collect();
        // What was added, by the turn of the ancestor that it came after.
        let mut added_by_us: Vec<Vec<usize>> = vec![Vec::new(); b.len() + 1];
        let mut added_by_them = added_by_us.clone();
        let mut after = 0;
        for (turn, partner) in pair(&of_base, &of_ours).into_iter().enumerate() {
            match partner {
                Some(partner) => (turns[partner].ours, after) = (Some(o[turn]), partner + 1),
                None => added_by_us[after].push(turn),
            }
        }
        after = 0;
        for (turn, partner) in pair(&of_base, &of_theirs).into_iter().enumerate() {
            match partner {
                Some(partner) => (turns[partner].theirs, after) = (Some(t[turn]), partner + 1),
                None => added_by_them[after].push(turn),
            }
        }
        for (by_us, by_them) in added_by_us.into_iter().zip(added_by_them) {
            let said = |turns: &[usize], meanings: &[Sum]| turns.iter().map(|at| meanings[*at]).collect::<Vec<_>>();
            let first = turns.len();
            turns.extend(by_us.iter().map(|&turn| Item { ours: Some(o[turn]), ..Item::default() }));
            let partners = pair_evenly(&said(&by_us, &of_ours), &said(&by_them, &of_theirs));
            for (&turn, partner) in by_them.iter().zip(partners) {
                match partner {
                    Some(partner) => turns[first + partner].theirs = Some(t[turn]),
                    None => turns.push(Item { theirs: Some(t[turn]), ..Item::default() }),
                }
            }
        }
        items.append(&mut turns);
    }
    items
}

/// The items in the order of the result: ours, with theirs behind what they came after. Whoever moved entries keeps them
/// where they are now.
fn order(items: &[Item], ours: usize, theirs: usize) -> Vec<usize> {
    let in_order = |len: usize, entry: fn(&Item) -> Option<usize>| {
        let mut order = vec![usize::MAX; len];
        for (at, item) in items.iter().enumerate() {
            if let Some(entry) = entry(item) {
                order[entry] = at;
            }
        }
        order
    };
    let (ours, theirs) = (in_order(ours, |item| item.ours), in_order(theirs, |item| item.theirs));
    let moved = |order: &[usize]| !order.iter().filter_map(|&at| items[at].base).is_sorted();
    if moved(&theirs) && !moved(&ours) { weave(&theirs, &ours, items) } else { weave(&ours, &theirs, items) }
}

/// Puts what only `other` has behind the entry of `spine` that it came after there, and behind what `spine` added there.
fn weave(spine: &[usize], other: &[usize], items: &[Item]) -> Vec<usize> {
    let place: HashMap<usize, usize> = spine.iter().enumerate().map(|(at, &item)| (item, at)).collect();
    let is_shared =
        |item: usize| items[item].base.is_some() || (items[item].ours.is_some() && items[item].theirs.is_some());
    let mut before: Vec<Vec<usize>> = vec![Vec::new(); spine.len() + 1];
    let behind_added = |at: usize| at + spine[at..].iter().take_while(|item| !is_shared(**item)).count();
    let mut next = behind_added(0);
    for &item in other {
        if let Some(at) = place.get(&item) {
            next = behind_added(at + 1);
        } else {
            before[next].push(item);
        }
    }
    let mut order = Vec::with_capacity(spine.len() + other.len());
    for (at, inserted) in before.into_iter().enumerate() {
        order.extend(inserted);
        order.extend(spine.get(at));
    }
    order
}
