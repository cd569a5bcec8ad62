//! Sessions: the entries that each session was served, from which its position in a sequence follows, and the test of
//! a request.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::index::Ordinal;

/// The session of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestSession<'a> {
    /// The name of its position in sequences. Clients without a name share one.
    pub sequence: Option<&'a str>,
    /// The name of its test, which the entries of the test have.
    pub test: Option<&'a str>,
}

impl<'a> From<Option<&'a str>> for RequestSession<'a> {
    fn from(sequence: Option<&'a str>) -> Self {
        RequestSession { sequence, test: None }
    }
}

/// The relation of an entry to the session of a request, the best one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SessionRank {
    /// The same test recorded it, or the request belongs to no test.
    Own,
    /// No test recorded it.
    Shared,
    /// Another test recorded it.
    Other,
}

impl SessionRank {
    pub(super) fn new(recorded: Option<&str>, test: Option<&str>) -> Self {
        match (recorded, test) {
            (_, None) => SessionRank::Own,
            (None, Some(_)) => SessionRank::Shared,
            (Some(recorded), Some(test)) if recorded == test => SessionRank::Own,
            (Some(_), Some(_)) => SessionRank::Other,
        }
    }
}

/// A set of entries: one bit for each, set atomically.
#[derive(Debug)]
pub(super) struct EntrySet(Box<[AtomicU64]>);

impl EntrySet {
    pub(super) fn new(entries: usize) -> Self {
        EntrySet((0..entries.div_ceil(64)).map(|_| AtomicU64::new(0)).collect())
    }

    pub(super) fn contains(&self, entry: Ordinal) -> bool {
        self.0[entry as usize / 64].load(Ordering::Acquire) & EntrySet::bit(entry) != 0
    }

    /// Adds an entry, and returns false if the set contains it already.
    pub(super) fn insert(&self, entry: Ordinal) -> bool {
        // Reading first avoids a write for an entry that is served repeatedly.
        !self.contains(entry)
            && self.0[entry as usize / 64].fetch_or(EntrySet::bit(entry), Ordering::AcqRel) & EntrySet::bit(entry) == 0
    }

    fn clear(&self) {
        self.0.iter().for_each(|bits| bits.store(0, Ordering::Release));
    }

    fn bit(entry: Ordinal) -> u64 {
        1 << (entry % 64)
    }
}

/// How often each entry was served.
#[derive(Debug)]
pub(super) struct EntryCounts(Box<[AtomicU32]>);

impl EntryCounts {
    pub(super) fn new(entries: usize) -> Self {
        EntryCounts((0..entries).map(|_| AtomicU32::new(0)).collect())
    }

