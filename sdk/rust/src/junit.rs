//! Test results as JUnit XML, which other programs read.

use std::fmt::Write as _;
use std::time::Duration;

use crate::reports::{Outcome, TestCase};

/// Returns the document for `cases`: one suite for each name, in the order in which the
/// names first occur.
#[must_use]
pub fn document(cases: &[TestCase]) -> String {
    let mut suites: Vec<(&str, Vec<&TestCase>)> = Vec::new();
    for case in cases {
        match suites.iter_mut().find(|(name, _)| *name == case.suite) {
            Some((_, members)) => members.push(case),
            None => suites.push((&case.suite, vec![case])),
        }
    }

    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let all: Vec<&TestCase> = cases.iter().collect();
    let _ = writeln!(xml, "<testsuites {}>", counts(&all));
    for (name, members) in &suites {
        let _ = writeln!(xml, "  <testsuite name=\"{}\" {}>", escaped(name), counts(members));
        for case in members {
            element(&mut xml, case);
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

/// Writes one test.
fn element(xml: &mut String, case: &TestCase) {
    let _ = write!(xml, "    <testcase classname=\"{}\" name=\"{}\"", escaped(&case.suite), escaped(&case.name));
    if let Some(time) = case.time {
        let _ = write!(xml, " time=\"{}\"", seconds(time));
    }
    let message = case.message.as_deref().unwrap_or_default();
    match case.outcome {
        Outcome::Passed => xml.push_str("/>\n"),
        Outcome::Failed => {
            // The attribute is what lists show, so it gets the first line only.
            let first = message.lines().next().unwrap_or_default();
            let _ = writeln!(
                xml,
                ">\n      <failure message=\"{}\">{}</failure>\n    </testcase>",
                escaped(first),
                escaped(message)
            );
        }
        Outcome::Skipped if message.is_empty() => {
            xml.push_str(">\n      <skipped/>\n    </testcase>\n");
        }
        Outcome::Skipped => {
            let _ = writeln!(xml, ">\n      <skipped message=\"{}\"/>\n    </testcase>", escaped(message));
        }
    }
}

/// Returns the attributes that count tests.
fn counts(cases: &[&TestCase]) -> String {
    let count = |outcome| cases.iter().filter(|case| case.outcome == outcome).count();
    let time: Duration = cases.iter().filter_map(|case| case.time).sum();
    format!(
        "tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" time=\"{}\"",
        cases.len(),
        count(Outcome::Failed),
        count(Outcome::Skipped),
        seconds(time)
    )
}

/// Writes a time as JUnit has it, in seconds to the microsecond.
fn seconds(time: Duration) -> String {
    format!("{}.{:06}", time.as_secs(), time.subsec_micros())
}

/// Escapes text for both attributes and elements.
///
/// A parser turns line ends and tabs in attributes into spaces unless they are written as
/// references. What XML 1.0 forbids even as a reference, such as the escape character of
/// a coloured message, becomes U+FFFD.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\t' => escaped.push_str("&#9;"),
            '\n' => escaped.push_str("&#10;"),
            '\r' => escaped.push_str("&#13;"),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_element() {
        let xml = document(&[
            TestCase::passed("shop", "adds").time(Duration::from_millis(1500)),
            TestCase::failed("shop", "rounds", "left: 1\nright: 2"),
            TestCase::skipped("cart", "later").message("needs a server"),
            TestCase::skipped("shop", "never"),
        ]);
        assert_eq!(
            xml,
            r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="4" failures="1" errors="0" skipped="2" time="1.500000">
  <testsuite name="shop" tests="3" failures="1" errors="0" skipped="1" time="1.500000">
    <testcase classname="shop" name="adds" time="1.500000"/>
    <testcase classname="shop" name="rounds">
      <failure message="left: 1">left: 1&#10;right: 2</failure>
    </testcase>
    <testcase classname="shop" name="never">
      <skipped/>
    </testcase>
  </testsuite>
  <testsuite name="cart" tests="1" failures="0" errors="0" skipped="1" time="0.000000">
    <testcase classname="cart" name="later">
      <skipped message="needs a server"/>
    </testcase>
  </testsuite>
</testsuites>
"#
        );
    }

    #[test]
    fn what_has_a_meaning_in_xml_is_escaped_and_what_it_forbids_is_replaced() {
        assert_eq!(escaped("a<b> & \"c\""), "a&lt;b&gt; &amp; &quot;c&quot;");
        assert_eq!(escaped("]]>"), "]]&gt;");
        assert_eq!(escaped("a\tb\r\n"), "a&#9;b&#13;&#10;");
        assert_eq!(escaped("\u{1b}[31mred\0"), "\u{fffd}[31mred\u{fffd}");
        assert_eq!(escaped("\u{ffff}\u{fffe}"), "\u{fffd}\u{fffd}");
        assert_eq!(escaped("grün 🦀"), "grün 🦀");
    }

    #[test]
    fn no_tests_make_a_document_too() {
        assert!(document(&[]).contains("<testsuites tests=\"0\""));
    }
}
