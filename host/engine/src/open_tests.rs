use super::*;
use std::io::{Read, Write};
use std::path::Path;

fn opened(folder: &Path, path: &str, follow: bool, how: OpenFlags, flags: DescriptorFlags) -> Result<File, ErrorCode> {
    let follow = if follow { PathFlags::SYMLINK_FOLLOW } else { PathFlags::empty() };
    let (_, flags) = flags_of(FsPerms::ReadWrite, follow, how, flags)?;
    open(&File::open(folder).unwrap(), path, flags).map_err(Into::into)
}

fn read(folder: &Path, path: &str) -> Result<File, ErrorCode> {
    opened(folder, path, true, OpenFlags::empty(), DescriptorFlags::READ)
}

#[test]
fn a_file_is_made_written_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let new = OpenFlags::CREATE | OpenFlags::EXCLUSIVE;
    let mut file = opened(folder.path(), "a", false, new, DescriptorFlags::WRITE).unwrap();
    file.write_all(b"hello").unwrap();
    assert_eq!(opened(folder.path(), "a", false, new, DescriptorFlags::WRITE).unwrap_err(), ErrorCode::Exist);
    let mut text = String::new();
    read(folder.path(), "a").unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
    drop(opened(folder.path(), "a", false, OpenFlags::TRUNCATE, DescriptorFlags::WRITE).unwrap());
    assert_eq!(std::fs::metadata(folder.path().join("a")).unwrap().len(), 0);
    assert!(read(folder.path(), ".").unwrap().metadata().unwrap().is_dir());
    let folder_only = opened(folder.path(), "a", false, OpenFlags::DIRECTORY, DescriptorFlags::READ);
    assert_eq!(folder_only.unwrap_err(), ErrorCode::NotDirectory);
    assert_eq!(read(folder.path(), "b").unwrap_err(), ErrorCode::NoEntry);
}

#[test]
fn a_pipe_and_a_socket_are_refused_at_once_however_they_are_opened() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
    std::os::unix::fs::symlink("pipe", folder.path().join("link")).unwrap();
    for path in ["pipe", "socket", "link"] {
        for flags in [DescriptorFlags::READ, DescriptorFlags::WRITE, DescriptorFlags::READ | DescriptorFlags::WRITE] {
            for how in [OpenFlags::empty(), OpenFlags::CREATE, OpenFlags::TRUNCATE] {
                let opened = opened(folder.path(), path, true, how, flags);
                assert_eq!(opened.unwrap_err(), ErrorCode::Invalid, "{path} {how:?} {flags:?}");
            }
        }
    }
}

#[test]
fn nothing_leads_out_of_a_folder() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("inner");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(outer.path().join("secret"), "outside").unwrap();
    std::os::unix::fs::symlink("..", folder.join("up")).unwrap();
    std::os::unix::fs::symlink(outer.path(), folder.join("away")).unwrap();
    std::fs::write(folder.join("file"), "").unwrap();
    std::os::unix::fs::symlink("file", folder.join("link")).unwrap();
    for path in ["../secret", "up/secret", "away/secret", "/etc/passwd", "x/../../secret"] {
        let code = read(&folder, path).unwrap_err();
        assert!(matches!(code, ErrorCode::NotPermitted | ErrorCode::NoEntry), "{path}: {code:?}");
        let made = opened(&folder, path, true, OpenFlags::CREATE, DescriptorFlags::WRITE);
        assert!(made.is_err(), "{path}");
    }
    assert!(read(&folder, "link").is_ok());
    let unfollowed = opened(&folder, "link", false, OpenFlags::empty(), DescriptorFlags::READ);
    assert_eq!(unfollowed.unwrap_err(), ErrorCode::Loop);
}

#[test]
fn what_only_reads_makes_and_changes_nothing() {
    let ask = |how, flags| flags_of(FsPerms::ReadOnly, PathFlags::empty(), how, flags).map(|(mode, _)| mode);
    assert_eq!(ask(OpenFlags::empty(), DescriptorFlags::READ), Ok(OpenMode::READ));
    assert_eq!(ask(OpenFlags::DIRECTORY, DescriptorFlags::empty()), Ok(OpenMode::READ));
    for (how, flags) in [
        (OpenFlags::CREATE, DescriptorFlags::READ),
        (OpenFlags::TRUNCATE, DescriptorFlags::READ),
        (OpenFlags::empty(), DescriptorFlags::WRITE),
    ] {
        assert_eq!(ask(how, flags), Err(ErrorCode::NotPermitted), "{how:?} {flags:?}");
    }
}

#[test]
fn flags_that_make_no_sense_are_refused() {
    let ask = |how, flags| flags_of(FsPerms::ReadWrite, PathFlags::empty(), how, flags).unwrap_err();
    assert_eq!(ask(OpenFlags::DIRECTORY | OpenFlags::CREATE, DescriptorFlags::READ), ErrorCode::Invalid);
    assert_eq!(ask(OpenFlags::empty(), DescriptorFlags::DATA_INTEGRITY_SYNC), ErrorCode::Unsupported);
}
