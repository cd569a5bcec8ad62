//! Excerpts of long values, around the place where two of them begin to differ.

/// Cuts two texts to at most `max_chars` characters, with `…` for omitted text. Both are cut at the same place, so that
/// their common text is in the same column.
///
/// ```
/// use harproxy_compare::excerpt_pair;
/// assert_eq!(excerpt_pair("abc", "abd", 10), ["abc", "abd"]);
/// let [a, b] = [format!("{}x{}", "-".repeat(90), "-".repeat(90)), "-".repeat(181)];
/// assert_eq!(excerpt_pair(&a, &b, 9), ["…---x-----…", "…---------…"]);
/// ```
#[must_use]
pub fn excerpt_pair(a: &str, b: &str, max_chars: usize) -> [String; 2] {
    let start = window_start(a, b, max_chars);
    [a, b].map(|text| window(text, start, max_chars))
}

/// Cuts a text to its first `max_chars` characters, with `…` for omitted text.
#[must_use]
pub fn excerpt(text: &str, max_chars: usize) -> String {
    window(text, 0, max_chars)
}

/// Returns the length of the common beginning of two texts, in bytes.
#[must_use]
pub fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    const STEP: usize = 4096;
    let same = a.chunks(STEP).zip(b.chunks(STEP)).take_while(|(a, b)| a == b).count() * STEP;
    let same = same.min(a.len()).min(b.len());
    same + a[same..].iter().zip(&b[same..]).take_while(|(a, b)| a == b).count()
}

/// Returns the first byte of the excerpts: a little before the difference, but not so late that the window is not
/// filled.
fn window_start(a: &str, b: &str, max_chars: usize) -> usize {
    if [a, b].iter().all(|text| text.len() <= max_chars || text.chars().nth(max_chars).is_none()) {
        return 0;
    }
    let mut same = common_prefix(a.as_bytes(), b.as_bytes());
    while !(a.is_char_boundary(same) && b.is_char_boundary(same)) {
        same -= 1;
    }
    let rest = [a, b].map(|text| text[same..].chars().take(max_chars).count()).into_iter().max().unwrap_or_default();
    let before = (max_chars / 3).max(max_chars - rest);
    a[..same].char_indices().rev().take(before).last().map_or(same, |(at, _)| at)
}

fn window(text: &str, start: usize, max_chars: usize) -> String {
    let rest = &text[start..];
    let end = rest.char_indices().nth(max_chars).map_or(rest.len(), |(at, _)| at);
    let [before, after] = [start > 0, end < rest.len()].map(|is_cut| if is_cut { "…" } else { "" });
    format!("{before}{}{after}", &rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn difference_far_inside_is_shown() {
        let long = |mark: &str| format!("{}{mark}{}", "ä".repeat(3000), "ö".repeat(2000));
        let [a, b] = excerpt_pair(&long("one"), &long("two"), 60);
        for (text, mark) in [(&a, "one"), (&b, "two")] {
            assert!(text.starts_with("…ä") && text.ends_with("ö…") && text.contains(mark), "{text}");
            assert_eq!(text.chars().count(), 62);
        }
        assert_eq!(a.find("one"), b.find("two"), "both are in the same column");
    }

    #[test]
    fn window_is_full_at_both_ends() {
        let long = "x".repeat(200);
        assert_eq!(
            excerpt_pair(&long, &format!("{long}y"), 10),
            [format!("…{}", "x".repeat(9)), format!("…{}y", "x".repeat(9))]
        );
        assert_eq!(excerpt_pair(&long, "", 10), [format!("{}…", "x".repeat(10)), String::new()]);
        assert_eq!(excerpt_pair("a", &long, 10), ["a".to_owned(), format!("{}…", "x".repeat(10))]);
        assert_eq!(excerpt("ääää", 3), "äää…");
        assert_eq!(excerpt("äää", 3), "äää");
    }

    proptest::proptest! {
        #[test]
        fn characters_are_not_split_and_differences_are_kept(a in "[aäñ€😀]{0,40}", b in "[aäñ€😀]{0,40}", max_chars in 1usize..20) {
            let cut = excerpt_pair(&a, &b, max_chars);
            for (cut, whole) in cut.iter().zip([&a, &b]) {
                proptest::prop_assert!(cut.chars().count() <= max_chars + 2);
                proptest::prop_assert!(whole.contains(cut.trim_matches('…')));
            }
            proptest::prop_assert_eq!(cut[0] == cut[1], a == b, "a difference is shown");
            proptest::prop_assert_eq!(common_prefix(a.as_bytes(), b.as_bytes()), a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count());
        }

        #[test]
        fn common_prefix_of_long_texts_is_exact(same in 0usize..9000, more in 0usize..9000) {
            let (a, b) = (vec![1; same + more], [vec![1; same], vec![2; more + 1]].concat());
            proptest::prop_assert_eq!(common_prefix(&a, &b), same);
        }
    }
}
