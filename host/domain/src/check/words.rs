//! Words for messages: lists, and what a misspelled one most likely stands for.

/// The words as a list for a sentence, at most eight of them.
pub fn list(words: &[&str]) -> String {
    let shown: Vec<String> = words.iter().take(8).map(|word| format!("`{word}`")).collect();
    match words.len().saturating_sub(8) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The candidate that a misspelled word most likely stands for: the one at the smallest
/// edit distance, when that is at most a third of the word (rounded up). One that only goes on
/// with a unit, as `timeout_seconds` after `timeout`, is nearest of all.
pub fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let goes_on = |candidate: &&&str| candidate.strip_prefix(word).is_some_and(|rest| rest.starts_with(['_', '-']));
    if let Some(candidate) = candidates.iter().find(goes_on).filter(|_| !word.is_empty()) {
        return Some(candidate);
    }
    let limit = word.chars().count().div_ceil(3);
    candidates
        .iter()
        .map(|candidate| (distance(word, candidate), *candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance, over characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(128).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().take(128).enumerate() {
        let mut next = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX - 1);
            let best = (at(&row, j) + usize::from(from != *to)).min(at(&row, j + 1) + 1).min(at(&next, j) + 1);
            next.push(best);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}
