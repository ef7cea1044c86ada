use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use proptest::prelude::*;

const SECRET: &str = "s3cr3t/Pass+w\u{f6}rd\"&<'x'>";

fn masked(masker: &Masker, text: &str) -> String {
    let mut text = text.to_owned();
    masker.text(&mut text);
    text
}

/// Threat T62: forms by name, and whether each is found. What is not is told in docs/security.md.
fn corpus(secret: &str) -> Vec<(&'static str, String, bool)> {
    let bytes = secret.as_bytes();
    let each = |show: &dyn Fn(char) -> String| secret.chars().map(show).collect::<String>();
    let base_64_of_longer = |before: &str| STANDARD.encode(format!("{before}{secret} and more"));
    vec![
        ("plain", secret.to_owned(), true),
        ("hex", hex::encode(bytes), true),
        ("hex in capitals", hex::encode_upper(bytes), true),
        ("base64", STANDARD.encode(bytes), true),
        ("base64 at offset 0", base_64_of_longer("abc"), true),
        ("base64 at offset 1", base_64_of_longer("abcd"), true),
        ("base64 at offset 2", base_64_of_longer("abcde"), true),
        ("base64url", URL_SAFE_NO_PAD.encode(bytes), true),
        ("base64 twice", STANDARD.encode(STANDARD.encode(bytes)), true),
        ("base64 twice, in more", STANDARD.encode(STANDARD_NO_PAD.encode(format!("{{\"a\":\"{secret}\"}}"))), true),
        ("URL", url::form_urlencoded::byte_serialize(bytes).collect(), true),
        ("JSON", serde_json::to_string(secret).unwrap().trim_matches('"').to_owned(), true),
        ("JSON by \\u", secret.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect(), true),
        (
            "HTML",
            secret
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;")
                .replace('"', "&quot;")
                .replace('\'', "&#39;"),
            true,
        ),
        ("HTML by number", each(&|c| format!("&#{};", u32::from(c))), true),
        (
            "rot13",
            secret
                .chars()
                .map(|c| match c {
                    'a'..='m' | 'A'..='M' => char::from_u32(u32::from(c) + 13).unwrap(),
                    'n'..='z' | 'N'..='Z' => char::from_u32(u32::from(c) - 13).unwrap(),
                    other => other,
                })
                .collect(),
            true,
        ),
        ("capitals", secret.to_ascii_uppercase(), true),
        ("joined by NUL", each(&|c| format!("{c}\0")), true),
        ("joined by zero-width space", each(&|c| format!("{c}\u{200b}")), true),
        ("between colours", each(&|c| format!("\u{1b}[31m{c}\u{1b}[0m")), true),
        ("hex by pairs", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":"), true),
        ("joined by blanks", each(&|c| format!("{c} ")), false),
        ("each letter moved by one", each(&|c| char::from_u32(u32::from(c) + 1).unwrap().to_string()), false),
    ]
}

/// Threat T62.
#[test]
fn a_secret_is_found_in_the_forms_that_are_promised() {
    let masker = Masker::new([SECRET.as_bytes()]);
    for (name, form, found) in corpus(SECRET) {
        let shown = masked(&masker, &format!("before {form} after"));
        assert_eq!(shown.contains(MASK), found, "{name}: {shown}");
        assert!(shown.starts_with("before ") && shown.ends_with(" after"), "{name}: {shown}");
        if found {
            assert!(!shown.contains(&form), "{name}: {shown}");
        }
    }
}

#[test]
fn a_secret_is_found_in_base_32_wherever_it_stands() {
    let masker = Masker::new([&b"correct horse"[..]]);
    for form in ["MNXXE4TFMN2CA2DPOJZWK===", "PBRW64TSMVRXIIDIN5ZHGZJB", "PB4GG33SOJSWG5BANBXXE43FEE======"] {
        assert!(masked(&masker, form).contains(MASK), "{form}");
    }
}

