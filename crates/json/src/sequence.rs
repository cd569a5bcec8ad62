//! The longest common subsequence of two lists.

use std::hash::Hash;

use similar::DiffOp;
use similar::algorithms::{Algorithm, Capture, diff_slices};

/// Pairs equal elements of two lists, in order, as many as can be paired without crossing.
///
/// For long lists that have little in common the result may be shorter than the longest one, so that the time stays
/// bounded.
///
/// ```
/// use harproxy_json::sequence::common;
/// assert_eq!(common(b"abcd", b"xbd"), [(1, 1), (3, 2)]);
/// ```
#[must_use]
pub fn common<T: Eq + Hash>(left: &[T], right: &[T]) -> Vec<(usize, usize)> {
    let mut capture = Capture::new();
    match diff_slices(Algorithm::Myers, &mut capture, left, right) {
        Ok(()) => {}
        Err(never) => match never {},
    }
    let mut pairs = Vec::with_capacity(left.len().min(right.len()));
    for op in capture.into_ops() {
        if let DiffOp::Equal { old_index, new_index, len } = op {
            pairs.extend((old_index..old_index + len).zip(new_index..));
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pairs_are_equal_in_order_and_as_many_as_possible(
            left in prop::collection::vec(0_u8..4, 0..12),
            right in prop::collection::vec(0_u8..4, 0..12),
        ) {
            let pairs = common(&left, &right);
            prop_assert!(pairs.iter().all(|(a, b)| left[*a] == right[*b]));
            prop_assert!(pairs.windows(2).all(|two| two[0].0 < two[1].0 && two[0].1 < two[1].1));
            let mut lengths = vec![vec![0; right.len() + 1]; left.len() + 1];
            for (a, one) in left.iter().enumerate().rev() {
                for (b, other) in right.iter().enumerate().rev() {
                    lengths[a][b] = match one == other {
                        true => lengths[a + 1][b + 1] + 1,
                        false => lengths[a + 1][b].max(lengths[a][b + 1]),
                    };
                }
            }
            prop_assert_eq!(pairs.len(), lengths[0][0]);
        }
    }
}
