//! The payload of a webhook of Discord.

use serde_json::{Value, json};

use super::message::{Markup, endpoint_parts, headline, length, more_endpoints, summary};
use crate::drift::report::{DriftReport, DriftResult};

/// The longest description of an embed. The message has one embed, so that the limit of 6,000 in all embeds holds too.
const MAX_DESCRIPTION: usize = 4096;
/// The room for the line that counts the endpoints without lines.
const MORE_ENDPOINTS: usize = 100;
/// The most endpoints.
const MAX_ENDPOINTS: usize = 25;

const RED: u32 = 0xd9_3f_3f;
const YELLOW: u32 = 0xe3_b3_41;
const GREEN: u32 = 0x2e_a4_4f;

const MARKUP: Markup = Markup { bold: "**", escape_text: escape, escape_code: |c, out| out.push(c) };

/// Escapes the characters of Discord's Markdown, mentions, emoji and URLs with a backslash.
fn escape(c: char, out: &mut String) {
    if matches!(c, '\\' | '*' | '_' | '~' | '`' | '|' | '<' | '>' | '[' | ']' | '(' | ')' | '#' | '@' | ':') {
        out.push('\\');
    }
    out.push(c);
}

/// Returns the message: the headline as text, everything else in one embed. Mentions are disabled.
pub(super) fn payload(report: &DriftReport) -> Value {
    let mut description = summary(report, MARKUP);
    let room = MAX_DESCRIPTION - MORE_ENDPOINTS - length(&description);
    let endpoints = endpoint_parts(report, MAX_ENDPOINTS, room, MARKUP);
    for part in endpoints.parts.into_iter().chain(more_endpoints(endpoints.left_out)) {
        description = description + "\n" + &part;
    }
    let color = match report.result() {
        DriftResult::InSync => GREEN,
        DriftResult::Drift => RED,
        DriftResult::NotCompared | DriftResult::Inconclusive => YELLOW,
    };
    json!({
        "content": headline(report),
        "embeds": [{ "description": description, "color": color }],
        "allowed_mentions": { "parse": [] },
    })
}
