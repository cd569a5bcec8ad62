//! The differences of two URL paths, segment by segment, at the least distance.

use super::distance;
use super::template::{Encoding, differs_only_in_placeholders};

/// Longer paths are compared position by position.
const MAX_ALIGNED: usize = 16;

/// One step along two paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathStep {
    /// Both paths have this segment, or a rule or a placeholder makes two segments equal.
    Same,
    Changed,
    /// Only the left path has the segment.
    OnlyLeft,
    OnlyRight,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathDiff {
    /// The steps from the first segments on.
    pub steps: Vec<PathStep>,
    pub distance: u32,
}

#[derive(Clone, Debug)]
pub struct PathSegments<'a> {
    /// The segments as they are written.
    pub written: Vec<&'a str>,
    /// The segments with [`VARIABLE`] for those that a rule lets vary, if there are any.
    pub by_rules: Option<Vec<String>>,
}

/// Stands for a segment that a rule lets vary. No path in normal form has braces.
pub const VARIABLE: &str = "{}";

impl PathSegments<'_> {
    fn len(&self) -> usize {
        self.written.len()
    }

    fn by_rules(&self, n: usize) -> &str {
        self.by_rules.as_ref().and_then(|segments| segments.get(n)).map_or(self.written[n], String::as_str)
    }
}

impl PathDiff {
    /// Compares the path of a request with a recorded one.
    #[must_use]
    pub fn new(sent: &PathSegments<'_>, recorded: &PathSegments<'_>) -> Self {
        let (len, width) = (sent.len(), recorded.len());
        let changed = if len == width { (0..len).filter(|&n| !is_same(sent, n, recorded, n)).count() } else { len };
        if changed == 0 && len == width {
            return PathDiff { steps: vec![PathStep::Same; len], distance: 0 };
        }
        // With one changed segment there is nothing to align. Most near paths are like that.
        let is_aligned = len == width && changed == 1;
        let mut diff = match len.max(width) {
            0..=MAX_ALIGNED if !is_aligned => align(sent, recorded),
            _ => compare_positions(sent, recorded),
        };
        if !diff.steps.contains(&PathStep::Same) {
            diff.distance += distance::NOTHING_IN_COMMON;
        }
        diff
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.iter().all(|step| *step == PathStep::Same)
    }
}

fn is_same(sent: &PathSegments<'_>, n: usize, recorded: &PathSegments<'_>, m: usize) -> bool {
    // A variable segment varies at its own position only.
    let (a, b) = (sent.by_rules(n), recorded.by_rules(m));
    (a == b && (n == m || a != VARIABLE))
        || (n == m && b == VARIABLE)
        || differs_only_in_placeholders(recorded.written[m], sent.written[n], Encoding::Percent)
}

fn segment_distance(sent: &PathSegments<'_>, n: usize, recorded: &PathSegments<'_>, m: usize) -> u32 {
    if is_same(sent, n, recorded, m) { 0 } else { distance::of_segments(sent.written[n], recorded.written[m]) }
}

/// Finds the steps with the least distance.
fn align(sent: &PathSegments<'_>, recorded: &PathSegments<'_>) -> PathDiff {
    let (len, width) = (sent.len(), recorded.len());
    // best[n][m]: the distance from segments n and m to the ends, and the first step.
    let mut best = vec![vec![(0, PathStep::Same); width + 1]; len + 1];
    for n in (0..=len).rev() {
        for m in (0..=width).rev() {
            let mut candidates = Vec::with_capacity(3);
            if n < len && m < width {
                let here = segment_distance(sent, n, recorded, m);
                let step = if here == 0 { PathStep::Same } else { PathStep::Changed };
                candidates.push((here + best[n + 1][m + 1].0, step));
            }
            if n < len {
                candidates.push((distance::of_added_segment(sent.written[n]) + best[n + 1][m].0, PathStep::OnlyLeft));
            }
            if m < width {
                let added = distance::of_added_segment(recorded.written[m]);
                candidates.push((added + best[n][m + 1].0, PathStep::OnlyRight));
            }
            // The first of equals: a changed segment is preferred to an added and a missing one.
            if let Some(found) = candidates.into_iter().reduce(|best, next| if next.0 < best.0 { next } else { best }) {
                best[n][m] = found;
            }
        }
    }
    let (mut steps, mut at) = (Vec::new(), (0, 0));
    while at != (len, width) {
        let step = best[at.0][at.1].1;
        steps.push(step);
        at = match step {
            PathStep::Same | PathStep::Changed => (at.0 + 1, at.1 + 1),
            PathStep::OnlyLeft => (at.0 + 1, at.1),
            PathStep::OnlyRight => (at.0, at.1 + 1),
        };
    }
    PathDiff { steps, distance: best[0][0].0 }
}

fn compare_positions(sent: &PathSegments<'_>, recorded: &PathSegments<'_>) -> PathDiff {
    let (len, width) = (sent.len(), recorded.len());
    let mut diff = PathDiff::default();
    for n in 0..len.max(width) {
        let (step, distance) = match (n < len, n < width) {
            (true, true) => match segment_distance(sent, n, recorded, n) {
                0 => (PathStep::Same, 0),
                distance => (PathStep::Changed, distance),
            },
            (true, false) => (PathStep::OnlyLeft, distance::of_added_segment(sent.written[n])),
            _ => (PathStep::OnlyRight, distance::of_added_segment(recorded.written[n])),
        };
        diff.steps.push(step);
        diff.distance += distance;
    }
    diff
}

#[cfg(test)]
mod tests {
    use super::PathStep::{Changed, OnlyLeft, OnlyRight, Same};
    use super::*;

    fn steps(sent: &str, recorded: &str) -> Vec<PathStep> {
        let segments = |path: &'static str| PathSegments { written: path.split('/').collect(), by_rules: None };
        let [sent, recorded] = [sent, recorded].map(|path| segments(String::from(path).leak()));
        PathDiff::new(&sent, &recorded).steps
    }

    #[test]
    fn segments_are_aligned_at_the_least_distance() {
        for (sent, recorded, expected) in [
            ("users/7", "users/7", vec![Same, Same]),
            ("users/7", "users/8", vec![Same, Changed]),
            ("api/users/7", "users/7", vec![OnlyLeft, Same, Same]),
            ("users", "users/7", vec![Same, OnlyRight]),
            ("users/live", "users/REDACTED-id-1", vec![Same, Same]),
        ] {
            assert_eq!(steps(sent, recorded), expected, "{sent} {recorded}");
        }
    }

    #[test]
    fn variable_segments_are_equal_at_their_position() {
        let open = |written: &'static str, by_rules: &str| {
            let by_rules = Some(by_rules.split('/').map(str::to_owned).collect());
            PathSegments { written: written.split('/').collect(), by_rules }
        };
        let diff = PathDiff::new(&open("users/7", "users/{}"), &open("users/8", "users/{}"));
        assert!(diff.is_empty() && diff.distance == 0);
    }
}
