//! From pieces of output to whole lines.

use std::collections::VecDeque;

use super::{Output, Process, Stream};

/// The longest line that is kept together. A program that writes without line ends must
/// not fill the stage's memory.
const LINE_BYTES_MAX: usize = 1024 * 1024;

/// One line that a program wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where it wrote it.
    pub stream: Stream,
    /// The line without its end. Bytes that are not UTF-8 are replaced.
    pub text: String,
}

/// An iterator over a program's lines, made by [`Process::lines`].
pub struct Lines<'a> {
    process: &'a mut dyn Iterator<Item = Output>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    ready: VecDeque<Line>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(process: &'a mut Process) -> Self {
        Self { process, stdout: Vec::new(), stderr: Vec::new(), ready: VecDeque::new() }
    }

    /// Cuts the lines that `output` completes.
    fn take(&mut self, output: &Output) {
        let pending = match output.stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        for piece in output.bytes.split_inclusive(|byte| *byte == b'\n') {
            pending.extend_from_slice(piece);
            if piece.ends_with(b"\n") || pending.len() >= LINE_BYTES_MAX {
                self.ready.push_back(line(output.stream, pending));
            }
        }
    }

    /// Hands out what was written after the last line end.
    fn flush(&mut self) {
        for (stream, pending) in [(Stream::Stdout, &mut self.stdout), (Stream::Stderr, &mut self.stderr)] {
            if !pending.is_empty() {
                self.ready.push_back(line(stream, pending));
            }
        }
    }
}

impl Iterator for Lines<'_> {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        while self.ready.is_empty() {
            match self.process.next() {
                Some(output) => self.take(&output),
                None => {
                    self.flush();
                    break;
                }
            }
        }
        self.ready.pop_front()
    }
}

impl std::fmt::Debug for Lines<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Lines").finish_non_exhaustive()
    }
}

/// Makes a line of the bytes that are pending, and empties them.
fn line(stream: Stream, pending: &mut Vec<u8>) -> Line {
    let bytes = pending.strip_suffix(b"\n").unwrap_or(pending);
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    let text = String::from_utf8_lossy(bytes).into_owned();
    pending.clear();
    Line { stream, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the lines of pieces of output, each with `o` or `e` for its stream.
    fn lines(pieces: &[(Stream, &[u8])]) -> Vec<String> {
        let mut pieces = pieces
            .iter()
            .map(|(stream, bytes)| Output { stream: *stream, bytes: bytes.to_vec() })
            .collect::<Vec<_>>()
            .into_iter();
        let lines = Lines { process: &mut pieces, stdout: Vec::new(), stderr: Vec::new(), ready: VecDeque::new() };
        lines
            .map(|line| {
                let name = if line.stream == Stream::Stdout { 'o' } else { 'e' };
                format!("{name}:{}", line.text)
            })
            .collect()
    }

    use Stream::{Stderr, Stdout};

    #[test]
    fn a_line_may_come_in_pieces_and_the_streams_do_not_mix() {
        assert_eq!(
            lines(&[(Stdout, b"one\ntw"), (Stderr, b"warn"), (Stdout, b"o\n\nthree"), (Stderr, b"ing\r\n"),]),
            ["o:one", "o:two", "o:", "e:warning", "o:three"]
        );
    }

    #[test]
    fn a_character_cut_in_two_is_whole_again() {
        assert_eq!(lines(&[(Stdout, b"gr\xc3"), (Stdout, b"\xbcn\n")]), ["o:grün"]);
        assert_eq!(lines(&[(Stdout, b"\xff\n")]), ["o:\u{fffd}"]);
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let long = vec![b'x'; LINE_BYTES_MAX + 1];
        let lines = lines(&[(Stdout, &long), (Stdout, b"y\n")]);
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1], "o:y");
    }
}
