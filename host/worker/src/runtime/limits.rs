//! What a Store may take, and what it took.

use wasmtime::ResourceLimiter;

/// Linear memory that a stage gets when its definition does not say, in bytes.
pub const MEMORY_BYTES_DEFAULT: u64 = 256 << 20;
/// Elements of all tables together.
const TABLE_ELEMENTS_MAX: usize = 10_000;
/// Memories of all instances of a component.
const MEMORIES_MAX: usize = 8;
/// Tables of all instances of a component.
const TABLES_MAX: usize = 8;
/// Core instances of a component.
const INSTANCES_MAX: usize = 64;
/// Bytes that one host call may copy out of a guest.
pub const HOSTCALL_BYTES_MAX: usize = 8 << 20;
/// Resources that a guest may hold at once.
pub const RESOURCES_MAX: usize = 4_096;
/// Random bytes in one call.
pub const RANDOM_BYTES_MAX: u64 = 64 << 10;

/// The limits of one Store, and how far they were used.
#[derive(Debug)]
pub struct Limits {
    memory_bytes_max: usize,
    memory_bytes: usize,
    table_elements: usize,
    refused: Option<String>,
}

impl Limits {
    /// Limits with this much memory.
    pub fn new(memory_bytes_max: u64) -> Self {
        Self {
            memory_bytes_max: usize::try_from(memory_bytes_max).unwrap_or(usize::MAX),
            memory_bytes: 0,
            table_elements: 0,
            refused: None,
        }
    }

    /// The memory in use, which never shrinks, in bytes.
    pub const fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// Which limit was refused last, for the message when the guest then traps.
    pub fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }
}

/// A size for people.
fn mebibytes(bytes: usize) -> String {
    format!("{} MiB", bytes >> 20)
}

impl ResourceLimiter for Limits {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory_bytes.saturating_add(desired.saturating_sub(current));
        let granted = total <= self.memory_bytes_max;
        if granted {
            self.memory_bytes = total;
        } else {
            self.refused = Some(format!("{} of memory", mebibytes(self.memory_bytes_max)));
        }
        Ok(granted)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.table_elements.saturating_add(desired.saturating_sub(current));
        let granted = total <= TABLE_ELEMENTS_MAX;
        if granted {
            self.table_elements = total;
        } else {
            self.refused = Some(format!("{TABLE_ELEMENTS_MAX} table elements"));
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
        let mut limits = Limits::new(3 << 20);
        assert!(limits.memory_growing(0, 1 << 20, None).unwrap());
        assert!(limits.memory_growing(0, 2 << 20, None).unwrap(), "a second memory");
        assert_eq!(limits.refused(), None);
        assert!(!limits.memory_growing(1 << 20, 2 << 20, None).unwrap());
        assert_eq!(limits.memory_bytes(), 3 << 20);
        assert_eq!(limits.refused(), Some("3 MiB of memory"));
    }

    #[test]
    fn tables_are_counted_together() {
        let mut limits = Limits::new(0);
        assert!(limits.table_growing(0, 6_000, None).unwrap());
        assert!(!limits.table_growing(0, 6_000, None).unwrap());
        assert_eq!(limits.refused(), Some("10000 table elements"));
    }
}
