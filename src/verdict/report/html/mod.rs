//! The report as a page: one file that needs no network, and can do nothing with one. Data is embedded as JSON, and the
//! page's own script builds every element from it as text; its policy (CSP) lets nothing else run, load or connect.

mod data;
mod escape;
mod store;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use self::escape::{in_json, in_text};
use super::{Report, text};

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str =
    concat!(include_str!("page/theme.css"), include_str!("page/page.css"), include_str!("page/details.css"));
/// One function, so that nothing of it is anybody else's; its parts are in the order in which they need each other.
const SCRIPT: &str = concat!(
    "(() => {\n'use strict';\n",
    include_str!("page/report.js"),
    include_str!("page/dom.js"),
    include_str!("page/words.js"),
    include_str!("page/json.js"),
    include_str!("page/tree.js"),
    include_str!("page/lines.js"),
    include_str!("page/payload.js"),
    include_str!("page/compare.js"),
    include_str!("page/details.js"),
    include_str!("page/findings.js"),
    include_str!("page/fixtures.js"),
    include_str!("page/filter.js"),
    include_str!("page/timeline.js"),
    include_str!("page/table.js"),
    include_str!("page/main.js"),
    "})();\n",
);

/// The page.
#[must_use]
pub fn render(report: &Report) -> String {
    let passed = report.verdict.passed();
    let (style, script) = (with_lf(STYLE), with_lf(SCRIPT));
    let headline = headline(report);
    let fill = |name: &str| -> Cow<'_, str> {
        match name {
            "policy" => policy(&style, &script).into(),
            "icon" => if passed && report.status == 0 { "%231a7f37" } else { "%23cf222e" }.into(),
            "mark" => if passed && report.status == 0 { "M4 8.5l3 3 5.5-6.5" } else { "M5 5l6 6M11 5l-6 6" }.into(),
            "title" => in_text(&headline).into(),
            "style" => style.as_ref().into(),
            "script" => script.as_ref().into(),
            "summary" => in_text(&text::render(&report.verdict, &text::Palette::plain())).into(),
            "data" => in_json(&data::json(report, &headline)).into(),
            // Held by a test: the page has no other gap.
            _ => Cow::default(),
        }
    };
    filled(&with_lf(PAGE), fill)
}

/// The first line of the summary on a terminal.
fn headline(report: &Report) -> String {
    let text = text::render(&report.verdict, &text::Palette::plain());
    text.lines().next().unwrap_or_default().to_owned()
}

/// The Content-Security-Policy of the page. It allows this script, this style and images in `data:` URLs only.
fn policy(style: &str, script: &str) -> String {
    let hash = |text: &str| format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text.as_bytes())));
    format!(
        "default-src 'none'; script-src {}; style-src {}; img-src data:; base-uri 'none'; form-action 'none'",
        hash(script),
        hash(style)
    )
}

/// A template with every `{{name}}` filled. What fills a gap is not looked into.
fn filled<'t>(template: &'t str, fill: impl Fn(&'t str) -> Cow<'t, str>) -> String {
    let mut page = String::new();
    let mut rest = template;
    while let Some((before, (name, after))) =
        rest.split_once("{{").and_then(|(before, gap)| Some((before, gap.split_once("}}")?)))
    {
        page.push_str(before);
        page.push_str(&fill(name));
        rest = after;
    }
    page.push_str(rest);
    page
}

/// Browsers hash what they have read, with its line ends as LF; a checkout may have others.
fn with_lf(text: &'static str) -> Cow<'static, str> {
    if text.contains('\r') { text.replace("\r\n", "\n").into() } else { text.into() }
}
