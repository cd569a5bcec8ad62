//! Search for several texts at once.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

/// The number of needles up to which an automaton searches with SIMD instructions.
pub(crate) const MAX_NEEDLES: usize = 64;

/// Builds an automaton that searches for all needles at once.
#[expect(clippy::expect_used, reason = "only more needles than fit into memory make it fail")]
pub(crate) fn automaton<N: AsRef<[u8]>>(needles: &[N]) -> AhoCorasick {
    let mut builder = AhoCorasick::builder();
    builder.match_kind(MatchKind::LeftmostFirst).kind(Some(AhoCorasickKind::ContiguousNFA));
    builder.build(needles).expect("few needles")
}