    pub(super) fn of(&self, entry: Ordinal) -> u32 {
        self.0[entry as usize].load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, entry: Ordinal) {
        self.0[entry as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Raises a count to that of the same entry in an earlier version of its fixture.
    pub(super) fn inherit(&self, entry: Ordinal, count: u32) {
        self.0[entry as usize].fetch_max(count, Ordering::Relaxed);
    }
}

/// The greatest number of named sessions.
const MAX_SESSIONS: usize = 10_000;
/// The memory that named sessions may take, in bytes.
const MAX_MEMORY: usize = 64 << 20;
/// The number of named sessions that are kept even if they take more memory.
const MIN_SESSIONS: usize = 256;

/// The sessions of a replay. Clients choose their names. When there are too many, the least recently used are removed,
/// and their sequences start again.
#[derive(Debug)]
pub(super) struct Sessions {
    entries: usize,
    most: usize,
    unnamed: Arc<ServedEntries>,
    named: RwLock<HashMap<Box<str>, NamedSession>>,
    /// The number of requests of named sessions.
    requests: AtomicU64,
}

/// The entries that a session was served.
#[derive(Debug)]
pub(super) struct ServedEntries {
    set: EntrySet,
    /// The number behind the last one; 0 if there is none.
    behind_last: AtomicU32,
}

impl ServedEntries {
    fn new(entries: usize) -> Arc<Self> {
        Arc::new(ServedEntries { set: EntrySet::new(entries), behind_last: AtomicU32::new(0) })
    }
}

#[derive(Debug)]
struct NamedSession {
    served: Arc<ServedEntries>,
    /// The value of `requests` at its last request.
    last_used: AtomicU64,
}

impl Sessions {
    pub(super) fn new(entries: usize) -> Self {
        Sessions::with_limit((MAX_MEMORY / (entries / 8 + 1)).clamp(MIN_SESSIONS, MAX_SESSIONS), entries)
    }

    fn with_limit(most: usize, entries: usize) -> Self {
        let unnamed = ServedEntries::new(entries);
        Sessions { entries, most, unnamed, named: RwLock::default(), requests: AtomicU64::default() }
    }

    /// Returns the entries that a session was served.
    pub(super) fn of(&self, name: Option<&str>) -> Arc<ServedEntries> {
        let Some(name) = name else { return self.unnamed.clone() };
        let now = self.requests.fetch_add(1, Ordering::Relaxed);
        if let Some(known) = self.named.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            known.last_used.store(now, Ordering::Relaxed);
            return known.served.clone();
        }
        let mut named = self.named.write().unwrap_or_else(PoisonError::into_inner);
        if named.len() >= self.most && !named.contains_key(name) {
            remove_a_tenth(&mut named);
        }
        let new = || NamedSession { served: ServedEntries::new(self.entries), last_used: now.into() };
        named.entry(name.into()).or_insert_with(new).served.clone()
    }

    /// Starts the sequences of some sessions again. The session without a name is `None`.
    pub(super) fn reset(&self, is_reset: impl Fn(Option<&str>) -> bool) {
        self.named.write().unwrap_or_else(PoisonError::into_inner).retain(|name, _| !is_reset(Some(name)));
        if is_reset(None) {
            self.unnamed.set.clear();
            self.unnamed.behind_last.store(0, Ordering::Relaxed);
        }
    }

    /// Copies the state of other sessions. Each pair is an entry there and here.
    pub(super) fn inherit(&self, before: &Sessions, entries: &[(Ordinal, Ordinal)]) {
        let copy = |from: &ServedEntries, to: &ServedEntries| {
            for (old, new) in entries {
                if from.set.contains(*old) {
                    to.set.insert(*new);
                }
            }
        };
        copy(&before.unnamed, &self.unnamed);
        let named = before.named.read().unwrap_or_else(PoisonError::into_inner);
        let named: Vec<_> = named.iter().map(|(name, session)| (name.clone(), session.served.clone())).collect();
        for (name, served) in named {
            copy(&served, &self.of(Some(&name)));
        }
    }
}

/// Removes the least recently used tenth of the sessions. All are visited, so several are removed at a time.
fn remove_a_tenth(named: &mut HashMap<Box<str>, NamedSession>) {
    let last_used = |session: &NamedSession| session.last_used.load(Ordering::Relaxed);
    let mut times: Vec<u64> = named.values().map(last_used).collect();
    let tenth = times.len() / 10;
    let (_, &mut until, _) = times.select_nth_unstable(tenth);
    let before = named.len();
    named.retain(|_, session| last_used(session) > until);
    let removed = before - named.len();
    tracing::warn!("{before} sessions: removed the {removed} least recently used; their sequences start again");
}

/// The sequence state that one request reads and advances: that of its session, or a copy in a dry run.
#[derive(Debug)]
pub(super) struct SequenceState {
    served: Arc<ServedEntries>,
    /// The entries that were served in this dry run.
    dry_run: Option<RefCell<Vec<Ordinal>>>,
}

impl SequenceState {
    pub(super) fn new(served: Arc<ServedEntries>) -> Self {
        SequenceState { served, dry_run: None }
    }

    /// Returns the current state for a dry run, which does not change that of the session.
    pub(super) fn dry_run(&self) -> Self {
        SequenceState { served: self.served.clone(), dry_run: Some(RefCell::default()) }
    }

    pub(super) fn is_dry_run(&self) -> bool {
        self.dry_run.is_some()
    }

