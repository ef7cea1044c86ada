//! Texts of others, kept within bounds.

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
