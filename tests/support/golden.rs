//! What people read, as it is committed in `tests/golden`: whoever changes a message sees it
//! beside the others, and looks at the difference.

use super::root;

/// Compares a text with the committed one of this name. `INSTA_UPDATE=always` writes it anew.
pub fn golden(name: &str, text: &str) {
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(root().canonicalize().unwrap().join("tests/golden"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// A text without what is another at each run: ids, times, and the given pairs.
pub fn redact(text: &str, pairs: &[(&str, &str)]) -> String {
    let mut text = pairs.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    for (is_part, redact) in REDACTIONS {
        let mut redacted = String::new();
        let mut word = String::new();
        for c in text.chars().chain(['\n']) {
            if is_part(c) {
                word.push(c);
                continue;
            }
            redacted.push_str(redact(&word).as_deref().unwrap_or(&word));
            word.clear();
            redacted.push(c);
        }
        redacted.pop();
        text = redacted;
    }
    // Lines end where their text does: columns are as wide as the numbers of this run.
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

type Redaction = (fn(char) -> bool, fn(&str) -> Option<String>);

const REDACTIONS: [Redaction; 2] = [
    (
        |c| c.is_ascii_alphanumeric(),
        |word| {
            let is_id = word.len() == 26 && word.starts_with("01") && word.chars().all(|c| !c.is_ascii_lowercase());
            is_id.then(|| "0".repeat(26))
        },
    ),
    (
        |c| !c.is_whitespace() && c != '`',
        |word| {
            let is_time = word.len() >= 20 && word.ends_with('Z') && word.as_bytes().get(10) == Some(&b'T');
            is_time.then(|| "2026-01-01T00:00:00Z".to_owned())
        },
    ),
];