#[test]
fn what_is_not_secret_stays_as_it_is() {
    let masker = Masker::new([SECRET.as_bytes()]);
    for text in ["", "s3cr3t", "all is well", "\u{1b}[31mred\u{1b}[0m", "a\0b\u{200b}c", "\u{1f6a2}"] {
        assert_eq!(masked(&masker, text), text);
    }
    assert_eq!(masked(&Masker::default(), SECRET), SECRET);
}

/// Threat T64.
#[test]
fn short_values_are_not_masked() {
    assert!(Masker::new([&b"1234567"[..], b"true", b""]).is_empty());
    assert!(!Masker::new([&b"12345678"[..]]).is_empty());
}

/// Threat T63.
#[test]
fn each_line_of_a_key_and_each_text_of_json_is_masked() {
    let masker = Masker::new([
        "-----BEGIN KEY-----\r\nMIIEvQIBADANBg\r\nkqhkiG9w0BAQEF\r\n-----END KEY-----\n".as_bytes(),
        br#"{"user": "somebody", "keys": [{"password": "quite secret", "pin": 1234567890}]}"#,
    ]);
    for line in ["MIIEvQIBADANBg", "kqhkiG9w0BAQEF", "quite secret", "1234567890"] {
        assert_eq!(masked(&masker, &format!("is {line}!")), format!("is {MASK}!"));
    }
}

#[test]
fn a_long_value_is_masked_piece_by_piece() {
    let long: String = (0..2_000).map(|number| format!("{number:05}-")).collect();
    let masker = Masker::new([long.as_bytes()]);
    let shown = masked(&masker, &format!("is {long}!"));
    assert!(shown.starts_with(&format!("is {MASK}")) && shown.len() < 100, "{shown}");
    let encoded = masked(&masker, &STANDARD.encode(format!("a{long}")));
    assert!(encoded.matches(MASK).count() >= 1 && encoded.len() < long.len() / 4, "{encoded}");
}

#[test]
fn secrets_that_overlap_are_masked_whole() {
    let masker = Masker::new([&b"abcdefgh"[..], b"efghijkl"]);
    assert_eq!(masked(&masker, "-abcdefghijkl-"), format!("-{MASK}-"));
    assert_eq!(masker.bytes(b"-abcdefghijkl-\xff".to_vec()), [b"-", MASK.as_bytes(), b"-\xff"].concat());
}

#[test]
fn the_beginning_of_a_secret_at_the_end_of_a_cut_text_is_masked() {
    let masker = Masker::new([&b"correct horse battery"[..]]);
    let mut text = format!("{}correct horse \u{2026} (9 bytes cut)", "x".repeat(2_000));
    let kept = 2_000 + "correct horse ".len();
    masker.cut_text(&mut text, kept);
    assert!(!text.contains("correct") && text.ends_with("(9 bytes cut)"), "{text}");
}

proptest! {
    /// Whatever a secret is and wherever it stands, it does not come through.
    #[test]
    fn no_value_comes_through(value in "\\PC{8,40}", before in "\\PC{0,10}", after in "\\PC{0,10}") {
        let masker = Masker::new([value.as_bytes()]);
        let shown = masked(&masker, &format!("{before}{value}{after}"));
        // What stands around it may hold it again only by what it was itself.
        prop_assert!(!shown.contains(&value) || MASK.contains(&value) || before.contains(&value) || after.contains(&value));
        prop_assert!(shown.contains(MASK));
        for inner in 0..3 {
            let encoded = STANDARD.encode(format!("{}{value}{after}", "x".repeat(inner)));
            prop_assert!(masked(&masker, &encoded).contains(MASK), "{encoded}");
        }
    }

    /// Any text and any secrets: no panic, and nothing to mask is nothing changed.
    #[test]
    fn any_text_is_masked(values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..4), text in ".{0,60}", bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let masker = Masker::new(values.iter().map(Vec::as_slice));
        let shown = masked(&masker, &text);
        prop_assert!(shown == text || shown.contains(MASK));
        masker.bytes(bytes);
    }
}
