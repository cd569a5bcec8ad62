//! Turns: which of several equal entries answers next, counted for each session.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::index::Ordinal;

/// One bit an entry, set once and never cleared. Requests in parallel take bits without waiting for each other.
#[derive(Debug)]
pub(super) struct Marks(Box<[AtomicU64]>);

impl Marks {
    pub(super) fn new(entries: usize) -> Self {
        Marks((0..entries.div_ceil(64)).map(|_| AtomicU64::new(0)).collect())
    }

    pub(super) fn is_set(&self, entry: Ordinal) -> bool {
        self.0[entry as usize / 64].load(Ordering::Acquire) & Marks::bit(entry) != 0
    }

    /// Sets the mark; `false` when it was set before.
    pub(super) fn set(&self, entry: Ordinal) -> bool {
        // The look before spares the entry that answers again and again the write.
        !self.is_set(entry)
            && self.0[entry as usize / 64].fetch_or(Marks::bit(entry), Ordering::AcqRel) & Marks::bit(entry) == 0
    }

    fn bit(entry: Ordinal) -> u64 {
        1 << (entry % 64)
    }
}

/// Sessions that are remembered, while they are small.
const MOST: usize = 10_000;
/// What the marks of all sessions may take, bytes.
const MEMORY: usize = 64 << 20;
/// Sessions that are remembered however large they are.
const LEAST: usize = 256;

/// What each session has been served. Clients choose the names: those that have been silent longest are forgotten when there
/// are too many, and begin anew should they come again.
#[derive(Debug)]
pub(super) struct Sessions {
    entries: usize,
    most: usize,
    unnamed: Arc<Marks>,
    named: RwLock<HashMap<Box<str>, Named>>,
    /// Counts the requests of named sessions.
    now: AtomicU64,
}

#[derive(Debug)]
struct Named {
    marks: Arc<Marks>,
    last_asked: AtomicU64,
}

impl Sessions {
    pub(super) fn new(entries: usize) -> Self {
        Sessions::of_at_most((MEMORY / (entries / 8 + 1)).clamp(LEAST, MOST), entries)
    }

    fn of_at_most(most: usize, entries: usize) -> Self {
        let unnamed = Arc::new(Marks::new(entries));
        Sessions { entries, most, unnamed, named: RwLock::default(), now: AtomicU64::default() }
    }

    /// The marks of a session; without a name, of the one that has none.
    pub(super) fn of(&self, name: Option<&str>) -> Arc<Marks> {
        let Some(name) = name else { return self.unnamed.clone() };
        let now = self.now.fetch_add(1, Ordering::Relaxed);
        if let Some(known) = self.named.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            known.last_asked.store(now, Ordering::Relaxed);
            return known.marks.clone();
        }
        let mut named = self.named.write().unwrap_or_else(PoisonError::into_inner);
        if named.len() >= self.most && !named.contains_key(name) {
            forget_a_tenth(&mut named);
        }
        let new = || Named { marks: Arc::new(Marks::new(self.entries)), last_asked: now.into() };
        named.entry(name.into()).or_insert_with(new).marks.clone()
    }
}

impl Sessions {
    /// Takes the turns of these entries as they stand, each pair one entry before and now.
    pub(super) fn carry_on(&self, before: &Sessions, entries: &[(Ordinal, Ordinal)]) {
        let carry = |from: &Marks, to: &Marks| {
            for (old, new) in entries {
                if from.is_set(*old) {
                    to.set(*new);
                }
            }
        };
        carry(&before.unnamed, &self.unnamed);
        let named = before.named.read().unwrap_or_else(PoisonError::into_inner);
        let named: Vec<_> = named.iter().map(|(name, session)| (name.clone(), session.marks.clone())).collect();
        for (name, marks) in named {
            carry(&marks, &self.of(Some(&name)));
        }
    }
}

