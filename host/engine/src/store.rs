//! A Store by the rules: for one call, and dropped after it.

use crate::limits::{HOSTCALL_BYTES_MAX, Limits, RESOURCES_MAX};
use wasmtime::component::ResourceTable;
use wasmtime::{Engine, Store};

/// A Store within the limits that its data hold. A guest in it lets others run at every tick
/// of the epoch, so it has to be called with an async function; what ends it is that the
/// future is dropped.
pub fn store<T: AsMut<Limits> + Send + 'static>(engine: &Engine, data: T) -> Store<T> {
    let mut store = Store::new(engine, data);
    store.limiter(|data| data.as_mut());
    store.set_hostcall_fuel(HOSTCALL_BYTES_MAX);
    store.set_epoch_deadline(1);
    store.epoch_deadline_async_yield_and_update(1);
    store
}

/// The table of a guest's resources.
pub fn resources() -> ResourceTable {
    let mut table = ResourceTable::new();
    table.set_max_capacity(RESOURCES_MAX);
    table
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
