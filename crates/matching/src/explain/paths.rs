//! Two paths beside each other, segment by segment: which are others, which only one of the two has, and how far apart that is.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::super::key::View;
use super::super::redacted;
use super::super::template::{Spelling, Template};
use super::super::{Difference, What};
use super::compare::difference;
use super::cost;

/// Paths with more segments are compared place by place.
const DEEPEST: usize = 16;

/// One step along two paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Both have this segment, or a rule or a placeholder makes them one.
    Same,
    /// They have different ones.
    Other,
    /// Only the request has it.
    Extra,
    /// Only the entry has it.
    Lacking,
}

/// How two paths differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Paths {
    pub(super) steps: Vec<Step>,
    pub(super) cost: u32,
}

/// What of a path is compared: its segments as they are written, and as the rules have it.
pub(super) struct Segments<'a> {
    written: Vec<&'a str>,
    open: Option<Vec<String>>,
}

impl<'a> Segments<'a> {
    pub(super) fn of(seen: &View<'_, 'a>) -> Self {
        let open = match seen.path() {
            Cow::Borrowed(_) => None,
            Cow::Owned(open) => Some(open.split('/').skip(1).map(str::to_owned).collect()),
        };
        Segments { written: seen.parts.segments().collect(), open }
    }

    fn len(&self) -> usize {
        self.written.len()
    }

    fn open(&self, n: usize) -> &str {
        self.open.as_ref().and_then(|open| open.get(n)).map_or(self.written[n], String::as_str)
    }

    /// As they are written.
    pub(super) fn written(&self) -> &[&'a str] {
        &self.written
    }
}

impl Paths {
    /// Compares a request's path with a recorded one, at the least cost.
    pub(super) fn of(asked: &Segments<'_>, recorded: &Segments<'_>) -> Self {
        let (len, width) = (asked.len(), recorded.len());
        let cost = |n: usize, m: usize| match is_same(asked, n, recorded, m) {
            true => 0,
            false => cost::segment(asked.written[n], recorded.written[m]),
        };
        let others = if len == width { (0..len).filter(|&n| !is_same(asked, n, recorded, n)).count() } else { len };
        if others == 0 && len == width {
            return Paths { steps: vec![Step::Same; len], cost: 0 };
        }
        // Where one segment is another there is nothing to align: that is what thousands of neighbours are like.
        let aligned = len == width && others == 1;
        let mut paths = match len.max(width) {
            0..=DEEPEST if !aligned => align(asked, recorded, cost),
            _ => place_by_place(asked, recorded, cost),
        };
        let fixed = paths.steps.contains(&Step::Same);
        if !fixed {
            paths.cost += cost::NOTHING_IN_COMMON;
        }
        paths
    }

    pub(super) fn are_same(&self) -> bool {
        self.steps.iter().all(|step| *step == Step::Same)
    }

    /// What differs: the segments by their number from 1 where few do, else the paths.
    pub(super) fn differences(&self, asked: &View<'_, '_>, recorded: &View<'_, '_>) -> Vec<Difference> {
        /// More than these are told as another path.
        const TOLD: usize = 3;
        if self.are_same() {
            return Vec::new();
        }
        let count = |step: Step| self.steps.iter().filter(|other| **other == step).count();
        let (same, other) = (count(Step::Same), count(Step::Other));
        let moved = self.steps.len() - same - other;
        let [mut sent, mut kept] = [asked, recorded].map(|seen| seen.parts.segments().zip(1..));
        let mut found = Vec::new();
        for step in &self.steps {
            let sent = if *step == Step::Lacking { None } else { sent.next() };
            let kept = if *step == Step::Extra { None } else { kept.next() };
            if *step != Step::Same
                && let Some((_, n)) = sent.or(kept)
            {
                let [sent, kept] = [sent, kept].map(|found| found.map(|(segment, _)| segment));
                found.push((n.to_string(), sent, kept));
            }
        }
        let is_slash = |(_, sent, kept): &(String, Option<&str>, Option<&str>)| sent.or(*kept) == Some("");
        let few = match (other, moved) {
            (1, 0) => true,
            (_, 0) => other <= TOLD && same > 0,
            (0, 1) => same > 0 && !found.iter().any(is_slash),
            _ => false,
        };
        if few {
            return found.iter().map(|(name, sent, kept)| difference(What::Path, name, *sent, *kept)).collect();
        }
        vec![difference(What::Path, "", Some(asked.parts.path), Some(recorded.parts.path))]
    }
}

