//! Names near a name that is not known.

use std::cmp::Reverse;

/// How many names are suggested.
const MOST: usize = 5;

/// The known names that `name` was most likely meant to be, or is most like; the nearest first.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let words: Vec<&str> = name.split('_').filter(|word| !word.is_empty()).collect();
    let mut found: Vec<(usize, Reverse<usize>, &str)> = known
        .filter_map(|other| {
            let edits = edits(name, other);
            let shared = other.split('_').filter(|word| words.contains(word)).count();
            // A slip of the finger, or half of the words.
            let near = edits <= 2 + name.len() / 6 || (shared > 1 && shared * 2 >= words.len());
            near.then_some((edits.saturating_sub(2 * shared), Reverse(shared), other))
        })
        .collect();
    found.sort();
    found.into_iter().take(MOST).map(|(_, _, other)| other).collect()
}

/// How many characters must be added, dropped or replaced to make `a` of `b`.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (to, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let best = (diagonal + usize::from(from != *to)).min(*cell + 1).min(left + 1);
            diagonal = *cell;
            *cell = best;
            left = best;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        assert_eq!(
            [("", ""), ("a", ""), ("kitten", "sitting"), ("ab", "ba")].map(|(a, b)| edits(a, b)),
            [0, 1, 3, 2]
        );
    }

    #[test]
    fn slips_and_relatives_are_found() {
        let known = ["claude_chat_created", "claude_chat_deleted", "org_created", "sso_login_failed"];
        let near = |name| nearest(name, known.into_iter());
        assert_eq!(near("claude_chat_craeted").first(), Some(&"claude_chat_created"));
        assert_eq!(near("claude_chat_pinned"), ["claude_chat_created", "claude_chat_deleted"]);
        assert_eq!(near("zzz_qqq_xxx"), [""; 0]);
    }
}
