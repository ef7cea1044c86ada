//! How guests open files: only regular files and folders, and without waiting.
//!
//! A tool may leave a named pipe where a guest opens a file. wasmtime-wasi would wait on a
//! thread of its own until somebody opens the other end, which nobody has to do: the thread is
//! lost, and with the last of them the worker. So this one function is ours; what it opens is
//! handed to wasmtime-wasi.

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::sync::Arc;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::filesystem::{self, Descriptor, Dir, FsPerms, OpenMode, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::filesystem::types::{DescriptorFlags, ErrorCode, OpenFlags, PathFlags};

/// The interface, in the version that wasmtime-wasi links; a test opens a pipe through it.
const INTERFACE: &str = "wasi:filesystem/types@0.2.12";
/// How often a path is looked up again when folders above it are being moved (openat2(2),
/// `EAGAIN`).
const TRIES: u32 = 16;

/// Puts [`open`] in the place of wasmtime-wasi's own function.
pub(crate) fn add_to_linker<T: WasiFilesystemView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let shadowed = linker.instance(INTERFACE)?.func_wrap_async(
        "[method]descriptor.open-at",
        |mut store: StoreContextMut<'_, T>, (folder, follow, path, how, flags): Parameters| {
            Box::new(async move { Ok((open_at(&mut store, folder, follow, path, how, flags).await?,)) })
        },
    );
    linker.allow_shadowing(false);
    shadowed
}

type Parameters = (Resource<Descriptor>, PathFlags, String, OpenFlags, DescriptorFlags);
type Opened = Result<Resource<Descriptor>, ErrorCode>;

async fn open_at<T: WasiFilesystemView>(
    store: &mut StoreContextMut<'_, T>,
    folder: Resource<Descriptor>,
    follow: PathFlags,
    path: String,
    how: OpenFlags,
    flags: DescriptorFlags,
) -> wasmtime::Result<Opened> {
    let folder = match store.data_mut().filesystem().table.get(&folder)? {
        Descriptor::Dir(folder) => folder.clone(),
        Descriptor::File(_) => return Ok(Err(ErrorCode::NotDirectory)),
    };
    let (mode, flags) = match flags_of(folder.perms, follow, how, flags) {
        Ok(both) => both,
        Err(code) => return Ok(Err(code)),
    };
    let below = Arc::clone(&folder.dir);
    let opened = match tokio::task::spawn_blocking(move || open(&below, &path, flags)).await? {
        Ok(file) if file.metadata()?.is_dir() => Descriptor::Dir(Dir::new(file, folder.perms, mode, false)),
        Ok(file) => Descriptor::File(filesystem::File::new(file, folder.perms, mode, false)),
        Err(error) => return Ok(Err(error.into())),
    };
    Ok(Ok(store.data_mut().filesystem().table.push(opened)?))
}

/// What the guest asks for, in the system's words; refused where it may not.
fn flags_of(
    perms: FsPerms,
    follow: PathFlags,
    how: OpenFlags,
    flags: DescriptorFlags,
) -> Result<(OpenMode, OFlags), ErrorCode> {
    let synced = DescriptorFlags::FILE_INTEGRITY_SYNC
        | DescriptorFlags::DATA_INTEGRITY_SYNC
        | DescriptorFlags::REQUESTED_WRITE_SYNC;
    if flags.intersects(synced) {
        return Err(ErrorCode::Unsupported);
    }
    let changes = how.intersects(OpenFlags::CREATE | OpenFlags::TRUNCATE);
    if how.contains(OpenFlags::DIRECTORY) && (changes || how.contains(OpenFlags::EXCLUSIVE)) {
        return Err(ErrorCode::Invalid);
    }
    let writes = changes || flags.contains(DescriptorFlags::WRITE);
    if writes && perms.write_not_permitted() {
        return Err(ErrorCode::NotPermitted);
    }
    // Opened for something in any case; what the guest may do with it goes by the mode.
    let reads = flags.contains(DescriptorFlags::READ) || !flags.contains(DescriptorFlags::WRITE);
    let (mode, access) = match (reads, writes) {
        (true, true) => (OpenMode::READ | OpenMode::WRITE, OFlags::RDWR),
        (false, true) => (OpenMode::WRITE, OFlags::WRONLY),
        (_, false) => (OpenMode::READ, OFlags::RDONLY),
    };
    let create = how.contains(OpenFlags::CREATE);
    let wanted = [
        (create, OFlags::CREATE),
        (create && how.contains(OpenFlags::EXCLUSIVE), OFlags::EXCL),
        (how.contains(OpenFlags::TRUNCATE), OFlags::TRUNC),
        (how.contains(OpenFlags::DIRECTORY), OFlags::DIRECTORY),
        (!follow.contains(PathFlags::SYMLINK_FOLLOW), OFlags::NOFOLLOW),
    ];
    let wanted = wanted.into_iter().filter(|(wanted, _)| *wanted).map(|(_, flag)| flag);
    Ok((mode, wanted.fold(access, |flags, flag| flags | flag)))
}

/// Opens a path that does not lead out of a folder. Whatever is neither a regular file nor a
/// folder is refused, and not waited for.
fn open(folder: &File, path: &str, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mode = if flags.contains(OFlags::CREATE) { Mode::from_raw_mode(0o666) } else { Mode::empty() };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let mut tries = 0;
    let file = loop {
        match openat2(folder, path, flags, mode, resolve) {
            Err(Errno::AGAIN) if tries < TRIES => tries += 1,
            // It leads out of the folder.
            Err(Errno::XDEV) => return Err(Errno::PERM.into()),
            // The other end of a pipe is not open, or it is a socket.
            Err(Errno::NXIO) => return Err(Errno::INVAL.into()),
            opened => break File::from(opened?),
        }
    };
    let kind = file.metadata()?.file_type();
    if kind.is_file() || kind.is_dir() { Ok(file) } else { Err(Errno::INVAL.into()) }
}

#[cfg(test)]
#[path = "open_tests.rs"]
mod tests;
