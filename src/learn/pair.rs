//! Pairs the entries of two recordings.
//!
//! Entries with equal requests are paired first, in order. The others are paired in order by their shape: identifiers
//! in the path, query values and payload values may differ.

use std::collections::{HashMap, VecDeque};

use super::exchange::{Exchange, Payload};

/// Pairs and unpaired exchanges, as indices into the two recordings.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pairs {
    pub(super) both: Vec<(usize, usize)>,
    pub(super) only_first: Vec<usize>,
    pub(super) only_second: Vec<usize>,
}

pub(super) fn pairs(first: &[Exchange], second: &[Exchange]) -> Pairs {
    let mut taken = Taken { first: vec![false; first.len()], second: vec![false; second.len()], both: Vec::new() };
    // Equal responses are paired first, because a poll may repeat a different number of times.
    taken.pair(first, second, |one| {
        format!("{} {} {:?} {} {:?}", one.method, one.url, one.sent, one.status, one.received)
    });
    taken.pair(first, second, |one| format!("{} {} {:?}", one.method, one.url, one.sent));
    taken.repeats(first, second);
    taken.pair(first, second, |one| format!("{}?{}#{}", path_shape(one), names(&one.query), payload_shape(&one.sent)));
    taken.pair(first, second, path_shape);
    let left = |taken: Vec<bool>| (0..taken.len()).filter(|at| !taken[*at]).collect();
    let mut both = taken.both;
    both.sort_unstable();
    Pairs { both, only_first: left(taken.first), only_second: left(taken.second) }
}

struct Taken {
    first: Vec<bool>,
    second: Vec<bool>,
    both: Vec<(usize, usize)>,
}

impl Taken {
    /// Pairs the remaining exchanges of equal shape, in order.
    fn pair(&mut self, first: &[Exchange], second: &[Exchange], shape: impl Fn(&Exchange) -> String) {
        let mut waiting: HashMap<String, VecDeque<usize>> = HashMap::new();
        for (at, one) in second.iter().enumerate().filter(|(at, _)| !self.second[*at]) {
            waiting.entry(shape(one)).or_default().push_back(at);
        }
        for (a, one) in first.iter().enumerate() {
            if self.first[a] {
                continue;
            }
            if let Some(b) = waiting.get_mut(&shape(one)).and_then(VecDeque::pop_front) {
                (self.first[a], self.second[b]) = (true, true);
                self.both.push((a, b));
            }
        }
    }

    /// Excludes repetitions from the unpaired exchanges: those identical to a paired one of the same recording. The
    /// number of repetitions of a poll varies.
    fn repeats(&mut self, first: &[Exchange], second: &[Exchange]) {
        let key =
            |one: &Exchange| format!("{} {} {:?} {} {:?}", one.method, one.url, one.sent, one.status, one.received);
        for (these, taken) in [(first, &mut self.first), (second, &mut self.second)] {
            let paired: std::collections::HashSet<String> =
                these.iter().zip(&*taken).filter(|(_, taken)| **taken).map(|(one, _)| key(one)).collect();
            for (one, taken) in these.iter().zip(taken.iter_mut()) {
                *taken |= paired.contains(&key(one));
            }
        }
    }
}

/// Returns method, origin and path, with `{}` in place of identifiers.
fn path_shape(one: &Exchange) -> String {
    let origin = if one.loopback { "loopback" } else { &one.origin };
    let segments: Vec<&str> = one.segments.iter().map(|text| if is_id(text) { "{}" } else { text }).collect();
    format!("{} {origin}/{}", one.method, segments.join("/"))
}

/// Returns true if a path segment looks like an identifier: a number, UUID, hash, slug with a digit, or placeholder.
fn is_id(segment: &str) -> bool {
    let digits = segment.bytes().filter(u8::is_ascii_digit).count();
    let version = segment.len() <= 3 && segment.starts_with('v');
    (digits > 0 && !version) || segment.len() >= 20 || segment.contains('\0')
}

fn names(query: &[(String, String)]) -> String {
    query.iter().map(|(name, _)| &**name).collect::<Vec<_>>().join("&")
}

fn payload_shape(payload: &Payload) -> String {
    match payload {
        Payload::None => "none".to_owned(),
        Payload::Json(serde_json::Value::Object(members)) => members.keys().cloned().collect::<Vec<_>>().join(","),
        Payload::Json(_) => "json".to_owned(),
        Payload::Form(fields) => names(fields),
        Payload::Bytes(_) | Payload::Long(_) => "bytes".to_owned(),
    }
}
