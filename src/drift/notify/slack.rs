//! The payload of an incoming webhook of Slack.

use serde_json::{Value, json};

use super::message::{Markup, endpoint_parts, fit, headline, more_endpoints, summary};
use crate::drift::report::DriftReport;

/// The longest text of a header block.
const MAX_HEADER: usize = 150;
/// The most endpoints. With three further blocks, the message has fewer than the 50 blocks that Slack accepts.
const MAX_ENDPOINTS: usize = 40;
/// The longest text about endpoints. Slack refuses about 12,000 characters in all blocks, and counts each block too:
/// slackapi/bolt-js#2509 and #2867. The limit is not documented.
const MAX_TOTAL: usize = 8_000;

const MARKUP: Markup = Markup { bold: "*", escape_text: escape, escape_code: escape };

/// Escapes the three characters of control sequences such as `<!channel>` and `<https://…|…>`.
///
/// Source: "Formatting message text" of Slack's documentation. `@here` without brackets stays text: [`payload`] turns
/// automatic parsing off.
fn escape(c: char, out: &mut String) {
    match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        c => out.push(c),
    }
}

/// Returns the message in blocks. `text` is the fallback for notifications and clients without blocks.
pub(super) fn payload(report: &DriftReport) -> Value {
    let headline = headline(report);
    let summary = summary(report, MARKUP);
    let endpoints = endpoint_parts(report, MAX_ENDPOINTS, MAX_TOTAL, MARKUP);
    let header = json!({ "type": "plain_text", "text": fit(&headline, MAX_HEADER, escape), "emoji": false });
    let mut blocks = vec![json!({ "type": "header", "text": header }), section(&summary)];
    blocks.extend(endpoints.parts.iter().map(|part| section(part)));
    blocks.extend(more_endpoints(endpoints.left_out).map(|line| section(&line)));
    json!({
        "text": format!("{headline}. {summary}"),
        "blocks": blocks,
        "parse": "none",
        "link_names": false,
        "unfurl_links": false,
        "unfurl_media": false,
    })
}

/// Returns a section. `verbatim` turns off the conversion of names and URLs to mentions and links.
fn section(text: &str) -> Value {
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": text, "verbatim": true } })
}
