//! Text that does not read as it is written.

/// Says whether a character acts on a terminal or on the reading of what stands around it:
/// control characters, those that turn the direction of text, breaks of lines that are no
/// `\n`, and tags, which nobody sees.
pub fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_told_from_what_is_read() {
        for c in ['\0', '\n', '\u{1b}', '\u{7f}', '\u{9b}', '\u{61c}', '\u{202e}', '\u{2067}', '\u{2028}', '\u{e0041}']
        {
            assert!(is_deceptive(c), "{c:?}");
        }
        for c in ['a', ' ', 'ä', '中', 'ع', '🙂', '\u{200d}'] {
            assert!(!is_deceptive(c), "{c:?}");
        }
    }
}