    /// Returns the entry that the session was served last.
    pub(super) fn last(&self) -> Option<Ordinal> {
        self.served.behind_last.load(Ordering::Relaxed).checked_sub(1)
    }

    /// Returns true if the entry was served in this session.
    pub(super) fn was_served(&self, entry: Ordinal) -> bool {
        self.served.set.contains(entry) || self.dry_run.as_ref().is_some_and(|served| served.borrow().contains(&entry))
    }

    /// Marks an entry as served, and returns false if it was already.
    pub(super) fn serve(&self, entry: Ordinal) -> bool {
        match &self.dry_run {
            None => {
                self.served.behind_last.store(entry + 1, Ordering::Relaxed);
                self.served.set.insert(entry)
            }
            Some(_) if self.was_served(entry) => false,
            Some(served) => {
                served.borrow_mut().push(entry);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_is_served_once_to_concurrent_requests() {
        let sessions = Sessions::new(130);
        let winners: Vec<bool> = std::thread::scope(|scope| {
            let ask = |_| scope.spawn(|| SequenceState::new(sessions.of(Some("w"))).serve(129));
            let threads: Vec<_> = (0..8).map(ask).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(winners.iter().filter(|won| **won).count(), 1);
    }

    #[test]
    fn sessions_have_separate_sequences() {
        let sessions = Sessions::new(2);
        assert!(SequenceState::new(sessions.of(None)).serve(0));
        assert!(SequenceState::new(sessions.of(Some("a"))).serve(0));
        assert!(SequenceState::new(sessions.of(Some("b"))).serve(0));
        assert!(!SequenceState::new(sessions.of(Some("a"))).serve(0));
        assert!(!SequenceState::new(sessions.of(Some("a"))).was_served(1));
    }

    #[test]
    fn sequences_start_again_after_a_reset() {
        let sessions = Sessions::new(2);
        let serve = |name| SequenceState::new(sessions.of(name)).serve(0);
        assert!(serve(None) && serve(Some("a")) && serve(Some("b")));
        sessions.reset(|name| name == Some("a"));
        assert!(serve(Some("a")) && !serve(Some("b")) && !serve(None));
        sessions.reset(|name| name.is_none());
        assert!(serve(None) && !serve(Some("b")));
        sessions.reset(|_| true);
        assert!(serve(Some("a")) && serve(Some("b")) && serve(None));
    }

    #[test]
    fn least_recently_used_sessions_are_removed() {
        let sessions = Sessions::with_limit(20, 1);
        let names: Vec<String> = (0..20).map(|n| format!("w{n}")).collect();
        names.iter().for_each(|name| assert!(SequenceState::new(sessions.of(Some(name))).serve(0), "{name}"));
        // The first is used again, so that the three after it are the least recently used.
        assert!(!SequenceState::new(sessions.of(Some("w0"))).serve(0));
        assert!(SequenceState::new(sessions.of(Some("new"))).serve(0));
        let known = |name: &str| sessions.named.read().unwrap().contains_key(name);
        assert_eq!(names.iter().filter(|name| !known(name)).collect::<Vec<_>>(), ["w1", "w2", "w3"]);
        assert!(
            !SequenceState::new(sessions.of(Some("w0"))).serve(0)
                && !SequenceState::new(sessions.of(Some("new"))).serve(0)
        );
        assert!(SequenceState::new(sessions.of(Some("w1"))).serve(0), "its sequence starts again");
    }

    #[test]
    fn number_of_sessions_is_limited_by_memory() {
        assert_eq!(Sessions::new(100).most, MAX_SESSIONS);
        assert_eq!(Sessions::new(100_000).most, 5_368);
        assert_eq!(Sessions::new(100_000_000).most, MIN_SESSIONS);
    }

    #[test]
    fn dry_run_does_not_change_the_session() {
        let sessions = Sessions::new(2);
        let state = SequenceState::new(sessions.of(None));
        let dry_run = state.dry_run();
        assert!(dry_run.serve(0) && !dry_run.serve(0) && dry_run.was_served(0));
        assert!(!state.was_served(0) && state.serve(0));
    }
}
