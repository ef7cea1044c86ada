//! What a Store may take, and what it took.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use wasmtime::ResourceLimiter;

/// Elements of all tables together.
pub(crate) const TABLE_ELEMENTS_MAX: usize = 10_000;
/// Memories of all instances of a component.
pub(crate) const MEMORIES_MAX: usize = 8;
/// Tables of all instances of a component.
pub(crate) const TABLES_MAX: usize = 8;
/// Core instances of a component.
pub(crate) const INSTANCES_MAX: usize = 64;
/// Bytes that one host call may copy out of a guest.
pub(crate) const HOSTCALL_BYTES_MAX: usize = 8 << 20;
/// Resources that a guest may hold at once.
pub(crate) const RESOURCES_MAX: usize = 4_096;
/// Random bytes in one call.
pub(crate) const RANDOM_BYTES_MAX: u64 = 64 << 10;

/// The memory that several Stores share.
#[derive(Debug)]
pub struct Budget {
    bytes_max: usize,
    bytes: AtomicUsize,
}

impl Budget {
    /// A budget of this many bytes.
    pub fn new(bytes_max: u64) -> Arc<Self> {
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
pub enum Refused {
    /// One of the Store's own, in words: `256 MiB of memory`.
    Own(String),
    /// The budget that several Stores share.
    Budget,
}

/// The limits of one Store, and how far they were used.
#[derive(Debug)]
pub struct Limits {
    budget: Option<Arc<Budget>>,
    memory_bytes_max: usize,
    memory_bytes: usize,
    table_elements: usize,
    refused: Option<Refused>,
}

impl Limits {
    /// Limits with this much memory.
    pub fn new(memory_bytes_max: u64) -> Self {
        Self {
            budget: None,
            memory_bytes_max: usize::try_from(memory_bytes_max).unwrap_or(usize::MAX),
            memory_bytes: 0,
            table_elements: 0,
            refused: None,
        }
    }

    /// The same limits, whose memory also comes out of a budget, and goes back with them.
    #[must_use]
    pub fn out_of(mut self, budget: Arc<Budget>) -> Self {
        debug_assert_eq!(self.memory_bytes, 0, "nothing was taken yet");
        self.budget = Some(budget);
        self
    }

    /// The memory in use, which never shrinks, in bytes.
    pub const fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// Which limit was refused last, for the message when the guest then traps.
    pub const fn refused(&self) -> Option<&Refused> {
        self.refused.as_ref()
    }

    fn refuse(&mut self, refused: Refused) -> bool {
        self.refused = Some(refused);
        false
    }

    fn grow_memory(&mut self, bytes: usize) -> bool {
        let total = self.memory_bytes.saturating_add(bytes);
        if total > self.memory_bytes_max {
            return self.refuse(Refused::Own(format!("{} MiB of memory", self.memory_bytes_max >> 20)));
        }
        if self.budget.as_ref().is_some_and(|budget| !budget.take(bytes)) {
            return self.refuse(Refused::Budget);
        }
        self.memory_bytes = total;
        true
    }

    fn grow_tables(&mut self, elements: usize) -> bool {
        let total = self.table_elements.saturating_add(elements);
        if total > TABLE_ELEMENTS_MAX {
            return self.refuse(Refused::Own(format!("{TABLE_ELEMENTS_MAX} table elements")));
        }
        self.table_elements = total;
        true
    }
}

impl AsMut<Self> for Limits {
    fn as_mut(&mut self) -> &mut Self {
        self
    }
}

impl Drop for Limits {
    fn drop(&mut self) {
        if let Some(budget) = &self.budget {
            budget.give_back(self.memory_bytes);
        }
    }
}

impl ResourceLimiter for Limits {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow_memory(desired.saturating_sub(current)))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow_tables(desired.saturating_sub(current)))
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
#[path = "limits_tests.rs"]
mod tests;
