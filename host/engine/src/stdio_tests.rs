use super::*;

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<String>>>);

impl Sink for Kept {
    fn line(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }
}

#[test]
fn pieces_become_lines() {
    let mut lines = Lines::<8>::default();
    assert_eq!(lines.push(b"one\ntw"), ["one"]);
    assert_eq!(lines.push(b"o\r\n\nthree\xff"), ["two", ""]);
    assert_eq!(lines.finish().as_deref(), Some("three\u{fffd}"));
    assert_eq!(lines.finish(), None);
}

#[test]
fn a_long_line_comes_in_parts_of_the_same_size_however_it_was_written() {
    let text = b"0123456789abcdefghij\nk";
    for size in 1..=text.len() {
        let mut lines = Lines::<8>::default();
        let mut parts: Vec<String> = text.chunks(size).flat_map(|piece| lines.push(piece)).collect();
        parts.extend(lines.finish());
        assert_eq!(parts, ["01234567", "89abcdef", "ghij", "k"], "in pieces of {size}");
    }
}

#[test]
fn a_line_of_just_the_size_is_whole() {
    let mut lines = Lines::<4>::default();
    assert_eq!(lines.push(b"1234\n5678\n"), ["1234", "5678"]);
    assert_eq!(lines.finish(), None);
}

#[test]
fn the_last_of_a_stream_s_clones_ends_its_line() {
    let kept = Kept::default();
    let stream = LineStream::<_, 8>::new(kept.clone());
    let mut clone = stream.p2_stream();
    clone.write(Bytes::from_static(b"whole\npa")).unwrap();
    drop(stream);
    assert_eq!(*kept.0.lock().unwrap(), ["whole"]);
    clone.write(Bytes::from_static(b"rt")).unwrap();
    drop(clone);
    assert_eq!(*kept.0.lock().unwrap(), ["whole", "part"]);
}
