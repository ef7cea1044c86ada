//! Messages with open files over a Unix socket: the length, then the bytes; the files come with the first.

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// The most files with a message.
const FILES_MAX: usize = 4;
/// The longest message, in bytes: a command with all its words and secrets is far below.
const BYTES_MAX: u32 = 32 << 20;

/// Sends a message.
pub fn send(to: &UnixStream, bytes: &[u8], files: &[BorrowedFd<'_>]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).ok().filter(|length| *length <= BYTES_MAX);
    let head = length.ok_or_else(|| io::Error::other("the message is too long"))?.to_le_bytes();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES_MAX))];
    let mut with = SendAncillaryBuffer::new(&mut space);
    if !files.is_empty() && !with.push(SendAncillaryMessage::ScmRights(files)) {
        return Err(io::Error::other("too many files for a message"));
    }
    let sent = sendmsg(to.as_fd(), &[IoSlice::new(&head)], &mut with, SendFlags::NOSIGNAL)?;
    let mut to = to;
    to.write_all(head.get(sent..).unwrap_or_default())?;
    to.write_all(bytes)
}

/// Receives a message. `None` at the end.
pub fn receive(from: &UnixStream) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
    let mut head = [0; 4];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES_MAX))];
    let mut with = RecvAncillaryBuffer::new(&mut space);
    let got = recvmsg(from.as_fd(), &mut [IoSliceMut::new(&mut head)], &mut with, RecvFlags::CMSG_CLOEXEC)?;
    if got.bytes == 0 {
        return Ok(None);
    }
    let mut files = Vec::new();
    for message in with.drain() {
        if let RecvAncillaryMessage::ScmRights(more) = message {
            files.extend(more);
        }
    }
    let mut from = from;
    from.read_exact(head.get_mut(got.bytes..).unwrap_or_default())?;
    let length = u32::from_le_bytes(head);
    if length > BYTES_MAX {
        return Err(io::Error::other("the message is too long"));
    }
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    from.read_exact(&mut bytes)?;
    Ok(Some((bytes, files)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::thread;

    #[test]
    fn messages_come_whole_with_their_files() {
        let (here, there) = UnixStream::pair().unwrap();
        let sent = thread::spawn(move || {
            let (reader, writer) = rustix::pipe::pipe().unwrap();
            send(&here, &vec![7; 1 << 20], &[writer.as_fd()]).unwrap();
            drop(writer);
            send(&here, b"", &[]).unwrap();
            let mut text = String::new();
            File::from(reader).read_to_string(&mut text).unwrap();
            text
        });
        let (bytes, mut files) = receive(&there).unwrap().unwrap();
        assert_eq!((bytes.len(), files.len()), (1 << 20, 1));
        File::from(files.remove(0)).write_all(b"hello").unwrap();
        assert!(receive(&there).unwrap().unwrap().0.is_empty());
        assert_eq!(sent.join().unwrap(), "hello");
        assert!(receive(&there).unwrap().is_none());
    }

    #[test]
    fn a_length_that_lies_is_refused() {
        let (mut here, there) = UnixStream::pair().unwrap();
        here.write_all(&u32::MAX.to_le_bytes()).unwrap();
        assert!(receive(&there).is_err());
    }
}
