//! What the Store of a request may take.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use wasmtime::ResourceLimiter;

/// Elements of all tables together.
const TABLE_ELEMENTS_MAX: usize = 10_000;
/// Memories of all instances of a component.
const MEMORIES_MAX: usize = 8;
/// Tables of all instances of a component.
const TABLES_MAX: usize = 8;
/// Core instances of a component.
const INSTANCES_MAX: usize = 64;
/// Bytes that one host call may copy out of a guest.
pub(crate) const HOSTCALL_BYTES_MAX: usize = 8 << 20;
/// Resources that a guest may hold at once.
pub(crate) const RESOURCES_MAX: usize = 4_096;
/// Random bytes in one call.
pub(crate) const RANDOM_BYTES_MAX: u64 = 64 << 10;
/// The memory that the headers of one message may take, in bytes.
pub(crate) const FIELDS_BYTES_MAX: usize = 64 << 10;

/// The memory that all requests of the process share.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes_max: usize,
    bytes: AtomicUsize,
}

impl Budget {
    /// A budget of this many bytes.
    pub(crate) fn new(bytes_max: u64) -> Arc<Self> {
        Arc::new(Self { bytes_max: usize::try_from(bytes_max).unwrap_or(usize::MAX), bytes: AtomicUsize::new(0) })
    }

    fn take(&self, bytes: usize) -> bool {
        let taken = |now: usize| now.checked_add(bytes).filter(|total| *total <= self.bytes_max);
        self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Which limit was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// One of the request's own, in words.
    Own(String),
    /// The budget that all requests share.
    Budget,
}

/// The limits of one Store, and how far they were used.
#[derive(Debug)]
pub(crate) struct StoreLimits {
    budget: Arc<Budget>,
    memory_bytes_max: usize,
    memory_bytes: usize,
    table_elements: usize,
    refused: Option<Refused>,
}

impl StoreLimits {
    /// Limits with this much memory, taken from the budget as it is used.
    pub(crate) fn new(memory_bytes_max: u64, budget: Arc<Budget>) -> Self {
        Self {
            budget,
            memory_bytes_max: usize::try_from(memory_bytes_max).unwrap_or(usize::MAX),
            memory_bytes: 0,
            table_elements: 0,
            refused: None,
        }
    }

    /// Which limit was refused last, for the message when the guest then traps.
    pub(crate) const fn refused(&self) -> Option<&Refused> {
        self.refused.as_ref()
    }
}

impl Drop for StoreLimits {
    fn drop(&mut self) {
        self.budget.give_back(self.memory_bytes);
    }
}

impl ResourceLimiter for StoreLimits {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        let total = self.memory_bytes.saturating_add(more);
        if total > self.memory_bytes_max {
            self.refused = Some(Refused::Own(format!("{} MiB of memory", self.memory_bytes_max >> 20)));
            return Ok(false);
        }
        if !self.budget.take(more) {
            self.refused = Some(Refused::Budget);
            return Ok(false);
        }
        self.memory_bytes = total;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.table_elements.saturating_add(desired.saturating_sub(current));
        let granted = total <= TABLE_ELEMENTS_MAX;
        if granted {
            self.table_elements = total;
        } else {
            self.refused = Some(Refused::Own(format!("{TABLE_ELEMENTS_MAX} table elements")));
        }
        Ok(granted)
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_counted_over_all_memories() {
        let mut limits = StoreLimits::new(3 << 20, Budget::new(1 << 30));
        assert!(limits.memory_growing(0, 1 << 20, None).unwrap());
        assert!(limits.memory_growing(0, 2 << 20, None).unwrap(), "a second memory");
        assert_eq!(limits.refused(), None);
        assert!(!limits.memory_growing(1 << 20, 2 << 20, None).unwrap());
        assert_eq!(limits.refused(), Some(&Refused::Own("3 MiB of memory".into())));
    }

    #[test]
    fn requests_share_a_budget_and_give_back_what_they_took() {
        let budget = Budget::new(3 << 20);
        let mut one = StoreLimits::new(2 << 20, Arc::clone(&budget));
        let mut other = StoreLimits::new(2 << 20, Arc::clone(&budget));
        assert!(one.memory_growing(0, 2 << 20, None).unwrap());
        assert!(!other.memory_growing(0, 2 << 20, None).unwrap());
        assert_eq!(other.refused(), Some(&Refused::Budget));
        drop(one);
        assert!(other.memory_growing(0, 2 << 20, None).unwrap());
        drop(other);
        assert_eq!(budget.bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn tables_are_counted_together() {
        let mut limits = StoreLimits::new(0, Budget::new(0));
        assert!(limits.table_growing(0, 6_000, None).unwrap());
        assert!(!limits.table_growing(0, 6_000, None).unwrap());
        assert_eq!(limits.refused(), Some(&Refused::Own("10000 table elements".into())));
    }
}