/// Forgets those that have been silent longest; many at a time, since each is looked at for that.
fn forget_a_tenth(named: &mut HashMap<Box<str>, Named>) {
    let last_asked = |session: &Named| session.last_asked.load(Ordering::Relaxed);
    let mut times: Vec<u64> = named.values().map(last_asked).collect();
    let tenth = times.len() / 10;
    let (_, &mut until, _) = times.select_nth_unstable(tenth);
    let before = named.len();
    named.retain(|_, session| last_asked(session) > until);
    let forgotten = before - named.len();
    tracing::warn!(
        "{before} sessions: the {forgotten} that have been silent longest are forgotten, and their turns begin anew"
    );
}

/// The turns that one request takes. On trial, they are taken in its mind only.
#[derive(Debug)]
pub(super) struct Turns {
    marks: Arc<Marks>,
    trial: Option<RefCell<Vec<Ordinal>>>,
}

impl Turns {
    pub(super) fn new(marks: Arc<Marks>) -> Self {
        Turns { marks, trial: None }
    }

    /// The same turns as they stand now; what is taken from here on leaves no trace.
    pub(super) fn on_trial(&self) -> Self {
        Turns { marks: self.marks.clone(), trial: Some(RefCell::default()) }
    }

    pub(super) fn is_on_trial(&self) -> bool {
        self.trial.is_some()
    }

    /// Whether the entry has answered in this session.
    pub(super) fn taken(&self, entry: Ordinal) -> bool {
        self.marks.is_set(entry) || self.trial.as_ref().is_some_and(|taken| taken.borrow().contains(&entry))
    }

    /// Takes the entry's turn; `false` when it was taken before.
    pub(super) fn take(&self, entry: Ordinal) -> bool {
        match &self.trial {
            None => self.marks.set(entry),
            Some(_) if self.taken(entry) => false,
            Some(taken) => {
                taken.borrow_mut().push(entry);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_entry_is_taken_once_however_many_ask() {
        let sessions = Sessions::new(130);
        let winners: Vec<bool> = std::thread::scope(|scope| {
            let ask = |_| scope.spawn(|| Turns::new(sessions.of(Some("w"))).take(129));
            let threads: Vec<_> = (0..8).map(ask).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(winners.iter().filter(|won| **won).count(), 1);
    }

    #[test]
    fn sessions_do_not_take_each_others_turns() {
        let sessions = Sessions::new(2);
        assert!(Turns::new(sessions.of(None)).take(0));
        assert!(Turns::new(sessions.of(Some("a"))).take(0));
        assert!(Turns::new(sessions.of(Some("b"))).take(0));
        assert!(!Turns::new(sessions.of(Some("a"))).take(0));
        assert!(!Turns::new(sessions.of(Some("a"))).taken(1));
    }

    #[test]
    fn too_many_sessions_are_forgotten_by_how_long_they_have_been_silent() {
        let sessions = Sessions::of_at_most(20, 1);
        let names: Vec<String> = (0..20).map(|n| format!("w{n}")).collect();
        names.iter().for_each(|name| assert!(Turns::new(sessions.of(Some(name))).take(0), "{name}"));
        // The first comes again, so that the three after it are the oldest when one more appears.
        assert!(!Turns::new(sessions.of(Some("w0"))).take(0));
        assert!(Turns::new(sessions.of(Some("new"))).take(0));
        let known = |name: &str| sessions.named.read().unwrap().contains_key(name);
        assert_eq!(names.iter().filter(|name| !known(name)).collect::<Vec<_>>(), ["w1", "w2", "w3"]);
        assert!(!Turns::new(sessions.of(Some("w0"))).take(0) && !Turns::new(sessions.of(Some("new"))).take(0));
        assert!(Turns::new(sessions.of(Some("w1"))).take(0), "it begins anew");
    }

    #[test]
    fn memory_bounds_how_many_are_remembered() {
        assert_eq!(Sessions::new(100).most, MOST);
        assert_eq!(Sessions::new(100_000).most, 5_368);
        assert_eq!(Sessions::new(100_000_000).most, LEAST);
    }

    #[test]
    fn a_trial_leaves_no_trace() {
        let sessions = Sessions::new(2);
        let turns = Turns::new(sessions.of(None));
        let trial = turns.on_trial();
        assert!(trial.take(0) && !trial.take(0) && trial.taken(0));
        assert!(!turns.taken(0) && turns.take(0));
    }
}
