//! A cache of parsed entries, limited by the bytes of their JSON.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::model::Entry;

/// Caches the entries that [`Fixture::entry`](super::Fixture::entry) parsed, by index. The oldest are evicted first.
#[derive(Debug, Default)]
pub(crate) struct EntryCache {
    /// Each entry with the length of its JSON.
    entries: HashMap<usize, (Arc<Entry>, usize)>,
    /// The cached entries in the order of insertion.
    order: VecDeque<usize>,
    /// The JSON length of all cached entries.
    bytes: usize,
}

/// The limit of `EntryCache::bytes`. A longer entry is not cached.
const CACHE_BYTES: usize = 4 << 20;

impl EntryCache {
    pub(crate) fn get(&self, entry: usize) -> Option<Arc<Entry>> {
        self.entries.get(&entry).map(|(cached, _)| cached.clone())
    }

    pub(crate) fn put(&mut self, entry: usize, parsed: &Arc<Entry>, bytes: usize) {
        if bytes > CACHE_BYTES || self.entries.insert(entry, (parsed.clone(), bytes)).is_some() {
            return;
        }
        self.order.push_back(entry);
        self.bytes += bytes;
        while self.bytes > CACHE_BYTES {
            let Some(oldest) = self.order.pop_front() else { break };
            self.bytes -= self.entries.remove(&oldest).map_or(0, |(_, bytes)| bytes);
        }
    }
}
