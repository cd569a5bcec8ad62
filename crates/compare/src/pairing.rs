//! Pairs of corresponding items of two lists.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use harproxy_json::sequence;

/// Pairs items in several passes: each pass pairs items that are still free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pairing {
    left: Vec<State>,
    right: Vec<State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    Paired(usize),
    /// The item needs no partner.
    Excluded,
}

impl Pairing {
    /// Starts with two lists of these lengths, all of whose items are free.
    #[must_use]
    pub fn new(left: usize, right: usize) -> Self {
        Pairing { left: vec![State::Free; left], right: vec![State::Free; right] }
    }

    /// Pairs free items with equal keys, in order.
    pub fn pair_by_key<K: Eq + Hash>(&mut self, left: impl Fn(usize) -> K, right: impl Fn(usize) -> K) {
        let mut waiting: HashMap<K, VecDeque<usize>> = HashMap::new();
        for at in self.free_right() {
            waiting.entry(right(at)).or_default().push_back(at);
        }
        for at in self.free_left() {
            if let Some(partner) = waiting.get_mut(&left(at)).and_then(VecDeque::pop_front) {
                self.pair(at, partner);
            }
        }
    }

    /// Pairs each free left item with the first free right item that `is_same` accepts.
    pub fn pair_by(&mut self, is_same: impl Fn(usize, usize) -> bool) {
        let mut free = self.free_right();
        for at in self.free_left() {
            if let Some(place) = free.iter().position(|right| is_same(at, *right)) {
                self.pair(at, free.remove(place));
            }
        }
    }

    pub fn pair(&mut self, left: usize, right: usize) {
        self.left[left] = State::Paired(right);
        self.right[right] = State::Paired(left);
    }

    /// Excludes a left item from further passes.
    pub fn exclude_left(&mut self, at: usize) {
        self.left[at] = State::Excluded;
    }

    /// Excludes a right item from further passes.
    pub fn exclude_right(&mut self, at: usize) {
        self.right[at] = State::Excluded;
    }

    #[must_use]
    pub fn partner_of_right(&self, at: usize) -> Option<usize> {
        partner(self.right[at])
    }

    /// Returns the pairs in the order of the left list.
    #[must_use]
    pub fn pairs(&self) -> Vec<(usize, usize)> {
        self.left.iter().enumerate().filter_map(|(at, state)| Some((at, partner(*state)?))).collect()
    }

    /// Returns the left items that are neither paired nor excluded.
    #[must_use]
    pub fn free_left(&self) -> Vec<usize> {
        free(&self.left)
    }

    /// Returns the right items that are neither paired nor excluded.
    #[must_use]
    pub fn free_right(&self) -> Vec<usize> {
        free(&self.right)
    }
}

fn partner(state: State) -> Option<usize> {
    match state {
        State::Paired(partner) => Some(partner),
        State::Free | State::Excluded => None,
    }
}

fn free(states: &[State]) -> Vec<usize> {
    (0..states.len()).filter(|&at| states[at] == State::Free).collect()
}

/// Aligns two versions of a list. Returns the old index of each new item that has a counterpart, in ascending order.
///
/// Equal items are paired first, in order, then the items between them one by one.
///
/// ```
/// use harproxy_compare::align;
/// assert_eq!(align(b"abc", b"axc"), [Some(0), Some(1), Some(2)]);
/// assert_eq!(align(b"ac", b"abc"), [Some(0), None, Some(1)]);
/// ```
#[must_use]
pub fn align<T: Eq + Hash>(old: &[T], new: &[T]) -> Vec<Option<usize>> {
    let mut partners = vec![None; new.len()];
    let (mut old_from, mut new_from) = (0, 0);
    for (old_at, new_at) in sequence::common(old, new).into_iter().chain([(old.len(), new.len())]) {
        for (partner, old_at) in partners[new_from..new_at].iter_mut().zip(old_from..old_at) {
            *partner = Some(old_at);
        }
        if let Some(partner) = partners.get_mut(new_at) {
            *partner = Some(old_at);
        }
        (old_from, new_from) = (old_at + 1, new_at + 1);
    }
    partners
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aligned(old: &str, new: &str) -> String {
        let (old, new): (Vec<char>, Vec<char>) = (old.chars().collect(), new.chars().collect());
        align(&old, &new).into_iter().map(|at| at.map_or('-', |at| old[at])).collect()
    }

    #[test]
    fn equal_items_are_aligned_before_those_between_them() {
        for (old, new, expected) in [
            ("abc", "abc", "abc"),
            ("abc", "axc", "abc"),
            ("abc", "ac", "ac"),
            ("ac", "abc", "a-c"),
            ("a", "xy", "a-"),
            ("abcd", "bcdx", "bcd-"),
            ("pd", "ppd", "p-d"),
            ("", "ab", "--"),
            ("ab", "", ""),
            ("abcdef", "xbcyef", "abcdef"),
        ] {
            assert_eq!(aligned(old, new), expected, "{old} {new}");
        }
    }

    #[test]
    fn thousands_of_items_are_aligned_in_order() {
        let old: Vec<u32> = (0..9000).map(|n| n * 7 % 9001).collect();
        let new: Vec<u32> = (0..9000).map(|n| n * 11 % 9001).collect();
        let partners: Vec<usize> = align(&old, &new).into_iter().flatten().collect();
        assert!(partners.is_sorted() && partners.len() > 100);
    }

    #[test]
    fn later_passes_pair_what_is_free() {
        let (left, right) = ([1, 2, 3, 4], [4, 20, 1, 30]);
        let mut pairing = Pairing::new(left.len(), right.len());
        pairing.pair_by_key(|at| left[at], |at| right[at]);
        assert_eq!(pairing.pairs(), [(0, 2), (3, 0)]);
        pairing.exclude_left(1);
        pairing.pair_by(|a, b| left[a] * 10 == right[b]);
        assert_eq!(pairing.partner_of_right(3), Some(2));
        assert_eq!((pairing.free_left(), pairing.free_right()), (vec![], vec![1]));
    }
}
