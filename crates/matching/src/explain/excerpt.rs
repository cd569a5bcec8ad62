//! Long values cut to what one can read, around the place where two of them begin to differ.

/// Two texts, each of at most `longest` characters and the dots for what is left out. Both are cut at the same place, so what
/// they have in common stands in the same column.
///
/// ```
/// use harproxy_matching::beside;
/// assert_eq!(beside("abc", "abd", 10), ["abc", "abd"]);
/// let [a, b] = [format!("{}x{}", "-".repeat(90), "-".repeat(90)), "-".repeat(181)];
/// assert_eq!(beside(&a, &b, 9), ["…---x-----…", "…---------…"]);
/// ```
#[must_use]
pub fn beside(a: &str, b: &str, longest: usize) -> [String; 2] {
    let start = start(a, b, longest);
    [a, b].map(|text| window(text, start, longest))
}

/// A text of at most `longest` characters: the whole, or its beginning and dots.
#[must_use]
pub fn beginning(text: &str, longest: usize) -> String {
    window(text, 0, longest)
}

/// How many bytes two payloads begin with alike.
#[must_use]
pub(super) fn common(a: &[u8], b: &[u8]) -> usize {
    const STEP: usize = 4096;
    let same = a.chunks(STEP).zip(b.chunks(STEP)).take_while(|(a, b)| a == b).count() * STEP;
    let same = same.min(a.len()).min(b.len());
    same + a[same..].iter().zip(&b[same..]).take_while(|(a, b)| a == b).count()
}

/// Where to begin, in bytes: a little before the difference, and no later than leaves the window full.
fn start(a: &str, b: &str, longest: usize) -> usize {
    if !is_longer(a, longest) && !is_longer(b, longest) {
        return 0;
    }
    let mut same = common(a.as_bytes(), b.as_bytes());
    // What both begin with is cut between the same characters.
    while !(a.is_char_boundary(same) && b.is_char_boundary(same)) {
        same -= 1;
    }
    let left = [a, b].map(|text| text[same..].chars().take(longest).count()).into_iter().max().unwrap_or_default();
    let before = (longest / 3).max(longest - left);
    a[..same].char_indices().rev().take(before).last().map_or(same, |(at, _)| at)
}

fn is_longer(text: &str, longest: usize) -> bool {
    text.len() > longest && text.chars().nth(longest).is_some()
}

fn window(text: &str, start: usize, longest: usize) -> String {
    let rest = &text[start..];
    let end = rest.char_indices().nth(longest).map_or(rest.len(), |(at, _)| at);
    let [before, after] = [start > 0, end < rest.len()].map(|cut| if cut { "…" } else { "" });
    format!("{before}{}{after}", &rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_far_inside_shows() {
        let long = |mark: &str| format!("{}{mark}{}", "ä".repeat(3000), "ö".repeat(2000));
        let [a, b] = beside(&long("one"), &long("two"), 60);
        for (text, mark) in [(&a, "one"), (&b, "two")] {
            assert!(text.starts_with("…ä") && text.ends_with("ö…") && text.contains(mark), "{text}");
            assert_eq!(text.chars().count(), 62);
        }
        assert_eq!(a.find("one"), b.find("two"), "in the same column");
    }

    #[test]
    fn the_window_is_full_at_both_ends() {
        let long = "x".repeat(200);
        assert_eq!(
            beside(&long, &format!("{long}y"), 10),
            [format!("…{}", "x".repeat(9)), format!("…{}y", "x".repeat(9))]
        );
        assert_eq!(beside(&long, "", 10), [format!("{}…", "x".repeat(10)), String::new()]);
        assert_eq!(beside("a", &long, 10), ["a".to_owned(), format!("{}…", "x".repeat(10))]);
        assert_eq!(beginning("ääää", 3), "äää…");
        assert_eq!(beginning("äää", 3), "äää");
    }

    proptest::proptest! {
        #[test]
        fn nothing_is_cut_apart_or_lost(a in "[aäñ€😀]{0,40}", b in "[aäñ€😀]{0,40}", longest in 1usize..20) {
            let cut = beside(&a, &b, longest);
            for (cut, whole) in cut.iter().zip([&a, &b]) {
                proptest::prop_assert!(cut.chars().count() <= longest + 2);
                proptest::prop_assert!(whole.contains(cut.trim_matches('…')));
            }
            proptest::prop_assert_eq!(cut[0] == cut[1], a == b, "what differs shows");
            proptest::prop_assert_eq!(common(a.as_bytes(), b.as_bytes()), a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count());
        }

        #[test]
        fn long_beginnings(same in 0usize..9000, more in 0usize..9000) {
            let (a, b) = (vec![1; same + more], [vec![1; same], vec![2; more + 1]].concat());
            proptest::prop_assert_eq!(common(&a, &b), same);
        }
    }
}
