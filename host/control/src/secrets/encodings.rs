//! The forms in which a secret may turn up where it should not.
//!
//! After the corpus of threat T62: what people and tools do to a value by accident or on purpose, as
//! far as a search for fixed texts can find it. Compression, encryption and splitting into pieces it
//! cannot.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use std::collections::BTreeSet;

/// Every form of a value, itself among them.
pub(super) fn forms(value: &[u8]) -> BTreeSet<Vec<u8>> {
    let mut forms = BTreeSet::from([value.to_vec()]);
    forms.extend(hexadecimal(value));
    forms.extend(base_64(value));
    for once in base_64(value) {
        forms.extend(base_64(&once));
    }
    forms.extend(base_32(value));
    forms.insert(value.iter().rev().copied().collect());
    forms.insert(rot_13(value));
    forms.insert(value.to_ascii_uppercase());
    forms.insert(value.to_ascii_lowercase());
    forms.extend(of_url(value));
    if let Ok(text) = std::str::from_utf8(value) {
        forms.extend(of_json(text));
        forms.extend(of_html(text));
    }
    forms
}

/// The forms that a large value is most likely in.
pub(super) fn likely_forms(value: &[u8]) -> BTreeSet<Vec<u8>> {
    base_64(value).into_iter().chain([value.to_vec()]).collect()
}

fn hexadecimal(value: &[u8]) -> Vec<Vec<u8>> {
    let lower = hex::encode(value);
    let pairs = |between: &str, before: &str| {
        let pairs: Vec<String> = value.iter().map(|byte| format!("{before}{byte:02x}")).collect();
        pairs.join(between)
    };
    let spread = [pairs(" ", ""), pairs(":", ""), pairs("", "\\x"), pairs(", ", "0x")];
    let all = std::iter::once(lower).chain(spread);
    all.flat_map(|form| {
        [form.to_ascii_uppercase().replace("\\X", "\\x").replace("0X", "0x").into_bytes(), form.into_bytes()]
    })
    .collect()
}

/// As base 64, wherever in a longer text it stands: at each of the three offsets, the digits that no
/// neighbour has a part in.
fn base_64(value: &[u8]) -> Vec<Vec<u8>> {
    (0..3)
        .flat_map(|offset| {
            let padded = shifted(value, offset);
            let first = (offset * 8).div_ceil(6);
            let last = padded.len() * 8 / 6;
            [STANDARD.encode(&padded), URL_SAFE.encode(&padded)]
                .map(|text| text.as_bytes().get(first..last).unwrap_or_default().to_vec())
        })
        .collect()
}

/// As base 32 (RFC 4648 §6), at each of the five offsets.
fn base_32(value: &[u8]) -> Vec<Vec<u8>> {
    const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    (0..5)
        .map(|offset: usize| {
            let padded = shifted(value, offset);
            let digit = |at: usize| {
                let byte = |index: usize| u16::from(padded.get(index).copied().unwrap_or(0));
                let (index, bit) = (at * 5 / 8, at * 5 % 8);
                let window = byte(index) << 8 | byte(index + 1);
                DIGITS.get(usize::from(window >> (11 - bit) & 31)).copied().unwrap_or(b'=')
            };
            ((offset * 8).div_ceil(5)..padded.len() * 8 / 5).map(digit).collect()
        })
        .collect()
}

/// A value behind so many other bytes.
fn shifted(value: &[u8], offset: usize) -> Vec<u8> {
    std::iter::repeat_n(0, offset).chain(value.iter().copied()).collect()
}

fn rot_13(value: &[u8]) -> Vec<u8> {
    let turn = |byte: u8| match byte {
        b'a'..=b'z' => (byte - b'a' + 13) % 26 + b'a',
        b'A'..=b'Z' => (byte - b'A' + 13) % 26 + b'A',
        other => other,
    };
    value.iter().copied().map(turn).collect()
}

/// As in URLs and forms (RFC 3986 §2.1): what has to be escaped, everything but letters and digits, or
/// everything; with digits in both cases.
fn of_url(value: &[u8]) -> Vec<Vec<u8>> {
    let escaped = |plain: fn(u8) -> bool, space: Option<&str>| {
        let mut text = String::new();
        for &byte in value {
            match space {
                Some(space) if byte == b' ' => text.push_str(space),
                _ if plain(byte) => text.push(char::from(byte)),
                _ => text.push_str(&format!("%{byte:02X}")),
            }
        }
        text
    };
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let component = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte);
    let path = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte);
    let forms = [
        escaped(unreserved, None),
        escaped(unreserved, Some("+")),
        escaped(component, None),
        escaped(path, None),
        escaped(|byte| byte.is_ascii_alphanumeric(), None),
        escaped(|_| false, None),
    ];
    forms
        .into_iter()
        .flat_map(|form| {
            // Only the digits of escapes, not letters of the value.
            let mut lower = String::new();
            let mut rest = form.as_str();
            while let Some((before, after)) = rest.split_once('%') {
                let (digits, after) = after.split_at(after.len().min(2));
                lower += &format!("{before}%{}", digits.to_ascii_lowercase());
                rest = after;
            }
            lower += rest;
            [form.into_bytes(), lower.into_bytes()]
        })
        .collect()
}

/// As in a string of JSON, and with each character as `\u`.
fn of_json(text: &str) -> Vec<Vec<u8>> {
    let quoted = serde_json::to_string(text).unwrap_or_default();
    let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned();
    let units = |upper: bool| {
        let unit = |unit: u16| if upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") };
        text.encode_utf16().map(unit).collect::<String>()
    };
    let twice = serde_json::to_string(&inner).unwrap_or_default();
    let twice = twice.get(1..twice.len().saturating_sub(1)).unwrap_or_default().to_owned();
    [inner.clone(), inner.replace('/', "\\/"), twice, units(true), units(false)].map(String::into_bytes).into()
}

/// As in HTML: the five names, with either way to write a quotation mark, and each character as number.
fn of_html(text: &str) -> Vec<Vec<u8>> {
    let named = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let decimal: String = text.chars().map(|c| format!("&#{};", u32::from(c))).collect();
    let hexadecimal = |upper: bool| -> String {
        let one = |c: char| if upper { format!("&#x{:X};", u32::from(c)) } else { format!("&#x{:x};", u32::from(c)) };
        text.chars().map(one).collect()
    };
    let quoted = |double: &str, single: &str| named.replace('"', double).replace('\'', single);
    [
        named.clone(),
        quoted("&quot;", "&#39;"),
        quoted("&quot;", "&#x27;"),
        quoted("&quot;", "&apos;"),
        quoted("&#34;", "&#39;"),
        decimal,
        hexadecimal(true),
        hexadecimal(false),
    ]
    .map(String::into_bytes)
    .into()
}
