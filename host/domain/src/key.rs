//! What stages name: outputs and artifacts.

/// The rule of [`is_name`], for messages.
pub const NAME_RULE: &str = "use 1 to 128 letters, digits and `.`, `_`, `+`, `-`, not beginning with `.`";

/// The longest media type, in bytes.
const MEDIA_TYPE_BYTES_MAX: usize = 127;

/// Whether a text can name an output or an artifact: it can then also name a file.
pub fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
    !text.is_empty() && text.len() <= 128 && !text.starts_with('.') && text.bytes().all(plain)
}

/// Whether a text is a media type, such as `text/plain; charset=utf-8`.
pub fn is_media_type(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&^_.+-/;= ".contains(&byte);
    text.len() <= MEDIA_TYPE_BYTES_MAX && text.split('/').count() == 2 && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_also_name_a_file() {
        for name in ["a", "app.wasm", "image_digest", "c++-1.0", &"x".repeat(128)] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", ".hidden", "..", "a/b", "a b", "ä", "a\0", &"x".repeat(129)] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn a_media_type_has_two_parts() {
        for text in ["application/wasm", "text/plain; charset=utf-8", "application/vnd.oci.image.manifest.v1+json"] {
            assert!(is_media_type(text), "{text}");
        }
        for text in ["", "wasm", "a/b/c", "text/plain\r\nx: y", "text/\u{e4}", &format!("a/{}", "x".repeat(126))] {
            assert!(!is_media_type(text), "{text}");
        }
    }
}
