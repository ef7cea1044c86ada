//! The little that the generated bindings need at run time.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::sync::atomic::{AtomicBool, Ordering};

/// Runs the module's constructors before the first call into it.
pub fn run_ctors_once() {
    static HAVE_RUN: AtomicBool = AtomicBool::new(false);

    unsafe extern "C" {
        /// Made by the linker.
        fn __wasm_call_ctors();
    }

    if !HAVE_RUN.swap(true, Ordering::Relaxed) {
        // SAFETY: it takes nothing, and the swap lets it run once only.
        unsafe { __wasm_call_ctors() }
    }
}

/// Keeps `cabi_realloc` in the module. On this target the standard library has it.
pub fn maybe_link_cabi_realloc() {}

/// Memory that lasts for one call to the host.
pub struct Cleanup {
    pointer: *mut u8,
    layout: Layout,
}

impl Cleanup {
    /// Takes memory, or a null pointer where none is needed.
    #[allow(clippy::new_ret_no_self, reason = "the bindings want the pointer as well")]
    pub fn new(layout: Layout) -> (*mut u8, Option<Self>) {
        if layout.size() == 0 {
            return (std::ptr::null_mut(), None);
        }
        // SAFETY: the layout is not empty.
        let pointer = unsafe { alloc(layout) };
        if pointer.is_null() {
            handle_alloc_error(layout);
        }
        (pointer, Some(Self { pointer, layout }))
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        // SAFETY: `new` took exactly this, and nothing else gives it back.
        unsafe { dealloc(self.pointer, self.layout) }
    }
}
