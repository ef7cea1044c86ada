//! What a process is to others: whether they can look into it, and whether it outlives its parent.

use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;

/// Nobody but root looks into this process or finds its memory in a file: no debugger attaches, no core is
/// dumped. Programs that it starts are as they were.
pub fn close_to_others() -> nix::Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    prctl::set_dumpable(false)
}

/// This process ends with the thread that has started it.
pub fn die_with_parent() -> nix::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)
}

/// Processes whose parents end become children of this one, which can then end them.
pub fn adopt_orphans() -> nix::Result<()> {
    prctl::set_child_subreaper(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_process_cannot_be_dumped() {
        // In a process of its own it would say more; this one is not debugged while it is tested.
        let before = prctl::get_dumpable().unwrap();
        close_to_others().unwrap();
        assert!(!prctl::get_dumpable().unwrap());
        prctl::set_dumpable(before).unwrap();
    }
}
