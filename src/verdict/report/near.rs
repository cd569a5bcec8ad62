//! The near entries of a miss for a terminal: what the request has and what was recorded, told apart by words as by
//! colour, and cut to the columns there are.

use anstyle::Style;

use super::palette::{Palette, line};
use crate::verdict::NearEntry;
use crate::verdict::explain::{LEADS, MAX_DIFFERENCES};
use crate::verdict::phrase::{Phrase, ValueSide, subject, values};
use harproxy_matching::Difference;

/// Columns where nobody says how many there are.
const COLUMNS: usize = 120;
/// Fewer are of no use.
const FEWEST: usize = 30;

/// The entries, the nearest first.
pub(super) fn render(out: &mut String, near: &[NearEntry], palette: &Palette) {
    for (n, entry) in near.iter().enumerate() {
        self::entry(out, LEADS[usize::from(n > 0)], entry, palette);
    }
}

fn entry(out: &mut String, lead: &str, near: &NearEntry, palette: &Palette) {
    let columns = palette.columns.unwrap_or(COLUMNS).max(FEWEST);
    let operation = near.operation.as_ref().map_or_else(String::new, |name| format!(" `{name}`"));
    let place = format!("  {lead}: {}{operation}", near.place);
    if let [only] = &near.differences[..] {
        let phrase = Phrase::of(only, columns);
        if place.chars().count() + ": ".len() + phrase.chars() <= columns {
            return line(out, format_args!("{place}: {}", painted(&phrase, palette)));
        }
    }
    line(out, format_args!("{place}{}", if near.differences.is_empty() { "" } else { ":" }));
    for difference in near.differences.iter().take(MAX_DIFFERENCES) {
        let phrase = Phrase::of(difference, columns);
        if INDENT + phrase.chars() <= columns {
            line(out, format_args!("{:INDENT$}{}", "", painted(&phrase, palette)));
        } else {
            stacked(out, difference, columns, palette);
        }
    }
    match near.differences.len().saturating_sub(MAX_DIFFERENCES) {
        0 => {}
        1 => line(out, format_args!("{:INDENT$}and 1 more difference", "")),
        more => line(out, format_args!("{:INDENT$}and {more} more differences", "")),
    }
}

/// Indentation of differences, columns.
const INDENT: usize = 4;

/// The two values below each other: what differs stands in the same column.
fn stacked(out: &mut String, difference: &Difference, columns: usize, palette: &Palette) {
    const NAMES: [&str; 2] = ["request ", "recorded"];
    let before = INDENT + 2 + NAMES[0].len() + 1;
    line(out, format_args!("{:INDENT$}{}:", "", subject(difference)));
    // Two characters are for the dots.
    let values = values(difference, columns - before - 2);
    for ((name, value), style) in NAMES.into_iter().zip(values).zip([palette.request, palette.recorded]) {
        let value = value.unwrap_or_else(|| "(none)".to_owned());
        line(out, format_args!("{:INDENT$}  {name} {style}{value}{style:#}", ""));
    }
}

fn painted(phrase: &Phrase, palette: &Palette) -> String {
    let paint = |(side, text): (Option<ValueSide>, &str)| {
        let style = match side {
            None => Style::new(),
            Some(ValueSide::Request) => palette.request,
            Some(ValueSide::Recorded) => palette.recorded,
        };
        format!("{style}{text}{style:#}")
    };
    phrase.parts().map(paint).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::explain::EntryPlace;
    use harproxy_matching::RequestPart;

    fn differs(what: RequestPart, name: &str, request: Option<&str>, recorded: Option<&str>) -> Difference {
        Difference { what, name: name.into(), request: request.map(Into::into), recorded: recorded.map(Into::into) }
    }

    fn rendered(differences: Vec<Difference>, palette: Palette) -> String {
        let place = EntryPlace { fixture: "hars/api.har".into(), entry: 4, line: Some(120) };
        let mut out = String::new();
        render(&mut out, &[NearEntry { place, operation: None, differences }], &palette);
        out
    }

    #[test]
    fn short_difference_is_one_line_with_colored_values() {
        let page = || vec![differs(RequestPart::Query, "page", Some("3"), Some("2"))];
        assert_eq!(
            rendered(page(), Palette::plain()),
            "  nearest: hars/api.har#4 (line 120): query parameter `page` is `3`, recorded `2`\n"
        );
        let coloured = rendered(page(), Palette::colour());
        assert!(coloured.contains("\u{1b}[31m3\u{1b}[0m") && coloured.contains("\u{1b}[32m2\u{1b}[0m"), "{coloured:?}");
    }

    #[test]
    fn long_values_are_cut_around_their_difference() {
        let long = |mark: &str| format!("{}{mark}{}", "-".repeat(3000), "-".repeat(1997));
        let out = rendered(
            vec![
                differs(RequestPart::Body, "$.text", Some(&long("one")), Some(&long("two"))),
                differs(RequestPart::Query, "page", None, Some("2")),
            ],
            Palette::plain().within(Some(40)),
        );
        assert_eq!(
            out,
            "  nearest: hars/api.har#4 (line 120):\n    \
             body `$.text`:\n      \
               request  …-------one-------------…\n      \
               recorded …-------two-------------…\n    \
             query parameter `page`:\n      \
               request  (none)\n      \
               recorded 2\n"
        );
        assert!(out.lines().all(|line| line.chars().count() <= 40), "{out}");
    }

    #[test]
    fn long_list_of_differences_is_cut() {
        let flood = |n: usize| (0..n).map(|n| differs(RequestPart::Query, &n.to_string(), Some("a"), None)).collect();
        assert!(rendered(flood(6), Palette::plain()).ends_with("    and 1 more difference\n"));
        assert!(rendered(flood(9), Palette::plain()).ends_with("    and 4 more differences\n"));
    }
}
