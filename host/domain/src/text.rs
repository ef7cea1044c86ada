//! Texts of others, kept within bounds and seen as they are.

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

/// Cuts a text that is too long, at a character's border, and says how much is missing.
pub fn cut(text: impl Into<String>, bytes_max: usize) -> String {
    let mut text = text.into();
    if text.len() > bytes_max {
        let whole = text.len();
        text.truncate(text.floor_char_boundary(bytes_max));
        text.push_str(&format!(" … ({} bytes cut)", whole - text.len()));
    }
    text
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

    #[test]
    fn a_text_is_cut_only_past_the_limit() {
        assert_eq!(cut("four", 4), "four");
        assert_eq!(cut("four", 3), "fou … (1 bytes cut)");
        assert_eq!(cut("", 0), "");
    }

    #[test]
    fn a_character_is_never_cut_apart() {
        assert_eq!(cut("a\u{e4}b", 2), "a … (3 bytes cut)");
        assert_eq!(cut("\u{1f6a2}", 3), " … (4 bytes cut)");
    }
}
