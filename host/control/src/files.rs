//! Reading files that people name: regular ones, up to a size.
//!
//! A device or a pipe has no end, and opening a pipe waits for somebody to write: whoever
//! names one by mistake is told so instead of waiting.

use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not there, or not for this user.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A folder, a device, a pipe or a socket.
    #[error("it is not a regular file")]
    NotRegular,
    /// Larger than such a file can be.
    #[error("it is larger than {bytes_max} bytes")]
    TooLarge {
        /// How large it may be.
        bytes_max: usize,
    },
}

/// Reads a regular file of at most `bytes_max` bytes.
pub fn read(path: &Path, bytes_max: usize) -> Result<Vec<u8>, Error> {
    // Without waiting for whoever is at the other end of a pipe; a regular file does not care.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from)?);
    if !file.metadata()?.is_file() {
        return Err(Error::NotRegular);
    }
    let mut bytes = Vec::new();
    file.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > bytes_max { Err(Error::TooLarge { bytes_max }) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regular_file_is_read_up_to_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        assert!(matches!(read(&path, 4), Err(Error::TooLarge { bytes_max: 4 })));
    }

    #[test]
    fn what_has_no_end_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, Mode::from_raw_mode(0o600)).unwrap();
        for path in [Path::new("/dev/zero"), &pipe, folder.path()] {
            assert!(matches!(read(path, 5), Err(Error::NotRegular)), "{}", path.display());
        }
        assert!(matches!(read(Path::new("/nowhere/x"), 5), Err(Error::Io(_))));
    }
}
