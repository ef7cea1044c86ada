//! The table of attacks in docs/security.md, made of what the tests say that they are about: a line `Threat T13` in
//! the comment of a test, or at the head of its file.

use crate::support::root;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The attacks of the parts on plugins, tools, secrets and what concerns them, in our words.
const ATTACKS: [(&str, &str); 40] = [
    ("T13", "a request, a redirect or a name that leads into a private network"),
    ("T14", "a credential that goes along to a host that the sender has chosen"),
    ("T31", "a plugin that loops"),
    ("T32", "a plugin that loops within one large operation"),
    ("T33", "a plugin that takes memory, tables or instances without an end"),
    ("T34", "a plugin that has the host take memory for it"),
    ("T35", "recursion, and values nested deeply"),
    ("T36", "a plugin that sleeps, or never reads what it asked for"),
    ("T37", "a storm of cheap calls"),
    ("T38", "odd values in every call"),
    ("T39", "a plugin that leaves its folders by paths and links"),
    ("T40", "a plugin that reaches the network by itself"),
    ("T41", "what an earlier plugin has left in memory"),
    ("T42", "a plugin that forges its own result"),
    ("T43", "names that are paths, controls or look like others"),
    ("T44", "a plugin that asks for what another was granted"),
    ("T45", "handles that are used after their end, or of another"),
    ("T46", "a component that takes a compiler all memory and time"),
    ("T47", "another plugin under the same name"),
    ("T48", "compiled code that was changed on disk"),
    ("T49", "clocks by which a plugin measures others"),
    ("T50", "a tool that reads the host, other processes, or their secrets"),
    ("T51", "a tool that types into the terminal of the host"),
    ("T52", "a tool that takes processes, memory, disk or descriptors without an end"),
    ("T53", "a tool that stays when its stage has ended"),
    ("T54", "words of a pipeline that become options of the sandbox"),
    ("T55", "system calls by which kernels are attacked"),
    ("T60", "a worker that was taken over and speaks for others"),
    ("T61", "a flood of signs of life"),
    ("T62", "a secret printed plainly, in pieces or encoded"),
    ("T63", "secrets of several lines, or inside of JSON"),
    ("T64", "secrets so short that masking them masks everything"),
    ("T65", "a log without an end"),
    ("T66", "text that acts on a terminal"),
    ("T67", "text that looks like a command to the host"),
    ("T68", "a secret in errors, tables, answers or dumps"),
    ("T69", "an answer of the API with a secret in it"),
    ("T70", "a stolen database"),
    ("T71", "a secret that leaves by an allowed way"),
    ("T79", "a key within reach of a worker that was taken over"),
];

/// What a comment is about: `T13`, `T31 to T38`, `P20 and P21`.
fn named(comment: &str) -> BTreeSet<String> {
    let words: Vec<&str> =
        comment.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let id = |word: &str| {
        let (letter, number) = word.split_at_checked(1)?;
        let number = number.parse::<u32>().ok().filter(|_| matches!(letter, "T" | "P") && number.len() <= 2)?;
        Some((letter.to_owned(), number))
    };
    let mut found = BTreeSet::new();
    for (at, word) in words.iter().enumerate() {
        let Some((letter, from)) = id(word) else { continue };
        let to = (words.get(at + 1) == Some(&"to")).then(|| words.get(at + 2).and_then(|word| id(word))).flatten();
        let to = to.filter(|(other, _)| *other == letter).map_or(from, |(_, to)| to);
        found.extend((from..=to).map(|number| format!("{letter}{number}")));
    }
    found
}

/// The tests of a file that say what they are about.
fn tests_of(text: &str, name: &str, found: &mut BTreeMap<String, BTreeSet<String>>) {
    let head: String = text.lines().take_while(|line| line.starts_with("//!")).collect::<Vec<_>>().join(" ");
    let (mut comment, mut is_test) = (String::new(), false);
    for line in text.lines().map(str::trim) {
        if let Some(more) = line.strip_prefix("///") {
            comment.push_str(more);
        } else if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some((_, rest)) = line.split_once("fn ").filter(|_| !line.starts_with("//")) {
            if is_test {
                let test = rest.split('(').next().unwrap();
                let own = named(&comment);
                for id in if own.is_empty() { named(&head) } else { own } {
                    found.entry(id).or_default().insert(format!("`{test}` in `{name}`"));
                }
            }
            (comment, is_test) = (String::new(), false);
        } else if !line.starts_with("#[") {
            comment.clear();
        }
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            // Guests are what is tested, and `target` is made.
            if !matches!(path.file_name().and_then(|name| name.to_str()), Some("guests" | "target" | "golden")) {
                files(&path, found);
            }
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

fn table() -> String {
    let mut all = Vec::new();
    files(&root().join("host"), &mut all);
    files(&root().join("tests"), &mut all);
    all.sort();
    let mut found = BTreeMap::new();
    for path in all {
        // This file speaks of all of them.
        if path.ends_with(file!().rsplit('/').next().unwrap()) {
            continue;
        }
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        tests_of(&std::fs::read_to_string(&path).unwrap(), &name, &mut found);
    }
    let rows = ATTACKS.iter().map(|(id, attack)| {
        let answers = found.get(*id).map(|tests| tests.iter().cloned().collect::<Vec<_>>().join("<br>"));
        format!("| {id} | {attack} | {} |\n", answers.as_deref().unwrap_or("no test yet"))
    });
    format!("| | attack | answered by |\n| --- | --- | --- |\n{}", rows.collect::<String>())
}

#[test]
fn the_table_of_attacks_is_what_the_tests_say() {
    const MARKS: [&str; 2] = ["<!-- made of the tests -->\n", "<!-- until here -->"];
    let path = root().join("docs/security.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(MARKS[0]).unwrap();
    let (told, after) = rest.split_once(MARKS[1]).unwrap();
    let table = table();
    if std::env::var_os("INSTA_UPDATE").is_some() {
        std::fs::write(&path, format!("{before}{}{table}{}{after}", MARKS[0], MARKS[1])).unwrap();
    } else {
        assert_eq!(told, table, "`INSTA_UPDATE=always cargo xtask test docs` writes it anew");
    }
}

#[test]
fn a_comment_names_what_it_is_about() {
    let names = |text: &str| named(text).into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!(names(" Threat T13: it"), "T13");
    assert_eq!(names(" Threats T8 to T10, and P2."), "P2 T10 T8 T9");
    assert_eq!(names(" The TCP of T and T1000"), "");
}
