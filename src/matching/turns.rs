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

/// What each session has been served.
#[derive(Debug)]
pub(super) struct Sessions {
    entries: usize,
    unnamed: Arc<Marks>,
    named: RwLock<HashMap<Box<str>, Arc<Marks>>>,
}

impl Sessions {
    pub(super) fn new(entries: usize) -> Self {
        Sessions { entries, unnamed: Arc::new(Marks::new(entries)), named: RwLock::default() }
    }

    /// The marks of a session; without a name, of the one that has none.
    pub(super) fn of(&self, name: Option<&str>) -> Arc<Marks> {
        let Some(name) = name else { return self.unnamed.clone() };
        if let Some(known) = self.named.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return known.clone();
        }
        let mut named = self.named.write().unwrap_or_else(PoisonError::into_inner);
        named.entry(name.into()).or_insert_with(|| Arc::new(Marks::new(self.entries))).clone()
    }
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
    fn a_trial_leaves_no_trace() {
        let sessions = Sessions::new(2);
        let turns = Turns::new(sessions.of(None));
        let trial = turns.on_trial();
        assert!(trial.take(0) && !trial.take(0) && trial.taken(0));
        assert!(!turns.taken(0) && turns.take(0));
    }
}
