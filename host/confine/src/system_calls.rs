//! System calls that no build needs and that attacks on the kernel begin with.
//!
//! A list of what is refused, not of what is allowed: compilers and runtimes of all languages use most of
//! the rest, and new versions more of it. It follows what container runtimes refuse by default, and adds
//! the interfaces behind most of the kernel's escalations of the last years (`io_uring`, `bpf`,
//! `userfaultfd`, `keyctl`, user namespaces).

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use std::collections::BTreeMap;

/// Why the calls are not refused. Whoever asked must not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter cannot be made.
    #[error("the filter of system calls cannot be made")]
    Filter(#[source] seccompiler::BackendError),
    /// The kernel does not take it.
    #[error("the kernel takes no filter of system calls (seccomp)")]
    Kernel(#[source] seccompiler::Error),
    /// It is built without.
    #[error("the kernel takes no filter of system calls (seccomp)")]
    Off,
    /// Not on this kind of processor.
    #[error("there is no filter of system calls for this processor")]
    Processor(#[source] seccompiler::BackendError),
}

/// `EPERM`: what these do is not for a build.
const REFUSED: &[libc::c_long] = &[
    // Other processes, and their memory.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_process_madvise,
    // Programs in the kernel, and its inner life.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_lookup_dcookie,
    libc::SYS_syslog,
    // Keys.
    libc::SYS_add_key,
    libc::SYS_keyctl,
    libc::SYS_request_key,
    // File systems and namespaces.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_quotactl,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    // The machine.
    libc::SYS_reboot,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    libc::SYS_nfsservctl,
    // Memory of other nodes.
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_uselib,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ustat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_sysfs,
    #[cfg(target_arch = "x86_64")]
    libc::SYS__sysctl,
];

/// `ENOSYS`, as of a kernel that does not have them: runtimes then do without.
const MISSING: &[libc::c_long] = &[
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Its flags are in memory, where no filter sees them; the C library falls back to `clone`.
    libc::SYS_clone3,
];

/// Where a kernel with filters says what they can do (seccomp(2)).
const ACTIONS: &str = "/proc/sys/kernel/seccomp/actions_avail";

/// What puts characters into a terminal's input, as if they were typed (CVE-2017-5226).
const TERMINAL_INPUT: [u64; 2] = [libc::TIOCSTI, libc::TIOCLINUX];

/// The flags of `clone` that make namespaces.
const NAMESPACES: [libc::c_int; 8] = [
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
    0x80, // CLONE_NEWTIME
];

/// The bit of the numbers of x32, another way to make the same calls on `x86_64`.
#[cfg(target_arch = "x86_64")]
const X32: libc::c_long = 0x4000_0000;

/// Refuses the calls to this process's thread and to all that it starts. Takes `no_new_privs` with it.
pub fn refuse() -> Result<(), Error> {
    for program in [missing()?, refused()?] {
        seccompiler::apply_filter(&program).map_err(Error::Kernel)?;
    }
    Ok(())
}

/// Whether the kernel can do it.
pub fn check() -> Result<(), Error> {
    if !std::path::Path::new(ACTIONS).exists() {
        return Err(Error::Off);
    }
    missing().and(refused()).map(drop)
}

fn missing() -> Result<BpfProgram, Error> {
    program(MISSING.iter().map(|call| (*call, Vec::new())).collect(), libc::ENOSYS)
}

fn refused() -> Result<BpfProgram, Error> {
    let mut rules: BTreeMap<libc::c_long, Vec<SeccompRule>> = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    let input = TERMINAL_INPUT.into_iter().map(|request| rule(1, SeccompCmpOp::Eq, request));
    rules.insert(libc::SYS_ioctl, input.collect::<Result<_, _>>()?);
    let namespaces = NAMESPACES.into_iter().map(|flag| {
        let flag = u64::from(flag.unsigned_abs());
        rule(0, SeccompCmpOp::MaskedEq(flag), flag)
    });
    rules.insert(libc::SYS_clone, namespaces.collect::<Result<_, _>>()?);
    program(rules, libc::EPERM)
}

fn rule(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompRule, Error> {
    // The kernel looks at the lower half of both.
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value).map_err(Error::Filter)?;
    SeccompRule::new(vec![condition]).map_err(Error::Filter)
}

fn program(mut rules: BTreeMap<libc::c_long, Vec<SeccompRule>>, errno: libc::c_int) -> Result<BpfProgram, Error> {
    #[cfg(target_arch = "x86_64")]
    rules.extend(rules.clone().into_iter().map(|(call, rules)| (call | X32, rules)));
    let refused = SeccompAction::Errno(errno.unsigned_abs());
    let processor = std::env::consts::ARCH.try_into().map_err(Error::Processor)?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, processor).map_err(Error::Filter)?;
    filter.try_into().map_err(Error::Filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_can_be_made() {
        assert!(!missing().unwrap().is_empty() && !refused().unwrap().is_empty());
    }

    #[test]
    fn no_call_is_on_both_lists() {
        assert!(REFUSED.iter().all(|call| !MISSING.contains(call)));
    }
}
