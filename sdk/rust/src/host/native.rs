//! Which host answers on this thread, outside a component.

use std::cell::RefCell;
use std::rc::Rc;

use super::Host;

thread_local! {
    static CURRENT: RefCell<Option<Rc<dyn Host>>> = const { RefCell::new(None) };
}

/// Calls the host of this thread.
///
/// # Panics
/// Panics where no host is in place: a call then has nothing that could answer it.
pub(crate) fn with<R>(call: impl FnOnce(&dyn Host) -> R) -> R {
    try_with(call).expect(
        "a host should be in place: outside a component, call the stage through \
         `slipway_sdk::testing::Fake`",
    )
}

/// Calls the host of this thread, or returns `None` where there is none.
pub(crate) fn try_with<R>(call: impl FnOnce(&dyn Host) -> R) -> Option<R> {
    // Taken out of the cell first: a fake's script may itself call the SDK.
    let host = CURRENT.with(|current| current.borrow().clone())?;
    Some(call(&*host))
}

/// Puts `host` in place while `body` runs.
pub(crate) fn enter<R>(host: Rc<dyn Host>, body: impl FnOnce() -> R) -> R {
    /// Puts the one before back, after a panic too.
    struct Restore(Option<Rc<dyn Host>>);

    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.with(|current| *current.borrow_mut() = self.0.take());
        }
    }

    let _restore = Restore(CURRENT.with(|current| current.borrow_mut().replace(host)));
    body()
}