fn is_same(asked: &Segments<'_>, n: usize, recorded: &Segments<'_>, m: usize) -> bool {
    // What a rule leaves open is open in its own place.
    let (sent, kept) = (asked.open(n), recorded.open(m));
    (sent == kept && (n == m || sent != OPEN))
        || (n == m && kept == OPEN)
        || redacted::fits(recorded.written[m], asked.written[n], Spelling::Percent)
}

/// What stands for a segment that a rule lets vary.
pub(super) const OPEN: &str = "{}";

/// The cheapest way from one path to the other.
fn align(asked: &Segments<'_>, recorded: &Segments<'_>, cost: impl Fn(usize, usize) -> u32) -> Paths {
    let (len, width) = (asked.len(), recorded.len());
    // costs[n][m]: from the n-th segment of the one and the m-th of the other to their ends.
    let mut costs = vec![vec![(0, Step::Same); width + 1]; len + 1];
    for n in (0..=len).rev() {
        for m in (0..=width).rev() {
            let mut ways = Vec::with_capacity(3);
            if n < len && m < width {
                let here = cost(n, m);
                ways.push((here + costs[n + 1][m + 1].0, if here == 0 { Step::Same } else { Step::Other }));
            }
            if n < len {
                ways.push((cost::moved(asked.written[n]) + costs[n + 1][m].0, Step::Extra));
            }
            if m < width {
                ways.push((cost::moved(recorded.written[m]) + costs[n][m + 1].0, Step::Lacking));
            }
            // The first of equals: segments beside each other rather than one in the place of none.
            if let Some(best) = ways.into_iter().reduce(|best, way| if way.0 < best.0 { way } else { best }) {
                costs[n][m] = best;
            }
        }
    }
    let (mut steps, mut at) = (Vec::new(), (0, 0));
    while at != (len, width) {
        let step = costs[at.0][at.1].1;
        steps.push(step);
        at = match step {
            Step::Same | Step::Other => (at.0 + 1, at.1 + 1),
            Step::Extra => (at.0 + 1, at.1),
            Step::Lacking => (at.0, at.1 + 1),
        };
    }
    Paths { steps, cost: costs[0][0].0 }
}

fn place_by_place(asked: &Segments<'_>, recorded: &Segments<'_>, cost: impl Fn(usize, usize) -> u32) -> Paths {
    let (len, width) = (asked.len(), recorded.len());
    let mut paths = Paths::default();
    for n in 0..len.max(width) {
        let (step, cost) = match (n < len, n < width) {
            (true, true) if cost(n, n) == 0 => (Step::Same, 0),
            (true, true) => (Step::Other, cost(n, n)),
            (true, false) => (Step::Extra, cost::moved(asked.written[n])),
            _ => (Step::Lacking, cost::moved(recorded.written[n])),
        };
        paths.steps.push(step);
        paths.cost += cost;
    }
    paths
}

/// A segment without what people write in more than one way: percent-encoding and case.
pub(super) fn folded(segment: &str) -> Cow<'_, str> {
    if !segment.contains('%') && !segment.bytes().any(|byte| byte.is_ascii_uppercase()) && segment.is_ascii() {
        return segment.into();
    }
    percent_decode_str(segment).decode_utf8_lossy().to_lowercase().into()
}

/// Whether a segment has a placeholder in it.
pub(super) fn is_redacted(segment: &str) -> bool {
    Template::of(segment.as_bytes(), Spelling::Percent).is_some()
}
