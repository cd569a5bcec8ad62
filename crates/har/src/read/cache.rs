//! A bounded cache of parsed entries.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::model::Entry;

/// The most recently parsed entries, bounded by the size of their JSON. Eviction is first in, first out.
#[derive(Debug, Default)]
pub(crate) struct EntryCache {
    entries: HashMap<usize, (Arc<Entry>, usize)>,
    order: VecDeque<usize>,
    bytes: usize,
}

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
