//! Renders a report as one HTML file that works offline. Data is embedded as JSON, and the page's own script builds
//! every element from it as text. The page's policy (CSP) permits nothing else to run, load or connect.

mod data;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use super::{Report, escape_markup, text};
use harproxy_support::printable;

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str =
    concat!(include_str!("page/theme.css"), include_str!("page/page.css"), include_str!("page/details.css"));
/// One function, so that it defines no global names. Each part follows the parts that it uses.
const SCRIPT: &str = concat!(
    "(() => {\n'use strict';\n",
    include_str!("page/report.js"),
    include_str!("page/dom.js"),
    include_str!("page/words.js"),
    include_str!("page/json.js"),
    include_str!("page/tree.js"),
    include_str!("page/lines.js"),
    include_str!("page/segments.js"),
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

#[must_use]
pub fn render(report: &Report) -> String {
    let passed = report.verdict.passed();
    let (style, script) = (with_lf(STYLE), with_lf(SCRIPT));
    let summary = text::render(&report.verdict, &text::Palette::default());
    let headline = summary.lines().next().unwrap_or_default();
    let fill = |name: &str| -> Cow<'_, str> {
        match name {
            "policy" => policy(&style, &script).into(),
            "icon" => if passed && report.status == 0 { "%231a7f37" } else { "%23cf222e" }.into(),
            "mark" => if passed && report.status == 0 { "M4 8.5l3 3 5.5-6.5" } else { "M5 5l6 6M11 5l-6 6" }.into(),
            "title" => escape_text(headline).into(),
            "style" => style.as_ref().into(),
            "script" => script.as_ref().into(),
            "summary" => escape_text(&summary).into(),
            "data" => escape_json(&data::json(report, headline)).into(),
            // A test checks that the page has no other placeholder.
            _ => Cow::default(),
        }
    };
    filled(&with_lf(PAGE), fill)
}

/// Returns the Content-Security-Policy of the page. It allows this script, this style and images in `data:` URLs only.
fn policy(style: &str, script: &str) -> String {
    format!(
        "default-src 'none'; script-src {}; style-src {}; img-src data:; base-uri 'none'; form-action 'none'",
        source_hash(script),
        source_hash(style)
    )
}

/// Returns the expression by which a policy allows an inline script or style (CSP Level 3, section 2.3.1).
pub(crate) fn source_hash(text: &str) -> String {
    format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text.as_bytes())))
}

/// Fills every `{{name}}` of a template. Filled text is not searched again.
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

/// Converts line ends to LF, as browsers do before they hash a script. A checkout may have others.
pub(crate) fn with_lf(text: &'static str) -> Cow<'static, str> {
    if text.contains('\r') { text.replace("\r\n", "\n").into() } else { text.into() }
}

/// Escapes JSON for a `<script>`. Nothing in it ends the element, begins another or is a comment's mark (HTML Standard
/// 4.12.1.3), and it is a JavaScript literal too.
fn escape_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len() + json.len() / 16);
    for c in printable::json(json).chars() {
        match c {
            // All of these occur only in strings.
            '<' | '>' | '&' => escaped.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Escapes text for the content of an element or for quotes.
pub(crate) fn escape_text(text: &str) -> String {
    escape_markup(text, |escaped, c| match c {
        '\'' => escaped.push_str("&#39;"),
        '\n' | '\t' => escaped.push(c),
        c => printable::push_char(escaped, c, printable::is_invisible(c)),
    })
}
