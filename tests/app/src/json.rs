//! Writes JSON: all that this app needs of it.

use std::fmt::Write as _;

/// An object being written.
#[derive(Debug, Default)]
pub struct Object {
    text: String,
}

impl Object {
    /// Begins an object.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a string.
    pub fn text(self, name: &str, value: &str) -> Self {
        let value = quoted(value);
        self.raw(name, &value)
    }

    /// Adds a number.
    pub fn number(self, name: &str, value: u64) -> Self {
        self.raw(name, &value.to_string())
    }

    /// Adds a value that is JSON already.
    pub fn raw(mut self, name: &str, value: &str) -> Self {
        let separator = if self.text.is_empty() { '{' } else { ',' };
        let _ = write!(self.text, "{separator}{}:{value}", quoted(name));
        self
    }

    /// Returns the object as text.
    pub fn end(self) -> String {
        if self.text.is_empty() { "{}".into() } else { self.text + "}" }
    }
}

/// Returns an array of values that are JSON already.
pub fn array(values: impl Iterator<Item = String>) -> String {
    format!("[{}]", values.collect::<Vec<_>>().join(","))
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            control if control.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_keeps_the_order() {
        let object = Object::new().text("b", "x").number("a", 7).raw("c", "[]");
        assert_eq!(object.end(), r#"{"b":"x","a":7,"c":[]}"#);
        assert_eq!(Object::new().end(), "{}");
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(quoted("a\"b\\c\nd\u{1}é"), r#""a\"b\\c\nd\u0001é""#);
    }

    #[test]
    fn an_array_joins_its_values() {
        assert_eq!(array(["1".to_owned(), "2".to_owned()].into_iter()), "[1,2]");
    }
}
