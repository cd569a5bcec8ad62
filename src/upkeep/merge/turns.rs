//! Which turns of a key are the same ones in two fixtures: those with equal answers first, in order, then what is left
//! between them, one for one.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// More comparisons than this are not worth an exact answer: a poll of thousands of turns.
const EXACT: usize = 4 << 20;

/// For each of `new`, the one of `old` that it is or that it replaces; in order on both sides.
pub(super) fn pair<T: Eq + Hash>(old: &[T], new: &[T]) -> Vec<Option<usize>> {
    let mut paired = align(old, new);
    let (mut from, mut free) = (0, 0);
    for at in 0..=new.len() {
        let next = match paired.get(at) {
            Some(Some(partner)) => *partner,
            Some(None) => continue,
            None => old.len(),
        };
        for (left, partner) in paired[from..at].iter_mut().zip(free..next) {
            *left = Some(partner);
        }
        (from, free) = (at + 1, next + 1);
    }
    paired
}

/// The longest common subsequence: for each of `new`, the equal one of `old`.
fn align<T: Eq + Hash>(old: &[T], new: &[T]) -> Vec<Option<usize>> {
    let mut paired = vec![None; new.len()];
    let begin = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let end = old[begin..].iter().rev().zip(new[begin..].iter().rev()).take_while(|(a, b)| a == b).count();
    for (at, partner) in paired.iter_mut().enumerate().take(begin) {
        *partner = Some(at);
    }
    for back in 1..=end {
        paired[new.len() - back] = Some(old.len() - back);
    }
    let (old_end, new_end) = (old.len() - end, new.len() - end);
    let (old, new) = (&old[begin..old_end], &new[begin..new_end]);
    let middle = if old.len().saturating_mul(new.len()) <= EXACT { exact(old, new) } else { greedy(old, new) };
    for (at, partner) in middle.into_iter().enumerate() {
        paired[begin + at] = partner.map(|partner| begin + partner);
    }
    paired
}

fn exact<T: Eq>(old: &[T], new: &[T]) -> Vec<Option<usize>> {
    let width = new.len() + 1;
    // longest[i][j]: of old[i..] and new[j..].
    let mut longest = vec![0_u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            longest[i * width + j] = if old[i] == new[j] {
                longest[(i + 1) * width + j + 1] + 1
            } else {
                longest[(i + 1) * width + j].max(longest[i * width + j + 1])
            };
        }
    }
    let mut paired = vec![None; new.len()];
    let (mut i, mut j) = (0, 0);
    while i < old.len() && j < new.len() {
        if old[i] == new[j] {
            paired[j] = Some(i);
            (i, j) = (i + 1, j + 1);
        } else if longest[(i + 1) * width + j] >= longest[i * width + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    paired
}

fn greedy<T: Eq + Hash>(old: &[T], new: &[T]) -> Vec<Option<usize>> {
    let mut places: HashMap<&T, VecDeque<usize>> = HashMap::new();
    for (at, answer) in old.iter().enumerate() {
        places.entry(answer).or_default().push_back(at);
    }
    let mut next = 0;
    let partner = |answer: &T| {
        let places = places.get_mut(answer)?;
        while let Some(place) = places.pop_front() {
            if place >= next {
                next = place + 1;
                return Some(place);
            }
        }
        None
    };
    new.iter().map(partner).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paired(old: &str, new: &str) -> String {
        let (old, new): (Vec<char>, Vec<char>) = (old.chars().collect(), new.chars().collect());
        pair(&old, &new).into_iter().map(|at| at.map_or('-', |at| old[at])).collect()
    }

    #[test]
    fn equal_ones_first_then_what_is_left_between_them() {
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
            assert_eq!(paired(old, new), expected, "{old} {new}");
        }
    }

    #[test]
    fn thousands_of_turns_are_paired_in_order() {
        let old: Vec<u32> = (0..9000).map(|n| n * 7 % 9001).collect();
        let new: Vec<u32> = (0..9000).map(|n| n * 11 % 9001).collect();
        let partners: Vec<usize> = pair(&old, &new).into_iter().flatten().collect();
        assert!(partners.is_sorted() && partners.len() > 100);
    }
}
